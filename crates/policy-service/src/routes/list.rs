//! Lists in pages: parameters and cursors. The database finds the rows.

use axum::http::Uri;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use keygate::{digest::Digest, policy::MAX_UNIX_SECONDS};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::http::{problem::Problem, query};
use management::{
    access,
    port::{
        Actor, Database,
        list::{Column, Filter, Key, Place, Sort},
        sight::Sight,
    },
    resource::Resource,
    tag::etag,
};

/// Items of a page if the client names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Maximum number of items on a page. The largest items have 1 MB each, usual ones 200 bytes.
pub const MAX_LIMIT: u32 = 1_000;

/// Maximum length of a filter's value, in bytes. Ids, names and owners are no longer than this.
pub const MAX_VALUE_BYTES: usize = 256;
/// Maximum length of a cursor, in bytes. It holds the longest value and the longest id, each byte escaped in JSON (6)
/// and encoded in base64 (4/3), and the sort.
pub const MAX_CURSOR_BYTES: usize = 2 * MAX_VALUE_BYTES * 8 + 256;

/// Parameters of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page, with the same `sort`.
    cursor: Option<String>,
    /// Only items whose id or name contains this text; ASCII letters match in either case. Of subscriptions, the id or name of
    /// the application counts as well.
    q: Option<String>,
    /// Only items of this application, see [`Resource::FILTERS`].
    #[param(ignore)]
    application: Option<String>,
    /// Only items of this API.
    #[param(ignore)]
    api: Option<String>,
    /// Only items in this state, see [`Resource::STATES`].
    #[param(ignore)]
    state: Option<String>,
    /// Only items of this owner.
    #[param(ignore)]
    owner: Option<String>,
    /// Only items of this plan.
    #[param(ignore)]
    plan: Option<String>,
    /// Only items of this type, see [`Resource::TYPES`].
    #[param(ignore)]
    r#type: Option<String>,
    /// Only the key with this digest.
    #[param(ignore)]
    sha256: Option<String>,
    /// Only keys whose last use is before this time, and keys that were never used.
    #[param(ignore)]
    last_used_before: Option<String>,
    /// Only subscriptions with a planned block, or only those without.
    #[param(ignore)]
    planned: Option<String>,
    /// The order of the list, see [`Resource::SORTS`].
    #[param(ignore)]
    sort: Option<String>,
}

/// Parameters of every list.
const EVERYWHERE: [&str; 4] = ["limit", "cursor", "sort", "q"];

