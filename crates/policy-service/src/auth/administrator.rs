//! The first administrator, whose token is in the configuration.

use std::fmt;

use super::{
    invalid::InvalidCredentials,
    secret::{MAX_CREDENTIAL_BYTES, SecretDigest},
};

/// The first administrator, known by a token.
#[derive(Clone)]
pub struct Administrator(SecretDigest);

impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Administrator")
    }
}

impl Administrator {
    /// Checks the token's length and characters.
    pub fn new(token: &str) -> Result<Self, InvalidCredentials> {
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > MAX_CREDENTIAL_BYTES || !visible {
            return Err(InvalidCredentials::Token);
        }
        Ok(Self(SecretDigest::of(token)))
    }

    /// A digest of the token under `key`. Without the key it tells nothing about the token.
    pub fn keyed(&self, key: &str) -> String {
        self.0.keyed(key)
    }

    /// Whether this is the digest of the administrator's token.
    pub fn has(&self, secret: &SecretDigest) -> bool {
        secret.matches(&self.0).into()
    }
}
