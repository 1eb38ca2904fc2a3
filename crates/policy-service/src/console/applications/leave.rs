//! Deletes an application, after a question.

use axum::{extract::Path, http::Method, response::Response};
use management::port::{Kind, audit::Subject};
use maud::html;

use super::{
    super::{
        parts::{
            confirm::Confirm,
            field::Wrong,
            table::{counted, name},
        },
        rows::{List, Subscription},
        said,
        visit::{Sent, Visit},
    },
    one::trail,
    route::{CHANGE, path},
    row::Application,
};
use crate::{http::problem::Problem, web::place::query};

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, &id, &Wrong::default(), axum::http::StatusCode::OK).await
}

async fn page(visit: &Visit, id: &str, wrong: &Wrong, status: axum::http::StatusCode) -> Result<Response, Problem> {
    let row: Application = visit.v1.read(&path(id)).await?;
    if !visit.may(Method::DELETE, CHANGE) || !visit.owns(row.owner.as_deref()) {
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it"));
    }
    let asked = query(&[("application", id), ("limit", "1")]);
    let keys: List<super::super::keys::Key> = visit.v1.read(&format!("/v1/keys{asked}")).await?;
    let subscriptions: List<Subscription> = visit.v1.read(&format!("/v1/subscriptions{asked}")).await?;
    let back = visit.at(&["applications", id]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &format!("{back}/delete"),
        etag: row.etag.as_deref(),
        what: html! {
            p { "This deletes " strong { (name(row.title())) } " with "
                strong { (counted(keys.total.unwrap_or_default(), "key", "keys")) } " and "
                strong { (counted(subscriptions.total.unwrap_or_default(), "subscription", "subscriptions")) }
                ". Its requests are refused from then on." }
            p { "It cannot be undone here; an administrator can restore an earlier revision, and its keys then work again, except those that \
                 were revoked or replaced. Revoke a key that shall never work again. A block of the application stays." }
        },
        fields: html! {},
        button: "Delete the application",
        back: &back,
        is_dangerous: true,
    };
    let title = format!("Delete {}?", row.title());
    Ok(visit.page_as(status, &title, &trail(visit, Some(&row)), confirm.body(wrong)))
}

/// Deletes it.
pub async fn delete(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    match visit.v1.change(Method::DELETE, &path(&id), None, Some(form.get("etag"))).await {
        Err(problem) if problem.status() == axum::http::StatusCode::PRECONDITION_FAILED => {
            let detail =
                "The application was changed meanwhile. Look at it, and send the form again if you still want it.";
            page(&visit, &id, &Wrong::new("", detail), problem.status()).await
        }
        Err(problem) if problem.status().as_u16() == 409 => {
            page(&visit, &id, &Wrong::of(&problem, str::to_owned), problem.status()).await
        }
        done => said::deleted(&visit, &["applications"], (Subject::Row(Kind::Application), &id), "deleted", done).await,
    }
}
