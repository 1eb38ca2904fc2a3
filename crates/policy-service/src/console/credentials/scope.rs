//! Changes which APIs the gateways of a credential see.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            field::{Wrong, actions, hidden, is_in_form, status_of},
            table::name,
        },
        said,
        secrets::field_of,
        stale,
        visit::{Sent, Visit},
    },
    make::{chosen, scope, there_are},
    route::{Credential, ONE, find, path, refused},
};
use crate::http::problem::Problem;

/// The fields of the form, with what people call them.
const NAMES: &[(&str, &str)] = &[("sees", "What the gateways see"), ("apis", "Ids of the APIs")];

/// The form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let one = found(&visit, &id).await?;
    Ok(page(&visit, StatusCode::OK, &one, &filled(&one), &Wrong::default().summary(), &Wrong::default()))
}

/// The credential, if the person may change it.
async fn found(visit: &Visit, id: &str) -> Result<Credential, Problem> {
    let one = find(visit, id).await?;
    if visit.may(Method::PUT, ONE) { Ok(one) } else { Err(refused()) }
}

/// The form as the credential is.
fn filled(one: &Credential) -> Form {
    let form = Form::default().with("etag", &one.etag);
    match &one.apis {
        None => form.with("sees", "all"),
        Some(apis) => form.with("sees", "some").with("apis", apis.join("\n")),
    }
}

/// The form, below `told`.
fn page(visit: &Visit, status: StatusCode, one: &Credential, form: &Form, told: &Markup, wrong: &Wrong) -> Response {
    let back = visit.at(&["gateway-credentials"]);
    let body = html! {
        (told)
        form.panel method="post" action=(visit.at(&["gateway-credentials", &one.id, "scope"])) {
            (visit.frame.token())
            (hidden("etag", form.get("etag")))
            p { "Credential " code { (name(&one.id)) } " of " strong { (name(&one.client_id)) } ". Its gateways decide by the new scope within a second or so." }
            (scope(form, wrong))
            (actions("Change the scope", false, &back))
        }
    };
    let trail = [("Gateways", visit.at(&["gateways"])), ("Credentials", back.clone())];
    visit.page_as(status, &format!("Scope of {}", one.client_id), &trail, body)
}

/// Changes it.
pub async fn change(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let one = found(&visit, &id).await?;
    let again = |status: StatusCode, wrong: &Wrong| Ok(page(&visit, status, &one, &form, &wrong.summary(), wrong));
    let body = match chosen(&form) {
        Ok(apis) => json!({"apis": apis}),
        Err(wrong) => return again(StatusCode::UNPROCESSABLE_ENTITY, &wrong),
    };
    if let Err(wrong) = there_are(&visit, &form).await {
        return again(StatusCode::UNPROCESSABLE_ENTITY, &wrong);
    }
    let (place, as_it_was) = (["gateway-credentials"], said::account_as_it_was);
    match visit.v1.change(Method::PUT, &path(&id), Some(&body), Some(form.get("etag"))).await {
        Ok(done) if done.body.get("etag").and_then(Value::as_str) == Some(form.get("etag")) => {
            Ok(as_it_was(&visit, &place, &id, form.get("etag")))
        }
        Ok(_) => Ok(said::in_list(&visit, &place, "saved", &id, None)),
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let one = found(&visit, &id).await?;
            let now = filled(&one);
            if stale::is_same(&form, &now, NAMES) {
                return Ok(as_it_was(&visit, &place, &id, &one.etag));
            }
            let told = stale::told(&form, &now, NAMES);
            let form = form.with("etag", &one.etag).with("apis_shown", now.get("apis"));
            Ok(page(&visit, StatusCode::PRECONDITION_FAILED, &one, &form, &told, &Wrong::default()))
        }
        Err(problem) if is_in_form(&problem) => again(status_of(&problem), &Wrong::of(&problem, field_of)),
        Err(problem) => Err(problem),
    }
}
