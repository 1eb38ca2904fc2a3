//! The list of plans, and the page of one.

use axum::{extract::Path, http::Method, response::Response};
use management::port::{Kind, Role};
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            field::{Field, Wrong},
            listed::{Asked, Listed, ROWS},
            table::{empty, facts, name, number, table},
        },
        rows::{Limit, Plan},
        said,
        visit::Visit,
    },
    route::{CHANGE, CREATE, path},
};
use crate::http::problem::Problem;

/// Operations that the page of a plan shows.
const SHOWN: usize = 100;

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_listed(&mut visit, &["plans"], Kind::Plan).await?;
    let (q, whose) = (visit.asked.get("q"), visit.asked.get("whose"));
    let is_limited = visit.principal.role == Role::Publisher;
    let owner = if is_limited && whose != "all" { visit.principal.subject.as_str() } else { "" };
    let filters = [("q", q), ("owner", owner)];
    let asked = Asked { path: "/v1/plans", sort: "id", filters: &filters, rows: ROWS };
    let list = Listed::<Plan>::read(&visit, asked).await?;
    let (place, make) = (visit.at(&["plans"]), visit.at(&["new", "plan"]));
    let can_make = visit.may(Method::POST, CREATE);
    let wrong = Wrong::default();
    let body = html! {
        (receipt)
        @if can_make { p.tools { a.button.main href=(make) { "New plan" } } }
        form.filter method="get" action=(place) role="search" aria-label="Filter the plans" {
            (Field::new("q", "Part of the id", "").typed("search", &visit.asked, &wrong))
            @if is_limited {
                (Field::new("whose", "Whose", "").one_of(&[("", "My own"), ("all", "All that I see")], &visit.asked, &wrong))
            }
            p.actions { button type="submit" { "Filter" } }
        }
        (list.wrong())
        @if list.is_empty() && q.is_empty() {
            (empty("There is no plan yet. A plan limits requests, and the operations that are allowed; an API then offers it.",
                can_make.then(|| ("Make the first plan", make.clone()))))
        } @else if list.is_empty() {
            (empty("No plan fits the filter.", Some(("Show all", place.clone()))))
        } @else {
            (table("Plans", &["Id", "Limits", "Burst", "When a limit is reached", "Operations", "Owner"], &rows(&visit, &list.items)))
        }
        (list.pages(&place, &[("q", q), ("whose", whose)], "plan", "plans"))
    };
    Ok(visit.page("Plans", &[], body))
}

fn rows(visit: &Visit, plans: &[Plan]) -> Vec<Vec<Markup>> {
    let row = |plan: &Plan| {
        vec![
            html! { a href=(visit.at(&["plans", &plan.id])) { (name(&plan.id)) } },
            limits(plan),
            burst(plan),
            stops(plan),
            html! { @match plan.operations.as_ref() { None => "any", Some(all) => { (all.len()) " listed" } } },
            owner(plan),
        ]
    };
    plans.iter().map(row).collect()
}

fn words(limit: &Limit) -> String {
    format!("{} per {}", number(limit.requests), limit.per)
}

fn limits(plan: &Plan) -> Markup {
    let limits = plan.limits.as_deref().unwrap_or_default();
    html! {
        @if limits.is_empty() { span.none { "none" } }
        @for (number, limit) in limits.iter().enumerate() { @if number > 0 { ", " } (words(limit)) }
    }
}

fn burst(plan: &Plan) -> Markup {
    html! { @match &plan.burst { Some(burst) => (words(burst)), None => span.none { "none" } } }
}

fn stops(plan: &Plan) -> Markup {
    html! { @if plan.stop_on_quota_reach == Some(false) { "requests go on, and are counted" } @else { "requests are refused (429)" } }
}

fn owner(plan: &Plan) -> Markup {
    html! { @match &plan.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } }
}

/// The page of one plan.
pub async fn one(Path(id): Path<String>, mut visit: Visit) -> Result<Response, Problem> {
    let plan: Plan = visit.v1.read(&path(&id)).await?;
    let receipt = said::of_row(&mut visit, &["plans", &id], Kind::Plan, &id, |_| true).await?;
    let may = visit.may(Method::PUT, CHANGE) && visit.owns(plan.owner.as_deref());
    let to = |what: &str| visit.at(&["plans", &id, what]);
    let body = html! {
        div.tools {
            @if may {
                a.button href=(to("edit")) { "Edit" }
                a.button.danger href=(to("delete")) { "Delete …" }
            }
        }
        (receipt)
        (facts(&facts_of(&plan)))
    };
    Ok(visit.page(&plan.id, &[("Plans", visit.at(&["plans"]))], body))
}

/// What is known of a plan.
pub fn facts_of(plan: &Plan) -> Vec<(&'static str, Markup)> {
    let operations = html! {
        @match plan.operations.as_deref() {
            None => "any",
            Some([]) => "none",
            Some(all) => {
                ul.plain { @for one in all.iter().take(SHOWN) { li { code { (name(&super::form::line(one))) } } } }
                @if all.len() > SHOWN { " and " (all.len().saturating_sub(SHOWN)) " more" }
            }
        }
    };
    vec![
        ("Limits", limits(plan)),
        ("Burst", burst(plan)),
        ("When a limit is reached", stops(plan)),
        ("Operations that are allowed", operations),
        ("Owner", owner(plan)),
    ]
}
