//! Who sends a request, as its credential shows. What the caller may do is decided by [`super::permission`].

use super::gateway::Gateway;
use crate::http::problem::Problem;
use management::port::Principal;

/// Who sends a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The request has no valid credential.
    Nobody(Flaw),
    /// Somebody with a token.
    Principal {
        /// Who.
        principal: Principal,
        /// When the token ends, Unix time; `None`: never.
        expires_at: Option<i64>,
    },
    /// A gateway.
    Gateway(Gateway),
    /// The database could not be asked.
    Unknown(Box<Problem>),
}

/// Why a request has no valid credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It has none.
    Missing,
    /// The header cannot be read.
    Unreadable,
    /// It was refused.
    Wrong,
}

impl Identity {
    /// Whether the request has a valid credential.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Principal { .. } | Self::Gateway(_))
    }
}
