//! Revokes a credential, after a question.

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
    list::sees,
    route::{ONE, find, path, refused},
};
use crate::http::problem::Problem;

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let one = find(&visit, &id).await?;
    if !visit.may(Method::DELETE, ONE) {
        return Err(refused());
    }
    let back = visit.at(&["gateway-credentials"]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &visit.at(&["gateway-credentials", &id, "revoke"]),
        etag: None,
        what: html! {
            p { "Gateways with this secret are refused at once. They go on with the policy that they have until it is too old, and hear of no block meanwhile. "
                "Give them another credential first." }
            (facts(&[
                ("Client id", name(&one.client_id)),
                ("Id", html! { code { (name(&one.id)) } }),
                ("Sees", sees(&one)),
                ("Made", time(one.created_at)),
                ("Ends", time_or(one.expires_at, "never")),
            ]))
        },
        fields: html! {},
        button: "Revoke the credential",
        back: &back,
        is_dangerous: true,
    };
    let trail = [("Gateways", visit.at(&["gateways"])), ("Credentials", back.clone())];
    let title = format!("Revoke a credential of {}?", one.client_id);
    Ok(visit.page(&title, &trail, confirm.body(&Wrong::default())))
}

/// Revokes it.
pub async fn revoke(Path(id): Path<String>, Sent { visit, .. }: Sent) -> Result<Response, Problem> {
    let done = visit.v1.change(Method::DELETE, &path(&id), None, None).await;
    said::deleted(&visit, &["gateway-credentials"], (Subject::GatewayCredential, &id), "revoked", done).await
}
