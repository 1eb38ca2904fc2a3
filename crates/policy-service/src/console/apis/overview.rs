//! The start page of those who look after APIs: what waits for approval, what is blocked, and their APIs.

use axum::{http::Method, response::Response};
use management::port::Role;
use maud::{Markup, html};

use super::{
    super::{
        applications::{Application, applications, route::CREATE as APPLICATIONS},
        parts::{
            badge::words,
            field::{Field, Wrong},
            listed::{Asked, Listed},
            table::{counted, empty},
        },
        rows::{Api, List, Subscription},
        subscriptions::{figures::seen, table::subscriptions},
        visit::Visit,
    },
    list,
    route::CREATE,
};
use crate::{http::problem::Problem, web::place::query};

/// APIs that the page shows.
const APIS: usize = 20;
/// Subscriptions that the page shows of each kind.
const SUBSCRIPTIONS: usize = 5;

pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let owner = if visit.principal.role == Role::Publisher { visit.principal.subject.as_str() } else { "" };
    let filters = [("owner", owner)];
    let asked = Asked { path: "/v1/apis", sort: "name", filters: &filters, rows: APIS };
    let apis = Listed::<Api>::read(&visit, asked).await?;
    let body = html! {
        @if !apis.is_empty() {
            form.filter method="get" action=(visit.at(&["subscriptions"])) role="search" aria-label="Find a subscription" {
                (Field::new("q", "Find a subscription: part of the application's name or id", "")
                    .typed("search", &visit.asked, &Wrong::default()))
                p.actions { button type="submit" { "Find" } }
            }
        }
        (some(&visit, "waits", "Waits for approval", &["ON_HOLD"], "Nothing waits for approval.").await?)
        (own(&visit, &apis))
        (blocked_applications(&visit).await?)
        (some(&visit, "blocked", "Blocked", &["BLOCKED", "PROD_ONLY_BLOCKED"], "No subscription is blocked.").await?)
    };
    Ok(visit.page("Start", &[], body))
}

/// The first blocked applications, for those who see applications.
async fn blocked_applications(visit: &Visit) -> Result<Markup, Problem> {
    if !visit.may(Method::GET, APPLICATIONS) {
        return Ok(html! {});
    }
    let asked = query(&[("state", "BLOCKED"), ("limit", &SUBSCRIPTIONS.to_string())]);
    let found: List<Application> = visit.v1.read(&format!("{APPLICATIONS}{asked}")).await?;
    if found.items.is_empty() {
        return Ok(html! {});
    }
    let all = visit.at_with(&["applications"], &[("state", "BLOCKED")]);
    Ok(html! {
        section aria-labelledby="blocked-applications-title" {
            h2 #blocked-applications-title { "Blocked applications" }
            (applications(visit, "Blocked applications", &found.items))
            p { a href=(all) { "All " (counted(found.total.unwrap_or_default(), "blocked application", "blocked applications")) } }
        }
    })
}

/// The first subscriptions in some states.
async fn some(visit: &Visit, id: &str, title: &str, states: &[&str], none: &str) -> Result<Markup, Problem> {
    let limit = SUBSCRIPTIONS.to_string();
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for state in states {
        let place = format!("/v1/subscriptions{}", query(&[("state", state), ("limit", &limit)]));
        let found: List<Subscription> = visit.v1.read(&place).await?;
        all.push((*state, found.total.unwrap_or_default()));
        rows.extend(found.items);
    }
    let rows = seen(visit, rows).await?;
    let id = format!("{id}-title");
    Ok(html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            @if rows.is_empty() { p.hint { (none) } } @else {
                (subscriptions(visit, title, &rows, true))
                p.tools { @for (state, total) in &all { @if *total > 0 {
                    a href=(visit.at_with(&["subscriptions"], &[("state", state)])) {
                        "See all: " (words(state)) " (" (total) ")" }
                } } }
            }
        }
    })
}

fn own(visit: &Visit, apis: &Listed<Api>) -> Markup {
    let title = if visit.principal.role == Role::Publisher { "Your APIs" } else { "APIs" };
    let can_make = visit.may(Method::POST, CREATE);
    let make = visit.at(&["new", "api"]);
    html! {
        section aria-labelledby="apis-title" {
            h2 #apis-title { (title) }
            @if apis.is_empty() {
                (empty("There is no API of yours yet. Make one: give it a name, and say by host and path which requests belong to it.",
                    can_make.then(|| ("Make the first API", make.clone()))))
            } @else {
                (list::apis(visit, title, &apis.items))
                p.tools {
                    a href=(visit.at(&["apis"])) { "All " (counted(apis.total, "API", "APIs")) }
                    @if can_make { a href=(make) { "New API" } }
                }
            }
        }
    }
}
