//! What a page says of the change before it: a sentence and the receipt. An address names the change (`said`, `revision`, and
//! `id` on a list), and nothing in an address is believed: both are shown only while the object still is what this change
//! of this person has made of it, by the row and the audit log. Another change since then, and the page says nothing.

use axum::{http::StatusCode, response::Response};
use management::port::{
    Kind,
    audit::{Action, AuditFilter, Entry, Subject},
};
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::{
    parts::receipt::panel,
    rows::Receipt,
    v1::Done,
    visit::{Visit, see_other},
};
use crate::{hexadecimal::short_name, http::problem::Problem, web::place::below};

/// The word for a form that found everything as it asks for.
const AS_IT_WAS: &str = "as-it-was";

/// Words of addresses, the actions that they speak of, and what a page then says.
const SAID: &[(&str, &[Action], &str)] = &[
    (
        "blocked",
        &[Action::Block],
        "The block is saved. Gateways take it over now; the receipt says which of them have it.",
    ),
    ("planned", &[Action::Block], "The block is planned. It begins by itself on every gateway."),
    (AS_IT_WAS, &[], "Nothing was changed: it was so already."),
    (
        "unblocked",
        &[Action::Unblock],
        "The block is lifted. Gateways take that over now; the receipt says which of them have it.",
    ),
    ("approved", &[Action::Approve], "The subscription is approved."),
    ("rejected", &[Action::Reject], "The subscription is rejected."),
    ("created", &[Action::Create], "It is created."),
    ("saved", &[Action::Replace], "The changes are saved."),
    ("deleted", &[Action::Delete], "It is deleted."),
    ("revoked", &[Action::Revoke, Action::Delete], "It is revoked and never works again."),
    ("removed", &[Action::Delete], "It is removed. Receipts do not wait for it any more."),
    (
        "restored",
        &[Action::Restore],
        "The restore is done, as a new revision. Gateways take it over now; the receipt says which of them have it.",
    ),
    ("subscribed", &[Action::Create], "The subscription is made. Its state says whether it can be used already."),
    ("unsubscribed", &[Action::Delete], "The subscription has ended."),
    ("retired", &[Action::Replace], "The API is retired. Gateways do not serve it any more."),
];

/// Leads to the page at `segments` after a change of the row that it shows.
pub async fn done(
    visit: &Visit,
    segments: &[&str],
    (kind, id): (Kind, &str),
    word: &str,
    done: &Done,
) -> Result<Response, Problem> {
    if done.is_new {
        Ok(made(visit, segments, word, done.revision))
    } else {
        as_it_was(visit, segments, kind, id).await
    }
}

/// The same for a row that was made. A form that is sent twice leads to the same place.
pub fn made(visit: &Visit, segments: &[&str], word: &str, revision: i64) -> Response {
    see_other(&visit.at_with(segments, &[("said", word), ("revision", &revision.to_string())]))
}

/// The same for a form that makes a row. If it was there already, it was made by the same form, or is as that asks.
pub async fn created(
    visit: &Visit,
    segments: &[&str],
    (kind, id): (Kind, &str),
    done: &Done,
) -> Result<Response, Problem> {
    let word = "created";
    if done.is_new {
        return Ok(made(visit, segments, word, done.revision));
    }
    if visit.console.store().find(kind, id).await?.is_none() {
        // It was made by the same form, and deleted since.
        return Ok(see_other(&visit.at(segments.get(..1).unwrap_or_default())));
    }
    match last(visit, Subject::Row(kind), id, word).await?.and_then(|entry| entry.revision) {
        Some(revision) if revision == done.revision => Ok(made(visit, segments, word, revision)),
        _ => as_it_was(visit, segments, kind, id).await,
    }
}

/// The same for a form that asked for what was so already.
pub async fn as_it_was(visit: &Visit, segments: &[&str], kind: Kind, id: &str) -> Result<Response, Problem> {
    let (revision, seal) = sealed(visit, kind, id).await?;
    Ok(see_other(&visit.at_with(segments, &[("said", AS_IT_WAS), ("revision", &revision), ("seal", &seal)])))
}

/// The revision that made a row what it is, and the seal of it.
async fn sealed(visit: &Visit, kind: Kind, id: &str) -> Result<(String, String), Problem> {
    let found = visit.console.store().find(kind, id).await?;
    let revision = found.map(|row| row.from_revision.to_string()).unwrap_or_default();
    let seal = seal(visit, id, &revision);
    Ok((revision, seal))
}

