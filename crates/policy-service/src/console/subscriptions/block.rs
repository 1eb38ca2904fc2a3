//! Blocks a subscription: the form, and what follows when it is sent.

use axum::{extract::Path, http::StatusCode, response::Response};
use management::port::Kind;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    super::{
        form::Form,
        parts::{
            field::{Wrong, is_in_form, status_of},
            table::facts,
        },
        rows::{Block, Subscription},
        said,
        visit::{Sent, Visit},
        when,
    },
    figures::{Seen, find},
    form::{self, Concerned, first, ordered},
    moved::{self, Outcome},
    one::{facts_of, trail},
};
use crate::http::problem::Problem;

/// The page with the form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let seen = find(&visit, &id).await?;
    let concerned = Concerned::read(&visit, &id).await?;
    let form = first(&seen.row, visit.now);
    Ok(page(&visit, StatusCode::OK, &seen, &concerned, &form, &Wrong::default(), html! {}))
}

fn page(
    visit: &Visit,
    status: StatusCode,
    seen: &Seen,
    concerned: &Concerned,
    form: &Form,
    wrong: &Wrong,
    told: Markup,
) -> Response {
    let title = match seen.row.block {
        Some(_) => format!("Change the block of {} at {}", seen.application(), seen.row.api()),
        None => format!("Block {} at {}", seen.application(), seen.row.api()),
    };
    let body = html! {
        (told)
        (wrong.summary())
        div.columns {
            section.panel aria-label="The block" { (form::block(visit, &seen.row, concerned, form, wrong)) }
            section aria-label="The subscription" { (facts(&facts_of(visit, seen, true))) }
        }
    };
    visit.page_as(status, &title, &trail(visit, seen, true, true), body)
}

/// Blocks.
pub async fn block(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    // A beginning that has passed can be ordered by nobody, and what has begun needs none.
    let form = if is_past(&form, visit.now) { form.with("from", "").with("from_at", "") } else { form };
    let order = match ordered(&form, visit.now) {
        Ok(order) => order,
        Err(wrong) => return again(&visit, &id, &form, StatusCode::UNPROCESSABLE_ENTITY, &wrong, None).await,
    };
    let seen_as = (form.get("etag"), form.get("seen"));
    match moved::change(&visit, &id, "block", Some(&order), seen_as).await {
        Ok(Outcome::Done(done)) => {
            let word = if is_later(&order, visit.now) { "planned" } else { "blocked" };
            said::done(&visit, &["subscriptions", &id], (Kind::Subscription, &id), word, &done).await
        }
        // Two people blocked at once, and both meant the same.
        Ok(Outcome::Moved(now)) if is_so(&now, &order) => {
            said::as_it_was(&visit, &["subscriptions", &id], Kind::Subscription, &id).await
        }
        Ok(Outcome::Moved(now)) => {
            again(&visit, &id, &form, StatusCode::PRECONDITION_FAILED, &Wrong::default(), Some(&now)).await
        }
        Err(problem) if is_in_form(&problem) => {
            let wrong = Wrong::of(&problem, str::to_owned);
            again(&visit, &id, &form, status_of(&problem), &wrong, None).await
        }
        Err(problem) => Err(problem),
    }
}

/// The form again, with what was typed.
async fn again(
    visit: &Visit,
    id: &str,
    form: &Form,
    status: StatusCode,
    wrong: &Wrong,
    now: Option<&Subscription>,
) -> Result<Response, Problem> {
    let seen = find(visit, id).await?;
    let concerned = Concerned::read(visit, id).await?;
    let told = html! { @if let Some(now) = now { (moved::told(form.get("seen"), now)) } };
    Ok(page(visit, status, &seen, &concerned, form, wrong, told))
}

/// Whether the form has the beginning that was there when it was opened, and that is past now.
fn is_past(form: &Form, now: i64) -> bool {
    matches!(when::moment(form, "from"), Ok(Some(from)) if from <= now) && !when::is_typed(form, "from")
}

fn is_later(order: &Value, now: i64) -> bool {
    order.get("from").and_then(Value::as_i64).is_some_and(|from| from > now)
}

/// Whether the block is what the order asks for already.
fn is_so(row: &Subscription, order: &Value) -> bool {
    let Some(Block { state, reason, note, from, until, .. }) = &row.block else { return false };
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let time = |name: &str| order.get(name).and_then(Value::as_i64);
    // The same preset, chosen a moment later, ends a moment later.
    let is_near = |one: Option<i64>, other: Option<i64>| match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) <= 60,
        (one, other) => one == other,
    };
    state.as_deref() == text("state")
        && reason.as_deref() == text("reason")
        && note.as_deref() == text("note")
        && *from == time("from")
        && is_near(*until, time("until"))
}
