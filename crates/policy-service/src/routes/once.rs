//! `idempotency-key`: a POST that is sent again within a day takes effect once and gets the same answer.
//!
//! The key and a digest of the request travel with the act, and the answer is stored with the change
//! ([`management::once`]). This file reads keys and repeats stored answers: before the request is handled, and after it
//! failed because another request with its key was faster.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

use super::{tag::REVISION, told::Accepted};
use crate::{
    auth::Identity,
    clock::act,
    http::{body, problem::Problem},
};
use management::{
    once::{check, owner, since},
    port::{
        Actor, Store,
        answers::{Answer, Once},
    },
};

/// The request header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum length of a key, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// Routes with a streamed body of any length, which take care of their keys themselves.
const STREAMS: &[&str] = &["/v1/import"];

/// Handles a request with a key.
pub async fn guard(State(store): State<Store>, request: Request, next: Next) -> Result<Response, Problem> {
    let is_once = request.method() == Method::POST && request.headers().contains_key(IDEMPOTENCY_KEY);
    if !is_once || STREAMS.contains(&request.uri().path()) {
        return Ok(next.run(request).await);
    }
    // A caller without permission gets the answer of the route.
    let identity = request.extensions().get::<Identity>().filter(|identity| !identity.is_forgeable(&Method::POST));
    let Some(Identity::Principal { principal, .. }) = identity else {
        return Ok(next.run(request).await);
    };
    let actor = Actor::Principal(principal.clone());
    let key = key(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let bytes = body::read(body).await?;
    let once = Arc::new(Once { key, fingerprint: fingerprint(&parts, &bytes) });
    if let Some(again) = find(&store, &actor, &once).await? {
        return Ok(again);
    }
    parts.extensions.insert(Arc::clone(&once));
    let answer = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if answer.extensions().get::<Accepted>().is_some_and(|accepted| accepted.is_stored) {
        return Ok(answer);
    }
    Ok(find(&store, &actor, &once).await?.unwrap_or(answer))
}

/// The key of a request, if it has one.
pub fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) { key(headers).map(Some) } else { Ok(None) }
}

/// Parses the key of a request.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let is_key = |text: &&str| {
        (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    value.filter(is_key).map(str::to_owned).ok_or_else(|| {
        let detail = format!("expected one key of 1 to {MAX_IDEMPOTENCY_KEY_BYTES} visible ASCII characters");
        Problem::parameter(IDEMPOTENCY_KEY.as_str(), detail)
    })
}

/// Distinguishes requests: by method, path with query, and body.
fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    begin_fingerprint(parts).chain_update(body).finalize().into()
}

/// The part of a request's digest that comes before its body.
pub fn begin_fingerprint(parts: &Parts) -> Sha256 {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut digest = Sha256::new();
    digest.update(parts.method.as_str());
    // Neither a method nor a path contains a zero byte.
    digest.update([0]);
    digest.update(target);
    digest.update([0]);
    digest
}

/// Finds the answer to an earlier request with this key.
pub async fn find(store: &Store, actor: &Actor, once: &Once) -> Result<Option<Response>, Problem> {
    let since = since(&act(actor.clone()));
    let Some(answer) = store.answer(&owner(actor), &once.key, since).await? else { return Ok(None) };
    check(once, &answer)?;
    Ok(Some(again(answer)))
}

/// Repeats a stored answer. A secret is not shown again.
fn again(answer: Answer) -> Response {
    let Answer { status, location, etag, revision, body, issued, .. } = answer;
    let mut response = match (body, issued) {
        (Some(body), _) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        (None, issued) => {
            let id = issued.unwrap_or_default();
            let detail = format!("this request was done before and made {id:?}, whose secret is not shown again");
            Problem::new(StatusCode::CONFLICT, detail).about(&id).into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [(header::LOCATION, location), (header::ETAG, etag)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REVISION, HeaderValue::from(revision));
    response
}