/// What only a page of this session knows: no entry of the audit log says that a form changed nothing.
fn seal(visit: &Visit, id: &str, revision: &str) -> String {
    let text = serde_json::json!([visit.frame.csrf(), AS_IT_WAS, id, revision]).to_string();
    short_name(&Sha256::digest(text))
}

fn is_sealed(visit: &Visit, id: &str) -> bool {
    visit.asked.get("seal") == seal(visit, id, visit.asked.get("revision"))
}

/// The same for a row of the list at `segments`.
pub async fn listed_as_it_was(visit: &Visit, segments: &[&str], kind: Kind, id: &str) -> Result<Response, Problem> {
    let (revision, seal) = sealed(visit, kind, id).await?;
    let pairs = [("said", AS_IT_WAS), ("id", id), ("revision", &revision), ("seal", &seal)];
    Ok(see_other(&visit.at_with(segments, &pairs)))
}

/// The same for what is no part of the policy. Its etag says what it is.
pub fn account_as_it_was(visit: &Visit, segments: &[&str], id: &str, etag: &str) -> Response {
    let seal = seal(visit, id, etag);
    see_other(&visit.at_with(segments, &[("said", AS_IT_WAS), ("id", id), ("revision", etag), ("seal", &seal)]))
}

/// Leads to the list at `segments` after a change of what has this id. `revision`: none for what is no part of the policy.
pub fn in_list(visit: &Visit, segments: &[&str], word: &str, id: &str, revision: Option<i64>) -> Response {
    let revision = revision.map(|revision| revision.to_string()).unwrap_or_default();
    see_other(&visit.at_with(segments, &[("said", word), ("id", id), ("revision", &revision)]))
}

/// Leads to the list at `segments` after a deletion. If what was to be deleted is not there because this person has deleted
/// it, the form has arrived twice, and that is no mistake.
pub async fn deleted(
    visit: &Visit,
    segments: &[&str],
    (subject, id): (Subject, &str),
    word: &str,
    done: Result<Done, Problem>,
) -> Result<Response, Problem> {
    let revision = match done {
        Ok(done) => Some(done.revision),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            last(visit, subject, id, word).await?.ok_or(problem)?.revision
        }
        Err(problem) => return Err(problem),
    };
    Ok(in_list(visit, segments, word, id, revision.filter(|_| !subject.is_beside_policy())))
}

/// On the page of a row: finds the sentence for `visit`, and the receipt. `holds` says whether a word fits the row.
pub async fn of_row(
    visit: &mut Visit,
    segments: &[&str],
    kind: Kind,
    id: &str,
    holds: impl Fn(&str) -> bool,
) -> Result<Markup, Problem> {
    let Some(revision) = revision(visit) else { return Ok(html! {}) };
    let found = visit.console.store().find(kind, id).await?;
    if found.is_none_or(|row| row.from_revision != revision) {
        return Ok(html! {});
    }
    let word = visit.asked.get("said").to_owned();
    if word == AS_IT_WAS && is_sealed(visit, id) {
        visit.said = text(AS_IT_WAS);
    } else if holds(&word) && is_last(visit, Subject::Row(kind), id, &word, Some(revision)).await? {
        visit.said = text(&word);
    }
    receipt(visit, segments, revision).await
}

/// On a list: the same of the row with the id that the address names. It may be gone.
pub async fn of_listed(visit: &mut Visit, segments: &[&str], kind: Kind) -> Result<Markup, Problem> {
    let (id, word) = (visit.asked.get("id").to_owned(), visit.asked.get("said").to_owned());
    let Some(revision) = revision(visit).filter(|_| !id.is_empty()) else { return Ok(html! {}) };
    let found = visit.console.store().find(kind, &id).await?;
    let agrees = match &found {
        // The kept block of a deleted row.
        Some(row) if row.kept_block.is_none() => row.from_revision == revision,
        // The block of a deleted subscription is lifted, and the row is gone.
        None if word == "unblocked" => true,
        _ => action_of(&word).contains(&Action::Delete),
    };
    if !(agrees
        && (word == AS_IT_WAS && is_sealed(visit, &id)
            || is_last(visit, Subject::Row(kind), &id, &word, Some(revision)).await?))
    {
        return Ok(html! {});
    }
    visit.said = text(&word);
    receipt(visit, segments, revision).await
}

