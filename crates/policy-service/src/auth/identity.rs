//! The sender of a request, as its credential shows. [`super::permission`] decides what the caller may do.

use axum::http::Method;

use super::{gateway::Gateway, held::Held};
use crate::http::problem::Problem;
use management::port::Principal;

/// The sender of a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The request has no valid credential.
    Nobody(Flaw),
    /// A principal with a token or a session.
    Principal {
        /// The principal.
        principal: Principal,
        /// When the token or the session expires, Unix time; `None` if it does not.
        expires_at: Option<i64>,
        /// The session, if a cookie proves the principal.
        session: Option<Held>,
    },
    /// A gateway.
    Gateway(Gateway),
    /// The database could not be read.
    Unknown(Box<Problem>),
}

/// Why a request has no valid credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is no credential.
    Missing,
    /// The header cannot be read.
    Unreadable,
    /// The credential is wrong.
    Wrong,
    /// The session of the cookie has ended.
    Ended,
}

impl Identity {
    /// Whether the request has a valid credential.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Principal { .. } | Self::Gateway(_))
    }

    /// Whether a page of another origin may have made a browser send this request: a change with a session's cookie and
    /// without the session's CSRF token.
    pub fn is_forgeable(&self, method: &Method) -> bool {
        match self {
            Self::Principal { session: Some(held), .. } => !method.is_safe() && !held.has_csrf_token,
            _ => false,
        }
    }
}
