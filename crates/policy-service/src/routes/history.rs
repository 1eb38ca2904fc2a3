//! History: the kept revisions, the differences between two of them, and restoring one.
//!
//! [`management::restore`] decides what a restore brings back.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Extension, Json as Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use keygate::policy::MAX_REVISION;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery,
    audit::{newest_first, place, raw},
    list::{self, Items},
    tag::{self, Told},
};
use crate::{
    auth::Caller,
    http::{body::Json, problem::Problem, query::Query},
};
use management::{
    audit::shown_as_json,
    error::Error,
    port::{
        self, Database, Kind, Store,
        audit::Subject,
        past::{Difference, Made},
    },
    resource::document,
    restore::{self, Count, Kept},
};

/// Maximum length of a cursor of differences, in bytes: an id of 256 bytes, each escaped in JSON (6) and encoded in
/// base64 (4/3), and the kind.
pub const MAX_DIFF_CURSOR_BYTES: usize = 256 * 8 + 64;
/// Differences of a page if the client asks for no fewer.
const DIFFERENCES: u32 = 1_000;
/// How long a restore or its preview may take, because other changes wait for it. On a busy machine it removes a million
/// rows in two minutes, and makes 300,000 in ten.
const MAX_RESTORE: Duration = Duration::from_secs(600);

/// Parameters of the list of revisions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedRevisions {
    /// `revision` for the order in which they were made (the default), or `-revision` for the latest first.
    sort: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page, with the same `sort`.
    cursor: Option<String>,
}

/// A revision that can be read and restored. A field is null if it was not recorded or is no longer kept.
#[derive(Debug, Serialize, ToSchema)]
struct MadeRevision {
    /// The revision.
    revision: i64,
    /// The time, in Unix seconds.
    at: Option<i64>,
    /// The actor of the change.
    actor: Option<String>,
    /// The action.
    action: Option<String>,
    /// The kind of the object.
    kind: Option<String>,
    /// The object's id.
    id: Option<String>,
}

impl From<Made> for MadeRevision {
    fn from(Made { revision, at, actor, action, kind, id }: Made) -> Self {
        Self { revision, at, actor, action, kind, id }
    }
}

/// Lists the revisions that can still be read.
#[utoipa::path(get, path = "/v1/revisions", tag = "history", operation_id = "list_revisions", params(AskedRevisions), responses(
    (status = 200, description = "a page of revisions", body = Items<MadeRevision>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "no valid token", body = Problem),
))]
async fn revisions(
    State(store): State<Store>,
    _: Caller,
    Query(asked): Query<AskedRevisions>,
) -> Result<Body<Items<MadeRevision>>, Problem> {
    let limit = list::limit(asked.limit.as_deref())?;
    let newest_first = newest_first("revision", asked.sort.as_deref())?;
    let after = asked.cursor.as_deref().map(place).transpose()?;
    let mut made = store.made(after, newest_first, limit.saturating_add(1)).await?;
    let more = u32::try_from(made.len()).is_ok_and(|found| found > limit);
    if more {
        made.pop();
    }
    let next = made.last().filter(|_| more).map(|made| made.revision.to_string());
    Ok(Body(Items { items: made.into_iter().map(MadeRevision::from).collect(), next, total: None }))
}

/// Parameters of a comparison.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedDiff {
    /// The first revision.
    #[param(value_type = u64)]
    from: Option<String>,
    /// The second revision, which may be the earlier one; the latest unless given.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// Rows of this page; 1000 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page, with the same revisions.
    cursor: Option<String>,
}

/// A row that exists only at the second revision.
#[derive(Debug, Serialize, ToSchema)]
struct MadeRow {
    /// Its kind.
    kind: &'static str,
    /// Its id.
    id: String,
    /// Its state at the second revision.
    #[schema(value_type = Object)]
    after: Option<Box<RawValue>>,
}

/// A row that differs at the second revision.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedRow {
    /// Its kind.
    kind: &'static str,
    /// Its id.
    id: String,
    /// Its state at the first revision.
    #[schema(value_type = Object)]
    before: Option<Box<RawValue>>,
    /// Its state at the second revision.
    #[schema(value_type = Object)]
    after: Option<Box<RawValue>>,
}

