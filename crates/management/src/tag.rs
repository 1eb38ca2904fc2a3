//! Versions of rows: each row has an etag, and a change may name the etag that it expects. So no client overwrites a
//! change that it has not seen. [`super::resource`] decides which changes a row accepts at all.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::error::{Error, Thing};
use crate::port::Version;

/// Length of the digest in an etag, in bytes. 64 bits tell two contents apart that a restored database gave the same
/// number.
const DIGEST_BYTES: usize = 8;

/// The etag of a row, with its quotes. Every change of the row changes it, and no value comes back.
pub fn etag(version: &Version) -> String {
    format!("\"{:x}-{}\"", version.seq, digest(&version.document))
}

/// The etag of an account, which is no part of the policy and so has no number: with its quotes. Every change of its
/// content, a JSON text without secrets, changes it. It comes back with an earlier content.
pub fn of_account(content: &str) -> String {
    format!("\"{}\"", digest(content))
}

fn digest(text: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(text.as_bytes()).iter().take(DIGEST_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The etags in `if-match`. The row must have one of them before it is changed. `None` accepts any version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(pub Option<Vec<String>>);

impl Expected {
    /// Rejects the change if the row has none of the expected etags. A weak tag (`W/"…"`) and a tag without quotes
    /// match nothing (RFC 9110, 13.1.1).
    pub fn check(&self, stored: &Version) -> Result<(), Error> {
        if self.names(|| etag(stored)) { Ok(()) } else { Err(Error::Changed(stored.kind.noun())) }
    }

    /// The same for an account with this content.
    pub fn check_account(&self, thing: Thing, content: &str) -> Result<(), Error> {
        if self.names(|| of_account(content)) { Ok(()) } else { Err(Error::Changed(thing.noun())) }
    }

    /// Rejects a change of many rows if the policy is at none of the expected revisions. The tag of a revision is its
    /// number.
    pub fn check_revision(&self, now: i64) -> Result<(), Error> {
        if self.names(|| format!("\"{now}\"")) { Ok(()) } else { Err(Error::OtherRevision(now)) }
    }

    fn names(&self, tag: impl FnOnce() -> String) -> bool {
        let Some(values) = &self.0 else { return true };
        let tag = tag();
        // No tag of this service contains a comma, so splitting cannot break one.
        let mut named = values.iter().flat_map(|value| value.split(','));
        named.any(|name| matches!(name.trim(), "*") || name.trim() == tag)
    }
}
