//! The audit log over HTTP, in pages, as a JSON list or as one entry per line.
//!
//! [`management::audit`] decides what an entry contains. [`crate::auth::permission`] says which roles may read it.

use axum::{
    Json as Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
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
use crate::{
    auth::Caller,
    http::{problem::Problem, query::Query},
};
use management::port::{
    Error, Store,
    audit::{Action, Also, AuditFilter, Entry, Subject},
};

const NDJSON: &str = "application/x-ndjson";

/// Parameters of the audit log.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only entries about this kind, such as `subscription`. With `id`, also entries that name it in `also`.
    kind: Option<String>,
    /// Only entries about the object with this id, or that name it in `also`.
    id: Option<String>,
    /// Only entries of this actor.
    actor: Option<String>,
    /// Only entries with this action, such as `block`.
    action: Option<String>,
    /// Only entries at this time or later, in Unix seconds.
    #[param(value_type = Option<u64>)]
    from: Option<String>,
    /// Only entries before this time, in Unix seconds.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// `seq` for the order in which entries were written (the default), or `-seq` for the latest first.
    sort: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page, with the same `sort`.
    cursor: Option<String>,
}

/// A further object that a change touched.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlsoChanged {
    /// Its kind.
    kind: String,
    /// Its id.
    id: String,
    /// The earlier state; null if it did not exist.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// The new state; null if it was removed.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// The position in the log; it increases.
    seq: i64,
    /// The time, in Unix seconds.
    at: i64,
    /// The actor; `service` for acts of the service itself.
    actor: String,
    /// The actor's role; null for the service and for imports from a file.
    role: Option<String>,
    /// The caller's address; null without a connection.
    address: Option<String>,
    /// The `x-request-id` of the request.
    request_id: Option<String>,
    /// The action.
    action: String,
    /// The kind of the object.
    kind: String,
    /// The object's id; null for the policy as a whole.
    id: Option<String>,
    /// The revision that the change made; null if it made none.
    revision: Option<i64>,
    /// The earlier state; null if it did not exist.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// The new state; null if it was removed.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
    /// The reason, in the words of the actor.
    reason: Option<String>,
    /// For an import or a restore: numbers of created, changed and removed rows by kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    counts: Option<Box<RawValue>>,
    /// Further objects that the change touched; the first 10,000.
    also: Vec<AlsoChanged>,
    /// Number of all further objects, if `also` does not have all.
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

pub(super) fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, Error> {
    let raw = text.map(RawValue::from_string).transpose();
    raw.map_err(|_| Error::Damaged("an entry of the audit log is no JSON"))
}

/// Lists the audit log.
#[utoipa::path(get, path = "/v1/audit", tag = "history", operation_id = "list_audit_entries", params(Asked), responses(
    (status = 200, description = "a page of the log; with `accept: application/x-ndjson` one entry per line, and the next page \
        in the `link` header", content((Items<AuditEntry> = "application/json"), (String = "application/x-ndjson"))),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list(
    State(store): State<Store>,
    _: Caller,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
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

/// Parses which entries to return.
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

/// Whether the list is requested in reverse. `name` is the field that it is sorted by.
pub(super) fn newest_first(name: &str, sort: Option<&str>) -> Result<bool, Problem> {
    match sort {
        None => Ok(false),
        Some(sort) if sort == name => Ok(false),
        Some(sort) if sort.strip_prefix('-') == Some(name) => Ok(true),
        Some(_) => Err(Problem::parameter("sort", format!("expected {name}, or -{name} for the latest first"))),
    }
}

/// Parses the position in a cursor.
pub(super) fn place(cursor: &str) -> Result<i64, Problem> {
    let digits = cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|_| digits).ok_or_else(list::bad_cursor)
}

/// Whether the client accepts one entry per line.
fn wants_lines(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, u16)> = values.flat_map(|value| value.split(',')).map(range).collect();
    let lines = weight(&ranges, NDJSON);
    lines > 0 && lines >= weight(&ranges, "application/json") && ranges.iter().any(|(name, _)| is(name, NDJSON))
}

/// A media range and its weight in thousandths (RFC 9110, 12.4.2). A weight that cannot be read counts as none given.
fn range(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = weight.and_then(|weight| weight.parse::<f32>().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
    let thousandths = weight.map_or(1_000, |weight| (weight * 1_000.0).round() as u16);
    (name, thousandths)
}

/// The weight of a media type: that of the range that names it most exactly; 0 if no range has it.
fn weight(ranges: &[(&str, u16)], media_type: &str) -> u16 {
    let of = |wanted: &str| ranges.iter().find(|(name, _)| is(name, wanted)).map(|(_, weight)| *weight);
    of(media_type).or_else(|| of("application/*")).or_else(|| of("*/*")).unwrap_or_default()
}

fn is(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

/// The `link` header to the next page (RFC 8288).
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

/// The routes of the audit log.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list))
}