/// A row that exists only at the first revision.
#[derive(Debug, Serialize, ToSchema)]
struct RemovedRow {
    /// Its kind.
    kind: &'static str,
    /// Its id.
    id: String,
    /// Its state at the first revision.
    #[schema(value_type = Object)]
    before: Option<Box<RawValue>>,
}

/// The differences between two revisions.
#[derive(Debug, Serialize, ToSchema)]
struct Diff {
    /// The first revision.
    from: i64,
    /// The second revision.
    to: i64,
    /// Rows that exist only at the second revision.
    made: Vec<MadeRow>,
    /// Rows that exist at both and differ.
    changed: Vec<ChangedRow>,
    /// Rows that exist only at the first revision.
    removed: Vec<RemovedRow>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

/// Compares two revisions.
#[utoipa::path(get, path = "/v1/diff", tag = "history", operation_id = "show_difference", params(AskedDiff), responses(
    (status = 200, description = "a page of differences; it may have fewer rows than `limit` even if `next` is not null", body = Diff),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "no valid token", body = Problem),
    (status = 410, description = "a revision is no longer kept, or does not exist yet; `field` says which", body = Problem),
))]
async fn diff(State(store): State<Store>, _: Caller, Query(asked): Query<AskedDiff>) -> Result<Body<Diff>, Problem> {
    let limit = asked.limit.as_deref().map_or(Ok(DIFFERENCES), |limit| list::limit(Some(limit)))?;
    let after = asked.cursor.as_deref().map(|text| decode(text).ok_or_else(list::bad_cursor)).transpose()?;
    let from = asked.from.as_deref().map(|text| revision("from", text)).transpose()?;
    let from = from.ok_or_else(|| Problem::parameter("from", "it is missing; expected a revision"))?;
    let to = match asked.to.as_deref() {
        Some(text) => revision("to", text)?,
        None => store.state().await?.revision,
    };
    let page = match store.differences(from, to, after.as_ref(), limit).await {
        Err(port::Error::Gone(gone)) => {
            let name = if gone == from { "from" } else { "to" };
            return Err(not_kept(&*store, name, gone).await?);
        }
        page => page?,
    };
    let next = page.next.as_ref().map(|(kind, id)| encode(*kind, id));
    let mut diff = Diff { from, to, made: Vec::new(), changed: Vec::new(), removed: Vec::new(), next };
    for Difference { kind, id, before, after } in page.differences {
        let kind = Subject::Row(kind).word();
        let before = raw(shown_as_json(before.as_ref())?)?;
        let after = raw(shown_as_json(after.as_ref())?)?;
        match (&before, &after) {
            (None, _) => diff.made.push(MadeRow { kind, id, after }),
            (_, None) => diff.removed.push(RemovedRow { kind, id, before }),
            _ => diff.changed.push(ChangedRow { kind, id, before, after }),
        }
    }
    Ok(Body(diff))
}

/// Parses a revision in a parameter.
pub(super) fn revision(name: &str, text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let revision = text.parse().ok().filter(|_| digits);
    revision.ok_or_else(|| Problem::parameter(name, "expected a revision, such as 42"))
}

/// The error for a revision that cannot be read.
pub(super) async fn not_kept(store: &dyn Database, name: &str, revision: i64) -> Result<Problem, Problem> {
    let port::State { horizon, revision: latest, .. } = store.state().await?;
    let detail = format!("revision {revision} is not kept, or was not made yet; kept are {horizon} to {latest}");
    Ok(Problem::field(StatusCode::GONE, name, detail))
}

fn encode(kind: Kind, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!([kind.number(), id]).to_string())
}

fn decode(cursor: &str) -> Option<(Kind, String)> {
    if cursor.len() > MAX_DIFF_CURSOR_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (kind, id): (i64, String) = serde_json::from_slice(&bytes).ok()?;
    Some((Kind::from_number(kind).ok()?, id))
}

