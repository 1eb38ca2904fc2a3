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

/// The plans that an API offers. One that is gone is left out.
pub async fn offered(visit: &Visit, api: &Api) -> Result<Vec<Plan>, Problem> {
    let mut plans = Vec::new();
    for id in api.plans.iter().flatten().take(OFFERED) {
        match visit.v1.read(&below("/v1/plans", &[id])).await {
            Ok(plan) => plans.push(plan),
            Err(problem) if problem.status().as_u16() == 404 => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(plans)
}

/// The choice of a plan. `held` is the plan of a subscription that there is.
pub fn choice(plans: &[Plan], form: &Form, wrong: &Wrong) -> Markup {
    let options: Vec<(&str, Markup, Markup)> = plans
        .iter()
        .map(|plan| (plan.id.as_str(), html! { (name(&plan.id)) }, html! { span.hint { (words(plan)) } }))
        .collect();
    html! {
        @if options.is_empty() { p { "This API offers no plan. Requests are not limited by one." } } @else {
            (Field::new("plan", "Plan", "What you may send. The plan can be changed later.").choice(&options, form, wrong))
        }
    }
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
