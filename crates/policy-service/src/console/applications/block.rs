//! Blocks an application, for all APIs, and unblocks it.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::Kind;
use maud::html;
use serde_json::{Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            confirm::Confirm,
            field::{Field, Wrong, is_in_form},
            table::{counted, facts, name},
        },
        rows::{Block, Preview},
        said,
        visit::{Sent, Visit},
    },
    one::{facts_of_block, trail},
    route::{BLOCK, path},
    row::Application,
};
use crate::http::problem::Problem;

/// The form of a block.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row = read(&visit, &id).await?;
    page(&visit, &row, StatusCode::OK, &first(&row), &Wrong::default()).await
}

/// The form as it is at first. A change replaces the reason and the note of a block that is there.
fn first(row: &Application) -> Form {
    let Block { reason, note, .. } = row.block.clone().unwrap_or_default();
    Form::default().with("reason", reason.unwrap_or_default()).with("note", note.unwrap_or_default())
}

async fn page(
    visit: &Visit,
    row: &Application,
    status: StatusCode,
    form: &Form,
    wrong: &Wrong,
) -> Result<Response, Problem> {
    let id = row.id.as_str();
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
                strong { (counted(preview.requests_last_day, "allowed request", "allowed requests")) } " in the last day." }
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
    Ok(visit.page_as(status, &title, &trail(visit, Some(row)), confirm.body(wrong)))
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

async fn done(visit: &Visit, id: &str, what: &str, order: Option<&Value>, form: &Form) -> Result<Response, Problem> {
    let path = format!("{}/{what}", path(id));
    let problem = match visit.v1.change(Method::POST, &path, order, Some(form.get("etag"))).await {
        Ok(done) => {
            let (here, word) = (["applications", id], format!("{what}ed"));
            return said::done(visit, &here, (Kind::Application, id), &word, &done).await;
        }
        Err(problem) => problem,
    };
    let wrong = match problem.status() {
        StatusCode::PRECONDITION_FAILED => {
            let now = read(visit, id).await?;
            if is_so(&now, order) {
                return said::as_it_was(visit, &["applications", id], Kind::Application, id).await;
            }
            Wrong::new("", &moved(&now))
        }
        _ if what == "block" && is_in_form(&problem) => Wrong::of(&problem, str::to_owned),
        _ => return Err(problem),
    };
    let row = read(visit, id).await?;
    match what {
        "block" => page(visit, &row, problem.status(), form, &wrong).await,
        _ => Ok(page_unblock(visit, &row, problem.status(), &wrong)),
    }
}

/// Whether the application is already what was asked for: two people, or two clicks, that meant the same.
fn is_so(now: &Application, order: Option<&Value>) -> bool {
    match (&now.block, order) {
        (None, None) => true,
        (Some(block), Some(order)) => {
            let text = |name: &str| order.get(name).and_then(Value::as_str);
            block.reason.as_deref() == text("reason") && block.note.as_deref() == text("note")
        }
        _ => false,
    }
}

/// What somebody else made of it.
fn moved(now: &Application) -> String {
    let Some(block) = &now.block else {
        return "The application was changed meanwhile. It is not blocked now.".to_owned();
    };
    let because = block.reason.as_ref().map(|reason| format!(", because: {reason}")).unwrap_or_default();
    let by = block.by.as_deref().unwrap_or("somebody else");
    format!("It was changed meanwhile. Now it is blocked, by {by}{because}.")
}

/// The question before a block is lifted.
pub async fn ask_unblock(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row = read(&visit, &id).await?;
    Ok(page_unblock(&visit, &row, StatusCode::OK, &Wrong::default()))
}

fn page_unblock(visit: &Visit, row: &Application, status: StatusCode, wrong: &Wrong) -> Response {
    let back = visit.at(&["applications", &row.id]);
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
    visit.page_as(status, &title, &trail(visit, Some(row)), confirm.body(wrong))
}

/// Unblocks.
pub async fn unblock(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    done(&visit, &id, "unblock", None, &form).await
}
