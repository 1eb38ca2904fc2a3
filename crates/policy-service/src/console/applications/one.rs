//! The page of one application: its block, its keys, its subscriptions and its requests.

use axum::{extract::Path, http::Method, response::Response};
use management::port::Kind;
use maud::{Markup, html};

use super::{
    super::{
        keys::{row::Key, table::table as table_of_keys},
        parts::{
            badge::badge,
            field::hidden,
            listed::{Asked, Listed, ROWS},
            table::{counted, empty, facts, name, table},
            time::{time, time_or},
        },
        rows::{Block, List, Subscription},
        said,
        subscriptions::table::then,
        visit::Visit,
    },
    route::{BLOCK, CHANGE, ISSUE, path},
    row::Application,
};
use crate::{http::problem::Problem, web::place::query};

/// Subscriptions that the page shows.
const SUBSCRIPTIONS: &str = "100";

/// The page.
pub async fn page(Path(id): Path<String>, mut visit: Visit) -> Result<Response, Problem> {
    let row: Application = visit.v1.read(&path(&id)).await?;
    let receipt = said::of_row(&mut visit, &["applications", &id], Kind::Application, &id, |_| true).await?;
    let may_change = visit.may(Method::PUT, CHANGE) && visit.owns(row.owner.as_deref()) && !row.deleted;
    let may_block = visit.may(Method::POST, BLOCK);
    let to = |what: &str| visit.at(&["applications", &id, what]);
    let body = html! {
        div.tools {
            @if may_change {
                a.button href=(to("edit")) { "Edit" }
                a.button.danger href=(to("delete")) { "Delete …" }
            }
            @if may_block && !row.is_blocked() { a.button.danger href=(to("block")) { "Block …" } }
        }
        (receipt)
        @if let Some(block) = &row.block { (blocked(&visit, &row, block, may_block)) }
        (facts(&facts_of(&row)))
        (of_keys(&visit, &row).await?)
        (of_subscriptions(&visit, &row).await?)
        p { a href=(visit.at_with(&["usage"], &[("application", &id)])) { "Requests of this application over time" } }
    };
    Ok(visit.page(row.title(), &trail(&visit, None), body))
}

/// The way to the page of an application, and to one behind it.
pub fn trail(visit: &Visit, behind: Option<&Application>) -> Vec<(&'static str, String)> {
    let mut trail = vec![("Applications", visit.at(&["applications"]))];
    trail.extend(behind.map(|row| ("Application", visit.at(&["applications", &row.id]))));
    trail
}

/// What is known of an application.
pub fn facts_of(row: &Application) -> Vec<(&'static str, Markup)> {
    let mut facts = vec![
        ("Id", html! { code { (name(&row.id)) } }),
        ("State", html! { (badge(row.state())) @if row.deleted { " " (badge("deleted")) } }),
        ("Plan", html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } }),
        ("Owner", html! { @match &row.owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } }),
    ];
    if let Some(until) = row.used_up_until {
        facts.push(("Plan used up until", time(until)));
    }
    facts
}

fn blocked(visit: &Visit, row: &Application, block: &Block, may_block: bool) -> Markup {
    html! {
        section.panel aria-labelledby="blocked-title" {
            h2 #blocked-title { "It is blocked" }
            p { "All requests with a key of this application are refused, to every API." }
            @if is_bare(block) {
                p.hint { "Nothing is recorded of the block. The application was imported so, or it was made while another one of its owner was \
                    blocked. It stays blocked when that one is unblocked." }
            }
            (facts(&facts_of_block(block)))
            @if may_block {
                form method="post" action=(visit.at(&["applications", &row.id, "unblock"])) {
                    (visit.frame.token()) (hidden("etag", row.etag()))
                    p.actions { button.main type="submit" { "Unblock" } }
                }
            }
        }
    }
}

/// Whether nothing is recorded of a block but that it is there.
fn is_bare(block: &Block) -> bool {
    block.at.is_none() && block.by.is_none() && block.reason.is_none() && block.note.is_none()
}

