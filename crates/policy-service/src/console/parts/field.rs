//! Fields of forms: a label, a hint, and after a mistake the error beside what was typed.

use axum::http::StatusCode;
use maud::{Markup, html};

use crate::{console::form::Form, http::problem::Problem, routes::once::IDEMPOTENCY_KEY};

/// What is wrong with a form: the field, if it is one, and what would be right.
#[derive(Clone, Debug, Default)]
pub struct Wrong {
    field: String,
    detail: String,
    is_used_up: bool,
}

/// The words for a form that comes twice with different content.
const USED_UP: &str =
    "This form was sent before, with other content, and has made that. If you want this as well, send it once more.";

impl Wrong {
    /// What a route says is wrong. `rename` finds the form's field for the route's, such as `match[0].path`.
    pub fn of(problem: &Problem, rename: impl Fn(&str) -> String) -> Self {
        match problem.wrong_field() {
            // No field of the form has the word by which the service knows a form that is sent again.
            Some(field) if field == IDEMPOTENCY_KEY.as_str() && !problem.status().is_server_error() => {
                Self { is_used_up: true, ..Self::new("", USED_UP) }
            }
            field => Self::new(&field.map(rename).unwrap_or_default(), problem.detail()),
        }
    }

    /// Whether the form was sent before with other content, so that it needs a new word.
    pub fn is_used_up(&self) -> bool {
        self.is_used_up
    }

    /// A mistake that the page itself finds.
    pub fn new(field: &str, detail: &str) -> Self {
        Self { field: field.to_owned(), detail: detail.to_owned(), is_used_up: false }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.detail.is_empty()
    }

    /// The summary above a form that would change something. It names the field, and leads to it.
    pub fn summary(&self) -> Markup {
        self.summary_after(html! { strong { "Nothing was changed." } " " })
    }

    /// The summary above a form that only asks.
    pub fn summary_of_question(&self) -> Markup {
        self.summary_after(html! {})
    }

    fn summary_after(&self, first: Markup) -> Markup {
        let words = self.field.replace('_', " ");
        html! {
            @if !self.detail.is_empty() {
                div.alert role="alert" tabindex="-1" data-focus="" {
                    p { (first)
                        @if self.field.is_empty() { bdi { (self.detail) } }
                        @else { a href={ "#" (self.field) } { (words) ": " bdi { (self.detail) } } }
                    }
                }
            }
        }
    }

    /// The error beside a field that a page draws by itself.
    pub fn beside(&self, name: &str) -> Markup {
        html! { @if let Some(detail) = self.of_field(name) { p.error id={ (name) "-error" } { bdi { (detail) } } } }
    }

    fn of_field(&self, name: &str) -> Option<&str> {
        (!name.is_empty() && self.field == name).then_some(self.detail.as_str())
    }
}

/// Fails if a form for something new gives it neither a name nor an id. Nobody would find it again.
pub fn is_named(form: &Form, what: &str) -> Result<(), Wrong> {
    match form.get("id").is_empty() && form.get("name").is_empty() {
        true => Err(Wrong::new("name", &format!("empty; expected a name for the {what}, or an id"))),
        false => Ok(()),
    }
}

/// Whether a person can mend it in the form, so that the form is shown again with what was typed.
pub fn is_in_form(problem: &Problem) -> bool {
    match problem.status().as_u16() {
        400 | 409 | 422 => true,
        // A field names what is not there, or what not everyone may set.
        403 | 404 => problem.wrong_field().is_some(),
        _ => false,
    }
}

/// The status of a form that is shown again. The page itself is there, so a field that names what is not there is a mistake.
pub fn status_of(problem: &Problem) -> StatusCode {
    match problem.status() {
        StatusCode::NOT_FOUND => StatusCode::UNPROCESSABLE_ENTITY,
        status => status,
    }
}

/// A field of a form.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name, which is its id too.
    pub name: &'a str,
    /// What a person calls it.
    pub label: &'a str,
    /// What would be right; empty if the label says it all.
    pub hint: &'a str,
}

impl<'a> Field<'a> {
    /// A field.
    pub fn new(name: &'a str, label: &'a str, hint: &'a str) -> Self {
        Self { name, label, hint }
    }

    fn around(&self, wrong: &Wrong, control: &Markup) -> Markup {
        let Self { name, label, hint } = self;
        html! {
            div.field {
                label for=(name) { (label) }
                @if !hint.is_empty() { p.hint id={ (name) "-hint" } { (hint) } }
                @if let Some(detail) = wrong.of_field(name) { p.error id={ (name) "-error" } { bdi { (detail) } } }
                (control)
            }
        }
    }

