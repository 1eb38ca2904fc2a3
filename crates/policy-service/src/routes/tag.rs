//! The headers of a change: `if-match` of the request, and `etag` and the revision in the answer. [`management::tag`]
//! makes and compares etags.

use std::convert::Infallible;

use crate::http::problem::Problem;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use management::{
    once,
    port::{Transaction, answers::Answer},
    resource::Resource,
    tag::{Expected, etag},
};

use super::told::Accepted;

/// The header with the revision that a change made. If the change changed nothing, it is the latest revision.
pub const REVISION: &str = "x-policy-revision";

/// The versions that the `if-match` header names.
#[derive(Debug)]
pub struct IfMatch(pub Expected);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // A header value that is not text matches no version.
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let values: Vec<String> = parts.headers.get_all(header::IF_MATCH).iter().map(text).collect();
        Ok(Self(Expected((!values.is_empty()).then_some(values))))
    }
}

/// Sets the etag of `shown` and returns the header with it. A deleted row has no etag.
pub async fn put_on<R: Resource>(change: &mut dyn Transaction, shown: &mut R) -> Result<HeaderMap, Problem> {
    let id = shown.id().clone().unwrap_or_default();
    *shown.etag() = change.find(R::KIND, &id).await?.as_ref().map(etag);
    Ok(header_of(shown))
}

/// The `etag` header for a row.
pub fn header_of<R: Resource>(shown: &mut R) -> HeaderMap {
    let value = shown.etag().as_deref().and_then(|tag| HeaderValue::try_from(tag).ok());
    value.into_iter().map(|value| (header::ETAG, value)).collect()
}

/// The `etag` header with the etag of a token or a credential.
pub fn header_with(etag: &str) -> HeaderMap {
    HeaderValue::try_from(etag).ok().into_iter().map(|value| (header::ETAG, value)).collect()
}

/// Commits `change` and adds its revision to `headers`. The log uses the result.
pub async fn commit(
    change: Box<dyn Transaction>,
    headers: &mut HeaderMap,
    state: Option<String>,
) -> Result<Accepted, Problem> {
    let (made, actor) = (change.is_dirty(), change.act().actor.clone());
    let revision = change.commit().await?;
    put_revision(headers, revision);
    Ok(Accepted { actor, revision: made.then_some(revision), state, is_stored: false })
}

/// The answer to a POST, apart from its headers.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The status.
    pub status: StatusCode,
    /// The location of the new row.
    pub location: Option<&'a HeaderValue>,
    /// The body, JSON; `None` if it contains a secret, which must not be stored.
    pub body: Option<&'a str>,
    /// The id of the object with the secret.
    pub issued: Option<&'a str>,
}

/// Commits `change` like [`commit`]. Stores the answer with it if the request is idempotent.
pub async fn commit_once(
    mut change: Box<dyn Transaction>,
    headers: &mut HeaderMap,
    state: Option<String>,
    told: Told<'_>,
) -> Result<Accepted, Problem> {
    let is_stored = store(&mut *change, headers, told).await?;
    Ok(Accepted { is_stored, ..commit(change, headers, state).await? })
}

/// Commits a change like [`commit_beside`]. If the request is idempotent, notes with it that the secret `issued` was
/// sent.
pub async fn commit_issued(
    mut change: Box<dyn Transaction>,
    headers: &mut HeaderMap,
    place: &HeaderValue,
    issued: &str,
) -> Result<Accepted, Problem> {
    let told = Told { status: StatusCode::CREATED, location: Some(place), body: None, issued: Some(issued) };
    let is_stored = store(&mut *change, headers, told).await?;
    Ok(Accepted { is_stored, ..commit_beside(change, headers).await? })
}

/// Stores the answer of a change before it is committed, if its request is idempotent.
async fn store(change: &mut dyn Transaction, headers: &HeaderMap, told: Told<'_>) -> Result<bool, Problem> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let answer = Answer {
        status: told.status.as_u16(),
        location: told.location.and_then(text),
        etag: headers.get(header::ETAG).and_then(text),
        body: told.body.map(str::to_owned),
        issued: told.issued.map(str::to_owned),
        ..Answer::default()
    };
    Ok(once::keep(change, answer).await?)
}

/// Commits a change that is not part of the policy, and adds the latest revision to `headers`.
pub async fn commit_beside(change: Box<dyn Transaction>, headers: &mut HeaderMap) -> Result<Accepted, Problem> {
    let actor = change.act().actor.clone();
    let revision = change.commit().await?;
    put_revision(headers, revision);
    Ok(Accepted { actor, revision: Some(revision), state: None, is_stored: false })
}

/// Adds a revision to the headers.
pub fn put_revision(headers: &mut HeaderMap, revision: i64) {
    headers.insert(REVISION, HeaderValue::from(revision));
}

/// The state of a row, if its kind has states.
pub fn state_of<R: Resource>(shown: &R) -> Option<String> {
    Some(serde_json::to_value(shown).ok()?.get("state")?.as_str()?.to_owned())
}