/// What to restore.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskedRestore {
    /// The revision to restore.
    revision: i64,
    /// True to change nothing and only answer what would change; false unless given.
    #[serde(default)]
    dry_run: bool,
    /// Whether the restore may lift blocks and remove deny policies; false unless given.
    #[serde(default)]
    lift_blocks: bool,
}

/// The result of a restore, or of its preview.
#[derive(Debug, Serialize, ToSchema)]
struct RestoredPolicy {
    /// The policy's revision now.
    revision: i64,
    /// The restored revision.
    restored: i64,
    /// Whether nothing was changed.
    dry_run: bool,
    /// Numbers of created, changed and removed rows, by the names of their lists.
    #[schema(value_type = BTreeMap<String, Count>)]
    counts: BTreeMap<&'static str, Count>,
    /// Objects that are not as they were, with the reason; the first 1,000.
    kept: Vec<Kept>,
    /// Number of all such objects.
    kept_total: u64,
}

/// Restores the rows of an earlier revision, as a new revision.
#[utoipa::path(post, path = "/v1/restore", tag = "history", operation_id = "restore_revision", request_body = AskedRestore, responses(
    (status = 200, description = "restored, as far as the rules permit; no new revision if nothing differs", body = RestoredPolicy),
    (status = 401, description = "no valid token", body = Problem),
    (status = 409, description = "too many rows differ, so that it would take too long, or gateways could not accept so many", body = Problem),
    (status = 410, description = "the revision is no longer kept, or does not exist yet", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn restore_revision(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<AskedRestore>,
) -> Result<Response, Problem> {
    let AskedRestore { revision: restored, dry_run, lift_blocks } = asked;
    if !u64::try_from(restored).is_ok_and(|revision| revision <= MAX_REVISION) {
        return Err(Problem::invalid("revision", "expected a revision, such as 42"));
    }
    let mut change = store.begin(caller.act()).await?;
    let outcome = match in_time(MAX_RESTORE, restore::restore(&mut *change, restored, lift_blocks)).await {
        Err(Error::Store(port::Error::Gone(gone))) => {
            drop(change);
            return Err(not_kept(&*store, "revision", gone).await?);
        }
        outcome => outcome?,
    };
    let mut answer = RestoredPolicy {
        revision: 0,
        restored,
        dry_run,
        counts: outcome.counts,
        kept: outcome.kept,
        kept_total: outcome.kept_total,
    };
    if dry_run {
        drop(change);
        answer.revision = store.state().await?.revision;
        return Ok(Body(answer).into_response());
    }
    answer.revision = change.revision_then();
    let (mut headers, body) = (HeaderMap::new(), document(&answer)?);
    let told = Told { status: StatusCode::OK, location: None, body: Some(&body), issued: None };
    let accepted = tag::commit_once(change, &mut headers, None, told).await?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, Extension(accepted), body).into_response())
}

/// The outcome of a restore, or an error after `limit`.
async fn in_time<T>(limit: Duration, restore: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, restore).await.unwrap_or_else(|_| {
        let detail = format!(
            "so many rows differ from this revision that restoring it takes longer than {} s, for which other changes would \
             wait; nothing was changed; restore a later revision first and this one then, or restore a backup",
            limit.as_secs()
        );
        Err(Error::conflict_in("revision", detail))
    })
}

/// The routes of history.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(revisions)).routes(routes!(diff)).routes(routes!(restore_revision))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_restore_that_takes_too_long_ends_with_what_to_do_instead() {
        let short = Duration::from_millis(10);
        let Err(Error::Conflict { field, detail, .. }) = in_time::<()>(short, std::future::pending()).await else {
            panic!("expected a conflict")
        };
        assert_eq!(field.as_deref(), Some("revision"));
        assert!(detail.contains("nothing was changed") && detail.contains("a later revision first"), "{detail}");
        assert_eq!(in_time(short, async { Ok(5) }).await.unwrap(), 5);
        assert!(matches!(in_time::<()>(short, async { Err(Error::conflict("x")) }).await, Err(Error::Conflict { .. })));
    }
}
