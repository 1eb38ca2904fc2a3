//! What stands around a subscription: a block of its application and the state of its API, which refuse its requests whatever
//! its own state is, and blocks of the same owner. Only what the person may see by `/v1` is said.

use axum::http::{Method, StatusCode};
use management::port::Role;
use maud::{Markup, html};
use serde::de::DeserializeOwned;

use super::super::{
    apis,
    applications::{self, Application, facts_of_block},
    parts::{
        badge::badge,
        table::{facts, name},
    },
    rows::{Api, List, Subscription},
    visit::Visit,
};
use super::figures::Seen;
use crate::{http::problem::Problem, web::place::query};

/// Blocked subscriptions of each state that a page names.
const SHOWN: &str = "5";
/// States in which gateways serve an API.
const SERVED: [&str; 3] = ["PUBLISHED", "PROTOTYPED", "DEPRECATED"];

/// What stands around a subscription.
#[derive(Debug)]
pub struct Around {
    /// What is said of its application and its API; nothing if neither refuses requests.
    pub panels: Markup,
    /// Whether the person sees the API.
    pub has_api: bool,
}

/// Reads what stands around a subscription.
pub async fn around(visit: &Visit, row: &Subscription) -> Result<Around, Problem> {
    let application = seen::<Application>(visit, applications::route::CHANGE, applications::path(row.application()));
    let application = application.await?.filter(Application::is_blocked);
    let api = seen::<Api>(visit, apis::route::CHANGE, apis::route::path(row.api())).await?;
    let panels = html! {
        @if let Some(application) = &application { (of_application(visit, application)) }
        @match &api {
            Some(api) if !SERVED.contains(&api.state()) => (of_api(visit, api)),
            // A subscriber sees those that are PUBLISHED.
            None if visit.principal.role == Role::Subscriber => (of_hidden(row)),
            _ => {}
        }
    };
    Ok(Around { panels, has_api: api.is_some() })
}

/// Subscriptions to the API of the same owner that are blocked, or to be blocked. While there is one, a new one is on hold.
pub async fn blocked_beside(visit: &Visit, seen: &Seen) -> Result<Vec<Subscription>, Problem> {
    let Some(owner) = &seen.subscriber.owner else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (name, value) in [("state", "BLOCKED"), ("state", "PROD_ONLY_BLOCKED"), ("planned", "true")] {
        let asked = query(&[("api", seen.row.api()), ("owner", owner), (name, value), ("limit", SHOWN)]);
        let list: List<Subscription> = visit.v1.read(&format!("/v1/subscriptions{asked}")).await?;
        let new = list.items.into_iter().filter(|row: &Subscription| row.id != seen.row.id);
        found.extend(new);
    }
    found.dedup_by(|one, other| one.id == other.id);
    Ok(found)
}

/// The row at `path`, if the person's role opens `route` and the person sees the row.
async fn seen<T: DeserializeOwned>(visit: &Visit, route: &str, path: String) -> Result<Option<T>, Problem> {
    if !visit.may(Method::GET, route) {
        return Ok(None);
    }
    match visit.v1.read(&path).await {
        Ok(row) => Ok(Some(row)),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn of_application(visit: &Visit, row: &Application) -> Markup {
    html! {
        section.panel aria-labelledby="application-title" {
            h2 #application-title { "Its application is blocked" }
            p { "All requests with a key of " a href=(visit.at(&["applications", &row.id])) { (name(row.title())) }
                " are refused, to every API, whatever this subscription says." }
            @if let Some(block) = &row.block { (facts(&facts_of_block(block))) }
        }
    }
}

fn of_api(visit: &Visit, api: &Api) -> Markup {
    html! {
        section.panel aria-labelledby="api-title" {
            h2 #api-title { "Its API is not served" }
            p { a href=(visit.at(&["apis", &api.id])) { (name(&api.title())) } ": " (badge(api.state()))
                ". All requests to it are refused, whatever this subscription says." }
        }
    }
}

fn of_hidden(row: &Subscription) -> Markup {
    html! {
        section.panel aria-labelledby="api-title" {
            h2 #api-title { "Its API is not published any more" }
            p { (name(row.api())) " may still be served for some time, or be blocked, or be gone. Ask its publisher." }
        }
    }
}
