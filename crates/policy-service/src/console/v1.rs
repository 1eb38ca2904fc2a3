//! How the pages ask: by requests to the routes of `/v1`, within the process and as the person who visits.
//!
//! So a page sees and changes exactly what its person may see and change by `/v1`: the same permissions, rules, etags,
//! audit entries and log lines. There is no second way to the rows.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    auth::{Credentials, Identity},
    guesses::Peer,
    http::{problem::Problem, request_id::RequestId},
    routes::{once::IDEMPOTENCY_KEY, tag::REVISION},
};

/// The routes of `/v1`, for one person.
#[derive(Clone, Debug)]
pub struct V1 {
    router: Router,
    identity: Identity,
    credentials: Option<Credentials>,
    peer: Option<Peer>,
    request_id: Option<RequestId>,
}

/// A change that was accepted.
#[derive(Debug)]
pub struct Done {
    /// The revision that it made; the latest one, if it changed nothing.
    pub revision: i64,
    /// The row, or what else the route answers; null if it answers nothing.
    pub body: Value,
}

impl V1 {
    /// Asks as the person who sent the request with these parts.
    pub fn new(router: Router, identity: Identity, parts: &Parts) -> Self {
        let credentials = parts.extensions.get::<Credentials>().cloned();
        let (peer, request_id) =
            (parts.extensions.get::<Peer>().copied(), parts.extensions.get::<RequestId>().cloned());
        Self { router, identity, credentials, peer, request_id }
    }

    /// The same, for a form that has shown the CSRF token of its session.
    pub fn with_csrf_token(mut self) -> Self {
        if let Identity::Principal { session: Some(held), .. } = &mut self.identity {
            held.has_csrf_token = true;
        }
        self
    }

    /// Reads what is at `path`, which has its query.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let (_, body) = self.ask(Method::GET, path, Body::empty(), None).await?;
        serde_json::from_slice(&body).map_err(unreadable)
    }

    /// Changes what is at `path`. With `etag`, only if it still is that version.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Done, Problem> {
        let text = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (headers, body) = self.ask(method, path, text, etag).await?;
        let revision = headers.get(REVISION).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(unreadable)? };
        Ok(Done { revision, body })
    }

    /// Makes something at `path`, such as a key, whose secret is shown once. Sent again with the same word, it makes nothing,
    /// and the problem names what was made ([`Problem::made`]).
    pub async fn make_once(&self, path: &str, body: &Value, word: &str) -> Result<Value, Problem> {
        let word = HeaderValue::try_from(word).unwrap_or(HeaderValue::from_static(""));
        let (_, body) =
            self.send(Method::POST, path, Body::from(body.to_string()), Some((IDEMPOTENCY_KEY, word))).await?;
        serde_json::from_slice(&body).map_err(unreadable)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
        etag: Option<&str>,
    ) -> Result<(HeaderMap, Bytes), Problem> {
        // A text that is no header names no version.
        let etag = etag.map(|etag| HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")));
        self.send(method, path, body, etag.map(|etag| (header::IF_MATCH, etag))).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        condition: Option<(HeaderName, HeaderValue)>,
    ) -> Result<(HeaderMap, Bytes), Problem> {
        let mut request =
            Request::builder().method(method).uri(path).body(body).map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the address cannot be used: {error}"))
            })?;
        request.headers_mut().extend(condition.map(|(name, value)| (Some(name), value)));
        let extensions = request.extensions_mut();
        extensions.insert(self.identity.clone());
        if let Some(credentials) = &self.credentials {
            extensions.insert(credentials.clone());
        }
        if let Some(peer) = self.peer {
            extensions.insert(peer);
        }
        if let Some(id) = &self.request_id {
            extensions.insert(id.clone());
        }
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (mut parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let problem = parts.extensions.remove::<Problem>();
            return Err(problem.unwrap_or_else(|| Problem::new(parts.status, "the service refused this")));
        }
        // The routes bound their answers: lists have at most 1,000 rows.
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(unreadable)?;
        Ok((parts.headers, body))
    }
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "an answer of a route cannot be read by a page");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
}
