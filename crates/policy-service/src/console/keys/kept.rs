//! The page with a new key, and the check that it was kept: its last characters, typed from where it is kept now.
//!
//! The browser compares what is typed (`pattern`), and the service does too, by a digest that the page has. The last characters
//! are the checksum of the key, so they tell nobody the key.

use axum::{extract::Path, http::StatusCode, response::Response};
use maud::{Markup, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::{
    form::Form,
    parts::{field::hidden, table::name},
    secrets,
    visit::{Sent, Visit, see_other},
};
use crate::{hexadecimal::short_name, http::problem::Problem};

/// Characters that are typed.
const LAST: usize = 6;

/// The page that shows a key, once. `made` is the answer of `/v1`, and `next` what to do with the key.
pub fn shown(visit: &Visit, made: &Value, title: &str, next: &Markup) -> Response {
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, key, application) = (text("id"), text("key"), text("application"));
    let last = key.get(key.len().saturating_sub(LAST)..).unwrap_or_default();
    let place = visit.at(&["keys", id]);
    let body = html! {
        section.panel aria-labelledby="key-title" {
            h2 #key-title { "Keep it now" }
            p { "This page is the only one that shows it. If you leave or reload the page, nobody can show it again." }
            (secrets::panel("The key", key))
            p { "Clients send it in the header " code { "x-api-key" } ", if the gateway is not configured otherwise. Logs and lists name it "
                code { (name(id)) } "." }
        }
        (next)
        section.panel aria-labelledby="check-title" {
            h2 #check-title { "Check that you have kept it" }
            form method="post" action={ (place) "/kept" } {
                (visit.frame.token()) (hidden("check", &check_of(id, last)))
                div.field {
                    label for="last" { "The last " (LAST) " characters" }
                    p.hint #last-hint { "Read them from the place where you have kept the key, not from this page." }
                    input type="text" id="last" name="last" required maxlength=(LAST) pattern=(last) autocomplete="off"
                        autocapitalize="off" spellcheck="false" aria-describedby="last-hint"
                        title={ "the last " (LAST) " characters of the key" };
                }
                p.actions { button.main type="submit" { "I have kept it" } " " a.cancel href=(place) { "Go on without the check" } }
            }
        }
    };
    let trail =
        [("Applications", visit.at(&["applications"])), ("Application", visit.at(&["applications", application]))];
    visit.page_as(StatusCode::CREATED, title, &trail, body)
}

/// The page for a form that made its key before.
pub fn shown_before(visit: &Visit, id: &str) -> Response {
    let place = visit.at(&["keys", id]);
    let next = html! {
        p { "If you have kept the key, all is well. If not, revoke it and make another one." }
        p.actions {
            a.button href=(place) { "Look at the key" }
            a.button.danger href={ (place) "/revoke" } { "Revoke it …" }
        }
    };
    visit.page_as(StatusCode::CONFLICT, "The key was made", &[], secrets::made_before("key", id, &next))
}

fn check_of(id: &str, last: &str) -> String {
    short_name(&Sha256::new().chain_update(id).chain_update([0_u8]).chain_update(last).finalize())
}

fn is_kept(id: &str, form: &Form) -> bool {
    form.get("check") == check_of(id, form.get("last"))
}

/// There is nothing to check without the key's page.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Response {
    see_other(&visit.at(&["keys", &id]))
}

/// Compares what was typed.
pub async fn check(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let key: super::row::Key = visit.v1.read(&super::route::path(&id)).await?;
    let place = visit.at(&["keys", &id]);
    if is_kept(&key.id, &form) {
        // The answer itself says so: no address does, which anybody can write.
        let visit = Visit { said: "You have the key. Nobody can show it again.", ..visit };
        return Ok(super::one::shown(&visit, &key, &html! {}));
    }
    let body = html! {
        p.alert role="alert" { "These are not the last " (LAST) " characters of this key. The service cannot show the key again." }
        p { "If you have the key nowhere else, revoke it and make another one: a key that nobody has is of no use." }
        p.actions {
            a.button href=(place) { "Look at the key" }
            a.button.danger href={ (place) "/revoke" } { "Revoke it …" }
            a.button href=(visit.at(&["applications", key.application(), "new-key"])) { "Make another one" }
        }
    };
    Ok(visit.page_as(StatusCode::UNPROCESSABLE_ENTITY, "The key may be lost", &[], body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_characters_of_the_same_key_pass() {
        let form = |last: &str| Form::default().with("check", check_of("k-1", "abC123")).with("last", last);
        assert!(is_kept("k-1", &form("abC123")) && is_kept("k-1", &form(" abC123 ")));
        assert!(!is_kept("k-1", &form("abc123")) && !is_kept("k-1", &form("")) && !is_kept("k-2", &form("abC123")));
    }
}
