//! The revisions that can be read, the latest first.

use axum::{http::Method, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong},
            table::{empty, name, table},
            time::time_or,
        },
        rows::List,
        said,
        visit::Visit,
    },
    route::RESTORE,
};
use crate::{http::problem::Problem, web::place::query};

/// A revision, as `/v1` answers it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Revision {
    pub revision: i64,
    at: Option<i64>,
    actor: Option<String>,
    action: Option<String>,
    kind: Option<String>,
    id: Option<String>,
}

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_restore(&mut visit).await?;
    let asked = query(&[("sort", "-revision"), ("limit", "50"), ("cursor", visit.asked.get("cursor"))]);
    let list: List<Revision> = visit.v1.read(&format!("/v1/revisions{asked}")).await?;
    let body = html! {
        (receipt)
        p { "Each change of the policy makes a revision. Gateways take them over one after the other." }
        (between(&visit, &visit.asked, &Wrong::default()))
        @if list.items.is_empty() {
            (empty("No revision was made yet.", None))
        } @else {
            (table("Revisions", &["Revision", "When", "Who", "What", ""], &rows(&visit, &list.items)))
            div.pages { nav aria-label="Pages" { ul {
                @if !visit.asked.get("cursor").is_empty() { li { a href=(visit.at(&["history"])) { "Latest" } } }
                @if let Some(next) = &list.next { li { a rel="next" href=(visit.at_with(&["history"], &[("cursor", next)])) { "Earlier" } } }
            } } }
        }
    };
    Ok(visit.page("History", &[], body))
}

/// The form that compares two revisions.
pub fn between(visit: &Visit, form: &Form, wrong: &Wrong) -> Markup {
    html! {
        form.filter method="get" action=(visit.at(&["diff"])) aria-label="Compare two revisions" {
            (Field::new("from", "What changed from revision", "").typed("number", form, wrong))
            (Field::new("to", "to revision (empty: the latest)", "").typed("number", form, wrong))
            p.actions { button type="submit" { "Compare" } }
        }
    }
}

fn rows(visit: &Visit, revisions: &[Revision]) -> Vec<Vec<Markup>> {
    let may_restore = visit.may(Method::POST, RESTORE);
    let row = |one: &Revision| {
        let number = one.revision.to_string();
        let text = |text: &Option<String>| html! { @match text { Some(text) => (name(text)), None => span.none { "not recorded" } } };
        vec![
            html! { a href=(visit.at(&["history", &number])) { (one.revision) } },
            time_or(one.at, "not recorded"),
            text(&one.actor),
            html! {
                @if let Some(action) = &one.action { strong { (name(action)) } " " } @else { span.none { "not recorded" } }
                @if let Some(kind) = &one.kind { (name(kind)) " " }
                @if let Some(id) = &one.id { code { (name(id)) } }
            },
            html! { div.tools {
                a.button.small href=(visit.at(&["history", &number])) { "What changed" span.unseen { " in revision " (number) } }
                @if may_restore { a.button.small href=(visit.at_with(&["restore"], &[("revision", &number)])) { "Restore" span.unseen { " revision " (number) } } }
            } },
        ]
    };
    revisions.iter().map(row).collect()
}
