//! Gives a subscription another plan of those that its API offers.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, Role};
use maud::html;
use serde_json::{Map, Value};

use super::{
    super::{
        form::Form,
        parts::field::{Wrong, actions, hidden, is_in_form, status_of},
        rows::{Api, Subscription},
        said,
        visit::{Sent, Visit},
    },
    end::may_change,
    plans,
    route::path,
};
use crate::{http::problem::Problem, web::place::below};

/// The form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, &id, StatusCode::OK, None, &Wrong::default()).await
}

async fn page(
    visit: &Visit,
    id: &str,
    status: StatusCode,
    typed: Option<&Form>,
    wrong: &Wrong,
) -> Result<Response, Problem> {
    let row: Subscription = visit.v1.read(&path(id)).await?;
    may_change(visit, &row, Method::PUT).await?;
    let api: Api = visit.v1.read(&below("/v1/apis", &[row.api()])).await?;
    let (held, gives) = (row.plan.as_deref(), visit.principal.role == Role::Administrator);
    let offers = if gives { Vec::new() } else { plans::offered(visit, &api, held).await? };
    let has_choice = gives || offers.iter().any(|offer| held != Some(&offer.id));
    let form =
        Form::default().with("plan", typed.map_or(row.plan.as_deref().unwrap_or_default(), |form| form.get("plan")));
    let back = visit.at(&["subscriptions", id]);
    let body = html! {
        (wrong.summary())
        form.panel method="post" action={ (back) "/plan" } {
            (visit.frame.token()) (hidden("etag", row.etag.as_deref().unwrap_or_default()))
            @if gives { (plans::any(&api, &form, wrong)) } @else { (plans::choice(&offers, &api, held, &form, wrong)) }
            @if !has_choice {
                @if held.is_some() { p { "The API offers no other plan." } }
                p { a.button href=(back) { "Back to the subscription" } }
            } @else { (actions("Change the plan", false, &back)) }
        }
    };
    let trail = [("Subscriptions", visit.at(&["subscriptions"])), ("Subscription", back.clone())];
    Ok(visit.page_as(status, &format!("Plan of {} at {}", row.application(), row.api()), &trail, body))
}

/// Changes the plan.
pub async fn change(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let mut row: Map<String, Value> = visit.v1.read(&path(&id)).await?;
    row.insert("plan".to_owned(), form.json("plan"));
    match visit.v1.change(Method::PUT, &path(&id), Some(&Value::Object(row)), Some(form.get("etag"))).await {
        Ok(done) => said::done(&visit, &["subscriptions", &id], (Kind::Subscription, &id), "saved", &done).await,
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let now: Subscription = visit.v1.read(&path(&id)).await?;
            if now.plan.as_deref().unwrap_or_default() == form.get("plan") {
                return said::as_it_was(&visit, &["subscriptions", &id], Kind::Subscription, &id).await;
            }
            let detail = format!(
                "The subscription was changed meanwhile. Its plan is now: {}. Send the form again to replace that.",
                now.plan.as_deref().unwrap_or("none")
            );
            page(&visit, &id, problem.status(), Some(&form), &Wrong::new("", &detail)).await
        }
        Err(problem) if is_in_form(&problem) => {
            page(&visit, &id, status_of(&problem), Some(&form), &Wrong::of(&problem, str::to_owned)).await
        }
        Err(problem) => Err(problem),
    }
}
