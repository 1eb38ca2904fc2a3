//! Secrets that are shown once: keys, tokens, and secrets of gateways.
//!
//! The form that makes one has a word. Sent again with the same word, by "reload" or by two clicks, it makes nothing more, and
//! the secret is not shown again. The page with the secret answers the form itself, so no address names a secret.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{
    form::Form,
    parts::field::{Field, Wrong, hidden},
    visit::Visit,
};
use crate::{clock::random_word, http::problem::Problem};

/// The field with the word.
const ONCE: &str = "once";

/// The hidden field with the word of a form: the one that was sent, or a new one if that word is used up.
pub fn word(form: &Form, wrong: &Wrong) -> Markup {
    match form.get(ONCE) {
        "" => hidden(ONCE, &random_word()),
        _ if wrong.is_used_up() => hidden(ONCE, &random_word()),
        word => hidden(ONCE, word),
    }
}

/// What a form made.
#[derive(Debug)]
pub enum Made {
    /// The answer of the route, with the secret.
    Now(Value),
    /// The form was sent before, and made what has this id.
    Before(String),
}

/// Makes something with a secret.
pub async fn make(visit: &Visit, path: &str, body: &Value, form: &Form) -> Result<Made, Problem> {
    if form.get(ONCE).is_empty() {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the form has no word of its own; load its page again",
        ));
    }
    match visit.v1.create(path, body, form.get(ONCE)).await {
        Ok(done) => Ok(Made::Now(done.body)),
        Err(problem) => match problem.made() {
            Some(id) => Ok(Made::Before(id.to_owned())),
            None => Err(problem),
        },
    }
}

/// The name of the form's field for a field of the route.
pub fn field_of(field: &str) -> String {
    match field {
        "expires_in" | "expires_at" => "end".to_owned(),
        field => field.split(['[', '.']).next().unwrap_or_default().to_owned(),
    }
}

/// Days after which a token or a credential may end, with their words.
const ENDS: [(&str, &str, i64); 3] =
    [("30", "After 30 days", 30), ("90", "After 90 days", 90), ("365", "After a year", 365)];

/// The choice of the end of a token or credential.
pub fn ends(form: &Form, wrong: &Wrong) -> Markup {
    let days = ENDS.map(|(value, words, _)| (value, html! { (words) }, html! {}));
    let mut all = vec![("never", html! { "Never" }, html! {})];
    all.extend(days);
    Field::new("end", "When it ends", "").choice(&all, form, wrong)
}

/// Adds the end that was chosen. Seconds from now say the same if the form is sent again.
pub fn end(form: &Form, body: &mut Map<String, Value>) -> Result<(), Wrong> {
    let chosen = form.get("end");
    if chosen == "never" || chosen.is_empty() {
        return Ok(());
    }
    let found = ENDS.iter().find(|(value, ..)| *value == chosen);
    let (.., days) = found.ok_or_else(|| Wrong::new("end", "choose one of these"))?;
    body.insert("expires_in".to_owned(), json!(days.saturating_mul(86_400)));
    Ok(())
}

/// The secret, with the button that copies it.
pub fn panel(label: &str, secret: &str) -> Markup {
    html! {
        div.field {
            label for="secret" { (label) }
            input.secret type="text" id="secret" value=(secret) readonly autocomplete="off" spellcheck="false";
            p.actions {
                button.main type="button" data-copies="secret" hidden { "Copy" }
                span #secret-copied role="status" {}
            }
        }
    }
}

/// The page for a form that was sent again. `what` is what it made, such as "key".
pub fn made_before(what: &str, id: &str, next: &Markup) -> Markup {
    html! {
        div.alert role="alert" {
            p { strong { "This form was sent before, so nothing new was made." } " It made the " (what) " "
                code { bdi { (id) } } ", which was shown then and is not shown again." }
        }
        (next)
    }
}
