//! A key becomes its digest here, as soon as it is read.

use keygate::digest::Digest;

/// Bytes of a credential that the filter looks at. A longer one is refused as malformed.
pub const MAX_KEY_BYTES: usize = 4096;
const _: () = assert!(MAX_KEY_BYTES == keygate::credential::MAX_CREDENTIAL_BYTES);

/// Why a text cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKey {
    Empty,
    TooLong,
    /// HTTP trims the value of a header, so such a key never arrives as it is written.
    OuterWhiteSpace,
    /// HTTP refuses it in a header.
    ControlCharacter,
}

impl InvalidKey {
    /// What was found; nothing of the key.
    pub fn found(self) -> &'static str {
        match self {
            Self::Empty => "an empty key",
            Self::TooLong => "a longer key",
            Self::OuterWhiteSpace => "a key that begins or ends with white space or a line end",
            Self::ControlCharacter => "a key with a control character",
        }
    }

    /// What would be right.
    pub fn expected(self) -> String {
        match self {
            Self::Empty => "a key; leave the entry out if there is none".to_owned(),
            Self::TooLong => format!("at most {MAX_KEY_BYTES} bytes"),
            Self::OuterWhiteSpace => {
                "the key as clients send it: HTTP cuts white space off the ends of a header, so this key never arrives"
                    .to_owned()
            }
            Self::ControlCharacter => "the key as clients send it: no header can hold such a character".to_owned(),
        }
    }
}

/// The digest of a key that clients send in a header.
pub fn digest(key: &str) -> Result<Digest, InvalidKey> {
    if key.is_empty() {
        Err(InvalidKey::Empty)
    } else if key.len() > MAX_KEY_BYTES {
        Err(InvalidKey::TooLong)
    } else if key.trim().len() < key.len() {
        Err(InvalidKey::OuterWhiteSpace)
    } else if key.chars().any(|character| character.is_ascii_control()) {
        Err(InvalidKey::ControlCharacter)
    } else {
        Ok(Digest::of(key.as_bytes()))
    }
}
