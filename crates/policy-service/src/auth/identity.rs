//! The sender of a request, as its credential shows. [`super::permission`] decides what the caller may do.

use super::gateway::Gateway;
use crate::http::problem::Problem;
use management::port::Principal;

/// The sender of a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The request has no valid credential.
    Nobody(Flaw),
    /// A principal with a token.
    Principal {
        /// The principal.
        principal: Principal,
        /// When the token expires, Unix time; `None` if it does not.
        expires_at: Option<i64>,
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
}

impl Identity {
    /// Whether the request has a valid credential.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Principal { .. } | Self::Gateway(_))
    }
}
