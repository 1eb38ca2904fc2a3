//! Subscribes an application to an API, with one of the plans that the API offers.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::Kind;
use maud::html;
use serde_json::{Map, Value};

use super::{
    super::{
        applications::{Application, route as application},
        form::Form,
        parts::{
            badge::badge,
            field::{Field, Wrong, actions, is_in_form, status_of},
            table::{empty, facts, name},
        },
        rows::{Api, List},
        said,
        visit::{Sent, Visit},
    },
    plans,
    route::SUBSCRIBE,
};
use crate::{http::problem::Problem, web::place::below};

/// Applications that the form offers. Another one is found by its own page.
const OFFERED: &str = "/v1/applications?limit=200";

/// The form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let form = Form::default().with("application", visit.asked.get("application"));
    page(&visit, &id, StatusCode::OK, form, &Wrong::default()).await
}

async fn page(visit: &Visit, id: &str, status: StatusCode, form: Form, wrong: &Wrong) -> Result<Response, Problem> {
    let api: Api = visit.v1.read(&below("/v1/apis", &[id])).await?;
    if !visit.may(Method::POST, SUBSCRIBE) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "your role does not allow it"));
    }
    let mut offered: List<Application> = visit.v1.read(OFFERED).await?;
    let asked = form.get("application");
    if !asked.is_empty() && offered.items.iter().all(|row| row.id != asked) {
        // One that is not the person's own is left out.
        offered.items.extend(visit.v1.read::<Application>(&application::path(asked)).await.ok());
    }
    offered.items.retain(|row| !row.deleted);
    let plans = plans::offered(visit, &api, None).await?;
    let form = match (form.get("plan"), plans.first()) {
        ("", Some(first)) => form.with("plan", first.id.clone()),
        _ => form,
    };
    let words: Vec<(String, String)> =
        offered.items.iter().map(|row| (row.id.clone(), format!("{} ({})", row.title(), row.id))).collect();
    let choices: Vec<(&str, &str)> = words.iter().map(|(id, words)| (id.as_str(), words.as_str())).collect();
    let is_manual = api.approval.as_deref() == Some("manual");
    let body = html! {
        (wrong.summary())
        @if choices.is_empty() {
            (empty("You have no application yet. An application subscribes, and its keys then open the API.",
                Some(("Make an application", visit.at(&["new", "application"])))))
        } @else {
            div.columns {
                form.panel method="post" action=(visit.at(&["apis", id, "subscribe"])) {
                    (visit.frame.token())
                    (Field::new("application", "Application", "").one_of(&choices, &form, wrong))
                    (plans::choice(&plans, &api, None, &form, wrong))
                    @if is_manual { p.note { "The publisher of this API decides about each subscription. Until then requests are refused." } }
                    (actions("Subscribe", false, &visit.at(&["catalogue"])))
                }
                section aria-label="The API" {
                    (facts(&[
                        ("API", html! { (name(&api.title())) }),
                        ("Id", html! { code { (name(&api.id)) } }),
                        ("State", badge(api.state())),
                        ("Publisher", html! { @match &api.owner { Some(owner) => (name(owner)), None => span.none { "not named" } } }),
                        ("Approval", html! { @if is_manual { "the publisher decides" } @else { "at once" } }),
                    ]))
                }
            }
        }
    };
    let trail = [("Find an API", visit.at(&["catalogue"]))];
    Ok(visit.page_as(status, &format!("Subscribe to {}", api.title()), &trail, body))
}

/// Subscribes.
pub async fn subscribe(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let mut row = Map::new();
    row.insert("api".to_owned(), id.clone().into());
    row.insert("application".to_owned(), form.json("application"));
    if !form.get("plan").is_empty() {
        row.insert("plan".to_owned(), form.json("plan"));
    }
    match visit.v1.change(Method::POST, SUBSCRIBE, Some(&Value::Object(row)), None).await {
        Ok(done) => {
            let made = done.body.get("id").and_then(Value::as_str).unwrap_or_default();
            said::done(&visit, &["subscriptions", made], (Kind::Subscription, made), "subscribed", &done).await
        }
        Err(problem) if is_in_form(&problem) => {
            page(&visit, &id, status_of(&problem), form, &Wrong::of(&problem, str::to_owned)).await
        }
        Err(problem) => Err(problem),
    }
}
