//! Builds pages: turns stored documents into the page's shape, which the filter defines.
//!
//! Each document passes through the filter's row type, so a page never contains a row that the filter could not read.
//! This file also leaves out keys that are bound to APIs that a limited gateway does not see.

use std::{collections::HashSet, sync::Arc};

use axum::body::Bytes;
use keygate::policy::wire::{
    ApiRow, ApplicationRow, Counts, DenyPolicyRow, FORMAT, KeyRow, PageOut, PlanRow, Removed, Str, SubscriptionId,
    SubscriptionRow,
};
use serde::Deserialize;

use super::ask::{Ask, Cursor, PATH, Part};
use management::port::{Error, Kind, Mark, PageRows, Scope, Secret, Snapshot, State};

/// What all pages for one gateway have in common.
#[derive(Clone, Debug)]
pub struct GatewayView {
    /// What the gateway sees.
    pub scope: Scope,
    /// The epoch as the gateway knows it.
    pub epoch: String,
    /// Maximum number of rows on a page.
    pub rows: usize,
    /// Whether pages say `confirm_removal`.
    pub confirm_removal: bool,
    /// How links are written.
    pub links: Links,
    /// Stored documents that the feed does without, because the filter would refuse them.
    pub left_out: Arc<HashSet<String>>,
    /// Signs the marks of links.
    pub secret: Secret,
}

/// How links are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// As a query alone, so that the feed may be behind any path prefix.
    Query,
    /// As an absolute path, for clients that resolve nothing else.
    Absolute,
}

/// A page, ready to be sent.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// JSON.
    pub body: Bytes,
    /// The revision and the history of the page.
    pub mark: Mark,
    /// Where the next page begins.
    pub next: Option<Cursor>,
    /// Whether this is a delta of one page that only names a revision.
    pub empty: bool,
}

/// Builds the requested page from `snapshot`.
pub async fn build(source: &GatewayView, snapshot: &mut dyn Snapshot, ask: &Ask) -> Result<FeedPage, Error> {
    if let Some(mark) = &ask.mark {
        snapshot.check_mark(mark).await?;
    }
    let part = if ask.since.is_some() { Part::Removed } else { Part::Changed };
    let place = ask.place.unwrap_or(Cursor { revision: snapshot.state().revision, part, after: 0 });
    let (removed, changed) = match ask.since {
        None => (PageRows::default(), snapshot.full(&source.scope, place.revision, place.after, source.rows).await?),
        Some(since) => delta(source, snapshot, since, place).await?,
    };
    let next = match (removed.next, changed.next) {
        (Some(after), _) => Some(Cursor { part: Part::Removed, after, ..place }),
        (None, Some(after)) => Some(Cursor { part: Part::Changed, after, ..place }),
        (None, None) => None,
    };
    let word = snapshot.word(place.revision).await?;
    let mark = source.secret.mark(&snapshot.state().epoch, place.revision, word);
    let first_of_full = ask.since.is_none() && ask.place.is_none();
    let counts = (first_of_full && source.scope == Scope::All).then(|| count(snapshot.state()));

    let mut gone = Removed::default();
    let is_shown = |document: &str| !source.left_out.contains(document);
    for (kind, document) in removed.iter().filter(|(_, document)| is_shown(document)) {
        remove(&mut gone, source, kind, document)?;
    }
    let held = held_keys(source, snapshot, ask.since, &changed).await?;
    for document in &held {
        remove(&mut gone, source, Kind::Key, document)?;
    }
    let mut page = PageOut {
        format: FORMAT,
        epoch: Some(source.epoch.as_str().into()),
        revision: Some(place.revision.unsigned_abs()),
        base: ask.since.map(i64::unsigned_abs),
        next: next.map(|place| link(source, &mark, ask.since, Some(place))),
        poll: next.is_none().then(|| link(source, &mark, Some(place.revision), None)),
        counts,
        confirm_removal: source.confirm_removal.then_some(true),
        ..PageOut::default()
    };
    for (kind, document) in changed.iter().filter(|(_, document)| is_shown(document)) {
        add(&mut page, source, kind, document)?;
    }
    if first_of_full && next.is_none() && page.counts.is_none() {
        // The rows for a limited gateway are counted only if the page has all of them.
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        page.counts = Some(Counts {
            keys: count(page.keys.len()),
            applications: count(page.applications.len()),
            subscriptions: count(page.subscriptions.len()),
        });
    }
    page.removed = (gone != Removed::default()).then_some(gone);
    let empty = next.is_none() && page.removed.is_none() && is_empty(&page);
    let body = serde_json::to_vec(&page).map_err(|_| damaged())?;
    Ok(FeedPage { body: body.into(), mark, next, empty })
}

