//! Request ids: in the answer, in each log line that is written for the request, and in each problem.
//!
//! A proxy in front may send the id as `x-request-id`. If it sends none, or an unusable one, the service makes one. The
//! log lines of a request are written in a span with its id. A spawned task must take the span along
//! ([`crate::routes::run_to_completion`]).

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tracing::Instrument as _;

use super::problem::Problem;
use crate::hexadecimal::hexadecimal;

/// The id of a request, as an extension of the request.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// The header, in requests and in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of an id that the service takes over, in bytes. Envoy's ids are UUIDs of 36 bytes.
const MAX_BYTES: usize = 128;
/// Random bytes of an id that the service makes. Two of 2^64 requests share an id.
const RANDOM_BYTES: usize = 16;

/// Gives a request its id, and adds it to the answer and the log lines.
pub async fn name(mut request: Request, next: Next) -> Response {
    let id = given(request.headers()).map_or_else(made, str::to_owned);
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    // At the level of errors, so that no log filter removes the span and its id.
    let span = tracing::error_span!("request", request_id = id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = std::mem::take(response.headers_mut());
        response = problem.with_request_id(&id).into_response();
        for (name, value) in &headers {
            if name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The id that the client sends, if it is safe in a log line.
fn given(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(REQUEST_ID).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let text = value.to_str().ok()?;
    let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_sane)).then_some(text)
}

/// An id for a request without one.
pub fn made() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    // If random numbers fail, requests are still answered. They then share one id.
    let _ = getrandom::fill(&mut bytes);
    hexadecimal(&bytes)
}
