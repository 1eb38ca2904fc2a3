//! The start page of a subscriber: what is blocked first, then keys that end soon, then what waits, and the applications.

use std::collections::HashMap;

use axum::response::Response;
use maud::{Markup, html};

use super::{
    applications::{Application, applications, named},
    keys::{self, Key},
    parts::{
        badge::badge,
        listed::{Asked, Listed},
        table::{counted, empty, facts, name},
        time::time_or,
    },
    rows::{Block, List, Subscription},
    subscriptions::table::then,
    visit::Visit,
};
use crate::{http::problem::Problem, web::place::query};

/// Subscriptions of each state that the page shows.
const SHOWN: usize = 50;
/// Keys that the page looks through for those that end soon.
const KEYS: usize = 1_000;
/// Applications that the page shows.
const APPLICATIONS: usize = 20;

/// What a subscriber has, as far as the page shows it.
struct Mine {
    blocked: Vec<Subscription>,
    planned: Vec<Subscription>,
    blocked_applications: Vec<Application>,
    waiting: Vec<Subscription>,
    rejected: Vec<Subscription>,
    ending: Vec<Key>,
    names: HashMap<String, String>,
}

impl Mine {
    async fn read(visit: &Visit) -> Result<Self, Problem> {
        let in_state = async |state: &str| {
            let asked = query(&[("state", state), ("limit", &SHOWN.to_string())]);
            Ok::<_, Problem>(visit.v1.read::<List<Subscription>>(&format!("/v1/subscriptions{asked}")).await?.items)
        };
        let mut blocked = in_state("BLOCKED").await?;
        blocked.extend(in_state("PROD_ONLY_BLOCKED").await?);
        let asked = query(&[("planned", "true"), ("limit", &SHOWN.to_string())]);
        let mut planned = visit.v1.read::<List<Subscription>>(&format!("/v1/subscriptions{asked}")).await?.items;
        planned.retain(Subscription::is_planned);
        let asked = query(&[("state", "BLOCKED"), ("limit", &SHOWN.to_string())]);
        let blocked_applications = visit.v1.read::<List<Application>>(&format!("/v1/applications{asked}")).await?.items;
        let asked = query(&[("state", "ACTIVE"), ("limit", &KEYS.to_string())]);
        let mut ending = visit.v1.read::<List<Key>>(&format!("/v1/keys{asked}")).await?.items;
        ending.retain(|key| key.ends_soon(visit.now));
        ending.sort_by_key(|key| key.expires_at);
        ending.truncate(SHOWN);
        let (waiting, rejected) = (in_state("ON_HOLD").await?, in_state("REJECTED").await?);
        let names = named(visit).await?;
        Ok(Self { blocked, planned, blocked_applications, waiting, rejected, ending, names })
    }

    fn named<'m>(&'m self, id: &'m str) -> &'m str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn has_blocks(&self) -> bool {
        !(self.blocked.is_empty() && self.planned.is_empty() && self.blocked_applications.is_empty())
    }
}

/// The page.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let mine = Mine::read(&visit).await?;
    let asked = Asked { path: "/v1/applications", sort: "id", filters: &[], rows: APPLICATIONS };
    let list = Listed::<Application>::read(&visit, asked).await?;
    let body = html! {
        @if mine.has_blocks() { (blocks(&visit, &mine)) }
        @if !mine.ending.is_empty() {
            section aria-labelledby="ending-title" {
                h2 #ending-title { "Keys that end soon" }
                (keys::ends_soon(&visit, &mine.ending, &mine.names))
            }
        }
        (waiting(&visit, &mine))
        (own(&visit, &list))
    };
    Ok(visit.page("Start", &[], body))
}

fn blocks(visit: &Visit, mine: &Mine) -> Markup {
    let none = Block::default();
    html! {
        section.panel.blocks aria-labelledby="blocks-title" {
            h2 #blocks-title { "What is blocked" }
            ul.plain {
                @for row in &mine.blocked_applications {
                    li {
                        p { (badge("BLOCKED")) " " a href=(visit.at(&["applications", &row.id])) { (name(row.title())) } ", for every API" }
                        (told(row.block.as_ref().unwrap_or(&none), row.block.as_ref().and_then(|block| block.from.or(block.at)), false))
                    }
                }
                @for row in mine.blocked.iter().chain(&mine.planned) {
                    li {
                        p { @if row.is_planned() { (badge("planned")) } @else { (badge(row.state())) } " "
                            a href=(visit.at(&["subscriptions", &row.id])) { (name(mine.named(row.application()))) " at " (name(row.api())) }
                            @if row.deleted { " " (badge("deleted")) } }
                        @match row.next_block(visit.now) {
                            Some(next) => (followed(next)),
                            None => (told(row.block.as_ref().unwrap_or(&none), row.since(visit.now), row.is_planned())),
                        }
                    }
                }
            }
            @if mine.blocked.len() >= SHOWN {
                p { a href=(visit.at_with(&["subscriptions"], &[("state", "BLOCKED")])) { "All blocked subscriptions" } }
            }
            p.hint { "Requests that are blocked are refused. Ask the publisher of the API, or those who run this service." }
        }
    }
}

/// Since when, until when, and what the subscriber is told.
fn told(block: &Block, since: Option<i64>, is_planned: bool) -> Markup {
    html! {
        (facts(&[
            (if is_planned { "Begins" } else { "Since" }, time_or(since, "not recorded")),
            ("Until", time_or(block.until, "somebody unblocks it")),
            ("Note", html! { @match &block.note { Some(note) => (name(note)), None => span.none { "none" } } }),
        ]))
    }
}

/// The same for a block after which another one begins. The record is that of the other one.
fn followed(next: &Block) -> Markup {
    html! {
        (facts(&[
            ("Since", html! { span.none { "not recorded" } }),
            ("Until", time_or(next.from, "not recorded")),
            ("Then", then(next)),
            ("Note", html! { @match &next.note { Some(note) => (name(note)), None => span.none { "none" } } }),
        ]))
    }
}

fn waiting(visit: &Visit, mine: &Mine) -> Markup {
    let item = |row: &Subscription, words: &str| {
        html! {
            li { (badge(row.state())) " " a href=(visit.at(&["subscriptions", &row.id])) { (name(mine.named(row.application()))) " at " (name(row.api())) }
                ": " (words) }
        }
    };
    html! {
        @if !mine.waiting.is_empty() || !mine.rejected.is_empty() {
            section.panel aria-labelledby="waiting-title" {
                h2 #waiting-title { "Approval" }
                ul.plain {
                    @for row in &mine.waiting { (item(row, "the publisher of the API has not decided yet, and requests are refused until then.")) }
                    @for row in &mine.rejected { (item(row, "the publisher of the API refused it. End the subscription, or ask the publisher.")) }
                }
            }
        }
    }
}

fn own(visit: &Visit, list: &Listed<Application>) -> Markup {
    let (make, catalogue) = (visit.at(&["new", "application"]), visit.at(&["catalogue"]));
    html! {
        section aria-labelledby="applications-title" {
            h2 #applications-title { "Your applications" }
            @if list.is_empty() {
                (empty("You have no application yet. Make one first: it has keys, and it subscribes to APIs.",
                    Some(("Make the first application", make))))
            } @else {
                p.tools { a.button href=(make) { "New application" } a.button href=(catalogue) { "Find an API" } }
                (applications(visit, "Your applications", &list.items))
                p { a href=(visit.at(&["applications"])) { "All " (counted(list.total, "application", "applications")) } }
            }
        }
    }
}
