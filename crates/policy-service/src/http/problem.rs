//! Errors as clients see them (RFC 9457). Only this file knows their statuses and bodies.
//!
//! A problem never repeats a credential. The log gets the cause of an internal error; the client does not.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use management::{error::Error, port};

/// The media type of every error.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Seconds after which a client may retry when the database is busy.
const RETRY_AFTER_SECONDS: u16 = 1;

/// An error: `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    type_uri: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what the service expects.
    detail: Box<str>,
    /// The field of the request that is wrong, such as `match[0].path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    field: Option<Box<str>>,
    /// The answer's `x-request-id`, to search the log for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = true, value_type = String)]
    request_id: Option<Box<str>>,
    /// The id of the object that the request created when it was first handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    id: Option<Box<str>>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    /// A problem with this status. `detail` says what is wrong and what the service expects.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            type_uri: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into().into_boxed_str(),
            field: None,
            request_id: None,
            id: None,
            challenge: None,
        }
    }

    /// A problem with one field of the body or with one parameter.
    pub fn field(status: StatusCode, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into().into_boxed_str()), ..Self::new(status, detail) }
    }

    /// The request is well-formed, but a field has an invalid value.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::field(StatusCode::UNPROCESSABLE_ENTITY, field, detail)
    }

    /// A parameter of the query cannot be used.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::field(StatusCode::BAD_REQUEST, name, detail)
    }

    /// The credentials are missing or wrong. `challenge` is the value of `www-authenticate`.
    pub fn unauthorized(challenge: &'static str, detail: impl Into<String>) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// Adds the id of the request that the problem answers.
    pub fn with_request_id(self, id: &str) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// Adds the id of the object.
    pub fn about(self, id: &str) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// What is wrong, and what the service expects.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The field of the request that is wrong, such as `match[0].path`.
    pub fn wrong_field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The id of what an earlier request with the same `idempotency-key` made.
    pub fn made(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Number of seconds by which the answer tells the client to wait.
    pub fn retry_after(&self) -> Option<i64> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then(|| RETRY_AFTER_SECONDS.into())
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for Problem {}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match error {
            Error::Invalid { field, detail } => {
                Self { field: field.map(Into::into), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
            }
            Error::Conflict { field, detail } => {
                Self { field: field.map(Into::into), ..Self::new(StatusCode::CONFLICT, detail) }
            }
            Error::Forbidden { field, detail } => {
                Self { field: field.map(Into::into), ..Self::new(StatusCode::FORBIDDEN, detail) }
            }
            Error::NotFound { field, .. } => {
                Self { field: field.map(Into::into), ..Self::new(StatusCode::NOT_FOUND, said) }
            }
            Error::NoSuch(..) => Self::new(StatusCode::NOT_FOUND, said),
            Error::Changed(_) | Error::OtherRevision(_) => Self::new(StatusCode::PRECONDITION_FAILED, said),
            Error::Done => Self::new(StatusCode::CONFLICT, said),
            Error::OtherRequest => Self::invalid("idempotency-key", said),
            Error::TooManyAnswers => Self::field(StatusCode::TOO_MANY_REQUESTS, "idempotency-key", said),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<port::Error> for Problem {
    fn from(error: port::Error) -> Self {
        let (status, detail) = match &error {
            port::Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the database is busy; try again"),
            port::Error::Full => {
                (StatusCode::INSUFFICIENT_STORAGE, "the disk is full; nothing was changed; gateways are still served")
            }
            port::Error::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read or written; nothing was changed")
            }
            port::Error::Moved(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database file was removed or replaced; nothing was changed; gateways are still served",
            ),
            port::Error::Gone(_) | port::Error::OtherHistory(_) => {
                return Self::new(StatusCode::GONE, format!("{error}; fetch the full policy"));
            }
            port::Error::Damaged(_)
            | port::Error::Failed(_)
            | port::Error::Later(_)
            | port::Error::Migration(_)
            | port::Error::Url(_)
            | port::Error::Parameter { .. }
            | port::Error::Foreign(_)
            | port::Error::NoPolicy => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why; nothing was changed")
            }
        };
        tracing::error!(%error, status = status.as_u16(), "a request failed");
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // A problem consists of strings and a number, so serialisation cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        // The request's id is not known here. `request_id` adds it.
        response.extensions_mut().insert(self);
        response
    }
}
