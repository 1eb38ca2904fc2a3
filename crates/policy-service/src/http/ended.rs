//! Marks the answer to a request whose credential was good when it came, and ended while the request was held.

use axum::response::{IntoResponse, Response};

/// The mark.
#[derive(Clone, Copy, Debug)]
struct CredentialEnded;

/// Marks an answer. It is then not taken for a guess at a credential, which would be counted and delayed: one revoked
/// credential ends the polls of many gateways at once, and they may share an address with others.
pub fn mark(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(CredentialEnded);
    response
}

/// Whether an answer is marked.
pub fn is_marked(response: &Response) -> bool {
    response.extensions().get::<CredentialEnded>().is_some()
}