async fn delta(
    source: &GatewayView,
    snapshot: &mut dyn Snapshot,
    since: i64,
    place: Cursor,
) -> Result<(PageRows, PageRows), Error> {
    let Cursor { revision, part, after } = place;
    let (removed, after) = match part {
        Part::Removed => (snapshot.removed(&source.scope, since, revision, after, source.rows).await?, 0),
        Part::Changed => (PageRows::default(), after),
    };
    // All removed rows come before the changed ones, so that a row can be removed and added again.
    let room = source.rows.saturating_sub(usize::try_from(removed.count).unwrap_or(usize::MAX));
    let changed = match removed.next {
        Some(_) => PageRows::default(),
        None if room == 0 => {
            // The removed rows fill the page. If there are changed ones, they begin on the next.
            let one = snapshot.changed(&source.scope, since, revision, after, 1).await?;
            PageRows { next: (one.count > 0 || one.next.is_some()).then_some(after), ..PageRows::default() }
        }
        None => snapshot.changed(&source.scope, since, revision, after, room).await?,
    };
    Ok((removed, changed))
}

/// The keys that a limited gateway held and that are now bound to other APIs, as they were before.
async fn held_keys(
    source: &GatewayView,
    snapshot: &mut dyn Snapshot,
    since: Option<i64>,
    changed: &PageRows,
) -> Result<Vec<String>, Error> {
    let (Scope::Apis(_), Some(since)) = (&source.scope, since) else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    for (kind, document) in changed.iter() {
        if kind == Kind::Key && !source.left_out.contains(document) && !reaches(source, &parse::<KeyRow<'_>>(document)?)
        {
            held.extend(snapshot.document_at(Kind::Key, &parse::<KeyRow<'_>>(document)?.sha256.0, since).await?);
        }
    }
    Ok(held)
}

fn count(state: &State) -> Counts {
    let count = |kind| state.count(kind).unsigned_abs();
    Counts { keys: count(Kind::Key), applications: count(Kind::Application), subscriptions: count(Kind::Subscription) }
}

fn add<'a>(page: &mut PageOut<'a>, source: &GatewayView, kind: Kind, document: &'a str) -> Result<(), Error> {
    match kind {
        Kind::Api => page.apis.push(parse::<ApiRow<'_>>(document)?),
        Kind::Application => page.applications.push(parse::<ApplicationRow<'_>>(document)?),
        Kind::Key => {
            let row = parse::<KeyRow<'_>>(document)?;
            if reaches(source, &row) {
                page.keys.push(row);
            }
        }
        Kind::Subscription => page.subscriptions.push(parse::<SubscriptionRow<'_>>(document)?),
        Kind::Plan => page.plans.push(parse::<PlanRow<'_>>(document)?),
        Kind::DenyPolicy => page.deny_policies.push(parse::<DenyPolicyRow<'_>>(document)?),
    }
    Ok(())
}

fn remove<'a>(gone: &mut Removed<'a>, source: &GatewayView, kind: Kind, document: &'a str) -> Result<(), Error> {
    let ids = |list: &mut Option<Vec<Str<'a>>>, id| list.get_or_insert_default().push(id);
    match kind {
        Kind::Api => ids(&mut gone.apis, parse::<ApiRow<'_>>(document)?.id),
        Kind::Application => ids(&mut gone.applications, parse::<ApplicationRow<'_>>(document)?.id),
        Kind::Key => {
            let row = parse::<KeyRow<'_>>(document)?;
            if reaches(source, &row) {
                ids(&mut gone.keys, row.sha256);
            }
        }
        Kind::Subscription => {
            let SubscriptionRow { application, api, .. } = parse(document)?;
            gone.subscriptions.get_or_insert_default().push(SubscriptionId { application, api });
        }
        Kind::Plan => ids(&mut gone.plans, parse::<PlanRow<'_>>(document)?.id),
        Kind::DenyPolicy => ids(&mut gone.deny_policies, parse::<DenyPolicyRow<'_>>(document)?.id),
    }
    Ok(())
}

/// Whether a key opens any API that the gateway sees.
fn reaches(source: &GatewayView, key: &KeyRow<'_>) -> bool {
    let (Scope::Apis(_), Some(bound)) = (&source.scope, &key.apis) else { return true };
    bound.iter().filter_map(|entry| entry.0.as_deref()).any(|api| source.scope.has(api))
}

fn is_empty(page: &PageOut<'_>) -> bool {
    page.apis.is_empty()
        && page.applications.is_empty()
        && page.keys.is_empty()
        && page.subscriptions.is_empty()
        && page.plans.is_empty()
        && page.deny_policies.is_empty()
}

fn link(source: &GatewayView, mark: &Mark, since: Option<i64>, place: Option<Cursor>) -> Str<'static> {
    let ask = Ask { epoch: Some(source.epoch.clone()), since, place, mark: Some(mark.clone()) };
    match source.links {
        Links::Query => ask.to_string().into(),
        Links::Absolute => format!("{PATH}{ask}").into(),
    }
}

fn parse<'a, T: Deserialize<'a>>(document: &'a str) -> Result<T, Error> {
    serde_json::from_str(document).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::Damaged("a row is not what the feed shows")
}
