//! Changes which APIs the gateways of a credential see.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use maud::html;
use serde_json::json;

use super::{
    super::{
        form::Form,
        parts::{
            field::{Wrong, actions, is_in_form, status_of},
            table::name,
        },
        said,
        secrets::field_of,
        visit::{Sent, Visit},
    },
    make::{chosen, scope, there_are},
    route::{ONE, find, path, refused},
};
use crate::http::problem::Problem;

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
    let one = find(visit, id).await?;
    if !visit.may(Method::PUT, ONE) {
        return Err(refused());
    }
    let now = match &one.apis {
        None => Form::default().with("sees", "all"),
        Some(apis) => Form::default().with("sees", "some").with("apis", apis.join("\n")),
    };
    let back = visit.at(&["gateway-credentials"]);
    let body = html! {
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["gateway-credentials", id, "scope"])) {
            (visit.frame.token())
            p { "Credential " code { (name(&one.id)) } " of " strong { (name(&one.client_id)) } ". Its gateways decide by the new scope within a second or so." }
            (scope(typed.unwrap_or(&now), wrong))
            (actions("Change the scope", false, &back))
        }
    };
    let trail = [("Gateways", visit.at(&["gateways"])), ("Credentials", back.clone())];
    Ok(visit.page_as(status, &format!("Scope of {}", one.client_id), &trail, body))
}

/// Changes it.
pub async fn change(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let body = match chosen(&form) {
        Ok(apis) => json!({"apis": apis}),
        Err(wrong) => return page(&visit, &id, StatusCode::UNPROCESSABLE_ENTITY, Some(&form), &wrong).await,
    };
    if let Err(wrong) = there_are(&visit, &form).await {
        return page(&visit, &id, StatusCode::UNPROCESSABLE_ENTITY, Some(&form), &wrong).await;
    }
    match visit.v1.change(Method::PUT, &path(&id), Some(&body), None).await {
        Ok(_) => Ok(said::in_list(&visit, &["gateway-credentials"], "saved", &id, None)),
        Err(problem) if is_in_form(&problem) => {
            page(&visit, &id, status_of(&problem), Some(&form), &Wrong::of(&problem, field_of)).await
        }
        Err(problem) => Err(problem),
    }
}
