//! The form of an explanation, and what it asks for as `/v1` takes it.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{
    super::{
        form::Form,
        parts::field::{Field, Wrong},
        visit::Visit,
        when,
    },
    again::again,
};

/// The form as it is at first.
pub fn fresh(visit: &Visit) -> Form {
    let form = Form::default().with("method", "GET").with("url", "https://");
    form.with("key_id", visit.asked.get("key_id")).with("at_revision", visit.asked.get("at_revision"))
}

/// The form. What may be a secret of what was typed is not in it again.
pub fn shown(visit: &Visit, form: &Form, wrong: &Wrong) -> Markup {
    let more = ["address", "referer", "headers", "configuration", "at_revision", "now"];
    let has_more = more.iter().any(|name| !form.get(name).is_empty());
    let is_key_lost = !wrong.is_empty() && !form.get("key").is_empty();
    let form = &again(form);
    html! {
        p { "The service decides this request by the same rules as a gateway, and says which rule decides. It sends nothing and changes nothing." }
        (wrong.summary_of_question())
        form.panel method="post" action=(visit.at(&["explain"])) {
            (visit.frame.token())
            (Field::new("method", "Method", "").text(form, wrong))
            (Field::new("url", "URL", "With its query, as the filter gets it: Envoy may mend dot segments and double slashes before. Values of the query that may be keys are not shown again.")
                .text(form, wrong))
            (key(wrong, is_key_lost))
            (Field::new("key_id", "Or the id of a key", "As lists and logs name it. Leave both empty for a request without a key. A text that may be a key is not shown again.").text(form, wrong))
            details open[has_more] {
                summary { "Client, time and gateway" }
                (Field::new("address", "Address of the client", "Such as 192.0.2.7. Without it, deny policies of addresses are not checked.").text(form, wrong))
                (Field::new("referer", "Referer", "The web page that the request comes from.").text(form, wrong))
                (Field::new("headers", "Further headers", "One a line, such as accept: application/json. Values that may be keys are not shown again either.").lines(3, form, wrong))
                (Field::new("at_revision", "At revision", "Empty for the latest.").text(form, wrong))
                (when::field("now", "At a time", form, wrong))
                (Field::new("configuration", "Configuration of the gateway", "The plugin configuration as JSON. Empty for the default one. Secrets in it are shown again as stars; a text that is no JSON is not shown again.").lines(4, form, wrong))
            }
            p.actions { button.main type="submit" { "Explain" } }
        }
    }
}

fn key(wrong: &Wrong, is_lost: bool) -> Markup {
    // A key is never written into a page, so the field is empty after a mistake too.
    html! {
        @if is_lost { p.warn { "The key that you typed is not shown again. Type it once more." } }
        (Field::new("key", "Key", "It is in no address or log, and no page shows it again.").typed("password", &Form::default(), wrong))
    }
}

/// The form's field for a field of `/v1`.
pub fn field_of(field: &str) -> String {
    match field {
        "sha256" => "key".to_owned(),
        field => field.split(['.', '[']).next().unwrap_or_default().to_owned(),
    }
}

/// What the form asks for.
pub fn asked(form: &Form) -> Result<Value, Wrong> {
    let mut body = Map::new();
    for name in ["method", "url", "key", "key_id", "address", "referer"] {
        if !form.get(name).is_empty() || ["method", "url"].contains(&name) {
            body.insert(name.to_owned(), form.get(name).into());
        }
    }
    let mut headers: Map<String, Value> = Map::new();
    for line in form.lines("headers") {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Wrong::new("headers", "expected a name, a colon and a value in each line"));
        };
        let values = headers.entry(name.trim().to_owned()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(value.trim().into());
        }
    }
    if !headers.is_empty() {
        body.insert("headers".to_owned(), headers.into());
    }
    if !form.get("at_revision").is_empty() {
        let revision = form.get("at_revision").parse::<i64>();
        let revision = revision.map_err(|_| Wrong::new("at_revision", "expected a revision, such as 42"))?;
        body.insert("at_revision".to_owned(), revision.into());
    }
    if let Some(now) = when::moment(form, "now")? {
        body.insert("now".to_owned(), now.into());
    }
    // As a text, so that what is wrong with it is told with its place.
    if !form.get("configuration").is_empty() {
        body.insert("configuration".to_owned(), form.get("configuration").into());
    }
    Ok(Value::Object(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_asks_for_what_was_typed() {
        let read = |text: &str| asked(&Form::parse(text.as_bytes())).ok();
        let plain = json!({"method": "GET", "url": "/x"});
        assert_eq!(read("method=GET&url=/x&key=&headers=&at_revision=&now=&configuration="), Some(plain));
        let full = json!({"method": "GET", "url": "/x", "key": "k", "at_revision": 5, "now": 1_764_576_000,
            "headers": {"a": ["1", "2"], "b": ["x:y"]}, "configuration": "{}"});
        let text = "method=GET&url=/x&key=k&headers=a:1%0D%0Ab:%20x:y%0D%0Aa:2&at_revision=5&now=2025-12-01T08:00&configuration={}";
        assert_eq!(read(text), Some(full));
        for wrong in ["headers=x", "at_revision=x", "now=x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