/// On a list of what is no part of the policy. `find` returns the etag of what has this id in the list, if something has it.
pub async fn beside_policy(
    visit: &mut Visit,
    subject: Subject,
    find: impl AsyncFnOnce(&Visit, &str) -> Result<Option<String>, Problem>,
) -> Result<(), Problem> {
    let (id, word) = (visit.asked.get("id").to_owned(), visit.asked.get("said").to_owned());
    let is_said = match word == AS_IT_WAS {
        true => is_sealed(visit, &id) && find(visit, &id).await?.as_deref() == Some(visit.asked.get("revision")),
        false => {
            !id.is_empty()
                && is_last(visit, subject, &id, &word, None).await?
                && find(visit, &id).await?.is_some() != action_of(&word).contains(&Action::Delete)
        }
    };
    if is_said {
        visit.said = text(&word);
    }
    Ok(())
}

/// On the page of the history: whether the latest revision is the restore of which the address speaks.
pub async fn of_restore(visit: &mut Visit) -> Result<Markup, Problem> {
    let word = "restored";
    let Some(revision) = revision(visit).filter(|_| visit.asked.get("said") == word) else { return Ok(html! {}) };
    if !is_last_restore(visit, revision).await? {
        return Ok(html! {});
    }
    visit.said = text(word);
    receipt(visit, &["history"], revision).await
}

/// Whether the latest revision is this one, and a restore by the person who visits.
pub async fn is_last_restore(visit: &Visit, revision: i64) -> Result<bool, Problem> {
    let latest = visit.console.store().made(None, true, 1).await?;
    Ok(latest.first().is_some_and(|made| {
        let is_own = made.actor.as_ref() == Some(&visit.principal.subject);
        made.revision == revision && is_own && made.action.as_deref() == Some(Action::Restore.word())
    }))
}

fn text(word: &str) -> &'static str {
    SAID.iter().find(|(other, ..)| *other == word).map_or("", |(.., text)| text)
}

fn action_of(word: &str) -> &'static [Action] {
    SAID.iter().find(|(other, ..)| *other == word).map_or(&[], |(_, actions, _)| actions)
}

fn revision(visit: &Visit) -> Option<i64> {
    visit.asked.get("revision").parse().ok()
}

/// Whether the last change of an object is what the word says, by the person who visits, and made this revision.
async fn is_last(
    visit: &Visit,
    subject: Subject,
    id: &str,
    word: &str,
    revision: Option<i64>,
) -> Result<bool, Problem> {
    let last = last(visit, subject, id, word).await?;
    Ok(last.is_some_and(|entry| subject.is_beside_policy() || entry.revision == revision))
}

/// The last change of an object, if it is what the word says, by the person who visits.
async fn last(visit: &Visit, subject: Subject, id: &str, word: &str) -> Result<Option<Entry>, Problem> {
    let actions = action_of(word);
    if actions.is_empty() {
        return Ok(None);
    }
    let filter =
        AuditFilter { kind: Some(subject.word().to_owned()), id: Some(id.to_owned()), ..AuditFilter::default() };
    let page = visit.console.store().entries(&filter, None, true, 1).await?;
    let person = &visit.principal;
    let is_it = |entry: &Entry| {
        let is_own = entry.actor == person.subject && entry.role.as_deref() == Some(person.role.as_str());
        let is_of_it = entry.kind == subject.word() && entry.id.as_deref() == Some(id);
        is_own && is_of_it && actions.iter().any(|action| action.word() == entry.action)
    };
    Ok(page.entries.into_iter().next().filter(is_it))
}

/// The receipt of the change of which the page speaks. `segments` lead to the page.
async fn receipt(visit: &Visit, segments: &[&str], revision: i64) -> Result<Markup, Problem> {
    let revision = revision.to_string();
    match visit.v1.read::<Receipt>(&below("/v1/receipts", &[&revision])).await {
        Ok(receipt) => {
            let asked = [("said", visit.asked.get("said")), ("id", visit.asked.get("id")), ("revision", &revision)];
            Ok(panel(&receipt, &visit.at(&["receipts", &revision]), &visit.at_with(segments, &asked)))
        }
        // It is no longer kept.
        Err(problem) if matches!(problem.status(), StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(html! {}),
        Err(problem) => Err(problem),
    }
}
