//! The APIs that one can subscribe to.

use axum::{http::Method, response::Response};
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            field::{Field, Wrong},
            listed::{Asked, Listed, ROWS},
            table::{empty, name, table},
        },
        rows::Api,
        visit::Visit,
    },
    route::SUBSCRIBE,
};
use crate::{http::problem::Problem, web::place::query};

/// Plans that the table names of one API.
const PLANS: usize = 5;

/// The list.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let (q, application) = (visit.asked.get("q"), visit.asked.get("application"));
    let filters = [("q", q)];
    let asked = Asked { path: "/v1/apis", sort: "name", filters: &filters, rows: ROWS };
    let list = Listed::<Api>::read(&visit, asked).await?;
    let place = visit.at(&["catalogue"]);
    let wrong = Wrong::default();
    let body = html! {
        p { "Requests to these APIs need a subscription of your application, unless it says otherwise." }
        @if !list.is_empty() || !q.is_empty() {
            form.filter method="get" action=(place) role="search" aria-label="Search the APIs" {
                @if !application.is_empty() { input type="hidden" name="application" value=(application); }
                (Field::new("q", "Part of the name or id", "").typed("search", &visit.asked, &wrong))
                p.actions { button type="submit" { "Search" } }
            }
        }
        (list.wrong())
        @if list.is_empty() && q.is_empty() {
            (empty("No API is published yet. Ask those who run this service.", None))
        } @else if list.is_empty() {
            (empty("No published API has this in its name or id.", Some(("Show all", place.clone()))))
        } @else {
            (table("Published APIs", &["API", "Id", "State", "Plans", "Approval", ""], &rows(&visit, &list.items)))
        }
        (list.pages(&place, &[("q", q), ("application", application)], "API", "APIs"))
    };
    Ok(visit.page("Find an API", &[], body))
}

fn rows(visit: &Visit, apis: &[Api]) -> Vec<Vec<Markup>> {
    let may = visit.may(Method::POST, SUBSCRIBE);
    let kept = query(&[("application", visit.asked.get("application"))]);
    let row = |api: &Api| {
        let plans = api.plans.as_deref().unwrap_or_default();
        let is_needed = api.subscription_required != Some(false);
        vec![
            html! { a href=(visit.at(&["apis", &api.id])) { (name(&api.title())) } },
            html! { code { (name(&api.id)) } },
            badge(api.state()),
            html! {
                @if plans.is_empty() { span.none { "no plan" } }
                @for (number, plan) in plans.iter().take(PLANS).enumerate() { @if number > 0 { ", " } (name(plan)) }
                @if plans.len() > PLANS { ", …" }
            },
            html! { @if api.approval.as_deref() == Some("manual") { "the publisher decides" } @else { "at once" } },
            html! {
                @if may {
                    a.button.small href={ (visit.at(&["apis", &api.id, "subscribe"])) (kept) } { "Subscribe" span.unseen { " to " (api.title()) } }
                }
                @if !is_needed { " " span.hint { "works without one" } }
            },
        ]
    };
    apis.iter().map(row).collect()
}
