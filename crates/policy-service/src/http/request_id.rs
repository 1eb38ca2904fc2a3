//! The name of a request: in its answer, in each line of the log that is written for it, and in each problem.
//!
//! A proxy in front gives it in `x-request-id`; where it gives none that can be used, one is made here. Everything that is
//! logged while a request is answered stands in its span. A task of its own has to take the span along
//! ([`crate::routes::run_to_completion`]).

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tracing::Instrument as _;

use super::problem::Problem;

/// The header, of requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of a name that is taken over. Envoy's are UUIDs of 36.
const MAX_BYTES: usize = 128;
/// Random bytes of a name that is made: two in 2^64 requests are the same.
const RANDOM_BYTES: usize = 16;

/// Names a request and all that comes of it.
pub async fn name(request: Request, next: Next) -> Response {
    let id = given(request.headers()).map_or_else(made, str::to_owned);
    // Whatever of the log is wanted, its lines have the name.
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

/// The name that the client gives, if it gives one that can stand in a line of a log.
fn given(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(REQUEST_ID).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let text = value.to_str().ok()?;
    let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_sane)).then_some(text)
}

/// A name for a request that brings none.
pub fn made() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    // Without random numbers requests are answered all the same; their names are then alike.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
