//! Versions of rows: each has an etag, and a change may name the one that it expects, so that nobody overwrites a change
//! that they have not seen. Which changes a row takes at all is decided in [`super::resource`].

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::error::Error;
use crate::port::Version;

/// Bytes of the digest in an etag: 64 bits, which tell two contents apart that a restored database gave one number.
const DIGEST_BYTES: usize = 8;

/// The etag of a row, with its quotes. It changes with every change of the row and never comes back.
pub fn etag(version: &Version) -> String {
    let digest = Sha256::digest(version.document.as_bytes());
    let mut tag = format!("\"{:x}-", version.seq);
    for byte in digest.iter().take(DIGEST_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// The etags of which a row must have one before it is changed: the values of `if-match`. `None`: any version will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(pub Option<Vec<String>>);

impl Expected {
    /// Refuses the change if the row is another version than the expected ones. A weak tag (`W/"…"`) and a tag without its
    /// quotes match nothing (RFC 9110, 13.1.1).
    pub fn check(&self, stored: &Version) -> Result<(), Error> {
        let Some(values) = &self.0 else { return Ok(()) };
        let tag = etag(stored);
        // A tag of this service has no comma, so splitting neither joins nor cuts one.
        let mut named = values.iter().flat_map(|value| value.split(','));
        if named.any(|name| matches!(name.trim(), "*") || name.trim() == tag) {
            return Ok(());
        }
        Err(Error::Changed(stored.kind))
    }
}
