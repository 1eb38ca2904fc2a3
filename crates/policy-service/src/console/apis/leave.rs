//! Retires an API, and deletes one. Both ask first.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, audit::Subject};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{
    super::{
        parts::{
            confirm::Confirm,
            field::{Wrong, is_in_form},
            table::{counted, facts},
        },
        rows::{Api, List, Subscription},
        said,
        visit::{Sent, Visit},
    },
    one::facts_of,
    route::{CHANGE, path},
};
use crate::{http::problem::Problem, web::place::query};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Retire,
    Delete,
}

impl Leave {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Retire => ("Retire", "retire"),
            Self::Delete => ("Delete", "delete"),
        }
    }

    fn what(self, subscriptions: u64) -> Markup {
        let subscriptions = counted(subscriptions, "subscription", "subscriptions");
        match self {
            Self::Retire => html! {
                p { "Gateways answer 404 for it from then on. Its " (subscriptions) " stay; it can be published again." }
            },
            Self::Delete => html! {
                p { "The API goes with its " (subscriptions) ". Blocks stay as they are, so that nobody escapes one by this. It \
                     cannot be undone here; an administrator can restore an earlier revision." }
            },
        }
    }
}

pub async fn ask_retire(id: Path<String>, visit: Visit) -> Result<Response, Problem> {
    ask(Leave::Retire, id, visit).await
}

pub async fn retire(id: Path<String>, sent: Sent) -> Result<Response, Problem> {
    leave(Leave::Retire, id, sent).await
}

pub async fn ask_delete(id: Path<String>, visit: Visit) -> Result<Response, Problem> {
    ask(Leave::Delete, id, visit).await
}

pub async fn delete(id: Path<String>, sent: Sent) -> Result<Response, Problem> {
    leave(Leave::Delete, id, sent).await
}

async fn ask(leave: Leave, Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, leave, &id, StatusCode::OK, &Wrong::default()).await
}

async fn page(visit: &Visit, leave: Leave, id: &str, status: StatusCode, wrong: &Wrong) -> Result<Response, Problem> {
    let api: Api = visit.v1.read(&path(id)).await?;
    if !visit.may(Method::DELETE, CHANGE) || !visit.owns(api.owner.as_deref()) {
        return Err(visit.refused());
    }
    let asked = format!("/v1/subscriptions{}", query(&[("api", id), ("limit", "1")]));
    let subscriptions: List<Subscription> = visit.v1.read(&asked).await?;
    let (words, what) = leave.words();
    let (to, back) = (visit.at(&["apis", id, what]), visit.at(&["apis", id]));
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &to,
        etag: Some(api.etag.as_deref().unwrap_or_default()),
        what: leave.what(subscriptions.total.unwrap_or_default()),
        fields: html! {},
        button: words,
        back: &back,
        is_dangerous: true,
    };
    let body = html! {
        div.columns {
            section aria-label=(words) { (confirm.body(wrong)) }
            section aria-label="The API" { (facts(&facts_of(visit, &api))) }
        }
    };
    let title = api.title();
    let trail = [("APIs", visit.at(&["apis"])), (title.as_str(), back.clone())];
    Ok(visit.page_as(status, &format!("{words} {title}"), &trail, body))
}

async fn leave(leave: Leave, Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let etag = Some(form.get("etag"));
    let done = match leave {
        Leave::Retire => {
            let mut row: Map<String, Value> = visit.v1.read(&path(&id)).await?;
            row.insert("state".to_owned(), "RETIRED".into());
            visit.v1.change(Method::PUT, &path(&id), Some(&Value::Object(row)), etag).await
        }
        Leave::Delete => visit.v1.change(Method::DELETE, &path(&id), None, etag).await,
    };
    match (done, leave) {
        (Ok(done), Leave::Retire) => said::done(&visit, &["apis", &id], (Kind::Api, &id), "retired", &done).await,
        (Err(problem), _) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let wrong = Wrong::new(
                "",
                "The API was changed meanwhile. Look at it beside the form, and send the form again \
                                        if you still want it.",
            );
            page(&visit, leave, &id, problem.status(), &wrong).await
        }
        (Err(problem), _) if is_in_form(&problem) => {
            page(&visit, leave, &id, problem.status(), &Wrong::of(&problem, |_| String::new())).await
        }
        (done, Leave::Delete) => {
            said::deleted(&visit, &["apis"], (Subject::Row(Kind::Api), &id), "deleted", done).await
        }
        (Err(problem), Leave::Retire) => Err(problem),
    }
}
