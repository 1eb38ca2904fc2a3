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
    parts::{
        field::{Wrong, hidden},
        table::name,
    },
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
            (question(visit, &place, &check_of(id, last), Some(last), &Wrong::default()))
        }
    };
    let trail =
        [("Applications", visit.at(&["applications"])), ("Application", visit.at(&["applications", application]))];
    visit.page_as(StatusCode::CREATED, title, &trail, body)
}

/// The form of the check. The browser compares with `last`, if the page knows it.
fn question(visit: &Visit, place: &str, check: &str, last: Option<&str>, wrong: &Wrong) -> Markup {
    let is_wrong = !wrong.is_empty();
    html! {
        form method="post" action={ (place) "/kept" } {
            (visit.frame.token()) (hidden("check", check))
            div.field {
                label for="last" { "The last " (LAST) " characters" }
                p.hint #last-hint { "Read them from the place where you have kept the key, not from this page. The whole key will do as well." }
                (wrong.beside("last"))
                input type="text" id="last" name="last" required pattern=[last.map(|last| format!(".*{last}"))] autocomplete="off"
                    autocapitalize="off" spellcheck="false" aria-invalid=[is_wrong.then_some("true")] data-focus=[is_wrong.then_some("")]
                    aria-describedby=(if is_wrong { "last-hint last-error" } else { "last-hint" })
                    title={ "the last " (LAST) " characters of the key" };
            }
            p.actions { button.main type="submit" { "I have kept it" } " " a.cancel href=(place) { "Go on without the check" } }
        }
    }
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
    let typed = form.get("last");
    form.get("check") == check_of(id, typed.get(typed.len().saturating_sub(LAST)..).unwrap_or_default())
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
        let proof = visit.frame.proof(&shows(&key.id));
        return Ok(see_other(&visit.at_with(&["keys", &id], &[("said", "kept"), ("proof", &proof)])));
    }
    let detail = "These are not the last characters of this key. Compare them with what you have kept, upper and lower case as well, \
                  and try again.";
    let wrong = Wrong::new("last", detail);
    let trail = [
        ("Applications", visit.at(&["applications"])),
        ("Application", visit.at(&["applications", key.application()])),
        ("Key", place.clone()),
    ];
    let body = html! {
        section.panel aria-labelledby="check-title" {
            h2 #check-title { "Check that you have kept it" }
            (question(&visit, &place, form.get("check"), None, &wrong))
        }
        p { "The service cannot show the key again. If you have it nowhere, revoke it and make another one: a key that nobody has is of no use." }
        p.actions {
            a.button href=(place) { "Look at the key" }
            a.button.danger href={ (place) "/revoke" } { "Revoke it …" }
            a.button href=(visit.at(&["applications", key.application(), "new-key"])) { "Make another one" }
        }
    };
    Ok(visit.page_as(StatusCode::UNPROCESSABLE_ENTITY, "Is the key kept?", &trail, body))
}

/// What a session shows by the check.
fn shows(id: &str) -> String {
    format!("kept {id}")
}

/// The sentence, if this session has shown by the check that the key is kept.
pub fn said(visit: &Visit, id: &str) -> Option<&'static str> {
    let is_shown = visit.asked.get("said") == "kept" && visit.asked.get("proof") == visit.frame.proof(&shows(id));
    is_shown.then_some("You have the key. Nobody can show it again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_characters_of_the_same_key_pass() {
        let form = |last: &str| Form::default().with("check", check_of("k-1", "abC123")).with("last", last);
        assert!(
            is_kept("k-1", &form("abC123"))
                && is_kept("k-1", &form(" abC123 "))
                && is_kept("k-1", &form("kg_live_é_abC123"))
        );
        assert!(
            !is_kept("k-1", &form("abc123"))
                && !is_kept("k-1", &form(""))
                && !is_kept("k-1", &form("ééé1"))
                && !is_kept("k-2", &form("abC123"))
        );
    }
}
