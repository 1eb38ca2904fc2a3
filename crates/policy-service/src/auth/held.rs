//! The session of a request, and its CSRF token. [`super::session`] finds it.

use std::fmt;

use axum::http::HeaderName;
use management::port::accounts::SecretHash;
use subtle::ConstantTimeEq as _;

use super::secret::keyed;

/// The header in which the console's pages send the CSRF token of their session.
pub const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// The session of a request.
#[derive(Clone, Debug)]
pub struct Held {
    /// The digest of its secret.
    pub hash: SecretHash,
    /// Whether the request carries the session's CSRF token in its header.
    pub has_csrf_token: bool,
    /// The token for the pages of this session.
    pub csrf_token: CsrfToken,
}

/// The CSRF token of a session. `Debug` does not show it.
#[derive(Clone)]
pub struct CsrfToken(pub String);

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken")
    }
}

impl CsrfToken {
    /// The token of the session with this secret.
    pub fn of(secret: &str) -> Self {
        Self(keyed(secret, "csrf", &[]))
    }

    /// Compares in constant time.
    pub fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}
