//! Secrets in memory: SHA-256 digests, compared in constant time. `Debug` shows none.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::hexadecimal::hexadecimal;

/// Maximum length of a client id or a secret, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 1_024;

/// HMAC-SHA256 of a text under the SHA-256 of `key`, as hexadecimal digits. Texts with different labels have unrelated digests.
pub fn keyed(key: &str, label: &str, text: &[u8]) -> String {
    hexadecimal(&mac(key, label, text))
}

/// HMAC-SHA256 of a text under the SHA-256 of `key`.
pub fn mac(key: &str, label: &str, text: &[u8]) -> [u8; 32] {
    // A key of the block's length, so that no length can be wrong.
    let mut block = [0; 64];
    block.iter_mut().zip(Sha256::digest(key.as_bytes())).for_each(|(byte, of_key)| *byte = of_key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(label.as_bytes());
    // No label contains a zero byte.
    mac.update(&[0]);
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// The digest of a secret.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Hashes a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// A digest of this one under `key`.
    pub fn keyed(&self, key: &str) -> String {
        keyed(key, "administrator", &self.0)
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest")
    }
}
