//! The list of APIs, and the table of APIs that other pages show too.

use axum::{http::Method, response::Response};
use management::port::Kind;
use maud::{Markup, html};

use super::super::{
    parts::{
        badge::{badge, words},
        field::Field,
        listed::{Asked, Listed, ROWS},
        table::{empty, name, table},
    },
    rows::Api,
    said,
    visit::Visit,
};
use crate::{console::parts::field::Wrong, http::problem::Problem};

/// States of an API, as the filter offers them.
const STATES: [&str; 6] = ["CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"];

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_listed(&mut visit, &["apis"], Kind::Api).await?;
    let (q, state, whose) = (visit.asked.get("q"), visit.asked.get("state"), visit.asked.get("whose"));
    let is_limited = visit.principal.role == management::port::Role::Publisher;
    let owner = if is_limited && whose != "all" { visit.principal.subject.as_str() } else { "" };
    let filters = [("q", q), ("state", state), ("owner", owner)];
    let asked = Asked { path: "/v1/apis", sort: "name", filters: &filters, rows: ROWS };
    let list = Listed::<Api>::read(&visit, asked).await?;
    let (place, kept) = (visit.at(&["apis"]), [("q", q), ("state", state), ("whose", whose)]);
    let can_make = visit.may(Method::POST, "/v1/apis");
    let make = visit.at(&["new", "api"]);
    let body = html! {
        (receipt)
        @if can_make { p.tools { a.button.main href=(make) { "New API" } } }
        (filter(&visit, &place, is_limited))
        (list.wrong())
        @if list.is_empty() {
            @if q.is_empty() && state.is_empty() {
                (empty("There is no API yet. An API says which requests belong together; applications then subscribe to it.",
                    can_make.then(|| ("Make the first API", make.clone()))))
            } @else {
                (empty("No API fits the filter.", Some(("Show all", place.clone()))))
            }
        } @else {
            (apis(&visit, "APIs", &list.items))
        }
        (list.pages(&place, &kept, "API", "APIs"))
    };
    Ok(visit.page("APIs", &[], body))
}

fn filter(visit: &Visit, place: &str, is_limited: bool) -> Markup {
    let mut states = vec![("", "Any state")];
    states.extend(STATES.map(|state| (state, words(state))));
    let (asked, wrong) = (&visit.asked, Wrong::default());
    html! {
        form.filter method="get" action=(place) role="search" aria-label="Filter the APIs" {
            (Field::new("q", "Part of the name or id", "").typed("search", asked, &wrong))
            (Field::new("state", "State", "").one_of(&states, asked, &wrong))
            @if is_limited {
                (Field::new("whose", "Whose", "").one_of(&[("", "My own"), ("all", "All that I see")], asked, &wrong))
            }
            p.actions { button type="submit" { "Filter" } }
        }
    }
}

/// A table of APIs.
pub fn apis(visit: &Visit, caption: &str, apis: &[Api]) -> Markup {
    let rows: Vec<Vec<Markup>> = apis
        .iter()
        .map(|api| {
            vec![
                html! { a href=(visit.at(&["apis", &api.id])) { (name(&api.title())) } },
                html! { code { (name(&api.id)) } },
                badge(api.state()),
                matches(api),
                html! { @if api.approval.as_deref() == Some("manual") { "by hand" } @else { "automatic" } },
                html! { @match &api.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } },
            ]
        })
        .collect();
    table(caption, &["Name", "Id", "State", "Match", "Approval", "Owner"], &rows)
}

/// Matches that a table shows of one API.
const SHOWN: usize = 2;

/// Hosts that a table shows of one match.
const HOSTS: usize = 3;

/// The beginning of an API's matches.
fn matches(api: &Api) -> Markup {
    let matches = api.matches.as_deref().unwrap_or_default();
    html! {
        @if matches.is_empty() { span.none { "none" } }
        @for (number, one) in matches.iter().take(SHOWN).enumerate() {
            @if number > 0 { br; }
            code { (place_of(one.hosts.as_deref(), one.path.as_deref())) }
        }
        @if let Some(more) = matches.len().checked_sub(SHOWN).filter(|more| *more > 0) { " and " (more) " more" }
    }
}

fn place_of(hosts: Option<&[String]>, path: Option<&str>) -> Markup {
    html! {
        bdi {
            @match hosts {
                None => "any host",
                Some(hosts) => {
                    @for (number, host) in hosts.iter().take(HOSTS).enumerate() { @if number > 0 { ", " } (host) }
                    @if hosts.len() > HOSTS { ", …" }
                }
            }
            " " (path.unwrap_or("/"))
        }
    }
}