    /// The ids of the texts that describe the field.
    fn described(&self, wrong: &Wrong) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let error = wrong.of_field(self.name).map(|_| format!("{}-error", self.name));
        let ids: Vec<String> = hint.into_iter().chain(error).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    fn invalid(&self, wrong: &Wrong) -> Option<&'static str> {
        wrong.of_field(self.name).map(|_| "true")
    }

    /// A line of text.
    pub fn text(&self, form: &Form, wrong: &Wrong) -> Markup {
        self.typed("text", form, wrong)
    }

    /// A line of another type: `number`, `datetime-local`, `search`.
    pub fn typed(&self, kind: &str, form: &Form, wrong: &Wrong) -> Markup {
        let value = form.without_keys(self.name);
        // A browser refuses seconds in a time, if the field does not say that it takes them.
        let has_seconds = kind == "datetime-local" && value.len() > "2027-01-31T08:00".len();
        let control = html! {
            input type=(kind) id=(self.name) name=(self.name) value=(value) autocomplete="off"
                step=[has_seconds.then_some("1")] min=[(kind == "number").then_some("0")] dir=[(kind == "text").then_some("auto")]
                aria-describedby=[self.described(wrong)] aria-invalid=[self.invalid(wrong)];
        };
        self.around(wrong, &control)
    }

    /// Several lines.
    pub fn lines(&self, rows: u8, form: &Form, wrong: &Wrong) -> Markup {
        // A browser drops the line break right after the tag.
        let control = html! {
            textarea id=(self.name) name=(self.name) rows=(rows) dir="auto" aria-describedby=[self.described(wrong)]
                aria-invalid=[self.invalid(wrong)] { "\n" (form.without_keys(self.name)) }
        };
        self.around(wrong, &control)
    }

    /// One of some values, each with its words.
    pub fn one_of(&self, values: &[(&str, &str)], form: &Form, wrong: &Wrong) -> Markup {
        let chosen = form.get(self.name);
        let control = html! {
            select id=(self.name) name=(self.name) aria-describedby=[self.described(wrong)]
                aria-invalid=[self.invalid(wrong)] {
                @for (value, words) in values { option value=(value) selected[*value == chosen] { (words) } }
            }
        };
        self.around(wrong, &control)
    }

    /// A box to tick.
    pub fn tick(&self, form: &Form) -> Markup {
        let described = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        html! {
            div.field.tick {
                input type="checkbox" id=(self.name) name=(self.name) value="true" checked[form.has(self.name)]
                    aria-describedby=[described];
                label for=(self.name) { (self.label) }
                @if !self.hint.is_empty() { p.hint id={ (self.name) "-hint" } { (self.hint) } }
            }
        }
    }

    /// One of some values as buttons of which one is pressed: value, words, and what stands beside it.
    pub fn choice(&self, values: &[(&str, Markup, Markup)], form: &Form, wrong: &Wrong) -> Markup {
        let chosen = form.get(self.name);
        html! {
            fieldset.choice id=(self.name) aria-describedby=[self.described(wrong)] {
                legend { (self.label) }
                @if !self.hint.is_empty() { p.hint id={ (self.name) "-hint" } { (self.hint) } }
                @if let Some(detail) = wrong.of_field(self.name) { p.error id={ (self.name) "-error" } { bdi { (detail) } } }
                @for (number, (value, words, beside)) in values.iter().enumerate() {
                    div.option {
                        input type="radio" id={ (self.name) "-" (number) } name=(self.name) value=(value)
                            checked[*value == chosen];
                        label for={ (self.name) "-" (number) } { (words) }
                        (beside)
                    }
                }
            }
        }
    }
}

/// What a field had when its form was opened, so that a value which nobody touched is told from one that somebody typed.
pub fn shown(name: &str, value: &str) -> Markup {
    hidden(&format!("{name}_shown"), value)
}

/// Fails if somebody typed into a field that belongs to another choice than the chosen one. `words` are those of its choice.
pub fn is_not_ignored(name: &str, words: &str, is_chosen: bool, is_typed: bool) -> Result<(), Wrong> {
    if is_chosen || !is_typed {
        return Ok(());
    }
    Err(Wrong::new(name, &format!("this counts only with \u{201c}{words}\u{201d}: choose that, or leave this empty")))
}

/// Fails if an owner was taken out of a form. An owner is replaced by another one: what has none is the administrators' alone.
pub fn has_owner(gives: bool, form: &Form, held: Option<&str>) -> Result<(), Wrong> {
    match held {
        Some(held) if gives && form.get("owner").is_empty() => {
            let detail = format!(
                "an owner can be replaced, not removed: give the subject to whom it shall belong; it is {held}"
            );
            Err(Wrong::new("owner", &detail))
        }
        _ => Ok(()),
    }
}

/// A hidden field.
pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// The buttons below a form: what it does, and the way back.
pub fn actions(words: &str, is_dangerous: bool, back: &str) -> Markup {
    let class = if is_dangerous { "danger" } else { "main" };
    html! {
        p.actions { button class=(class) type="submit" { (words) } " " a.cancel href=(back) { "Cancel" } }
    }
}
