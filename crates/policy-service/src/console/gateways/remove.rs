//! Removes a gateway that is silent or gone, after a question.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::audit::Subject;
use maud::html;

use super::{
    super::{
        parts::{
            badge::badge,
            confirm::Confirm,
            field::Wrong,
            table::{facts, name},
            time::time,
        },
        said,
        visit::{Sent, Visit},
    },
    row::Gateway,
};
use crate::{http::problem::Problem, web::place::below};

/// The question.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    // Who may not see gateways learns nothing of them.
    let found = find(&visit, &id).await?;
    if !visit.may(Method::DELETE, "/v1/gateways/{id}") {
        return Err(Problem::new(StatusCode::FORBIDDEN, "your role does not allow it"));
    }
    Ok(page(&visit, &id, found.as_ref(), StatusCode::OK, &Wrong::default()))
}

async fn find(visit: &Visit, id: &str) -> Result<Option<Gateway>, Problem> {
    visit.v1.find("/v1/gateways", |gateway: &Gateway| gateway.id == id).await
}

fn page(visit: &Visit, id: &str, found: Option<&Gateway>, status: StatusCode, wrong: &Wrong) -> Response {
    let back = visit.at(&["gateways"]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &visit.at(&["gateways", id, "remove"]),
        etag: None,
        what: html! {
            @match found {
                Some(gateway) => (facts(&[
                    ("Gateway", name(gateway.title())),
                    ("Client id", name(&gateway.client_id)),
                    ("State", badge(&gateway.state)),
                    ("Last heard", time(gateway.last_seen)),
                ])),
                None => p.hint { "It is not in the list any more." },
            }
            p { "Receipts do not wait for a gateway that is removed. Remove it only if this Envoy does not serve requests any more: if it does, it may decide by an old policy, and no receipt says so." }
            p { "If it is heard of again, it is in the list again." }
        },
        fields: html! {},
        button: "Remove the gateway",
        back: &back,
        is_dangerous: true,
    };
    visit.page_as(status, "Remove this gateway?", &[("Gateways", back.clone())], confirm.body(wrong))
}

/// Removes it.
pub async fn remove(Path(id): Path<String>, Sent { visit, .. }: Sent) -> Result<Response, Problem> {
    match visit.v1.change(Method::DELETE, &below("/v1/gateways", &[&id]), None, None).await {
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            let found = find(&visit, &id).await?;
            Ok(page(&visit, &id, found.as_ref(), problem.status(), &Wrong::of(&problem, |_| String::new())))
        }
        done => said::deleted(&visit, &["gateways"], (Subject::Gateway, &id), "removed", done).await,
    }
}
