//! The list of gateways. It asks for itself again every two seconds, and says by a polite live region what changed.

use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use management::port::audit::Subject;
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        parts::{
            badge::badge,
            field::{Field, Wrong},
            late::late,
            table::{counted, empty, name, number, table},
            time::time,
        },
        rows::List,
        said,
        visit::Visit,
    },
    row::Gateway,
};
use crate::{hexadecimal::short_name, http::problem::Problem, web::place::query};

/// Gateways of a page.
const ROWS: &str = "50";
const REMOVE: &str = "/v1/gateways/{id}";

/// The list, or the part of it that changes.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    // A gateway has no etag, since it is what was heard.
    let find = async |visit: &Visit, id: &str| {
        let found = visit.v1.find("/v1/gateways", |one: &Gateway| one.id == id).await?;
        Ok(found.map(|_| String::new()))
    };
    said::beside_policy(&mut visit, Subject::Gateway, find).await?;
    let (q, state) = (visit.asked.get("q"), visit.asked.get("state"));
    let filters = [("q", q), ("state", state)];
    let paging = [("sort", "instance"), ("limit", ROWS), ("cursor", visit.asked.get("cursor"))];
    let pairs: Vec<_> = filters.iter().chain(&paging).copied().collect();
    let (list, wrong): (List<Gateway>, _) = match visit.v1.read(&format!("/v1/gateways{}", query(&pairs))).await {
        Ok(list) => (list, Wrong::default()),
        Err(problem) if matches!(problem.wrong_field(), Some("q" | "state")) => {
            (List { items: Vec::new(), next: None, total: None }, Wrong::of(&problem, str::to_owned))
        }
        Err(problem) => return Err(problem),
    };
    let figures = Figures::read(&visit).await?;
    let is_filtered = filters.iter().any(|(_, value)| !value.is_empty());
    let shown = html! {
        (figures.told())
        @if list.items.is_empty() && is_filtered {
            (empty("No gateway fits the filter.", Some(("Show all", visit.at(&["gateways"])))))
        } @else if list.items.is_empty() {
            (empty("No gateway was heard of yet. Make a credential, and give it to the filter's configuration (policy.credentials).",
                visit.may(Method::POST, "/v1/gateways/credentials").then(|| ("Make a credential", visit.at(&["new", "gateway-credential"])))))
        } @else {
            (table("Gateways", &["Instance", "State", "Revision", "Workers", "Last heard", "What to do"], &rows(&visit, &list.items)))
        }
    };
    let seen = short_name(&Sha256::digest(shown.0.as_bytes()));
    if visit.is_for_part && visit.asked.get("seen") == seen {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let kept = [("q", q), ("state", state), ("cursor", visit.asked.get("cursor")), ("seen", seen.as_str())];
    let again = format!("{}{}", visit.at(&["gateways"]), query(&kept));
    let part = html! {
        div #gateways hx-get=(again) hx-trigger="every 2s" hx-swap="outerHTML" data-late="gateways-late" { (shown) }
    };
    if visit.is_for_part {
        // The sentence stands in the region that is there from the beginning, so a screen reader says it, and only it.
        return Ok(visit.part(&html! { (part) (said(&figures, true)) }));
    }
    let body = html! {
        p.tools {
            @if visit.may(Method::GET, "/v1/gateways/credentials") { a.button href=(visit.at(&["gateway-credentials"])) { "Credentials" } }
            span.hint { "Changes by itself every 2 seconds." }
        }
        (filter(&visit, &wrong))
        (said(&figures, false))
        (late("gateways-late"))
        noscript { p { a.button href=(visit.at_with(&["gateways"], &filters)) { "Look again" } } }
        (part)
        (pages(&visit, &filters, &list))
    };
    Ok(visit.page("Gateways", &[], body))
}

/// Numbers of gateways by their state.
struct Figures {
    live: u64,
    silent: u64,
    gone: u64,
}

