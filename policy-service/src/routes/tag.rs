//! Versions of rows: the `etag` of each, and `if-match`, so that nobody overwrites a change that he has not seen.
//!
//! It compares only. Which changes a row takes at all is decided in [`crate::management::resource`].

use std::{convert::Infallible, fmt::Write as _};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use sha2::{Digest as _, Sha256};

use crate::{
    http::problem::Problem,
    management::resource::Resource,
    store::{Change, Version},
};

use super::told::Accepted;

/// Bytes of the digest in an etag: 64 bits, which tell two contents apart that a restored database gave one number.
const DIGEST_BYTES: usize = 8;
/// The revision that an accepted change made; of a change that changed nothing, the latest.
const REVISION: &str = "x-policy-revision";

/// The etag of a row, with its quotes. It changes with every change of the row and never comes back.
pub fn etag(version: &Version) -> String {
    let digest = Sha256::digest(version.document.as_bytes());
    let mut tag = format!("\"{:x}-", version.seq);
    for byte in digest.iter().take(DIGEST_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// What `if-match` asks for; without the header, nothing.
#[derive(Debug)]
pub struct IfMatch(Option<Vec<HeaderValue>>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values: Vec<HeaderValue> = parts.headers.get_all(header::IF_MATCH).iter().cloned().collect();
        Ok(Self((!values.is_empty()).then_some(values)))
    }
}

impl IfMatch {
    /// Refuses the request (412) if the row is another version than the ones that the header names. A weak tag (`W/"…"`)
    /// and a tag without its quotes match nothing (RFC 9110, 13.1.1).
    pub fn check(&self, held: &Version) -> Result<(), Problem> {
        let Some(values) = &self.0 else { return Ok(()) };
        let tag = etag(held);
        let mut named = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        // A tag of this service holds no comma, so splitting cannot join or cut one.
        if named.any(|name| matches!(name.trim(), "*") || name.trim() == tag) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            format!("this {} was changed since it was read; read it again (if-match)", held.kind.noun()),
        ))
    }
}

/// Gives `shown` its etag, and returns the header that says it. A row that is gone has none.
pub async fn put_on<R: Resource>(change: &mut Change, shown: &mut R) -> Result<HeaderMap, Problem> {
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
pub async fn commit(change: Change, headers: &mut HeaderMap, state: Option<String>) -> Result<Accepted, Problem> {
    let made = change.is_dirty();
    let revision = change.commit().await?;
    headers.insert(REVISION, HeaderValue::from(revision));
    Ok(Accepted { revision: made.then_some(revision), state })
}

/// The state of a row that is shown, if its kind has one.
pub fn state_of<R: Resource>(shown: &R) -> Option<String> {
    Some(serde_json::to_value(shown).ok()?.get("state")?.as_str()?.to_owned())
}
