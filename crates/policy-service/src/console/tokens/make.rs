//! Makes a token. It is shown once.

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use maud::html;
use serde_json::{Map, Value};

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong, actions, is_in_form, status_of},
            table::name,
        },
        rows::List,
        secrets::{self, Made, end, ends, field_of},
        visit::{Sent, Visit},
    },
    route::{ALL, Token, refused},
};
use crate::http::problem::Problem;

const ROLES: [(&str, &str); 5] = [
    ("subscriber", "Subscriber: own applications, keys and subscriptions"),
    ("publisher", "Publisher: own APIs and plans, blocks of their subscriptions"),
    ("operator", "Operator: sees everything, gateways, deny policies, blocks"),
    ("auditor", "Auditor: sees everything, changes nothing"),
    ("administrator", "Administrator: everything"),
];

/// The form.
pub async fn ask(visit: Visit) -> Result<Response, Problem> {
    may(&visit).await?;
    let fresh = Form::default().with("role", "subscriber").with("end", "90");
    Ok(page(&visit, StatusCode::OK, &fresh, &Wrong::default()))
}

/// Fails unless the person may make one. Who may not see any learns nothing of them.
async fn may(visit: &Visit) -> Result<(), Problem> {
    let _: List<Token> = visit.v1.read(&format!("{ALL}?limit=1")).await?;
    if visit.may(Method::POST, ALL) { Ok(()) } else { Err(refused()) }
}

fn page(visit: &Visit, status: StatusCode, form: &Form, wrong: &Wrong) -> Response {
    let all = visit.at(&["tokens"]);
    let body = html! {
        div.note { p { strong { "The token is shown once, on the next page, and never again." } " The service keeps only a digest of it." } }
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["new", "token"])) {
            (visit.frame.token()) (secrets::word(form, wrong))
            (Field::new("subject", "Subject", "A person, team or program. It owns what is made with the token.").text(form, wrong))
            (Field::new("role", "Role", "").one_of(&ROLES, form, wrong))
            (ends(form, wrong))
            (actions("Make the token", false, &all))
        }
    };
    visit.page_as(status, "New token", &[("Tokens", all.clone())], body)
}

/// Makes it.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    may(&visit).await?;
    let mut body = Map::new();
    body.insert("subject".to_owned(), form.get("subject").into());
    body.insert("role".to_owned(), form.get("role").into());
    if let Err(wrong) = end(&form, &mut body) {
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    }
    match secrets::make(&visit, ALL, &Value::Object(body), &form).await {
        Ok(Made::Now(made)) => Ok(shown(&visit, &made)),
        Ok(Made::Before(id)) => {
            let next = html! { p.actions {
                a.button href=(visit.at(&["tokens"])) { "All tokens" }
                a.button.danger href=(visit.at(&["tokens", &id, "revoke"])) { "Revoke it …" }
            } };
            let body = secrets::made_before("token", &id, &next);
            Ok(visit.page_as(StatusCode::CONFLICT, "The token was made", &[], body))
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page(&visit, status_of(&problem), &form, &Wrong::of(&problem, field_of)))
        }
        Err(problem) => Err(problem),
    }
}

fn shown(visit: &Visit, made: &Value) -> Response {
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let all = visit.at(&["tokens"]);
    let body = html! {
        section.panel aria-labelledby="secret-title" {
            h2 #secret-title { "Give it to its bearer now" }
            p { "This page is the only one that shows it. If you leave or reload the page, nobody can show it again." }
            (secrets::panel("The token", text("token")))
            p { "It makes its bearer " strong { (text("role")) } " " (name(text("subject"))) "." }
            p.actions { a.button href=(all) { "I have kept it" } }
        }
    };
    visit.page_as(StatusCode::CREATED, "The new token", &[("Tokens", all.clone())], body)
}
