//! What changed between two revisions.

use axum::{extract::Path, http::StatusCode, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        fields::table_of,
        form::Form,
        parts::{
            field::Wrong,
            table::{empty, name},
        },
        visit::{Visit, see_other},
    },
    list::between,
};
use crate::{http::problem::Problem, web::place::query};

/// Rows of a page. Each has a table of its fields.
const ROWS: &str = "50";

/// What `/v1` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Diff {
    from: i64,
    to: i64,
    made: Vec<Row>,
    changed: Vec<Row>,
    removed: Vec<Row>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    kind: String,
    id: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// What one revision changed.
pub async fn of_one(Path(revision): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let number: i64 =
        revision.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "expected a revision, such as 42"))?;
    let before = number.saturating_sub(1).max(0).to_string();
    Ok(see_other(&visit.at_with(&["diff"], &[("from", &before), ("to", &revision)])))
}

/// The page.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let asked = &visit.asked;
    let pairs =
        [("from", asked.get("from")), ("to", asked.get("to")), ("limit", ROWS), ("cursor", asked.get("cursor"))];
    let trail = [("History", visit.at(&["history"]))];
    let diff: Diff = match visit.v1.read(&format!("/v1/diff{}", query(&pairs))).await {
        Ok(diff) => diff,
        Err(problem) if matches!(problem.status().as_u16(), 400 | 410) && problem.wrong_field() != Some("cursor") => {
            let wrong = Wrong::of(&problem, str::to_owned);
            let body = html! { (wrong.summary_of_question()) (between(&visit, asked, &wrong)) };
            return Ok(visit.page_as(problem.status(), "Compare two revisions", &trail, body));
        }
        Err(problem) => return Err(problem),
    };
    let (from, to) = (diff.from.to_string(), diff.to.to_string());
    let form = Form::default().with("from", from.clone()).with("to", to.clone());
    let is_empty = diff.made.is_empty() && diff.changed.is_empty() && diff.removed.is_empty();
    let body = html! {
        (between(&visit, &form, &Wrong::default()))
        @if is_empty && diff.next.is_none() { (empty("Nothing differs between these revisions.", None)) }
        (rows("made", "Made", &diff.made))
        (rows("changed", "Changed", &diff.changed))
        (rows("removed", "Removed", &diff.removed))
        @if let Some(next) = &diff.next {
            div.pages { nav aria-label="Pages" { ul {
                li { a rel="next" href=(visit.at_with(&["diff"], &[("from", &from), ("to", &to), ("cursor", next)])) { "More" } }
            } } }
        }
    };
    Ok(visit.page(&format!("What changed from revision {from} to {to}"), &trail, body))
}

fn rows(id: &str, title: &str, rows: &[Row]) -> Markup {
    html! {
        @if !rows.is_empty() {
            section aria-labelledby={ (id) "-title" } {
                h2 id={ (id) "-title" } { (title) }
                @for row in rows {
                    section.panel.difference {
                        h3 { (row.kind) " " code { (name(&row.id)) } }
                        (table_of(&format!("{} {}", row.kind, row.id), row.before.as_ref(), row.after.as_ref()))
                    }
                }
            }
        }
    }
}
