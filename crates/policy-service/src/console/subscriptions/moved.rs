//! Two people who click at once: what one of them saw, and what it is now.
//!
//! A form carries the version of the row that its person saw. If the row is another one when the form arrives, nothing is
//! changed, and the person reads what it was and what it is. Only if nothing that concerns blocks and approvals changed (a
//! plan was used up, say) and the whole record of the block is as it was, the form is carried out on the new version.

use axum::http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::{
    parts::{badge::words, table::name, time::time},
    rows::{Block, Subscription},
    v1::Done,
    visit::Visit,
};
use super::route::path;
use crate::{hexadecimal::short_name, http::problem::Problem};

/// What a form remembers of the row that its person saw.
pub fn seen(row: &Subscription) -> String {
    let Block { state, by, at, reason, note, from, until, before: _ } = row.block.clone().unwrap_or_default();
    // Two changes of one second by one person differ in what they order.
    let whole = json!([state, by, at, reason, note, from, until, row.block.is_some()]).to_string();
    format!("{}|{}", row.state(), short_name(&Sha256::digest(whole.as_bytes())))
}

/// How a change went.
#[derive(Debug)]
pub enum Outcome {
    /// It was made.
    Done(Done),
    /// Somebody else was faster; the row as it is now.
    Moved(Box<Subscription>),
}

/// Changes a subscription that the person saw as `etag` and `seen` say.
pub async fn change(
    visit: &Visit,
    id: &str,
    what: &str,
    body: Option<&Value>,
    (etag, seen_as): (&str, &str),
) -> Result<Outcome, Problem> {
    let route = format!("{}/{what}", path(id));
    let etag = Some(etag).filter(|etag| !etag.is_empty());
    match visit.v1.change(Method::POST, &route, body, etag).await {
        Ok(done) => return Ok(Outcome::Done(done)),
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {}
        Err(problem) => return Err(problem),
    }
    let now: Subscription = visit.v1.read(&path(id)).await?;
    if seen(&now) != seen_as {
        return Ok(Outcome::Moved(Box::new(now)));
    }
    match visit.v1.change(Method::POST, &route, body, now.etag.as_deref()).await {
        Ok(done) => Ok(Outcome::Done(done)),
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            Ok(Outcome::Moved(Box::new(visit.v1.read(&path(id)).await?)))
        }
        Err(problem) => Err(problem),
    }
}

/// What changed, in words.
pub fn told(seen_as: &str, now: &Subscription) -> Markup {
    let was = seen_as.split('|').next().unwrap_or_default();
    let block = now.block.as_ref();
    let (from, until) = (block.and_then(|block| block.from), block.and_then(|block| block.until));
    html! {
        div.alert role="alert" tabindex="-1" data-focus="" {
            p { strong { "This was changed meanwhile, so your form changed nothing." } " Somebody else changed it, you did in another window, "
                "or a block has begun or ended." }
            p { "When you opened the form it was: " strong { (words(was)) } ". Now it is: " strong { (words(now.state())) }
                @if now.is_planned() { ", with " strong { "a block planned" } @if let Some(from) = from { " from " (time(from)) } }
                @if let Some(until) = until { ", until " (time(until)) }
                @if let Some(by) = block.and_then(|block| block.by.as_deref()) { ", by " (name(by)) }
                @if let Some(at) = block.and_then(|block| block.at) { @if now.is_planned() { ", ordered " } @else { ", since " } (time(at)) }
                @if let Some(reason) = block.and_then(|block| block.reason.as_deref()) { ", because: " (name(reason)) }
                "." }
            p { "If you still want it, send the form again." }
        }
    }
}
