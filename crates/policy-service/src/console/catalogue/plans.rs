//! Plans in words, as those see them who choose one.

use maud::{Markup, html};

use super::super::{
    form::Form,
    parts::{
        field::{Field, Wrong},
        table::{name, number},
    },
    rows::{Api, Limit, Plan},
    visit::Visit,
};
use crate::{http::problem::Problem, web::place::below};

/// Plans that a form offers. An API with more has a list that nobody reads.
const OFFERED: usize = 50;
/// Operations that a form names of each plan.
const OPERATIONS: usize = 5;

/// A plan as a form offers it.
#[derive(Debug)]
pub struct Offer {
    pub id: String,
    /// What it allows; `None` if the person may not see that, or the plan is gone.
    plan: Option<Plan>,
}

/// The plans that an API offers, and behind them the one that a subscription has, if the API does not offer it.
pub async fn offered(visit: &Visit, api: &Api, held: Option<&str>) -> Result<Vec<Offer>, Problem> {
    let mut ids: Vec<&str> = api.plans.iter().flatten().take(OFFERED).map(String::as_str).collect();
    ids.extend(held.filter(|held| !ids.contains(held)));
    let mut offers = Vec::new();
    for id in ids {
        let plan = match visit.v1.read(&below("/v1/plans", &[id])).await {
            Ok(plan) => Some(plan),
            Err(problem) if problem.status().as_u16() == 404 => None,
            Err(problem) => return Err(problem),
        };
        offers.push(Offer { id: id.to_owned(), plan });
    }
    Ok(offers)
}

/// The choice of a plan. `held` is the plan of a subscription that there is.
pub fn choice(offers: &[Offer], api: &Api, held: Option<&str>, form: &Form, wrong: &Wrong) -> Markup {
    let is_offered = |id: &str| api.plans.iter().flatten().any(|offered| offered == id);
    let beside = |offer: &Offer| {
        html! {
            span.hint {
                @match &offer.plan { Some(plan) => (words(plan)), None => "what it allows is not shown to you" }
                @if held == Some(&offer.id) { "; the subscription has it now" }
                @if !is_offered(&offer.id) {
                    ", and the API does not offer it" @if offers.len() > 1 { ": who leaves it cannot come back to it" }
                }
            }
        }
    };
    let options: Vec<(&str, Markup, Markup)> =
        offers.iter().map(|offer| (offer.id.as_str(), html! { (name(&offer.id)) }, beside(offer))).collect();
    html! {
        @if options.is_empty() { p { "This API offers no plan, so no plan limits the requests of a subscription to it." } } @else {
            (Field::new("plan", "Plan", "What you may send. The plan can be changed later.").choice(&options, form, wrong))
        }
    }
}

/// The field for those who may give any plan.
pub fn any(api: &Api, form: &Form, wrong: &Wrong) -> Markup {
    let offered: Vec<&str> = api.plans.iter().flatten().take(OFFERED).map(String::as_str).collect();
    let offered = if offered.is_empty() {
        "The API offers none.".to_owned()
    } else {
        format!("The API offers {}.", offered.join(", "))
    };
    html! { (Field::new("plan", "Plan", &format!("The id of a plan; empty for none. {offered} An administrator may give any other."))
    .text(form, wrong)) }
}

fn limit(limit: &Limit) -> String {
    format!("{} requests per {}", number(limit.requests), limit.per)
}

/// What a plan allows.
pub fn words(plan: &Plan) -> Markup {
    let limits = plan.limits.as_deref().unwrap_or_default();
    let operations = plan.operations.as_deref();
    html! {
        @if limits.is_empty() && plan.burst.is_none() { "no limit" }
        @for (number, one) in limits.iter().enumerate() { @if number > 0 { ", " } (limit(one)) }
        @if let Some(burst) = &plan.burst { @if !limits.is_empty() { ", " } "at most " (limit(burst)) }
        @if !limits.is_empty() {
            @if plan.stop_on_quota_reach == Some(false) { "; beyond that requests go on, and are counted" }
            @else { "; beyond that requests are refused (429)" }
        }
        @if let Some(operations) = operations {
            "; only "
            @for (number, one) in operations.iter().take(OPERATIONS).enumerate() {
                @if number > 0 { ", " }
                code { bdi { @for method in one.methods.iter().flatten() { (method) " " } (one.path) } }
            }
            @if operations.is_empty() { "nothing" }
            @if operations.len() > OPERATIONS { " and " (operations.len().saturating_sub(OPERATIONS)) " more" }
        }
    }
}
