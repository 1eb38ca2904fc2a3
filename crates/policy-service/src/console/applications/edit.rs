//! Makes and changes applications.

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
        parts::field::{Field, Wrong, actions, has_owner, hidden, is_in_form, is_named, status_of},
        rows::List,
        said, stale,
        visit::{Sent, Visit},
    },
    one::trail,
    route::{CHANGE, CREATE, path},
    row::Application,
};
use crate::http::{problem::Problem, request_id::made};

/// Fails unless the person may make one. Who may not see applications learns nothing of them.
async fn may_make(visit: &Visit) -> Result<(), Problem> {
    let _: List<Application> = visit.v1.read(&format!("{CREATE}?limit=1")).await?;
    if visit.may(Method::POST, CREATE) { Ok(()) } else { Err(refused()) }
}

/// The page for a new application.
pub async fn ask_new(visit: Visit) -> Result<Response, Problem> {
    may_make(&visit).await?;
    Ok(new_page(&visit, StatusCode::OK, &Form::default(), &Wrong::default()))
}

fn new_page(visit: &Visit, status: StatusCode, form: &Form, wrong: &Wrong) -> Response {
    let body = html! {
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["new", "application"])) {
            (visit.frame.token())
            (hidden("once", &made()))
            (Field::new("name", "Name", "What people call it.").text(form, wrong))
            (owner(visit, form, wrong))
            (Field::new("id", "Id", "Part of addresses and logs; it cannot be changed. Leave it empty, and the service makes one.").text(form, wrong))
            (actions("Make the application", false, &visit.at(&["applications"])))
        }
    };
    visit.page_as(status, "New application", &trail(visit, None), body)
}

/// A subscriber's application is always the own one.
fn owner(visit: &Visit, form: &Form, wrong: &Wrong) -> Markup {
    html! {
        @if visit.principal.role == Role::Administrator {
            (Field::new("owner", "Owner", "The subject that it belongs to.").text(form, wrong))
        }
    }
}

/// Makes an application.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    may_make(&visit).await?;
    if let Err(wrong) = is_named(&form, "application") {
        return Ok(new_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    }
    let mut row = Map::new();
    for name in ["id", "name", "owner"] {
        if !form.get(name).is_empty() {
            row.insert(name.to_owned(), form.json(name));
        }
    }
    match visit.v1.create(CREATE, &Value::Object(row), form.get("once")).await {
        Ok(done) => {
            let id = done.body.get("id").and_then(Value::as_str).unwrap_or_default();
            said::created(&visit, &["applications", id], (Kind::Application, id), &done).await
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(new_page(&visit, status_of(&problem), &form, &Wrong::of(&problem, str::to_owned)))
        }
        Err(problem) => Err(problem),
    }
}

fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it")
}

/// The page for changes.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row: Application = visit.v1.read(&path(&id)).await?;
    if !visit.may(Method::PUT, CHANGE) || !visit.owns(row.owner.as_deref()) {
        return Err(refused());
    }
    Ok(page(&visit, StatusCode::OK, &row, &filled(&row), &Wrong::default(), html! {}))
}

/// The form as it is for an application that is there.
fn filled(row: &Application) -> Form {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let form = Form::default().with("name", text(&row.name)).with("owner", text(&row.owner)).with("etag", row.etag());
    form.with("plan", text(&row.plan))
}

/// The fields of an administrator's form, and what people call them; and those of an owner's.
const NAMES: &[(&str, &str)] = &[("name", "Name"), ("owner", "Owner"), ("plan", "Plan")];
const OF_OWNER: &[(&str, &str)] = &[("name", "Name")];

fn page(visit: &Visit, status: StatusCode, row: &Application, form: &Form, wrong: &Wrong, told: Markup) -> Response {
    let here = visit.at(&["applications", &row.id]);
    let body = html! {
        (told)
        (wrong.summary())
        form.panel method="post" action={ (here) "/edit" } {
            (visit.frame.token()) (hidden("etag", form.get("etag")))
            (Field::new("name", "Name", "What people call it.").text(form, wrong))
            @if visit.principal.role == Role::Administrator {
                (owner(visit, form, wrong))
                (Field::new("plan", "Plan", "The id of a plan for its requests to all APIs together; empty for none.").text(form, wrong))
            }
            (actions("Save", false, &here))
        }
    };
    visit.page_as(status, &format!("Edit {}", row.title()), &trail(visit, Some(row)), body)
}

/// Changes an application. Fields that are not in the form stay as they are.
pub async fn save(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let mut row: Map<String, Value> = visit.v1.read(&path(&id)).await?;
    let gives = visit.principal.role == Role::Administrator;
    if let Err(wrong) = has_owner(gives, &form, row.get("owner").and_then(Value::as_str)) {
        let now: Application = visit.v1.read(&path(&id)).await?;
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &now, &form, &wrong, html! {}));
    }
    for (name, _) in if gives { NAMES } else { OF_OWNER } {
        row.insert((*name).to_owned(), form.json(name));
    }
    match visit.v1.change(Method::PUT, &path(&id), Some(&Value::Object(row)), Some(form.get("etag"))).await {
        Ok(done) => said::done(&visit, &["applications", &id], (Kind::Application, &id), "saved", &done).await,
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let now: Application = visit.v1.read(&path(&id)).await?;
            let names = if gives { NAMES } else { OF_OWNER };
            if stale::is_same(&form, &filled(&now), names) {
                return said::as_it_was(&visit, &["applications", &id], Kind::Application, &id).await;
            }
            let told = stale::told(&form, &filled(&now), names);
            let form = form.with("etag", now.etag());
            Ok(page(&visit, problem.status(), &now, &form, &Wrong::default(), told))
        }
        Err(problem) if is_in_form(&problem) => {
            let now: Application = visit.v1.read(&path(&id)).await?;
            Ok(page(&visit, status_of(&problem), &now, &form, &Wrong::of(&problem, str::to_owned), html! {}))
        }
        Err(problem) => Err(problem),
    }
}
