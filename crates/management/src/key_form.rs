//! The form of the keys that the service makes, so that a scanner finds one that leaked, and a typing error is told from
//! an unknown key without asking anyone.
//!
//! `kg_live_` or `kg_test_`, [`DIGITS`] digits of chance, and [`CHECK_DIGITS`] digits of the CRC-32 of all that stands before:
//! one word of ASCII letters, digits and `_`. Nothing else depends on the form: the filter and the database know a key by
//! its digest alone, so keys of the earlier form and keys that were imported go on. The word `live` or `test` is for
//! people; the type of a key is what its row says.

use super::{error::Error, keys::KeyType};
use crate::port::Act;

/// What a secret scanner looks for.
pub const PATTERN: &str = r"\bkg_(?:live|test)_[0-9A-Za-z]{33}\b";

/// Most significant first.
const ALPHABET: [u8; BASE] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: usize = 62;
/// Random bytes of a key: 160 bits.
const RANDOM_BYTES: usize = 20;
/// Digits of those: 62^27 is 2^160.7.
const DIGITS: usize = 27;
/// Digits of the CRC-32: 62^6 is 2^35.7.
const CHECK_DIGITS: usize = 6;

/// What a text that was sent as a key can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It has the form, and its checksum is right.
    Whole,
    /// It begins like a key of this form, and was mistyped or cut.
    Mistyped,
    /// It is of another form: an earlier one, or a key that was made elsewhere.
    Other,
}

impl Form {
    /// The form of `key`.
    pub fn of(key: &str) -> Self {
        let Some(rest) = [KeyType::Production, KeyType::Sandbox].iter().find_map(|of| key.strip_prefix(prefix(*of)))
        else {
            return Self::Other;
        };
        let is_word = rest.len() == DIGITS + CHECK_DIGITS && rest.bytes().all(|byte| ALPHABET.contains(&byte));
        let Some((told, sum)) = key.len().checked_sub(CHECK_DIGITS).and_then(|place| key.split_at_checked(place))
        else {
            return Self::Mistyped;
        };
        if is_word && checksum(told) == sum { Self::Whole } else { Self::Mistyped }
    }
}

/// A new key.
pub fn new_key(act: &Act, key_type: KeyType) -> Result<String, Error> {
    let mut key = prefix(key_type).to_owned();
    key.extend(digits::<DIGITS>(&act.random::<RANDOM_BYTES>()?));
    key.push_str(&checksum(&key));
    Ok(key)
}

fn prefix(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Production => "kg_live_",
        KeyType::Sandbox => "kg_test_",
    }
}

fn checksum(told: &str) -> String {
    digits::<CHECK_DIGITS>(&crc32fast::hash(told.as_bytes()).to_be_bytes()).into_iter().collect()
}

/// The last `N` digits of the number that `bytes` are, most significant first: a long division by 62 for each digit.
fn digits<const N: usize>(bytes: &[u8]) -> [char; N] {
    let mut number = bytes.to_vec();
    let mut text = ['0'; N];
    for place in text.iter_mut().rev() {
        let mut rest = 0_usize;
        for byte in &mut number {
            // Both fit: the rest is below 62, and 62 * 256 is below 2^16.
            let part = rest.saturating_mul(256).saturating_add(usize::from(*byte));
            *byte = u8::try_from(part / BASE).unwrap_or_default();
            rest = part % BASE;
        }
        *place = ALPHABET.get(rest).copied().map_or('0', char::from);
    }
    text
}

#[cfg(test)]
mod tests;
