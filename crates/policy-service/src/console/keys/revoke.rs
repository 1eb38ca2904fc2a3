//! Revokes a key, after a question.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, Role};
use maud::html;

use super::{
    super::{
        applications::{Application, route as application},
        parts::{
            confirm::Confirm,
            field::Wrong,
            table::{facts, name},
        },
        said,
        visit::{Sent, Visit},
    },
    one::{facts_of, trail},
    route::{REVOKE, path},
    row::Key,
};
use crate::http::problem::Problem;

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let key: Key = visit.v1.read(&path(&id)).await?;
    let row: Option<Application> = match visit.v1.read(&application::path(key.application())).await {
        Ok(row) => Some(row),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => None,
        Err(problem) => return Err(problem),
    };
    let is_own = visit.owns(row.as_ref().and_then(|row| row.owner.as_deref()));
    if !visit.may(Method::POST, REVOKE) || !(is_own || visit.principal.role == Role::Operator) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it"));
    }
    let back = visit.at(&["keys", &id]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &format!("{back}/revoke"),
        etag: key.etag.as_deref(),
        what: html! {
            p { "Requests with the key " code { (name(&key.id)) } " are refused as soon as the gateways know, which takes a second or so. "
                strong { "It never works again." } }
            (facts(&facts_of(&visit, &key)))
        },
        fields: html! {},
        button: "Revoke the key",
        back: &back,
        is_dangerous: true,
    };
    let title = format!("Revoke {}?", key.id);
    Ok(visit.page(&title, &trail(&visit, &key, true), confirm.body(&Wrong::default())))
}

/// Revokes it. Whoever changed the key meanwhile, it shall not work any more.
pub async fn revoke(Path(id): Path<String>, Sent { visit, .. }: Sent) -> Result<Response, Problem> {
    let done = visit.v1.change(Method::POST, &format!("{}/revoke", path(&id)), None, None).await?;
    said::done(&visit, &["keys", &id], (Kind::Key, &id), "revoked", &done).await
}
