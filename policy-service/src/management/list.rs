//! Lists in pages: `limit`, `cursor`, and what to filter by.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use keygate::policy::Digest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{resource::Resource, tag};
use crate::{
    problem::Problem,
    store::{Store, read::Filter},
};

/// Items of a page, unless it is asked for more or fewer.
const DEFAULT_LIMIT: u32 = 100;
/// Most items of a page. The largest are 1 MB each, the usual ones 200 bytes.
const MAX_LIMIT: u32 = 1_000;

/// What is asked of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only those of this application, see [`Resource::FILTERS`].
    #[param(ignore)]
    application: Option<String>,
    /// Only those to this API.
    #[param(ignore)]
    api: Option<String>,
    /// Only those in this state, see [`Resource::STATES`].
    #[param(ignore)]
    state: Option<String>,
    /// Only those of this owner.
    #[param(ignore)]
    owner: Option<String>,
    /// Only the key with this digest.
    #[param(ignore)]
    sha256: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// In the order of their ids.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null when this is the last.
    pub next: Option<String>,
}

/// The page that is asked for.
pub async fn list<R: Resource>(store: &Store, listing: Listing) -> Result<Items<R>, Problem> {
    let limit = limit(listing.limit.as_deref())?;
    let after = match &listing.cursor {
        None => String::new(),
        Some(cursor) => URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(bad_cursor)?,
    };
    let Listing { application, api, state, owner, sha256, .. } = &listing;
    let given = [("application", application), ("api", api), ("state", state), ("owner", owner), ("sha256", sha256)];
    for (name, given) in given {
        if given.is_some() && !R::FILTERS.contains(&name) {
            return Err(Problem::parameter(name, format!("{} are not listed by {name}; leave it out", R::KIND.list())));
        }
    }
    if listing.state.as_deref().is_some_and(|state| !R::STATES.contains(&state)) {
        return Err(Problem::parameter("state", format!("expected one of {}", R::STATES.join(", "))));
    }
    let digest = |text: &str| {
        let digest = Digest::from_hex(text).map(|digest| digest.to_hex());
        digest.ok_or_else(|| Problem::parameter("sha256", "expected 64 hexadecimal digits"))
    };
    let filter = Filter {
        application: listing.application,
        api: listing.api,
        state: listing.state,
        owner: listing.owner,
        identity: listing.sha256.as_deref().map(digest).transpose()?,
    };
    let mut found = store.list(R::KIND, &filter, &after, limit.saturating_add(1)).await?;
    let more = u32::try_from(found.len()).is_ok_and(|found| found > limit);
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(&last.id));
    let mut items = found.iter().map(R::shown).collect::<Result<Vec<_>, _>>()?;
    for (item, version) in items.iter_mut().zip(&found) {
        *item.etag() = Some(tag::etag(version));
    }
    R::complement(store, &mut items).await?;
    Ok(Items { items, next })
}

/// How many items a page has.
pub fn limit(asked: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = asked else { return Ok(DEFAULT_LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::parameter("limit", format!("expected an integer from 1 to {MAX_LIMIT}")))
}

/// A cursor that was not given out.
pub fn bad_cursor() -> Problem {
    Problem::parameter("cursor", "expected the `next` of another page")
}
