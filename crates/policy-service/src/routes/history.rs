//! History and the way back: the revisions that are kept, what differs between two of them, and restoring one.
//!
//! What a restore puts back is decided in [`management::restore`].

use std::collections::BTreeMap;

use axum::{
    Extension, Json as Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery,
    audit::{newest_first, place, raw},
    list::{self, Items},
    tag,
};
use crate::{
    auth::Caller,
    http::{body::Json, problem::Problem},
};
use management::{
    audit::shown_as_json,
    error::Error,
    port::{
        self, Database, Kind, Store,
        audit::Subject,
        past::{Difference, Made},
    },
    restore::{self, Count, Kept},
};

/// Bytes of a cursor of differences: an id of 256 bytes, each escaped in JSON (6) and in base64 (4/3), and the kind.
const MAX_DIFF_CURSOR_BYTES: usize = 256 * 8 + 64;
/// Differences of a page, unless it is asked for fewer.
const DIFFERENCES: u32 = 1_000;

/// What is asked of the revisions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedRevisions {
    /// `revision` for the order in which they were made, which it is unless given; `-revision` for the latest first.
    sort: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next` of the page before, with the same `sort`.
    cursor: Option<String>,
}

/// A revision that can be read and restored. What is null was not noted, or is no longer kept.
#[derive(Debug, Serialize, ToSchema)]
struct MadeRevision {
    /// The revision.
    revision: i64,
    /// When it was made, Unix time.
    at: Option<i64>,
    /// Who made it.
    actor: Option<String>,
    /// What was done.
    action: Option<String>,
    /// What it was done to.
    kind: Option<String>,
    /// The id of that.
    id: Option<String>,
}

impl From<Made> for MadeRevision {
    fn from(Made { revision, at, actor, action, kind, id }: Made) -> Self {
        Self { revision, at, actor, action, kind, id }
    }
}

/// The revisions that can still be read.
#[utoipa::path(get, path = "/v1/revisions", tag = "history", operation_id = "list_revisions", params(AskedRevisions), responses(
    (status = 200, description = "a page of them", body = Items<MadeRevision>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "no valid token", body = Problem),
))]
async fn revisions(
    State(store): State<Store>,
    _: Caller,
    query: Result<Query<AskedRevisions>, QueryRejection>,
) -> Result<Body<Items<MadeRevision>>, Problem> {
    let Query(asked) = query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
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

/// Between which revisions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedDiff {
    /// The first revision.
    #[param(value_type = u64)]
    from: Option<String>,
    /// The second one, which may be the earlier; the latest unless given.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// Rows of this page; 1000 unless given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next` of the page before, with the same revisions.
    #[param(max_length = 2112)]
    cursor: Option<String>,
}

/// A row that is there at the second revision only.
#[derive(Debug, Serialize, ToSchema)]
struct MadeRow {
    /// What it is.
    kind: &'static str,
    /// Its id.
    id: String,
    /// How it is there.
    #[schema(value_type = Object)]
    after: Option<Box<RawValue>>,
}

/// A row that is another at the second revision.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedRow {
    /// What it is.
    kind: &'static str,
    /// Its id.
    id: String,
    /// How it is at the first revision.
    #[schema(value_type = Object)]
    before: Option<Box<RawValue>>,
    /// How it is at the second one.
    #[schema(value_type = Object)]
    after: Option<Box<RawValue>>,
}

/// A row that is there at the first revision only.
#[derive(Debug, Serialize, ToSchema)]
struct RemovedRow {
    /// What it is.
    kind: &'static str,
    /// Its id.
    id: String,
    /// How it is there.
    #[schema(value_type = Object)]
    before: Option<Box<RawValue>>,
}

/// What differs between two revisions.
#[derive(Debug, Serialize, ToSchema)]
struct Diff {
    /// The first revision.
    from: i64,
    /// The second one.
    to: i64,
    /// Rows of the second alone.
    made: Vec<MadeRow>,
    /// Rows of both that are not the same.
    changed: Vec<ChangedRow>,
    /// Rows of the first alone.
    removed: Vec<RemovedRow>,
    /// The `cursor` of the next page; null when this is the last.
    next: Option<String>,
}

/// What differs between two revisions.
#[utoipa::path(get, path = "/v1/diff", tag = "history", operation_id = "show_difference", params(AskedDiff), responses(
    (status = 200, description = "a page of it; it may have fewer rows than `limit` though `next` is there", body = Diff),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "no valid token", body = Problem),
    (status = 410, description = "a revision is not kept any more, or was not made yet; `field` says which", body = Problem),
))]
async fn diff(
    State(store): State<Store>,
    _: Caller,
    query: Result<Query<AskedDiff>, QueryRejection>,
) -> Result<Body<Diff>, Problem> {
    let Query(asked) = query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
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

/// A revision in a parameter.
fn revision(name: &str, text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let revision = text.parse().ok().filter(|_| digits);
    revision.ok_or_else(|| Problem::parameter(name, "expected a revision, as 42"))
}

/// A revision that cannot be read.
async fn not_kept(store: &dyn Database, name: &str, revision: i64) -> Result<Problem, Problem> {
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

/// What is to be restored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskedRestore {
    /// The revision whose rows are put back.
    #[schema(minimum = 0)]
    revision: i64,
    /// Whether nothing is changed, and the answer says what would be; false unless given.
    #[serde(default)]
    dry_run: bool,
    /// Whether blocks and deny policies may be lifted; false unless given.
    #[serde(default)]
    lift_blocks: bool,
}

/// What a restore did, or would do.
#[derive(Debug, Serialize, ToSchema)]
struct RestoredPolicy {
    /// The revision that the policy is at now.
    revision: i64,
    /// The revision whose rows were put back.
    restored: i64,
    /// Whether nothing was changed.
    dry_run: bool,
    /// How many rows were made, changed and removed, by the names of their lists.
    #[schema(value_type = BTreeMap<String, Count>)]
    counts: BTreeMap<&'static str, Count>,
    /// What is not as it was, and why; the first 1,000.
    kept: Vec<Kept>,
    /// How many that are in all.
    kept_total: u64,
}

/// Puts the rows of an earlier revision back, as a new revision.
#[utoipa::path(post, path = "/v1/restore", tag = "history", operation_id = "restore_revision", request_body = AskedRestore, responses(
    (status = 200, description = "they are back, as far as the rules permit; no new revision if nothing differs", body = RestoredPolicy),
    (status = 401, description = "no valid token", body = Problem),
    (status = 409, description = "too many rows differ, or gateways could not take so many", body = Problem),
    (status = 410, description = "the revision is not kept any more, or was not made yet", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn restore_revision(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<AskedRestore>,
) -> Result<Response, Problem> {
    let AskedRestore { revision: restored, dry_run, lift_blocks } = asked;
    let mut change = store.begin(caller.act()).await?;
    let outcome = match restore::restore(&mut *change, restored, lift_blocks).await {
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
    let mut headers = HeaderMap::new();
    let accepted = tag::commit(change, &mut headers, None).await?;
    answer.revision = tag::revision_of(&headers);
    Ok((headers, Extension(accepted), Body(answer)).into_response())
}

/// All of them.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(revisions)).routes(routes!(diff)).routes(routes!(restore_revision))
}