/// What is known of a block, as far as the person may see it.
pub fn facts_of_block(block: &Block) -> Vec<(&'static str, Markup)> {
    let mut facts = vec![
        ("Since", time_or(block.from.or(block.at), "not recorded")),
        ("Until", time_or(block.until, "somebody unblocks it")),
    ];
    let texts = [("Note", &block.note), ("Reason", &block.reason), ("By", &block.by)];
    facts.extend(texts.into_iter().filter_map(|(words, text)| Some((words, name(text.as_deref()?)))));
    facts
}

async fn of_keys(visit: &Visit, row: &Application) -> Result<Markup, Problem> {
    let asked = Asked { path: "/v1/keys", sort: "id", filters: &[("application", &row.id)], rows: ROWS };
    let list = Listed::<Key>::read(visit, asked).await?;
    let may_issue = visit.may(Method::POST, ISSUE) && visit.owns(row.owner.as_deref()) && !row.deleted;
    let (here, make) = (visit.at(&["applications", &row.id]), visit.at(&["applications", &row.id, "new-key"]));
    Ok(html! {
        section aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            @if list.is_empty() {
                (empty("This application has no key yet. A request carries a key, and gateways know the application by it.",
                    may_issue.then(|| ("Make the first key", make.clone()))))
            } @else {
                @if may_issue { p.tools { a.button href=(make) { "New key" } } }
                (table_of_keys(visit, "Keys", &list.items))
                (list.pages(&here, &[], "key", "keys"))
            }
        }
    })
}

async fn of_subscriptions(visit: &Visit, row: &Application) -> Result<Markup, Problem> {
    let asked = query(&[("application", row.id.as_str()), ("limit", SUBSCRIPTIONS)]);
    let list: List<Subscription> = visit.v1.read(&format!("/v1/subscriptions{asked}")).await?;
    let total = list.total.unwrap_or_default();
    let may_subscribe =
        visit.may(Method::POST, "/v1/subscriptions") && visit.owns(row.owner.as_deref()) && !row.deleted;
    let catalogue = visit.at_with(&["catalogue"], &[("application", &row.id)]);
    let rows: Vec<Vec<Markup>> = list.items.iter().map(|one| subscription(visit, one)).collect();
    Ok(html! {
        section aria-labelledby="subscriptions-title" {
            h2 #subscriptions-title { "Subscriptions" }
            @if rows.is_empty() {
                (empty("This application subscribes to no API yet, so it can use none that needs a subscription.",
                    may_subscribe.then(|| ("Find an API", catalogue.clone()))))
            } @else {
                @if may_subscribe { p.tools { a.button href=(catalogue) { "Subscribe to an API" } } }
                (table("Subscriptions", &["API", "State", "Plan", "Since", "Until", "Note"], &rows))
                @if total > u64::try_from(rows.len()).unwrap_or(u64::MAX) {
                    p { a href=(visit.at_with(&["subscriptions"], &[("q", &row.id)])) { "All " (counted(total, "subscription", "subscriptions")) } }
                }
            }
        }
    })
}

fn subscription(visit: &Visit, row: &Subscription) -> Vec<Markup> {
    let block = row.block.as_ref();
    vec![
        html! { a href=(visit.at(&["subscriptions", &row.id])) { (name(row.api())) } },
        html! { (badge(row.state())) @if row.deleted { " " (badge("deleted")) } @if row.is_planned() { " " (badge("planned")) } },
        html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } },
        time_or(row.since(visit.now), "–"),
        match row.next_block(visit.now) {
            Some(next) => html! { (time_or(next.from, "–")) ", then:" br; (then(next)) },
            None => time_or(block.and_then(|block| block.until), "–"),
        },
        html! { @match block.and_then(|block| block.note.as_deref()) { Some(note) => (name(note)), None => span.none { "–" } } },
    ]
}
