//! The audit log: who changed what, in pages, as a list or as one entry a line.
//!
//! What stands in an entry is decided in [`management::audit`]; which role may read it, where roles are known.

use axum::{
    Json as Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PATH_SEGMENT,
    list::{self, Items, MAX_VALUE_BYTES},
};
use crate::{auth::Caller, http::problem::Problem};
use management::port::{
    Error, Store,
    audit::{Action, Also, AuditFilter, Entry, Subject},
};

const NDJSON: &str = "application/x-ndjson";

/// What is asked of the audit log.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only entries about this kind, as `subscription`; with `id`, also those in which it stands in `also`.
    kind: Option<String>,
    /// Only entries about what has this id, or in which it stands in `also`.
    id: Option<String>,
    /// Only those of this actor.
    actor: Option<String>,
    /// Only those of this action, as `block`.
    action: Option<String>,
    /// Only those at this time or later, Unix seconds.
    #[param(value_type = Option<u64>)]
    from: Option<String>,
    /// Only those before this time, Unix seconds.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// `seq` for the order in which they were written, which it is unless given; `-seq` for the latest first.
    sort: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next` of the page before, with the same `sort`.
    cursor: Option<String>,
}

/// What else a change concerned.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlsoChanged {
    /// What it is.
    kind: String,
    /// Its id.
    id: String,
    /// What it was; null: it was not there.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// What it is now; null: it is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the log; rises.
    seq: i64,
    /// When, Unix time.
    at: i64,
    /// Who; `service` for what the service did by itself.
    actor: String,
    /// The role in which the actor did it; null for the service and for imports from a file.
    role: Option<String>,
    /// From where; null if no connection asked for it.
    address: Option<String>,
    /// The `x-request-id` of the request that asked for it.
    request_id: Option<String>,
    /// What was done.
    action: String,
    /// What it was done to.
    kind: String,
    /// The id of that; null where the policy as a whole is meant.
    id: Option<String>,
    /// The revision that the change made; null: it made none.
    revision: Option<i64>,
    /// What it was; null: it was not there.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// What it is now; null: it is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
    /// Why, in the words of the actor.
    reason: Option<String>,
    /// Of an import or a restore: how many rows it made, changed and removed, by kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    counts: Option<Box<RawValue>>,
    /// What else the change brought along; the first 10,000.
    also: Vec<AlsoChanged>,
    /// How many there are in all, if that is more than `also` has.
    #[serde(skip_serializing_if = "Option::is_none")]
    also_total: Option<i64>,
}

impl TryFrom<Entry> for AuditEntry {
    type Error = Error;

    fn try_from(entry: Entry) -> Result<Self, Error> {
        let has_more = usize::try_from(entry.also_total).is_ok_and(|total| total > entry.also.len());
        let also = entry.also.into_iter().map(|Also { kind, id, before, after }| {
            Ok(AlsoChanged { kind, id, before: raw(before)?, after: raw(after)? })
        });
        Ok(Self {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor,
            role: entry.role,
            address: entry.address,
            request_id: entry.request_id,
            action: entry.action,
            kind: entry.kind,
            id: entry.id,
            revision: entry.revision,
            before: raw(entry.before)?,
            after: raw(entry.after)?,
            reason: entry.reason,
            counts: raw(entry.counts)?,
            also: also.collect::<Result<_, Error>>()?,
            also_total: has_more.then_some(entry.also_total),
        })
    }
}

fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, Error> {
    let raw = text.map(RawValue::from_string).transpose();
    raw.map_err(|_| Error::Damaged("an entry of the audit log is no JSON"))
}

/// The audit log.
#[utoipa::path(get, path = "/v1/audit", tag = "history", operation_id = "list_audit_entries", params(Asked), responses(
    (status = 200, description = "a page of it; with `accept: application/x-ndjson` one entry a line, and the next page \
        stands in the header `link`", content((Items<AuditEntry> = "application/json"), (String = "application/x-ndjson"))),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list(
    State(store): State<Store>,
    _: Caller,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let limit = list::limit(asked.limit.as_deref())?;
    let newest_first = newest_first("seq", asked.sort.as_deref())?;
    let after = asked.cursor.as_deref().map(place).transpose()?;
    let page = store.entries(&filter(&asked)?, after, newest_first, limit).await?;
    let next = page.next.map(|seq| seq.to_string());
    let items = page.entries.into_iter().map(AuditEntry::try_from).collect::<Result<Vec<_>, _>>()?;
    if !wants_lines(&headers) {
        return Ok(Body(Items { items, next, total: None }).into_response());
    }
    let lines = items.iter().filter_map(|entry| serde_json::to_string(entry).ok()).map(|line| line + "\n");
    let mut answer = ([(header::CONTENT_TYPE, NDJSON)], lines.collect::<String>()).into_response();
    let link = next.and_then(|next| HeaderValue::try_from(link(&asked, &next)).ok());
    answer.headers_mut().extend(link.map(|link| (header::LINK, link)));
    Ok(answer)
}

/// Which entries are asked for.
fn filter(asked: &Asked) -> Result<AuditFilter, Problem> {
    let word = |name, given: &Option<String>, words: Vec<&str>| match given {
        Some(given) if !words.contains(&given.as_str()) => {
            Err(Problem::parameter(name, format!("expected one of {}", words.join(", "))))
        }
        given => Ok(given.clone()),
    };
    let text = |name, given: &Option<String>| match given {
        Some(given) if given.len() > MAX_VALUE_BYTES => {
            Err(Problem::parameter(name, format!("expected at most {MAX_VALUE_BYTES} bytes")))
        }
        given => Ok(given.clone()),
    };
    let time = |name, given: &Option<String>| given.as_deref().map(|given| list::time(name, given)).transpose();
    Ok(AuditFilter {
        kind: word("kind", &asked.kind, Subject::ALL.iter().map(|subject| subject.word()).collect())?,
        action: word("action", &asked.action, Action::ALL.iter().map(|action| action.word()).collect())?,
        id: text("id", &asked.id)?,
        actor: text("actor", &asked.actor)?,
        from: time("from", &asked.from)?,
        to: time("to", &asked.to)?,
    })
}

/// Whether a list is asked for in reverse; `name` is what it is sorted by.
pub(super) fn newest_first(name: &str, sort: Option<&str>) -> Result<bool, Problem> {
    match sort {
        None => Ok(false),
        Some(sort) if sort == name => Ok(false),
        Some(sort) if sort.strip_prefix('-') == Some(name) => Ok(true),
        Some(_) => Err(Problem::parameter("sort", format!("expected {name}, or -{name} for the latest first"))),
    }
}

/// Where a page ended.
pub(super) fn place(cursor: &str) -> Result<i64, Problem> {
    let digits = cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|_| digits).ok_or_else(list::bad_cursor)
}

/// Whether the client asks for one entry a line.
fn wants_lines(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(','));
    types.any(|one| one.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(NDJSON)))
}

/// The page after this one, RFC 8288.
fn link(asked: &Asked, next: &str) -> String {
    let Asked { kind, id, actor, action, from, to, sort, limit, .. } = asked;
    let given = [
        ("kind", kind),
        ("id", id),
        ("actor", actor),
        ("action", action),
        ("from", from),
        ("to", to),
        ("sort", sort),
        ("limit", limit),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let pairs = given.map(|(name, value)| format!("&{name}={}", utf8_percent_encode(value, &PATH_SEGMENT)));
    format!("</v1/audit?cursor={next}{}>; rel=\"next\"", pairs.collect::<String>())
}

/// All of them.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list))
}
