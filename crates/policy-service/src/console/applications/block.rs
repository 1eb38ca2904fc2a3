//! Blocks an application, for all APIs, and unblocks it.

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
            confirm::Confirm,
            field::{Field, Wrong, is_in_form},
            table::{counted, facts, name, number},
        },
        rows::Preview,
        visit::{Sent, Visit, see_other},
    },
    one::{facts_of_block, trail},
    route::{BLOCK, path},
    row::Application,
};
use crate::http::problem::Problem;

/// The form of a block.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, &id, StatusCode::OK, &Form::default(), &Wrong::default()).await
}

async fn page(visit: &Visit, id: &str, status: StatusCode, form: &Form, wrong: &Wrong) -> Result<Response, Problem> {
    let row = read(visit, id).await?;
    // The page itself asks, and a preview changes nothing.
    let v1 = visit.v1.clone().with_csrf_token();
    let done = v1.change(Method::POST, &format!("{}/block?dry_run=true", path(id)), None, None).await?;
    let none = Preview { applications: 0, keys: 0, requests_last_day: 0 };
    let preview: Preview = serde_json::from_value(done.body).unwrap_or(none);
    let back = visit.at(&["applications", id]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &format!("{back}/block"),
        etag: row.etag.as_deref(),
        what: html! {
            p { "All requests of " strong { (name(row.title())) } " are refused, to every API, until somebody unblocks it. It concerns "
                strong { (counted(preview.keys, "key", "keys")) } " and the traffic of "
                strong { (number(preview.requests_last_day)) } " allowed requests in the last day." }
        },
        fields: html! {
            (Field::new("reason", "Reason", "For those who operate and audit. The subscriber does not see it.").lines(2, form, wrong))
            (Field::new("note", "Note to the subscriber", "Shown to the owner of the application.").lines(2, form, wrong))
        },
        button: "Block the application",
        back: &back,
        is_dangerous: true,
    };
    let title = format!("Block {}", row.title());
    Ok(visit.page_as(status, &title, &trail(visit, Some(&row)), confirm.body(wrong)))
}

async fn read(visit: &Visit, id: &str) -> Result<Application, Problem> {
    let row: Application = visit.v1.read(&path(id)).await?;
    match visit.may(Method::POST, BLOCK) {
        true => Ok(row),
        false => Err(Problem::new(StatusCode::FORBIDDEN, "your role does not allow it")),
    }
}

/// Blocks.
pub async fn block(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let order = json!({"reason": form.json("reason"), "note": form.json("note")});
    done(&visit, &id, "block", Some(&order), &form).await
}

async fn done(
    visit: &Visit,
    id: &str,
    what: &str,
    order: Option<&serde_json::Value>,
    form: &Form,
) -> Result<Response, Problem> {
    let path = format!("{}/{what}", path(id));
    match visit.v1.change(Method::POST, &path, order, Some(form.get("etag"))).await {
        Ok(done) => {
            let (said, revision) = (format!("{what}ed"), done.revision.to_string());
            Ok(see_other(&visit.at_with(&["applications", id], &[("said", &said), ("revision", &revision)])))
        }
        Err(problem) if what == "block" && is_in_form(&problem) => {
            page(visit, id, problem.status(), form, &Wrong::of(&problem, str::to_owned)).await
        }
        Err(problem) => Err(problem),
    }
}

/// The question before a block is lifted.
pub async fn ask_unblock(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row = read(&visit, &id).await?;
    let back = visit.at(&["applications", &id]);
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &format!("{back}/unblock"),
        etag: row.etag.as_deref(),
        what: html! {
            @match &row.block {
                Some(block) => {
                    p { "This lifts the block of " strong { (name(row.title())) } ". Blocks of single subscriptions stay." }
                    (facts(&facts_of_block(block)))
                }
                None => p { strong { (name(row.title())) } " is not blocked. Nothing would change." },
            }
        },
        fields: html! {},
        button: "Unblock the application",
        back: &back,
        is_dangerous: false,
    };
    let title = format!("Unblock {}", row.title());
    Ok(visit.page(&title, &trail(&visit, Some(&row)), confirm.body(&Wrong::default())))
}

/// Unblocks.
pub async fn unblock(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    done(&visit, &id, "unblock", None, &form).await
}
