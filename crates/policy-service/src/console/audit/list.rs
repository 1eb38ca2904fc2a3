//! The list of entries, with filters, the latest first.

use axum::{http::StatusCode, response::Response};
use management::port::audit::{Action, Subject};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    super::{
        fields::table_of,
        parts::{
            badge::words,
            field::{Field, Wrong},
            table::{counted, empty, name, table},
            time::second,
        },
        rows::List,
        visit::Visit,
        when,
    },
    entry::{Entry, filters, kept},
};
use crate::{http::problem::Problem, web::place::query};

/// Entries of a page.
const ROWS: &str = "50";
/// Further rows of an entry that the page names.
const ALSO: usize = 20;

/// The page.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let (list, wrong) = match read(&visit).await {
        Ok(list) => (list, Wrong::default()),
        Err(Told::Wrong(wrong)) => (List { items: Vec::new(), next: None, total: None }, wrong),
        Err(Told::Problem(problem)) => return Err(problem),
    };
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let kept = kept(&visit.asked);
    let file = |ending: &str| format!("{}{}", visit.at(&[&format!("audit.{ending}")]), query(&kept));
    let body = html! {
        (wrong.summary_of_question())
        (filter(&visit, &wrong))
        @if list.items.is_empty() {
            @if wrong.is_empty() { (empty("No entry fits the filter.", Some(("Show all", visit.at(&["audit"]))))) }
        } @else {
            p.tools { a.button href=(file("csv")) { "As CSV" } a.button href=(file("ndjson")) { "As NDJSON" }
                span.hint { "All entries that fit, at most " (super::download::MAX_AUDIT_FILE_ENTRIES) "." } }
            (table("Audit entries", &["When", "Who", "What", "Revision", "Reason", "Details"], &rows(&visit, &list.items)))
        }
        div.pages { nav aria-label="Pages" { ul {
            @if !visit.asked.get("cursor").is_empty() { li { a href=(visit.at_with(&["audit"], &kept)) { "Latest" } } }
            @if let Some(next) = &list.next {
                @let pairs: Vec<_> = kept.iter().copied().chain([("cursor", next.as_str())]).collect();
                li { a rel="next" href=(visit.at_with(&["audit"], &pairs)) { "Earlier" } }
            }
        } } }
    };
    Ok(visit.page_as(status, "Audit", &[], body))
}

/// Why there is no list.
enum Told {
    Wrong(Wrong),
    Problem(Problem),
}

async fn read(visit: &Visit) -> Result<List<Entry>, Told> {
    let filters = filters(&visit.asked).map_err(Told::Wrong)?;
    let paging = [("sort", "-seq"), ("limit", ROWS), ("cursor", visit.asked.get("cursor"))];
    let pairs: Vec<_> = filters.iter().map(|(name, value)| (*name, value.as_str())).chain(paging).collect();
    visit.v1.read(&format!("/v1/audit{}", query(&pairs))).await.map_err(|problem| {
        let is_filter = problem.wrong_field().is_some_and(|field| field != "cursor");
        if problem.status() == StatusCode::BAD_REQUEST && is_filter {
            Told::Wrong(Wrong::of(&problem, str::to_owned))
        } else {
            Told::Problem(problem)
        }
    })
}

fn filter(visit: &Visit, wrong: &Wrong) -> Markup {
    let asked = &visit.asked;
    let choices = |any: &'static str, words: Vec<&'static str>| {
        let mut choices = vec![("", any)];
        choices.extend(words.into_iter().map(|word| (word, word)));
        choices
    };
    let kinds = choices("Any kind", Subject::ALL.iter().map(|subject| subject.word()).collect());
    let actions = choices("Any action", Action::ALL.iter().map(|action| action.word()).collect());
    html! {
        form.filter method="get" action=(visit.at(&["audit"])) role="search" aria-label="Filter the audit log" {
            (Field::new("kind", "Kind", "").one_of(&kinds, asked, wrong))
            (Field::new("action", "Action", "").one_of(&actions, asked, wrong))
            (Field::new("actor", "Who: the whole name", "").text(asked, wrong))
            (Field::new("id", "Id", "").text(asked, wrong))
            (when::field("from", "From", asked, wrong))
            (when::field("to", "Before", asked, wrong))
            p.actions { button type="submit" { "Filter" } }
        }
    }
}

fn rows(visit: &Visit, entries: &[Entry]) -> Vec<Vec<Markup>> {
    let row = |entry: &Entry| {
        vec![
            second(entry.at),
            html! { div.actor { (name(&entry.actor)) @if let Some(role) = &entry.role { br; span.hint { (name(role)) } } } },
            html! {
                strong { (entry.action) } " " (entry.kind) @if let Some(id) = &entry.id { " " code { (name(id)) } }
                @if let Some(about) = about(entry) { br; span.hint { (name(&about)) } }
            },
            html! { @match entry.revision {
                Some(revision) => a href=(visit.at(&["history", &revision.to_string()])) { (revision) },
                None => span.none { "–" },
            } },
            html! { @match &entry.reason { Some(reason) => (name(reason)), None => span.none { "–" } } },
            details(entry),
        ]
    };
    entries.iter().map(row).collect()
}

/// What an entry is about, besides its id: whose subscription or key, or who gets a token.
fn about(entry: &Entry) -> Option<String> {
    let row = entry.after.as_ref().or(entry.before.as_ref())?;
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let block = entry.after.as_ref().filter(|_| entry.action == "block").and_then(|row| row.get("block"));
    let state = block.and_then(|block| block.get("state")).and_then(Value::as_str);
    match entry.kind.as_str() {
        "subscription" => {
            let state = state.map(|state| format!(", {}", words(state).to_lowercase())).unwrap_or_default();
            Some(format!("{} at {}{state}", text("application")?, text("api")?))
        }
        "key" => Some(format!("of {}", text("application")?)),
        "token" => Some(format!("{} {}", text("role")?, text("subject")?)),
        "gateway_credential" | "gateway" => text("client_id").map(|client_id| format!("of {client_id}")),
        _ => None,
    }
}

fn details(entry: &Entry) -> Markup {
    let more = entry.also_total.unwrap_or_else(|| u64::try_from(entry.also.len()).unwrap_or_default());
    html! {
        details {
            summary { "Entry " (entry.seq) }
            @if entry.before.is_some() || entry.after.is_some() {
                (table_of(&format!("What entry {} changed", entry.seq), entry.before.as_ref(), entry.after.as_ref()))
            }
            @if let Some(counts) = &entry.counts { p { code { (name(&counts.to_string())) } } }
            @if !entry.also.is_empty() {
                p { "With it: "
                    @for (number, also) in entry.also.iter().take(ALSO).enumerate() { @if number > 0 { ", " } (also.kind) " " code { (name(&also.id)) } }
                    @if entry.also.len() > ALSO { ", " (counted(more, "row", "rows")) " in all" } }
            }
            p.hint { "Address " (name(entry.address.as_deref().unwrap_or("not known"))) ", request "
                (name(entry.request_id.as_deref().unwrap_or("not known"))) }
        }
    }
}
