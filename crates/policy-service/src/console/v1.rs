//! How the pages ask: by requests to the routes of `/v1`, within the process and as the person who visits.
//!
//! So a page sees and changes exactly what its person may see and change by `/v1`: the same permissions, rules, etags,
//! audit entries and log lines. There is no second way to the rows.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, response},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tower::ServiceExt as _;

use super::rows::List;
use crate::{
    auth::{Credentials, Identity},
    guesses::Peer,
    http::{problem::Problem, request_id::RequestId},
    routes::{once::IDEMPOTENCY_KEY, tag::REVISION, told::Accepted},
    web::place::query,
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
    /// Whether it changed anything.
    pub is_new: bool,
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

    /// Finds a row in the whole list `all`. For lists of some hundreds, whose rows have no address of their own.
    pub async fn find<T: DeserializeOwned>(
        &self,
        all: &str,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Problem> {
        let mut cursor = String::new();
        loop {
            let asked = query(&[("limit", "1000"), ("cursor", &cursor)]);
            let list: List<T> = self.read(&format!("{all}{asked}")).await?;
            if let Some(found) = list.items.into_iter().find(&is_wanted) {
                return Ok(Some(found));
            }
            let Some(next) = list.next else { return Ok(None) };
            cursor = next;
        }
    }

    /// Changes what is at `path`. With `etag`, only if it still is that version.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Done, Problem> {
        // A text that is no header names no version.
        let etag = etag.map(|etag| HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")));
        self.send(method, path, body, etag.map(|etag| (header::IF_MATCH, etag))).await
    }

    /// Makes a row by a POST to `path`. A form that arrives twice, with the same word `once`, makes one row.
    pub async fn create(&self, path: &str, body: &Value, once: &str) -> Result<Done, Problem> {
        let once = HeaderValue::try_from(once).ok().filter(|once| !once.is_empty());
        self.send(Method::POST, path, Some(body), once.map(|once| (IDEMPOTENCY_KEY, once))).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        with: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Done, Problem> {
        let text = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (parts, body) = self.ask(method, path, text, with).await?;
        let revision =
            parts.headers.get(REVISION).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(unreadable)? };
        let is_new = parts.extensions.get::<Accepted>().is_some_and(|accepted| accepted.revision.is_some());
        Ok(Done { revision, is_new, body })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
        with: Option<(HeaderName, HeaderValue)>,
    ) -> Result<(response::Parts, Bytes), Problem> {
        let mut request =
            Request::builder().method(method).uri(path).body(body).map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the address cannot be used: {error}"))
            })?;
        request.headers_mut().extend(with.map(|(name, value)| (Some(name), value)));
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
        Ok((parts, body))
    }
}

/// The row that was read as a map, as pages know it.
pub fn read_again<T: DeserializeOwned>(row: &Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(row.clone())).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "an answer of a route cannot be read by a page");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
}
