// What the pages do beyond forms and links: times in the reader's zone, presets of times, copying, one form for two clicks,
// what is not updated any more, and where the focus goes. Every page works without it.
"use strict";
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const minute = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hour12: false, timeZoneName: "short" };
  const axis = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false };
  const formats = { minute, hour: minute, second: { ...minute, second: "2-digit" }, axis };

  const showTimes = (root) => {
    for (const element of root.querySelectorAll("time[data-zone]")) {
      const time = new Date(element.dateTime);
      const format = formats[element.dataset.zone];
      if (format && !Number.isNaN(time.getTime())) {
        element.title = element.textContent;
        element.textContent = new Intl.DateTimeFormat("en-GB", format).format(time);
        delete element.dataset.zone;
      }
    }
    // The title of a bar begins with its time, which ends at the first colon that a space follows.
    for (const element of root.querySelectorAll("title[data-zone]")) {
      const time = new Intl.DateTimeFormat("en-GB", formats[element.dataset.zone]).format(new Date(element.dataset.datetime));
      element.textContent = time + element.textContent.slice(element.textContent.indexOf(": "));
      delete element.dataset.zone;
    }
    for (const element of root.querySelectorAll("[data-zone-name]")) element.textContent = zone;
    // Days of a chart are those of the reader's zone. Seconds east of UTC say which.
    for (const element of root.querySelectorAll("input[name=utc_offset]")) element.value = String(new Date().getTimezoneOffset() * -60);
  };

  // A moment in seconds as a field has it, in the reader's zone.
  const inZone = (seconds) => {
    const offset = new Date(seconds * 1000).getTimezoneOffset() * 60;
    return new Date((seconds - offset) * 1000).toISOString().slice(0, seconds % 60 === 0 ? 16 : 19);
  };

  // A time that a person enters is in the reader's zone, and the field beside it tells the service which moment that is. A time
  // without a moment comes from the service and is in UTC. As long as nobody changes it, it stays that very second.
  const watchTimes = (root) => {
    for (const input of root.querySelectorAll("input[type=datetime-local]")) {
      const moment = input.form && input.form.elements[input.name + "_at"];
      const hint = document.getElementById(input.id + "-hint");
      if (!moment) continue;
      if (hint) hint.textContent = "In your time zone, " + zone + ".";
      if (input.value && !moment.value) moment.value = String(Math.floor(new Date(input.value + "Z").getTime() / 1000));
      if (moment.value) input.value = inZone(Number(moment.value));
      let shown = input.value;
      const tell = () => {
        if (input.value === shown) return;
        shown = input.value;
        const time = new Date(shown).getTime();
        moment.value = Number.isNaN(time) ? "" : String(Math.floor(time / 1000));
      };
      input.addEventListener("input", tell);
      input.form.addEventListener("submit", tell);
    }
    for (const input of root.querySelectorAll("input[data-tomorrow]")) {
      const time = new Date();
      time.setHours(24, 0, 0, 0);
      input.value = String(Math.floor(time.getTime() / 1000));
      const words = document.getElementById(input.dataset.tomorrow);
      if (words) words.textContent = new Intl.DateTimeFormat("en-GB", formats.minute).format(time);
    }
  };

  // A field that belongs to one choice chooses it. If another one is chosen after that, the field is not sent.
  const watchChoices = (root) => {
    for (const option of root.querySelectorAll(".option")) {
      const choice = option.querySelector("input[type=radio]");
      if (!choice) continue;
      for (const field of option.querySelectorAll("input:not([type=radio]):not([type=hidden]), textarea, select")) {
        field.addEventListener("input", () => { choice.checked = true; });
        if (field.form) field.form.addEventListener("formdata", (event) => { if (!choice.checked) event.formData.delete(field.name); });
      }
    }
  };

  const watchCopies = (root) => {
    for (const button of root.querySelectorAll("button[data-copies]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const from = document.getElementById(button.dataset.copies);
        const told = document.getElementById(button.dataset.copies + "-copied");
        let words = "Copied.";
        try {
          await navigator.clipboard.writeText(from.value === undefined ? from.textContent : from.value);
        } catch {
          words = "The browser does not allow it. Select the text and copy it.";
        }
        if (told) told.textContent = words;
      });
    }
  };

  const watch = (root) => {
    showTimes(root);
    watchTimes(root);
    watchChoices(root);
    watchCopies(root);
  };

  // A second click while the first one is under way sends nothing.
  const watchForms = () => {
    const sent = new WeakSet();
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (event.defaultPrevented || form.method !== "post") return;
      if (sent.has(form)) return event.preventDefault();
      sent.add(form);
      setTimeout(() => sent.delete(form), 5000);
    });
  };

  // A part that asks for itself again says so while it gets no answer, and since when. Only the first failure is told: words
  // that change with each try would be read aloud each time.
  const watchAnswers = () => {
    const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
    const answered = new Map();
    const begin = new Date();
    const told = (event) => document.getElementById(event.detail.elt.dataset.late || "");
    const fail = (words) => (event) => {
      const message = told(event);
      if (!message || message.textContent) return;
      const since = clock.format(answered.get(message.id) || begin);
      message.textContent = "Not updated since " + since + "; " + words(event) + ".";
    };
    const away = fail(() => "the policy service does not answer");
    document.addEventListener("htmx:sendError", away);
    document.addEventListener("htmx:timeout", away);
    document.addEventListener("htmx:responseError", fail((event) => event.detail.xhr.status === 401
      ? "your session has ended, so sign in in another tab"
      : "the policy service answers with status " + event.detail.xhr.status));
    document.addEventListener("htmx:beforeSwap", (event) => {
      const message = told(event);
      if (!message || event.detail.isError) return;
      answered.set(message.id, new Date());
      message.textContent = "";
    });
  };

  // htmx keeps the address of the page there, for a history that no page uses.
  try {
    sessionStorage.removeItem("htmx-current-path-for-history");
  } catch {
    // The browser does not allow storage, so nothing is kept.
  }
  watch(document);
  watchForms();
  watchAnswers();
  document.addEventListener("htmx:load", (event) => watch(event.detail.elt));
  const wrong = document.querySelector("[data-focus]");
  if (wrong) wrong.focus();
})();
