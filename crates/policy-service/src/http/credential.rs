//! Tells those who count guesses at credentials what an answer's status alone does not say.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};

/// What an answer says of the credential of its request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// It was good when the request came, and ended while the request was held. That is no guess: one revoked credential
    /// ends the polls of many gateways at once, and they may share an address with others.
    Ended,
    /// It stood elsewhere than in the header and was refused, for this reason.
    Refused(Arc<str>),
}

impl Credential {
    /// Marks an answer with it.
    pub fn mark(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.extensions_mut().insert(self);
        response
    }

    /// What an answer is marked with.
    pub fn of(answer: &Response) -> Option<Self> {
        answer.extensions().get::<Self>().cloned()
    }
}
