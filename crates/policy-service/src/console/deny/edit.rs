//! Makes, changes and deletes deny policies.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, audit::Subject};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            confirm::Confirm,
            field::{Field, Wrong, actions, hidden, is_in_form, status_of},
            table::name,
        },
        rows::List,
        said,
        visit::{Sent, Visit},
    },
    list::what,
    route::{ALL, DenyPolicy, ONE, TYPES, path},
};
use crate::http::{problem::Problem, request_id::made};

/// The form for a new one.
pub async fn ask_new(visit: Visit) -> Result<Response, Problem> {
    // Who may not see deny policies learns nothing of them.
    let _: List<DenyPolicy> = visit.v1.read(&format!("{ALL}?limit=1")).await?;
    may(&visit, Method::POST, ALL)?;
    let fresh = Form::default().with("type", "IP_RANGE");
    Ok(page(&visit, StatusCode::OK, None, &fresh, &Wrong::default()))
}

fn may(visit: &Visit, method: Method, route: &str) -> Result<(), Problem> {
    match visit.may(method, route) {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::FORBIDDEN, "your role does not allow it")),
    }
}

fn page(visit: &Visit, status: StatusCode, id: Option<&str>, form: &Form, wrong: &Wrong) -> Response {
    let all = visit.at(&["deny-policies"]);
    let (to, title, button) = match id {
        None => (visit.at(&["new", "deny-policy"]), "New deny policy".to_owned(), "Make the deny policy"),
        Some(id) => (visit.at(&["deny-policies", id, "edit"]), format!("Edit {id}"), "Save"),
    };
    let body = html! {
        (wrong.summary())
        form.panel method="post" action=(to) {
            (visit.frame.token())
            @match id { None => (hidden("once", &made())), Some(_) => (hidden("etag", form.get("etag"))) }
            (Field::new("type", "What is refused", "").one_of(&TYPES, form, wrong))
            (Field::new("value", "Value", "An address, a range such as 198.51.100.0/24, the id of an application or API, or the name of an owner.").text(form, wrong))
            (Field::new("invert", "Refuse everything except this", "A mistake here refuses all other requests, on every gateway.").tick(form))
            @if id.is_none() {
                (Field::new("id", "Id", "It cannot be changed. Leave it empty, and the service makes one.").text(form, wrong))
            }
            (actions(button, false, &all))
        }
    };
    visit.page_as(status, &title, &[("Deny policies", all.clone())], body)
}

fn asked(form: &Form) -> Value {
    json!({"type": form.json("type"), "value": form.get("value"), "invert": form.has("invert")})
}

const ALL_OF_THEM: &[&str] = &["deny-policies"];

/// What the choice and the value say together. `/v1` takes a range for an address, which refuses all of its addresses.
fn check(form: &Form) -> Wrong {
    match form.get("type") == "IP" && form.get("value").contains('/') {
        true => Wrong::new(
            "value",
            "this is a range of addresses, not an address; choose a range, or leave out the slash and what follows",
        ),
        false => Wrong::default(),
    }
}

/// Makes one.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let wrong = check(&form);
    if !wrong.is_empty() {
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, &form, &wrong));
    }
    let mut body = asked(&form);
    if let (Some(body), id) = (body.as_object_mut(), form.get("id"))
        && !id.is_empty()
    {
        body.insert("id".to_owned(), id.into());
    }
    match visit.v1.create(ALL, &body, form.get("once")).await {
        Ok(made) => {
            let id = made.body.get("id").and_then(Value::as_str).unwrap_or_default();
            Ok(said::in_list(&visit, ALL_OF_THEM, "created", id, Some(made.revision)))
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page(&visit, status_of(&problem), None, &form, &Wrong::of(&problem, str::to_owned)))
        }
        Err(problem) => Err(problem),
    }
}

/// The form of one that there is.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row: DenyPolicy = visit.v1.read(&path(&id)).await?;
    may(&visit, Method::PUT, ONE)?;
    Ok(page(&visit, StatusCode::OK, Some(&id), &filled(&row), &Wrong::default()))
}

fn filled(row: &DenyPolicy) -> Form {
    let form = Form::default().with("type", row.target.clone()).with("value", row.value.clone());
    let form = form.with("etag", row.etag.clone().unwrap_or_default());
    if row.invert == Some(true) { form.with("invert", "true") } else { form }
}

/// Changes one.
pub async fn save(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let wrong = check(&form);
    if !wrong.is_empty() {
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Some(&id), &form, &wrong));
    }
    match visit.v1.change(Method::PUT, &path(&id), Some(&asked(&form)), Some(form.get("etag"))).await {
        Ok(saved) if saved.is_new => Ok(said::in_list(&visit, ALL_OF_THEM, "saved", &id, Some(saved.revision))),
        Ok(_) => said::listed_as_it_was(&visit, ALL_OF_THEM, Kind::DenyPolicy, &id).await,
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let now: DenyPolicy = visit.v1.read(&path(&id)).await?;
            if asked(&filled(&now)) == asked(&form) {
                return said::listed_as_it_was(&visit, ALL_OF_THEM, Kind::DenyPolicy, &id).await;
            }
            let detail = format!(
                "It was changed meanwhile. Now it says: {}: {}. Send the form again to replace that.",
                what(&now),
                now.value
            );
            let form = form.with("etag", now.etag.unwrap_or_default());
            Ok(page(&visit, status_of(&problem), Some(&id), &form, &Wrong::new("", &detail)))
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page(&visit, status_of(&problem), Some(&id), &form, &Wrong::of(&problem, str::to_owned)))
        }
        Err(problem) => Err(problem),
    }
}

/// The question before one is deleted.
pub async fn ask_delete(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page_delete(&visit, &id, StatusCode::OK, &Wrong::default()).await
}

async fn page_delete(visit: &Visit, id: &str, status: StatusCode, wrong: &Wrong) -> Result<Response, Problem> {
    let row: DenyPolicy = visit.v1.read(&path(id)).await?;
    may(visit, Method::DELETE, ONE)?;
    let back = visit.at(ALL_OF_THEM);
    let told: Markup = html! {
        p { "Requests that it refuses are decided by their keys and subscriptions again." }
        p { (what(&row)) ": " strong { (name(&row.value)) } }
    };
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &visit.at(&["deny-policies", id, "delete"]),
        etag: row.etag.as_deref(),
        what: told,
        fields: html! {},
        button: "Delete the deny policy",
        back: &back,
        is_dangerous: true,
    };
    let title = format!("Delete {id}?");
    Ok(visit.page_as(status, &title, &[("Deny policies", back.clone())], confirm.body(wrong)))
}

/// Deletes one.
pub async fn delete(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    match visit.v1.change(Method::DELETE, &path(&id), None, Some(form.get("etag"))).await {
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let detail =
                "The deny policy was changed meanwhile. Look at it, and send the form again if you still want it.";
            page_delete(&visit, &id, problem.status(), &Wrong::new("", detail)).await
        }
        done => said::deleted(&visit, ALL_OF_THEM, (Subject::Row(Kind::DenyPolicy), &id), "deleted", done).await,
    }
}
