//! Makes an API and changes one.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, Role};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{
    super::{
        form::Form,
        parts::field::{Wrong, actions, has_owner, hidden, is_in_form, is_named, status_of},
        rows::Api,
        said, stale,
        v1::read_again,
        visit::{Sent, Visit},
    },
    form::{asked, field_of, fields, filled, fresh},
    route::{CHANGE, CREATE, path},
};
use crate::http::{problem::Problem, request_id::made};

fn gives(visit: &Visit) -> bool {
    visit.principal.role == Role::Administrator
}

/// The form for a new API.
pub async fn ask_new(visit: Visit) -> Result<Response, Problem> {
    if !visit.may(Method::POST, CREATE) {
        return Err(visit.refused());
    }
    Ok(page_new(&visit, StatusCode::OK, &fresh(), &Wrong::default()))
}

fn page_new(visit: &Visit, status: StatusCode, form: &Form, wrong: &Wrong) -> Response {
    let body = html! {
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["new", "api"])) {
            (visit.frame.token())
            (hidden("once", &made()))
            (fields(form, wrong, true, gives(visit)))
            (actions("Make the API", false, &visit.at(&["apis"])))
        }
    };
    visit.page_as(status, "New API", &[("APIs", visit.at(&["apis"]))], body)
}

/// Makes an API.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    if !visit.may(Method::POST, CREATE) {
        return Err(visit.refused());
    }
    if let Err(wrong) = is_named(&form, "API") {
        return Ok(page_new(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    }
    let mut row = asked(&form, &Map::new(), &fresh(), gives(&visit));
    row.insert("id".to_owned(), form.json("id"));
    match visit.v1.create(CREATE, &Value::Object(row), form.get("once")).await {
        Ok(done) => {
            let id = done.body.get("id").and_then(Value::as_str).unwrap_or_default();
            said::created(&visit, &["apis", id], (Kind::Api, id), &done).await
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page_new(&visit, status_of(&problem), &form, &Wrong::of(&problem, field_of)))
        }
        Err(problem) => Err(problem),
    }
}

/// The form for an API that is there.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let api: Api = visit.v1.read(&path(&id)).await?;
    if !visit.may(Method::PUT, CHANGE) || !visit.owns(api.owner.as_deref()) {
        return Err(visit.refused());
    }
    Ok(page(&visit, StatusCode::OK, &api, &filled(&api), &Wrong::default(), html! {}))
}

fn page(visit: &Visit, status: StatusCode, api: &Api, form: &Form, wrong: &Wrong, told: Markup) -> Response {
    let back = visit.at(&["apis", &api.id]);
    let body = html! {
        (told)
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["apis", &api.id, "edit"])) {
            (visit.frame.token())
            (hidden("etag", api.etag.as_deref().unwrap_or_default()))
            (fields(form, wrong, false, gives(visit)))
            (actions("Save", false, &back))
        }
    };
    let title = api.title();
    let trail = [("APIs", visit.at(&["apis"])), (title.as_str(), back)];
    visit.page_as(status, &format!("Edit {title}"), &trail, body)
}

/// Changes an API.
pub async fn save(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let before: Map<String, Value> = visit.v1.read(&path(&id)).await?;
    let api: Api = read_again(&before)?;
    if let Err(wrong) = has_owner(gives(&visit), &form, api.owner.as_deref()) {
        let api = Api { etag: Some(form.get("etag").to_owned()), ..api };
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &api, &form, &wrong, html! {}));
    }
    let row = asked(&form, &before, &filled(&api), gives(&visit));
    match visit.v1.change(Method::PUT, &path(&id), Some(&Value::Object(row)), Some(form.get("etag"))).await {
        Ok(done) => said::done(&visit, &["apis", &id], (Kind::Api, &id), "saved", &done).await,
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let (now, names) = (filled(&api), stale::with_owner(NAMES, gives(&visit)));
            if stale::is_same(&form, &now, &names) {
                return said::as_it_was(&visit, &["apis", &id], Kind::Api, &id).await;
            }
            let told = stale::told(&form, &now, &names);
            Ok(page(&visit, status_of(&problem), &api, &form, &Wrong::default(), told))
        }
        Err(problem) if is_in_form(&problem) => {
            let wrong = Wrong::of(&problem, field_of);
            // The version that the person saw stays the one that is replaced.
            let api = Api { etag: Some(form.get("etag").to_owned()), ..api };
            Ok(page(&visit, status_of(&problem), &api, &form, &wrong, html! {}))
        }
        Err(problem) => Err(problem),
    }
}

/// The fields, and what people call them.
const NAMES: &[(&str, &str)] = &[
    ("name", "Name"),
    ("version", "Version"),
    ("match", "Requests that belong to it"),
    ("plans", "Plans"),
    ("approval", "New subscriptions"),
    ("state", "State"),
    ("security", "Credential"),
    ("subscription_required", "An application needs a subscription"),
    ("production", "Production"),
    ("sandbox", "Sandbox"),
];
