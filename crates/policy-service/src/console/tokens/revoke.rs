//! Revokes a token, after a question.

use axum::{extract::Path, http::Method, response::Response};
use management::port::audit::Subject;
use maud::html;

use super::{
    super::{
        parts::{
            confirm::Confirm,
            field::Wrong,
            table::{facts, name},
            time::{time, time_or},
        },
        said,
        visit::{Sent, Visit},
    },
    route::{ONE, find, path, refused},
};
use crate::http::problem::Problem;

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let one = find(&visit, &id).await?;
    if !visit.may(Method::DELETE, ONE) {
        return Err(refused());
    }
    let back = visit.at(&["tokens"]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &visit.at(&["tokens", &id, "revoke"]),
        etag: None,
        what: html! {
            p { "Requests with this token are refused at once, and who is signed in with it is signed out. What its subject owns stays." }
            (facts(&[
                ("Subject", name(&one.subject)),
                ("Role", html! { (one.role) }),
                ("Made", time(one.created_at)),
                ("Ends", time_or(one.expires_at, "never")),
            ]))
        },
        fields: html! {},
        button: "Revoke the token",
        back: &back,
        is_dangerous: true,
    };
    let title = format!("Revoke a token of {}?", one.subject);
    Ok(visit.page(&title, &[("Tokens", back.clone())], confirm.body(&Wrong::default())))
}

/// Revokes it.
pub async fn revoke(Path(id): Path<String>, Sent { visit, .. }: Sent) -> Result<Response, Problem> {
    let done = visit.v1.change(Method::DELETE, &path(&id), None, None).await;
    said::deleted(&visit, &["tokens"], (Subject::Token, &id), "revoked", done).await
}
