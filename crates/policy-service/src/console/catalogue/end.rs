//! Ends a subscription, after a question.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, Role, audit::Subject};
use maud::html;

use super::{
    super::{
        applications::{Application, route as application},
        parts::{confirm::Confirm, field::Wrong, table::name},
        rows::Subscription,
        said,
        visit::{Sent, Visit},
    },
    route::{CHANGE, path},
};
use crate::http::problem::Problem;

/// Fails unless the person may change the subscription: it is of an own application.
pub async fn may_change(visit: &Visit, row: &Subscription, method: Method) -> Result<(), Problem> {
    let refused = || Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it");
    if !visit.may(method, CHANGE) {
        return Err(refused());
    }
    if visit.principal.role == Role::Administrator {
        return Ok(());
    }
    let application: Application = visit.v1.read(&application::path(row.application())).await?;
    if visit.owns(application.owner.as_deref()) { Ok(()) } else { Err(refused()) }
}

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, &id, StatusCode::OK, &Wrong::default()).await
}

async fn page(visit: &Visit, id: &str, status: StatusCode, wrong: &Wrong) -> Result<Response, Problem> {
    let row: Subscription = visit.v1.read(&path(id)).await?;
    may_change(visit, &row, Method::DELETE).await?;
    let back = visit.at(&["subscriptions", id]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &format!("{back}/end"),
        etag: row.etag.as_deref(),
        what: html! {
            p { "This ends the subscription of " strong { (name(row.application())) } " to " strong { (name(row.api())) }
                ". Its requests to this API are refused from then on. Keys and other subscriptions stay." }
            @if row.block.is_some() {
                p.note { @if row.is_planned() { "A block of it is planned. It" } @else { "It is blocked. The block" }
                    " stays when the subscription ends, and a new subscription is refused until it is over." }
            }
        },
        fields: html! {},
        button: "End the subscription",
        back: &back,
        is_dangerous: true,
    };
    let trail = [("Subscriptions", visit.at(&["subscriptions"])), ("Subscription", back.clone())];
    let title = format!("End {} at {}?", row.application(), row.api());
    Ok(visit.page_as(status, &title, &trail, confirm.body(wrong)))
}

/// Ends it.
pub async fn end(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    match visit.v1.change(Method::DELETE, &path(&id), None, Some(form.get("etag"))).await {
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let detail =
                "The subscription was changed meanwhile. Look at it, and send the form again if you still want it.";
            page(&visit, &id, problem.status(), &Wrong::new("", detail)).await
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            page(&visit, &id, problem.status(), &Wrong::of(&problem, str::to_owned)).await
        }
        done => {
            let subject = Subject::Row(Kind::Subscription);
            said::deleted(&visit, &["subscriptions"], (subject, &id), "unsubscribed", done).await
        }
    }
}
