//! A table of subscriptions, with what can be done to each.

use axum::http::Method;
use management::port::Role;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            field::hidden,
            table::{name, table},
            time::{hour, time},
        },
        rows::{Block, Subscription},
        visit::Visit,
    },
    figures::Seen,
    route::{APPROVE, BLOCK},
};

/// The table. On the page of an API its column would say the same in each row.
pub fn subscriptions(visit: &Visit, caption: &str, rows: &[Seen], has_api: bool) -> Markup {
    let columns: &[&str] = match has_api {
        true => &["Application", "Owner", "API", "State", "Plan", "Last use", ""],
        false => &["Application", "Owner", "State", "Plan", "Last use", ""],
    };
    let rows: Vec<Vec<Markup>> = rows
        .iter()
        .map(|seen| {
            let Seen { row, subscriber } = seen;
            let place = visit.at(&["subscriptions", &row.id]);
            let mut cells = vec![
                html! { a href=(place) { (name(seen.application())) }
                @if seen.application() != row.application() { br; code.hint { (name(row.application())) } } },
                html! { @match &subscriber.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } },
            ];
            if has_api {
                // A subscriber does not see an API that is not published any more, and its subscriptions stay.
                let has_page = visit.principal.role != Role::Subscriber;
                cells.push(html! { @if has_page { a href=(visit.at(&["apis", row.api()])) { (name(row.api())) } } @else { (name(row.api())) } });
            }
            cells.extend([
                state(row, visit.now),
                html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } },
                html! { @match subscriber.last_used { Some(at) => (hour(at)), None => span.none { "not known" } } },
                actions(visit, row, seen.application()),
            ]);
            cells
        })
        .collect();
    table(caption, columns, &rows)
}

/// The state, and when a block begins or ends.
pub fn state(row: &Subscription, now: i64) -> Markup {
    let block = row.block.as_ref();
    if let Some(next) = row.next_block(now) {
        return html! { (badge(row.state())) @if let Some(from) = next.from { br; span.hint { "until " (time(from)) ", then:" } br; (then(next)) } };
    }
    let begins = row.is_planned();
    html! {
        (badge(row.state()))
        @if row.deleted { " " (badge("deleted")) }
        @if row.is_planned() { " " (badge("planned")) }
        @if let Some(from) = block.and_then(|block| block.from).filter(|_| begins) { br; span.hint { "from " (time(from)) } }
        @if let Some(until) = block.and_then(|block| block.until) { br; span.hint { "until " (time(until)) } }
    }
}

/// A block that begins when another one ends.
pub fn then(next: &Block) -> Markup {
    html! {
        (badge(next.state.as_deref().unwrap_or("BLOCKED"))) br;
        span.hint { "until " @match next.until { Some(until) => (time(until)), None => "somebody unblocks it" } }
    }
}

/// What can be done: each is one click, or leads to a form.
fn actions(visit: &Visit, row: &Subscription, whose: &str) -> Markup {
    let (may_block, may_approve) = (visit.may(Method::POST, BLOCK), visit.may(Method::POST, APPROVE));
    let to = |what: &str| visit.at(&["subscriptions", &row.id, what]);
    let one_click = |what: &str, words: &str| {
        html! {
            form method="post" action=(to(what)) {
                (visit.frame.token()) (hidden("etag", row.etag.as_deref().unwrap_or_default()))
                (hidden("seen", &super::moved::seen(row)))
                button.small type="submit" { (words) span.unseen { " " (whose) } }
            }
        }
    };
    html! {
        div.tools {
            @if may_approve && row.state() == "ON_HOLD" {
                (one_click("approve", "Approve"))
                a.button.small href=(to("reject")) { "Reject" span.unseen { " " (whose) } }
            }
            @if may_approve && row.state() == "REJECTED" { (one_click("approve", "Approve")) }
            @if may_block && row.block.is_some() { (one_click("unblock", if row.is_planned() { "Cancel the plan" } else { "Unblock" })) }
            @else if may_block && !row.deleted { a.button.small href=(to("block")) { "Block" span.unseen { " " (whose) } } }
        }
    }
}