impl Figures {
    async fn read(visit: &Visit) -> Result<Self, Problem> {
        let count = async |state: &str| {
            let list: List<Gateway> = visit.v1.read(&format!("/v1/gateways?limit=1&state={state}")).await?;
            Ok::<_, Problem>(list.total.unwrap_or_default())
        };
        Ok(Self { live: count("live").await?, silent: count("silent").await?, gone: count("gone").await? })
    }

    fn words(&self) -> String {
        format!("{} live, {} silent, {} gone.", number(self.live), number(self.silent), number(self.gone))
    }

    fn told(&self) -> Markup {
        html! {
            p.figures { (badge("live")) " " strong { (number(self.live)) } " " (badge("silent")) " " strong { (number(self.silent)) }
                " " (badge("gone")) " " strong { (number(self.gone)) } }
        }
    }
}

/// The sentence for screen readers. `is_part`: it replaces the one that is on the page.
fn said(figures: &Figures, is_part: bool) -> Markup {
    html! {
        p #gateways-said .unseen role="status" aria-live="polite" hx-swap-oob=[is_part.then_some("innerHTML")] { (figures.words()) }
    }
}

/// How many gateways there are, and the next page. The list has cursors for one direction only.
fn pages(visit: &Visit, filters: &[(&str, &str)], list: &List<Gateway>) -> Markup {
    let next: Option<Vec<_>> =
        list.next.as_ref().map(|next| filters.iter().copied().chain([("cursor", next.as_str())]).collect());
    html! {
        div.pages {
            span { (counted(list.total.unwrap_or_default(), "gateway", "gateways")) }
            nav aria-label="Pages" { ul {
                @if !visit.asked.get("cursor").is_empty() { li { a href=(visit.at_with(&["gateways"], filters)) { "First" } } }
                @if let Some(pairs) = &next { li { a rel="next" href=(visit.at_with(&["gateways"], pairs)) { "Next" } } }
            } }
        }
    }
}

fn filter(visit: &Visit, wrong: &Wrong) -> Markup {
    let asked = &visit.asked;
    html! {
        form.filter method="get" action=(visit.at(&["gateways"])) role="search" aria-label="Filter the gateways" {
            (Field::new("q", "Part of the instance or client id", "").typed("search", asked, wrong))
            (Field::new("state", "State", "").one_of(
                &[("", "Any state"), ("live", "Live"), ("silent", "Silent"), ("gone", "Gone")], asked, wrong))
            p.actions { button type="submit" { "Filter" } }
        }
    }
}

fn rows(visit: &Visit, gateways: &[Gateway]) -> Vec<Vec<Markup>> {
    let may_remove = visit.may(Method::DELETE, REMOVE);
    let row = |gateway: &Gateway| {
        vec![
            html! {
                strong { (name(gateway.title())) } br;
                span.hint { (name(&gateway.client_id)) @if let Some(address) = &gateway.address { ", " (name(address)) }
                    @if let Some(version) = &gateway.version { ", version " (name(version)) } }
            },
            badge(&gateway.state),
            html! {
                @match gateway.revision { Some(revision) => (revision), None => span.none { "not known" } }
                @if let Some(behind) = gateway.behind.filter(|behind| *behind > 0) {
                    br; span.warn { "behind by " (counted(u64::try_from(behind).unwrap_or_default(), "revision", "revisions")) }
                }
            },
            html! {
                @match gateway.workers { Some(workers) => (workers), None => span.none { "not known" } }
                @if let Some(lagging) = gateway.lagging.filter(|lagging| *lagging > 0) { br; span.warn { (lagging) " lagging" } }
            },
            // To the minute: a time that changes with each look would replace the table under the reader's hands.
            time(gateway.last_seen.saturating_sub(gateway.last_seen.rem_euclid(60))),
            html! {
                @match gateway.trouble(visit.now) {
                    Some(trouble) => span.trouble { (name(&trouble)) },
                    None => span.none { "nothing" },
                }
                @if may_remove && gateway.state != "live" {
                    div.tools { a.button.small href=(visit.at(&["gateways", &gateway.id, "remove"])) { "Remove" span.unseen { " " (gateway.title()) } } }
                }
            },
        ]
    };
    gateways.iter().map(row).collect()
}
