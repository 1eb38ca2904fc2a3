//! The page of one subscription: whose it is, whether it is blocked and why, what can be done, the receipt of what was done,
//! and its requests.

use axum::{extract::Path, http::Method, response::Response};
use management::port::Kind;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::badge,
            field::{Wrong, hidden},
            table::{facts, name},
            time::{hour, time, time_or},
        },
        rows::Block,
        said, usage,
        visit::Visit,
    },
    around::{Around, around, blocked_beside},
    figures::{Seen, find},
    form::{self, Concerned, first},
    moved,
    route::{APPROVE, BLOCK},
    table::state,
};
use crate::http::problem::Problem;

/// The page.
pub async fn page(Path(id): Path<String>, mut visit: Visit) -> Result<Response, Problem> {
    let seen = find(&visit, &id).await?;
    let now = visit.now;
    let holds = |word: &str| match word {
        "blocked" => seen.row.is_blocked(),
        "planned" => seen.row.is_planned() || seen.row.next_block(now).is_some(),
        _ => true,
    };
    let receipt = said::of_row(&mut visit, &["subscriptions", &id], Kind::Subscription, &id, holds).await?;
    let row = &seen.row;
    let (may_block, may_approve) = (visit.may(Method::POST, BLOCK), visit.may(Method::POST, APPROVE));
    let can_block = may_block && row.block.is_none() && !row.deleted;
    let concerned = if can_block { Some(Concerned::read(&visit, &id).await?) } else { None };
    let Around { panels, has_api } = around(&visit, row).await?;
    let waits = if may_approve {
        waits(&visit, &seen).await?
    } else {
        html! {}
    };
    let usage = usage::of_subscription(&visit, row.application(), row.api()).await?;
    let may_change = visit.may(Method::PUT, "/v1/subscriptions/{id}")
        && !row.deleted
        && visit.owns(seen.subscriber.owner.as_deref());
    let body = html! {
        @if may_change {
            div.tools {
                @if has_api { a.button href=(visit.at(&["subscriptions", &id, "plan"])) { "Change the plan" } }
                a.button.danger href=(visit.at(&["subscriptions", &id, "end"])) { "End the subscription …" }
            }
        }
        (waits)
        (panels)
        div.columns {
            @if let Some(block) = &row.block { (blocked(&visit, &seen, block, may_block)) }
            @if !receipt.0.is_empty() { (receipt) }
            (facts(&facts_of(&visit, &seen, has_api)))
            @if let Some(concerned) = &concerned {
                section.panel aria-labelledby="block-title" {
                    h2 #block-title { "Block" }
                    (form::block(&visit, row, concerned, &first(row, visit.now), &Wrong::default()))
                }
            }
        }
        (usage)
    };
    Ok(visit.page(&format!("{} at {}", seen.application(), row.api()), &trail(&visit, &seen, has_api, false), body))
}

fn one_click(visit: &Visit, seen: &Seen, what: &str, words: &str, class: &str) -> Markup {
    html! {
        form method="post" action=(visit.at(&["subscriptions", &seen.row.id, what])) {
            (visit.frame.token()) (hidden("etag", seen.row.etag.as_deref().unwrap_or_default()))
            (hidden("seen", &moved::seen(&seen.row)))
            button class=(class) type="submit" { (words) }
        }
    }
}

/// What the publisher decides: of a subscription that waits, and of one that was rejected.
async fn waits(visit: &Visit, seen: &Seen) -> Result<Markup, Problem> {
    let (title, is_open) = match seen.row.state() {
        "ON_HOLD" => ("It waits for your approval", true),
        "REJECTED" => ("It is rejected", false),
        _ => return Ok(html! {}),
    };
    let blocked = blocked_beside(visit, seen).await?;
    Ok(html! {
        section.panel aria-labelledby="waits-title" {
            h2 #waits-title { (title) }
            p { "Its requests are refused until you approve it." }
            @if !blocked.is_empty() {
                p.warn { "The same owner is blocked at this API, or a block is planned: "
                    @for (number, other) in blocked.iter().enumerate() {
                        @if number > 0 { ", " } a href=(visit.at(&["subscriptions", &other.id])) { (name(other.application())) }
                    }
                    ". If you approve this one, the owner gets in again." }
            }
            div.tools {
                (one_click(visit, seen, "approve", "Approve", "main"))
                @if is_open { a.button href=(visit.at(&["subscriptions", &seen.row.id, "reject"])) { "Reject …" } }
            }
        }
    })
}

