//! The list of applications.

use std::collections::HashMap;

use axum::{http::Method, response::Response};
use management::port::{Kind, Role};
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            field::{Field, Wrong},
            listed::{Asked, Listed, ROWS},
            table::{empty, name, table},
        },
        rows::List,
        said,
        visit::Visit,
    },
    route::CREATE,
    row::Application,
};
use crate::http::problem::Problem;

/// Applications whose names a page finds at once. A subscriber with more sees the ids of the others.
const NAMED: usize = 1_000;

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_listed(&mut visit, &["applications"], Kind::Application).await?;
    let (q, state, owner) = (visit.asked.get("q"), visit.asked.get("state"), visit.asked.get("owner"));
    let filters = [("q", q), ("state", state), ("owner", owner)];
    let list = Listed::<Application>::read(
        &visit,
        Asked { path: "/v1/applications", sort: "id", filters: &filters, rows: ROWS },
    )
    .await?;
    let (place, make) = (visit.at(&["applications"]), visit.at(&["new", "application"]));
    let can_make = visit.may(Method::POST, CREATE);
    let is_filtered = filters.iter().any(|(_, value)| !value.is_empty());
    let body = html! {
        (receipt)
        @if can_make { p.tools { a.button.main href=(make) { "New application" } } }
        @if !list.is_empty() || is_filtered { (filter(&visit, &place)) }
        (list.wrong())
        @if list.is_empty() && is_filtered {
            (empty("No application fits the filter.", Some(("Show all", place.clone()))))
        } @else if list.is_empty() {
            (empty("There is no application yet. An application is a program that sends requests. It has keys, and it subscribes to APIs.",
                can_make.then(|| ("Make the first application", make.clone()))))
        } @else {
            (applications(&visit, "Applications", &list.items))
        }
        (list.pages(&place, &filters, "application", "applications"))
    };
    Ok(visit.page("Applications", &[], body))
}

fn filter(visit: &Visit, place: &str) -> Markup {
    let (asked, wrong) = (&visit.asked, Wrong::default());
    html! {
        form.filter method="get" action=(place) role="search" aria-label="Filter the applications" {
            (Field::new("q", "Part of the name or id", "").typed("search", asked, &wrong))
            (Field::new("state", "State", "").one_of(&[("", "Any state"), ("ACTIVE", "Active"), ("BLOCKED", "Blocked")], asked, &wrong))
            @if visit.principal.role != Role::Subscriber {
                (Field::new("owner", "Owner", "").typed("text", asked, &wrong))
            }
            p.actions { button type="submit" { "Filter" } }
        }
    }
}

/// A table of applications.
pub fn applications(visit: &Visit, caption: &str, rows: &[Application]) -> Markup {
    let rows: Vec<Vec<Markup>> = rows
        .iter()
        .map(|row| {
            vec![
                html! { a href=(visit.at(&["applications", &row.id])) { (name(row.title())) } },
                html! { code { (name(&row.id)) } },
                html! { (badge(row.state())) @if row.deleted { " " (badge("deleted")) } },
                html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } },
                html! { @match &row.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } },
            ]
        })
        .collect();
    table(caption, &["Name", "Id", "State", "Plan", "Owner"], &rows)
}

/// The names of the person's applications, by their ids.
pub async fn named(visit: &Visit) -> Result<HashMap<String, String>, Problem> {
    let list: List<Application> = visit.v1.read(&format!("/v1/applications?limit={NAMED}")).await?;
    Ok(list.items.into_iter().map(|row| (row.id.clone(), row.title().to_owned())).collect())
}