impl Listing {
    /// Reads the query of a list of this kind. Rejects a parameter that this kind of object does not have.
    pub fn read<R: Resource>(uri: &Uri) -> Result<Self, Problem> {
        let names: Vec<&str> = EVERYWHERE.iter().chain(R::FILTERS).copied().collect();
        query::has_only(uri, &names)?;
        query::read(uri, &[])
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// In the requested order; by id unless the request names another.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    pub next: Option<String>,
    /// Number of items in the whole list. Lists of usage omit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// Answers an actor with the requested page.
pub async fn list<R: Resource>(store: &dyn Database, actor: &Actor, listing: Listing) -> Result<Items<R>, Problem> {
    let limit = limit(listing.limit.as_deref())?;
    let (sort, name) = sort::<R>(listing.sort.as_deref())?;
    let after = listing.cursor.as_deref().map(|text| place(text, sort, &name).ok_or_else(bad_cursor)).transpose()?;
    let sight = access::sight(actor, R::KIND);
    let page = store.list(R::KIND, &Filter { sight, ..filter::<R>(listing)? }, sort, after.as_ref(), limit).await?;
    let mut items = page.rows.iter().map(R::shown).collect::<Result<Vec<_>, _>>()?;
    for (item, version) in items.iter_mut().zip(&page.rows) {
        *item.etag() = Some(etag(version));
    }
    R::add_to_view(store, actor, &mut items).await?;
    Ok(Items { items, next: page.next.map(|place| cursor(&place, &name)), total: Some(page.total) })
}

/// Makes the filter. Rejects a value that is not valid for this kind of object.
fn filter<R: Resource>(listing: Listing) -> Result<Filter, Problem> {
    let Listing { q, application, api, state, owner, plan, r#type, sha256, last_used_before, planned, .. } = listing;
    let own = [
        ("application", &application),
        ("api", &api),
        ("state", &state),
        ("owner", &owner),
        ("plan", &plan),
        ("type", &r#type),
        ("sha256", &sha256),
        ("last_used_before", &last_used_before),
    ];
    for (name, given) in own {
        check_length(name, given.as_deref())?;
    }
    for (name, given, words) in [("state", &state, R::STATES), ("type", &r#type, R::TYPES)] {
        if given.as_deref().is_some_and(|given| !words.contains(&given)) {
            return Err(Problem::parameter(name, format!("expected one of {}", words.join(", "))));
        }
    }
    if q.as_ref().is_some_and(|part| !(1..=MAX_VALUE_BYTES).contains(&part.len())) {
        return Err(Problem::parameter("q", format!("expected 1 to {MAX_VALUE_BYTES} bytes")));
    }
    let digest = |text: String| {
        let digest = Digest::from_hex(&text).map(|digest| digest.to_hex());
        digest.ok_or_else(|| Problem::parameter("sha256", "expected 64 hexadecimal digits"))
    };
    let identity = sha256.map(digest).transpose()?;
    let last_used_before = last_used_before.map(|text| time("last_used_before", &text)).transpose()?;
    let planned = planned.map(|text| boolean("planned", &text)).transpose()?;
    let sight = Sight::All;
    Ok(Filter { state, r#type, owner, application, api, plan, identity, part: q, last_used_before, planned, sight })
}

/// Rejects a filter's value that is longer than any id, name or owner.
pub fn check_length(name: &str, given: Option<&str>) -> Result<(), Problem> {
    match given.is_some_and(|given| given.len() > MAX_VALUE_BYTES) {
        true => Err(Problem::parameter(name, format!("expected at most {MAX_VALUE_BYTES} bytes"))),
        false => Ok(()),
    }
}

/// Parses the requested order. Returns it with its name.
fn sort<R: Resource>(asked: Option<&str>) -> Result<(Sort, String), Problem> {
    let asked = asked.unwrap_or("id");
    let (name, descending) = asked.strip_prefix('-').map_or((asked, false), |name| (name, true));
    let found = R::SORTS.iter().chain(SORTS).find(|(other, _)| *other == name);
    let column = found.map(|(_, column)| *column).ok_or_else(|| {
        let names: Vec<&str> = SORTS.iter().chain(R::SORTS).map(|(name, _)| *name).collect();
        Problem::parameter(
            "sort",
            format!("expected one of {}, or one of them after a minus for descending order, as -id", names.join(", ")),
        )
    })?;
    Ok((Sort { column, descending }, asked.to_owned()))
}

/// Orders that lists of every kind have.
pub const SORTS: &[(&str, Column)] = &[("id", Column::Id), ("changed", Column::Changed)];

/// Encodes a position in a list as a cursor. The cursor includes the order, because a position means nothing in another
/// order.
fn cursor(place: &Place, sort: &str) -> String {
    let key = match &place.key {
        Key::Text(text) => json!(text),
        Key::Number(number) => json!(number),
    };
    URL_SAFE_NO_PAD.encode(json!([sort, key, place.id]).to_string())
}

/// The cursor right after a row in a list that is sorted by a text. `sort` is the parameter, and `key` the row's value.
pub fn cursor_at(sort: &str, key: &str, id: &str) -> String {
    cursor(&Place { key: Key::Text(key.to_owned()), id: id.to_owned() }, sort)
}

fn place(cursor: &str, sort: Sort, name: &str) -> Option<Place> {
    if cursor.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (of, key, id): (String, Value, String) = serde_json::from_slice(&bytes).ok()?;
    let key = match key {
        Value::String(text) if !sort.column.is_number() => Key::Text(text),
        Value::Number(number) if sort.column.is_number() => Key::Number(number.as_i64()?),
        _ => return None,
    };
    (of == name).then_some(Place { key, id })
}

/// Parses the number of items on a page.
pub fn limit(asked: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = asked else { return Ok(DEFAULT_LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::parameter("limit", format!("expected an integer from 1 to {MAX_LIMIT}")))
}

/// The error for a cursor that the service did not issue.
pub fn bad_cursor() -> Problem {
    Problem::parameter("cursor", "expected the `next` of another page, with the same sort")
}

/// Parses a parameter that is true or false.
pub fn boolean(name: &str, text: &str) -> Result<bool, Problem> {
    text.parse().map_err(|_| Problem::parameter(name, "expected true or false"))
}

/// Parses a time in a parameter.
pub fn time(name: &str, text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let time = text.parse().ok().filter(|time| digits && (0..=MAX_UNIX_SECONDS).contains(time));
    time.ok_or_else(|| Problem::parameter(name, "expected Unix time in seconds, such as 1748736000"))
}
