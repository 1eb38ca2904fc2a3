//! The page of one key: what it may do, when it was last used, and the steps of its rotation.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::Kind;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            table::{facts, name},
            time::time_or,
        },
        said,
        visit::Visit,
    },
    route::{REGENERATE, REVOKE, path},
    row::Key,
    table::state,
};
use crate::http::problem::Problem;

/// Values of a list that the page shows.
const SHOWN: usize = 100;

/// The page.
pub async fn page(Path(id): Path<String>, mut visit: Visit) -> Result<Response, Problem> {
    let key: Key = visit.v1.read(&path(&id)).await?;
    let receipt = said::of_row(&mut visit, &["keys", &id], Kind::Key, &id, |_| true).await?;
    if let Some(sentence) = super::kept::said(&visit, &key.id) {
        visit.said = sentence;
    }
    let to = |what: &str| visit.at(&["keys", &id, what]);
    let (may_rotate, may_revoke) = (visit.may(Method::POST, REGENERATE), visit.may(Method::POST, REVOKE));
    let works = key.works(visit.now);
    let body = html! {
        @if works && (may_rotate || may_revoke) {
            div.tools {
                @if may_rotate && key.replaced_by.is_none() { a.button href=(to("rotate")) { "Rotate …" } }
                @if may_revoke { a.button.danger href=(to("revoke")) { "Revoke …" } }
            }
        }
        (receipt)
        @if let Some(next) = &key.replaced_by { (rotation(&visit, &key, next, may_revoke).await) }
        (facts(&facts_of(&visit, &key)))
    };
    Ok(visit.page(&format!("Key {}", key.id), &trail(&visit, &key, false), body))
}

/// The way to the page of a key, and to one behind it.
pub fn trail(visit: &Visit, key: &Key, with_itself: bool) -> Vec<(&'static str, String)> {
    let mut trail = vec![
        ("Applications", visit.at(&["applications"])),
        ("Application", visit.at(&["applications", key.application()])),
    ];
    if with_itself {
        trail.push(("Key", visit.at(&["keys", &key.id])));
    }
    trail
}

/// The steps of a rotation, as far as it is.
pub async fn rotation(visit: &Visit, key: &Key, next: &str, may_revoke: bool) -> Markup {
    let works = key.works(visit.now);
    let new = visit.v1.read::<Key>(&path(next)).await;
    let is_dead = match &new {
        Ok(new) => !new.works(visit.now),
        Err(problem) => problem.status() == StatusCode::NOT_FOUND,
    };
    if works && is_dead {
        return html! {
            section.panel aria-labelledby="rotation-title" {
                h2 #rotation-title { "Rotation" }
                p.warn { span.shape aria-hidden="true" { "!" } "The new key " code { (name(next)) } " does not work any more. This one does, until "
                    (time_or(key.expires_at, "it is revoked")) ". Make another key for the application before that." }
            }
        };
    }
    let both = [key.expires_at, new.ok().and_then(|new| new.expires_at)].into_iter().flatten().min();
    html! {
        section.panel aria-labelledby="rotation-title" {
            h2 #rotation-title { "Rotation" }
            ol.steps {
                li { span.done { "Done: " } "the new key is " a href=(visit.at(&["keys", next])) { code { (name(next)) } } "." }
                li {
                    @if works {
                        strong { "Now: " } "give the new key to each client. Both keys work until " (time_or(both, "one is revoked"))
                        ". The old key was last used: " strong { (time_or(key.last_used, "not known")) } "."
                        p.hint { "Gateways report uses about once a minute. Load the page again to look." }
                    } @else { span.done { "Done: " } "the time with two keys is over." }
                }
                li {
                    @if works {
                        "When the old key is not used any more, revoke it. It ends by itself otherwise."
                        @if may_revoke { p.actions { a.button.danger href=(visit.at(&["keys", &key.id, "revoke"])) { "Revoke the old key …" } } }
                    } @else { span.done { "Done: " } "the old key does not work any more." }
                }
            }
        }
    }
}

/// What is known of a key.
pub fn facts_of(visit: &Visit, key: &Key) -> Vec<(&'static str, Markup)> {
    let list = |values: &Option<Vec<String>>, any: &str| {
        html! { @match values.as_deref() {
            None => (any),
            Some([]) => "none",
            Some(values) => ul.plain {
                @for value in values.iter().take(SHOWN) { li { (name(value)) } }
                @if values.len() > SHOWN { li { (values.len().saturating_sub(SHOWN)) " more" } }
            },
        } }
    };
    let mut facts = vec![
        ("State", state(key, visit.now)),
        ("For", badge(if key.is_for_production() { "production" } else { "sandbox" })),
        ("Last use", time_or(key.last_used, "not known")),
        ("Ends", time_or(key.expires_at, "never")),
        ("APIs", list(&key.apis, "all that its application may use")),
        ("Addresses", list(&key.permitted_ips, "any")),
        ("Web pages", list(&key.permitted_referers, "any")),
        (
            "Application",
            html! { a href=(visit.at(&["applications", key.application()])) { (name(key.application())) } },
        ),
    ];
    if let Some(begin) = key.not_before {
        facts.insert(3, ("Begins", time_or(Some(begin), "")));
    }
    if let Some(digest) = &key.sha256 {
        facts.push(("SHA-256", html! { code { (digest) } }));
    }
    facts
}
