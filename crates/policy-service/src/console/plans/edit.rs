//! Makes a plan and changes one.

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
        parts::field::{Wrong, actions, has_owner, hidden, is_in_form, status_of},
        rows::Plan,
        said, stale,
        v1::read_again,
        visit::{Sent, Visit},
    },
    form::{asked, check, field_of, fields, filled, fresh, is_something},
    route::{CHANGE, CREATE, path},
};
use crate::http::{problem::Problem, request_id::made};

fn gives(visit: &Visit) -> bool {
    visit.principal.role == Role::Administrator
}

/// The form for a new plan.
pub async fn ask_new(visit: Visit) -> Result<Response, Problem> {
    if !visit.may(Method::POST, CREATE) {
        return Err(visit.refused());
    }
    Ok(page_new(&visit, StatusCode::OK, &fresh(), &Wrong::default()))
}

fn page_new(visit: &Visit, status: StatusCode, form: &Form, wrong: &Wrong) -> Response {
    let body = html! {
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["new", "plan"])) {
            (visit.frame.token())
            (hidden("once", &made()))
            (fields(form, wrong, true, gives(visit)))
            (actions("Make the plan", false, &visit.at(&["plans"])))
        }
    };
    visit.page_as(status, "New plan", &[("Plans", visit.at(&["plans"]))], body)
}

/// Makes a plan.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    if !visit.may(Method::POST, CREATE) {
        return Err(visit.refused());
    }
    if let Err(wrong) = check(&form).and_then(|()| is_something(&form)) {
        return Ok(page_new(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    }
    let mut row = asked(&form, &Map::new(), &fresh(), gives(&visit));
    row.insert("id".to_owned(), form.json("id"));
    match visit.v1.create(CREATE, &Value::Object(row), form.get("once")).await {
        Ok(done) => {
            let id = done.body.get("id").and_then(Value::as_str).unwrap_or_default();
            said::created(&visit, &["plans", id], (Kind::Plan, id), &done).await
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page_new(&visit, status_of(&problem), &form, &Wrong::of(&problem, field_of)))
        }
        Err(problem) => Err(problem),
    }
}

/// The form for a plan that is there.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let plan: Plan = visit.v1.read(&path(&id)).await?;
    if !visit.may(Method::PUT, CHANGE) || !visit.owns(plan.owner.as_deref()) {
        return Err(visit.refused());
    }
    Ok(page(&visit, StatusCode::OK, &plan, &filled(&plan), &Wrong::default(), html! {}))
}

fn page(visit: &Visit, status: StatusCode, plan: &Plan, form: &Form, wrong: &Wrong, told: Markup) -> Response {
    let back = visit.at(&["plans", &plan.id]);
    let body = html! {
        (told)
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["plans", &plan.id, "edit"])) {
            (visit.frame.token())
            (hidden("etag", plan.etag.as_deref().unwrap_or_default()))
            (fields(form, wrong, false, gives(visit)))
            (actions("Save", false, &back))
        }
    };
    let trail = [("Plans", visit.at(&["plans"])), (plan.id.as_str(), back)];
    visit.page_as(status, &format!("Edit {}", plan.id), &trail, body)
}

/// Changes a plan.
pub async fn save(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let before: Map<String, Value> = visit.v1.read(&path(&id)).await?;
    let plan: Plan = read_again(&before)?;
    let checked = check(&form).and_then(|()| has_owner(gives(&visit), &form, plan.owner.as_deref()));
    if let Err(wrong) = checked {
        // The version that the person saw stays the one that is replaced.
        let plan = Plan { etag: Some(form.get("etag").to_owned()), ..plan };
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &plan, &form, &wrong, html! {}));
    }
    let row = asked(&form, &before, &filled(&plan), gives(&visit));
    match visit.v1.change(Method::PUT, &path(&id), Some(&Value::Object(row)), Some(form.get("etag"))).await {
        Ok(done) => said::done(&visit, &["plans", &id], (Kind::Plan, &id), "saved", &done).await,
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let (now, names) = (filled(&plan), stale::with_owner(NAMES, gives(&visit)));
            if stale::is_same(&form, &now, &names) {
                return said::as_it_was(&visit, &["plans", &id], Kind::Plan, &id).await;
            }
            let told = stale::told(&form, &now, &names);
            Ok(page(&visit, status_of(&problem), &plan, &form, &Wrong::default(), told))
        }
        Err(problem) if is_in_form(&problem) => {
            let wrong = Wrong::of(&problem, field_of);
            // The version that the person saw stays the one that is replaced.
            let plan = Plan { etag: Some(form.get("etag").to_owned()), ..plan };
            Ok(page(&visit, status_of(&problem), &plan, &form, &wrong, html! {}))
        }
        Err(problem) => Err(problem),
    }
}

/// The fields, and what people call them.
const NAMES: &[(&str, &str)] = &[
    ("limits", "Limits"),
    ("burst", "Burst"),
    ("stop_on_quota_reach", "Refuse requests when a limit is reached"),
    ("operations", "Operations that are allowed"),
    ("no_operation", "No operation at all"),
];
