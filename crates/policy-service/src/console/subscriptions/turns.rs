//! Unblocks, approves and rejects: each with a page that asks, for those who come from a link, and with one click elsewhere.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::Kind;
use maud::{Markup, html};
use serde_json::json;

use super::{
    super::{
        form::Form,
        parts::{
            confirm::Confirm,
            field::{Field, Wrong, hidden, is_in_form, status_of},
            table::facts,
        },
        rows::Subscription,
        said,
        visit::{Sent, Visit},
    },
    figures::find,
    moved::{self, Outcome},
    one::{facts_of, trail},
    route::path,
};
use crate::http::problem::Problem;

/// What is done, in the words of `/v1` and of the pages.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// The route, as the table of permissions names it, and its last part.
    route: &'static str,
    what: &'static str,
    title: &'static str,
    words: &'static str,
    said: &'static str,
    /// The label of the reason; none if there is none.
    reason: Option<(&'static str, &'static str)>,
    is_dangerous: bool,
}

const UNBLOCK: Turn = Turn {
    route: "/v1/subscriptions/{id}/unblock",
    what: "unblock",
    title: "Unblock",
    words: "Its block ends at once, a planned one too.",
    said: "unblocked",
    reason: Some(("Reason", "For the audit log; it may be empty.")),
    is_dangerous: false,
};
const APPROVAL: Turn = Turn {
    route: "/v1/subscriptions/{id}/approve",
    what: "approve",
    title: "Approve",
    words: "Its requests are let through from now on.",
    said: "approved",
    reason: None,
    is_dangerous: false,
};
const REJECTION: Turn = Turn {
    route: "/v1/subscriptions/{id}/reject",
    what: "reject",
    title: "Reject",
    words: "Its requests are refused then. It can be approved later all the same.",
    said: "rejected",
    reason: Some(("Reason", "For the audit log; it may be empty. The subscriber does not see it.")),
    is_dangerous: true,
};

pub async fn ask_unblock(id: Path<String>, visit: Visit) -> Result<Response, Problem> {
    ask(UNBLOCK, id, visit).await
}

pub async fn unblock(id: Path<String>, sent: Sent) -> Result<Response, Problem> {
    take(UNBLOCK, id, sent, |now| now.block.is_none()).await
}

pub async fn ask_approve(id: Path<String>, visit: Visit) -> Result<Response, Problem> {
    ask(APPROVAL, id, visit).await
}

pub async fn approve(id: Path<String>, sent: Sent) -> Result<Response, Problem> {
    take(APPROVAL, id, sent, |now| now.state() == "UNBLOCKED").await
}

pub async fn ask_reject(id: Path<String>, visit: Visit) -> Result<Response, Problem> {
    ask(REJECTION, id, visit).await
}

pub async fn reject(id: Path<String>, sent: Sent) -> Result<Response, Problem> {
    take(REJECTION, id, sent, |now| now.state() == "REJECTED").await
}

async fn ask(turn: Turn, Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    // Who does not see the subscription does not learn that there is one.
    let page = page(&visit, turn, &id, StatusCode::OK, &Form::default(), &Wrong::default(), None).await?;
    if visit.may(Method::POST, turn.route) { Ok(page) } else { Err(visit.refused()) }
}

async fn page(
    visit: &Visit,
    turn: Turn,
    id: &str,
    status: StatusCode,
    form: &Form,
    wrong: &Wrong,
    told: Option<Markup>,
) -> Result<Response, Problem> {
    let seen = find(visit, id).await?;
    let Turn { what, title, words, reason, is_dangerous, .. } = turn;
    // Somebody was faster, or the block has ended by itself.
    let is_over = what == UNBLOCK.what && seen.row.block.is_none();
    let words = if is_over { "It is not blocked, so there is nothing to end." } else { words };
    let (to, back) = (visit.at(&["subscriptions", id, what]), visit.at(&["subscriptions", id]));
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &to,
        etag: Some(seen.row.etag.as_deref().unwrap_or_default()),
        what: html! { p { (words) } (hidden("seen", &moved::seen(&seen.row))) },
        fields: html! { @if let Some((label, hint)) = reason { (Field::new("reason", label, hint).text(form, wrong)) } },
        button: title,
        back: &back,
        is_dangerous,
    };
    let body = html! {
        @if let Some(told) = told { (told) }
        div.columns {
            section aria-label=(title) { (confirm.body(wrong)) }
            section aria-label="The subscription" { (facts(&facts_of(visit, &seen, true))) }
        }
    };
    Ok(visit.page_as(status, &format!("{title} {}", seen.application()), &trail(visit, &seen, true, true), body))
}

fn is_missing(problem: Problem) -> bool {
    problem.status() == StatusCode::NOT_FOUND
}

async fn take(
    turn: Turn,
    Path(id): Path<String>,
    Sent { visit, form }: Sent,
    is_so: impl Fn(&Subscription) -> bool,
) -> Result<Response, Problem> {
    let body = match (turn.reason, form.get("reason")) {
        (Some(_), reason) if !reason.is_empty() => Some(json!({"reason": reason})),
        _ => None,
    };
    let seen_as = (form.get("etag"), form.get("seen"));
    match moved::change(&visit, &id, turn.what, body.as_ref(), seen_as).await {
        // What was deleted while it was blocked has no page any more.
        Ok(Outcome::Done(done)) if visit.v1.read::<Subscription>(&path(&id)).await.is_err_and(is_missing) => {
            Ok(said::in_list(&visit, &["subscriptions"], turn.said, &id, Some(done.revision)))
        }
        Ok(Outcome::Done(done)) => {
            said::done(&visit, &["subscriptions", &id], (Kind::Subscription, &id), turn.said, &done).await
        }
        Ok(Outcome::Moved(now)) if is_so(&now) => {
            said::as_it_was(&visit, &["subscriptions", &id], Kind::Subscription, &id).await
        }
        Ok(Outcome::Moved(now)) => {
            let told = Some(moved::told(form.get("seen"), &now));
            page(&visit, turn, &id, StatusCode::PRECONDITION_FAILED, &form, &Wrong::default(), told).await
        }
        Err(problem) if is_in_form(&problem) => {
            let wrong = Wrong::of(&problem, str::to_owned);
            page(&visit, turn, &id, status_of(&problem), &form, &wrong, None).await
        }
        Err(problem) => Err(problem),
    }
}
