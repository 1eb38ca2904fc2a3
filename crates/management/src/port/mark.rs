//! Marks: the part of a cursor that identifies the history that its revision belongs to.
//!
//! A mark contains the random word of the revision and the database's epoch, and is signed together with the revision.
//! The secret belongs to the database, so a copy of the database accepts the marks of the original. The database
//! decides whether it still has the history of a mark.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Error;

/// Length of the signature in bytes: 128 bits, so that nobody can guess one.
const TAG_BYTES: usize = 16;
/// Maximum number of characters of a mark. An epoch has 32 bytes, so a mark has 75 characters.
const MAX_MARK_CHARACTERS: usize = 256;
/// The prefix of the signed bytes, so that the secret can sign other things later.
const CONTEXT: &[u8] = b"keygate cursor 1\0";

/// A mark that was signed by the database's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The revision for which it was made.
    pub revision: i64,
    /// The random word of that revision.
    pub word: i64,
    /// The epoch under which it was made.
    pub epoch: String,
    tag: [u8; TAG_BYTES],
}

/// A database's secret, ready to sign.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Makes the secret from its bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| Error::Damaged("the secret of cursors cannot be used"))
    }

    /// The mark of a revision.
    pub fn mark(&self, epoch: &str, revision: i64, word: i64) -> Mark {
        let signature = self.signature(epoch, revision, word).finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        for (byte, signed) in tag.iter_mut().zip(signature) {
            *byte = signed;
        }
        Mark { revision, word, epoch: epoch.to_owned(), tag }
    }

    /// Parses the mark of a cursor that names `revision`. `None` if this secret did not sign it for that revision.
    pub fn read(&self, text: &str, revision: i64) -> Option<Mark> {
        if text.len() > MAX_MARK_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, rest) = bytes.split_first_chunk::<TAG_BYTES>()?;
        let (word, epoch) = rest.split_first_chunk()?;
        let (word, epoch) = (i64::from_be_bytes(*word), std::str::from_utf8(epoch).ok()?);
        self.signature(epoch, revision, word).verify_truncated_left(tag).ok()?;
        Some(Mark { revision, word, epoch: epoch.to_owned(), tag: *tag })
    }

    fn signature(&self, epoch: &str, revision: i64, word: i64) -> Hmac<Sha256> {
        let mut signature = self.0.clone();
        signature.update(CONTEXT);
        signature.update(&revision.to_be_bytes());
        signature.update(&word.to_be_bytes());
        signature.update(epoch.as_bytes());
        signature
    }
}

impl fmt::Display for Mark {
    /// Uses letters, digits, `-` and `_` only, which need no escape in a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.tag[..], &self.word.to_be_bytes(), self.epoch.as_bytes()].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_by_its_own_secret_for_its_own_revision_and_unchanged() {
        let secret = Secret::new(&[7; 32]).unwrap();
        let mark = secret.mark("0123456789abcdef0123456789abcdef", 42, -5);
        let text = mark.to_string();
        assert!(text.len() < 100, "{text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{text}");
        assert_eq!(secret.read(&text, 42), Some(mark));
        for revision in [0, 41, 43, i64::MAX] {
            assert_eq!(secret.read(&text, revision), None, "{revision}");
        }
        assert_eq!(Secret::new(&[8; 32]).unwrap().read(&text, 42), None);
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(secret.read(std::str::from_utf8(&changed).unwrap(), 42), None, "{place}");
        }
        for other in
            ["", "A", &text[1..], &text[..text.len() - 4], &format!("{text}AAAA"), &"A".repeat(5_000), "ä", "="]
        {
            assert_eq!(secret.read(other, 42), None, "{other}");
        }
    }
}
