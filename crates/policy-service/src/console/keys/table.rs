//! Tables of keys.

use std::collections::HashMap;

use axum::http::Method;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            table::{name, table as drawn},
            time::time_or,
        },
        visit::Visit,
    },
    route::{REGENERATE, REVOKE},
    row::Key,
};

/// A table of keys of one application.
pub fn table(visit: &Visit, caption: &str, keys: &[Key]) -> Markup {
    let rows: Vec<Vec<Markup>> = keys
        .iter()
        .map(|key| {
            vec![
                html! { a href=(visit.at(&["keys", &key.id])) { (name(&key.id)) } },
                badge(if key.is_for_production() { "production" } else { "sandbox" }),
                state(key, visit.now),
                time_or(key.last_used, "not known"),
                time_or(key.expires_at, "never"),
                actions(visit, key),
            ]
        })
        .collect();
    drawn(caption, &["Key", "For", "State", "Last use", "Ends", ""], &rows)
}

/// Keys that end soon, with their applications. `names` has the names of applications by their ids.
pub fn ends_soon(visit: &Visit, keys: &[Key], names: &HashMap<String, String>) -> Markup {
    let named = |id: &str| names.get(id).map_or(id, String::as_str).to_owned();
    let rows: Vec<Vec<Markup>> = keys
        .iter()
        .map(|key| {
            vec![
                html! { a href=(visit.at(&["keys", &key.id])) { (name(&key.id)) } },
                html! { a href=(visit.at(&["applications", key.application()])) { (name(&named(key.application()))) } },
                state(key, visit.now),
                time_or(key.expires_at, "never"),
                time_or(key.last_used, "not known"),
                actions(visit, key),
            ]
        })
        .collect();
    drawn("Keys that end soon", &["Key", "Application", "State", "Ends", "Last use", ""], &rows)
}

/// The state of a key.
pub fn state(key: &Key, now: i64) -> Markup {
    badge(key.state(now))
}

fn actions(visit: &Visit, key: &Key) -> Markup {
    let to = |what: &str| visit.at(&["keys", &key.id, what]);
    html! {
        @if key.works(visit.now) {
            div.tools {
                @if key.replaced_by.is_none() && visit.may(Method::POST, REGENERATE) {
                    a.button.small href=(to("rotate")) { "Rotate" span.unseen { " " (key.id) } }
                }
                @if visit.may(Method::POST, REVOKE) {
                    a.button.small href=(to("revoke")) { "Revoke" span.unseen { " " (key.id) } }
                }
            }
        }
    }
}
