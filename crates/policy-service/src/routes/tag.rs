//! The headers of a change: `if-match` of the request; `etag` and the revision of the answer. What an etag is, and how it is
//! compared, is known in [`management::tag`].

use std::convert::Infallible;

use crate::http::problem::Problem;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use management::{
    port::Transaction,
    resource::Resource,
    tag::{Expected, etag},
};

use super::told::Accepted;

/// The revision that an accepted change made; of a change that changed nothing, the latest.
const REVISION: &str = "x-policy-revision";

/// The versions that `if-match` names.
#[derive(Debug)]
pub struct IfMatch(pub Expected);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // A value that is no text names no version.
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let values: Vec<String> = parts.headers.get_all(header::IF_MATCH).iter().map(text).collect();
        Ok(Self(Expected((!values.is_empty()).then_some(values))))
    }
}

/// Gives `shown` its etag, and returns the header that says it. A row that is gone has none.
pub async fn put_on<R: Resource>(change: &mut dyn Transaction, shown: &mut R) -> Result<HeaderMap, Problem> {
    let id = shown.id().clone().unwrap_or_default();
    *shown.etag() = change.find(R::KIND, &id).await?.as_ref().map(etag);
    Ok(header_of(shown))
}

/// The header `etag` of a row that is shown.
pub fn header_of<R: Resource>(shown: &mut R) -> HeaderMap {
    let value = shown.etag().as_deref().and_then(|tag| HeaderValue::try_from(tag).ok());
    value.into_iter().map(|value| (header::ETAG, value)).collect()
}

/// Commits `change`; `headers` then say its revision. The result is for the log.
pub async fn commit(
    change: Box<dyn Transaction>,
    headers: &mut HeaderMap,
    state: Option<String>,
) -> Result<Accepted, Problem> {
    let (made, actor) = (change.is_dirty(), change.act().actor.clone());
    let revision = change.commit().await?;
    headers.insert(REVISION, HeaderValue::from(revision));
    Ok(Accepted { actor, revision: made.then_some(revision), state })
}

/// The state of a row that is shown, if its kind has one.
pub fn state_of<R: Resource>(shown: &R) -> Option<String> {
    Some(serde_json::to_value(shown).ok()?.get("state")?.as_str()?.to_owned())
}
