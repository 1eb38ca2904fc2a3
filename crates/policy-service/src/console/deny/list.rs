//! The list of deny policies.

use axum::{http::Method, response::Response};
use management::port::Kind;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            field::{Field, Wrong},
            listed::{Asked, Listed, ROWS},
            table::{empty, name, table},
        },
        said,
        visit::Visit,
    },
    route::{ALL, DenyPolicy, ONE, TYPES},
};
use crate::http::problem::Problem;

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_listed(&mut visit, &["deny-policies"], Kind::DenyPolicy).await?;
    let (q, kind) = (visit.asked.get("q"), visit.asked.get("type"));
    let filters = [("q", q), ("type", kind)];
    let asked = Asked { path: ALL, sort: "id", filters: &filters, rows: ROWS };
    let list = Listed::<DenyPolicy>::read(&visit, asked).await?;
    let (place, make) = (visit.at(&["deny-policies"]), visit.at(&["new", "deny-policy"]));
    let may_make = visit.may(Method::POST, ALL);
    let mut types = vec![("", "Any type")];
    types.extend(TYPES);
    let wrong = Wrong::default();
    let is_filtered = filters.iter().any(|(_, value)| !value.is_empty());
    let body = html! {
        p { "A deny policy refuses requests whatever their key allows." }
        @if may_make { p.tools { a.button.main href=(make) { "New deny policy" } } }
        (receipt)
        @if !list.is_empty() || is_filtered {
            form.filter method="get" action=(place) role="search" aria-label="Filter the deny policies" {
                (Field::new("q", "Part of the id", "").typed("search", &visit.asked, &wrong))
                (Field::new("type", "Type", "").one_of(&types, &visit.asked, &wrong))
                p.actions { button type="submit" { "Filter" } }
            }
        }
        (list.wrong())
        @if list.is_empty() && is_filtered {
            (empty("No deny policy fits the filter.", Some(("Show all", place.clone()))))
        } @else if list.is_empty() {
            (empty("There is no deny policy.", may_make.then(|| ("Make the first one", make.clone()))))
        } @else {
            (table("Deny policies", &["What is refused", "Value", "Id", "Effect", ""], &rows(&visit, &list.items)))
        }
        (list.pages(&place, &filters, "deny policy", "deny policies"))
    };
    Ok(visit.page("Deny policies", &[], body))
}

/// What a deny policy refuses, in words.
pub fn what(row: &DenyPolicy) -> String {
    let words = TYPES.iter().find(|(word, _)| *word == row.target).map_or(row.target.as_str(), |(_, words)| words);
    if row.invert == Some(true) { format!("Everything except: {}", words.to_lowercase()) } else { words.to_owned() }
}

fn rows(visit: &Visit, rows: &[DenyPolicy]) -> Vec<Vec<Markup>> {
    let may = visit.may(Method::PUT, ONE);
    let row = |row: &DenyPolicy| {
        let to = |what: &str| visit.at(&["deny-policies", &row.id, what]);
        vec![
            html! { (what(row)) },
            html! { code { (name(&row.value)) } },
            html! { code { (name(&row.id)) } },
            html! { @if row.applies == Some(false) { span.warn { "none: there is no such thing" } } @else { "refuses" } },
            html! { @if may { div.tools {
                a.button.small href=(to("edit")) { "Edit" span.unseen { " " (row.id) } }
                a.button.small href=(to("delete")) { "Delete" span.unseen { " " (row.id) } }
            } } },
        ]
    };
    rows.iter().map(row).collect()
}
