//! The page of one API: its subscriptions, which requests belong to it, and how it is offered.

use axum::{extract::Path, http::Method, response::Response};
use management::port::{Kind, Role};
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            table::{facts, name},
        },
        rows::Api,
        said,
        subscriptions::list::{filter, listed, none_at},
        visit::Visit,
    },
    route::{CHANGE, path},
};
use crate::http::problem::Problem;

/// Matches and plans that the page shows.
const SHOWN: usize = 50;

/// The page.
pub async fn page(Path(id): Path<String>, mut visit: Visit) -> Result<Response, Problem> {
    let api: Api = visit.v1.read(&path(&id)).await?;
    let place = visit.at(&["apis", &id]);
    let holds = |word: &str| word != "retired" || api.state() == "RETIRED";
    let receipt = said::of_row(&mut visit, &["apis", &id], Kind::Api, &id, holds).await?;
    let filters = [("q", visit.asked.get("q")), ("state", visit.asked.get("state")), ("api", id.as_str())];
    let body = html! {
        (tools(&visit, &api))
        (receipt)
        section aria-labelledby="subscriptions-title" {
            h2 #subscriptions-title { "Subscriptions" }
            (filter(&visit, &place, false))
            (listed(&visit, &place, &filters, false, none_at(&visit, &api)).await?)
        }
        section aria-labelledby="facts-title" {
            h2 #facts-title { "The API" }
            (facts(&facts_of(&visit, &api)))
        }
    };
    Ok(visit.page(&api.title(), &[("APIs", visit.at(&["apis"]))], body))
}

fn tools(visit: &Visit, api: &Api) -> Markup {
    let may = visit.may(Method::PUT, CHANGE) && visit.owns(api.owner.as_deref());
    let to = |what: &str| visit.at(&["apis", &api.id, what]);
    html! {
        div.tools {
            (badge(api.state()))
            a.button href=(visit.at_with(&["usage"], &[("api", &api.id)])) { "Usage" }
            @if may {
                a.button href=(to("edit")) { "Edit" }
                @if api.state() != "RETIRED" { a.button href=(to("retire")) { "Retire …" } }
                a.button.danger href=(to("delete")) { "Delete …" }
            }
        }
    }
}

/// What is known of an API.
pub fn facts_of(visit: &Visit, api: &Api) -> Vec<(&'static str, Markup)> {
    let plans = api.plans.as_deref().unwrap_or_default();
    // A publisher sees the own plans.
    let opens = visit.principal.role != Role::Publisher || visit.owns(api.owner.as_deref());
    let word = |word: Option<&str>, words: &[(&str, &'static str)], other: &'static str| {
        let found = words.iter().find(|(one, _)| Some(*one) == word).map_or(other, |(_, words)| *words);
        html! { (found) }
    };
    vec![
        ("Requests that belong to it", matches(api)),
        (
            "Plans",
            html! {
                @if plans.is_empty() { span.none { "subscriptions have no plan" } }
                @for (number, plan) in plans.iter().take(SHOWN).enumerate() {
                    @if number > 0 { ", " }
                    @if opens { a href=(visit.at(&["plans", plan])) { (name(plan)) } } @else { (name(plan)) }
                }
                @if plans.len() > SHOWN { " and " (plans.len().saturating_sub(SHOWN)) " more" }
            },
        ),
        (
            "New subscriptions",
            word(api.approval.as_deref(), &[("manual", "wait for approval")], "are let through at once"),
        ),
        ("State", badge(api.state())),
        ("Credential", word(api.security.as_deref(), &[("none", "none: it is open to everyone")], "an API key")),
        (
            "Subscription",
            if api.subscription_required == Some(false) {
                html! { "not needed" }
            } else {
                html! { "needed" }
            },
        ),
        (
            "Types of keys",
            match api.endpoints.as_deref() {
                None => html! { "production and sandbox" },
                Some([]) => html! { "none" },
                Some(types) => html! { (types.join(", ").to_lowercase()) },
            },
        ),
        ("Owner", html! { @match &api.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } }),
        ("Id", html! { code { (name(&api.id)) } }),
    ]
}

fn matches(api: &Api) -> Markup {
    let matches = api.matches.as_deref().unwrap_or_default();
    html! {
        @if matches.is_empty() { span.none { "only where a gateway names the API by its id" } } @else {
            ul.plain { @for one in matches.iter().take(SHOWN) { li { code { (name(&super::form::line(one))) } } } }
            @if matches.len() > SHOWN { " and " (matches.len().saturating_sub(SHOWN)) " more" }
        }
    }
}