fn blocked(visit: &Visit, seen: &Seen, block: &Block, may_block: bool) -> Markup {
    let Block { by, at, reason, note, from, until, .. } = block;
    let row = &seen.row;
    let what = if row.next_block(visit.now).is_some() { "Then" } else { "What" };
    let mut said: Vec<(&str, Markup)> = vec![(what, badge(block.state.as_deref().unwrap_or_default()))];
    if let Some(by) = by {
        said.push(("By", name(by)));
    }
    if let Some(at) = at {
        said.push(("Ordered", time(*at)));
    }
    if let Some(from) = from.filter(|_| !row.deleted) {
        said.push(("Begins", time(from)));
    }
    said.push(("Until", time_or(*until, "somebody unblocks it")));
    if let Some(reason) = reason {
        said.push(("Reason", name(reason)));
    }
    if let Some(note) = note {
        said.push(("Note to the subscriber", name(note)));
    }
    html! {
        section.panel aria-labelledby="blocked-title" {
            h2 #blocked-title {
                @if row.deleted { "It was deleted, and its block is kept" }
                @else if row.is_planned() { "A block is planned" }
                @else if row.next_block(visit.now).is_some() { "It is blocked until another block begins" }
                @else { "It is blocked" }
            }
            @if row.deleted {
                p { "All requests of the application to this API are refused, and it cannot subscribe again until the block ends or somebody \
                    unblocks it." }
            }
            (facts(&said))
            @if let Some(before) = block.before.as_deref().filter(|_| !row.deleted) {
                p { "When the block is over, it is " (badge(before)) " again." }
            }
            @if may_block {
                div.tools.actions {
                    (one_click(visit, seen, "unblock", if row.is_planned() { "Cancel the plan" } else { "Unblock" }, "main"))
                    a.button href=(visit.at(&["subscriptions", &row.id, "block"])) { "Change the block …" }
                }
            }
        }
    }
}

/// What is known of a subscription. `has_api`: whether the person sees its API.
pub fn facts_of(visit: &Visit, seen: &Seen, has_api: bool) -> Vec<(&'static str, Markup)> {
    let Seen { row, subscriber } = seen;
    let mut facts = vec![
        (
            "Application",
            html! { (name(seen.application())) @if seen.application() != row.application() { " " code { (name(row.application())) } } },
        ),
        ("Owner", html! { @match &subscriber.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } }),
        (
            "API",
            html! { @if has_api { a href=(visit.at(&["apis", row.api()])) { (name(row.api())) } } @else { (name(row.api())) } },
        ),
        ("State", state(row, visit.now)),
        ("Plan", html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } }),
        (
            "Last use",
            html! { @match subscriber.last_used { Some(at) => { "the hour from " (hour(at)) } None => span.none { "not known" } } },
        ),
        ("Subscription", html! { code { (name(&row.id)) } }),
    ];
    if let Some(until) = row.used_up_until {
        facts.push(("Plan used up until", time(until)));
    }
    facts
}

/// The way to the page: over the API, if the person sees it.
pub fn trail<'s>(visit: &Visit, seen: &'s Seen, has_api: bool, with_itself: bool) -> Vec<(&'s str, String)> {
    let mut trail = match has_api {
        true => vec![("APIs", visit.at(&["apis"])), (seen.row.api(), visit.at(&["apis", seen.row.api()]))],
        false => vec![("Subscriptions", visit.at(&["subscriptions"]))],
    };
    if with_itself {
        trail.push((seen.application(), visit.at(&["subscriptions", &seen.row.id])));
    }
    trail
}
