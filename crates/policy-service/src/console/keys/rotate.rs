//! Replaces a key by a new one, with a time in which both work.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use maud::html;
use serde_json::{Map, Value, json};

use super::{
    super::{
        applications::{Application, route as application},
        form::{self, Form},
        parts::{
            field::{Field, Wrong, actions, is_in_form, status_of},
            table::{empty, facts},
        },
        secrets::{self, Made, field_of},
        visit::{Sent, Visit},
    },
    kept,
    make::{end, warning},
    one::{facts_of, rotation, trail},
    route::{REGENERATE, path},
    row::Key,
};
use crate::http::problem::Problem;

/// The form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let fresh = Form::default().with("overlap_seconds", "86400").with("end", "");
    page(&visit, &id, StatusCode::OK, &fresh, &Wrong::default()).await
}

async fn page(visit: &Visit, id: &str, status: StatusCode, form: &Form, wrong: &Wrong) -> Result<Response, Problem> {
    let key: Key = visit.v1.read(&path(id)).await?;
    let row: Application = visit.v1.read(&application::path(key.application())).await?;
    if !visit.may(Method::POST, REGENERATE) || !visit.owns(row.owner.as_deref()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it"));
    }
    let here = visit.at(&["keys", id]);
    if key.state(visit.now) == "REVOKED" {
        let make = visit.at(&["applications", key.application(), "new-key"]);
        let body =
            empty("This key is revoked, so it cannot be rotated. Make a new key instead.", Some(("New key", make)));
        return Ok(visit.page_as(StatusCode::CONFLICT, &format!("Rotate {}", key.id), &trail(visit, &key, true), body));
    }
    let body = html! {
        @if let (true, Some(next)) = (wrong.is_empty(), &key.replaced_by) { (rotation(visit, &key, next, true).await) } @else {
            (warning())
            (wrong.summary())
            div.columns {
                form.panel method="post" action={ (here) "/rotate" } {
                    (visit.frame.token()) (secrets::word(form, wrong))
                    p { "The new key has the same rights as this one. Three steps lead to it, without a gap:" }
                    ol.steps {
                        li { strong { "Now: " } "make the new key and keep it." }
                        li { "Give it to each client, while both keys work." }
                        li { "Look at the last use of the old key, and revoke it." }
                    }
                    (Field::new("overlap_seconds", "How long both keys work", "").choice(&[
                        ("3600", html! { "1 hour" }, html! {}),
                        ("86400", html! { "1 day" }, html! {}),
                        ("604800", html! { "7 days" }, html! {}),
                        ("2592000", html! { "30 days" }, html! {}),
                        ("0", html! { "Not at all: the old key ends at once" }, html! { span.hint { "for a key that leaked" } }),
                    ], form, wrong))
                    (Field::new("end", "When the new key ends", "").choice(&[
                        ("", html! { "When this key would have ended" }, html! {}),
                        ("90", html! { "After 90 days" }, html! {}),
                        ("365", html! { "After a year" }, html! {}),
                    ], form, wrong))
                    (actions("Make the new key", false, &here))
                }
                section aria-label="The key" { (facts(&facts_of(visit, &key))) }
            }
        }
    };
    Ok(visit.page_as(status, &format!("Rotate {}", key.id), &trail(visit, &key, true), body))
}

/// Makes the new key.
pub async fn rotate(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let mut body = Map::new();
    body.insert("overlap_seconds".to_owned(), form::number(form.get("overlap_seconds")));
    if let Err(wrong) = end(&form, &mut body) {
        return page(&visit, &id, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong).await;
    }
    let is_at_once = body.get("overlap_seconds") == Some(&json!(0));
    match secrets::make(&visit, &format!("{}/regenerate", path(&id)), &Value::Object(body), &form).await {
        Ok(Made::Now(made)) => {
            let next = html! {
                section.panel aria-labelledby="next-title" {
                    h2 #next-title { "Then" }
                    @if is_at_once { p { "The old key is revoked already. Give the new one to each client." } } @else {
                        p { "Give the new key to each client. The page of the old key shows when it was last used, and revokes it." }
                        p { a href=(visit.at(&["keys", &id])) { "Go on with the rotation, once you have kept the key" } }
                    }
                }
            };
            Ok(kept::shown(&visit, &made, "The new key", &next))
        }
        Ok(Made::Before(key)) => Ok(kept::shown_before(&visit, &key)),
        Err(problem) if is_in_form(&problem) => {
            page(&visit, &id, status_of(&problem), &form, &Wrong::of(&problem, field_of)).await
        }
        Err(problem) => Err(problem),
    }
}
