//! The form of the keys that the service makes. Scanners can find leaked keys by it, and anybody can tell a typing
//! error from an unknown key without a network.
//!
//! A key consists of `kg_live_` or `kg_test_`, [`DIGITS`] random digits, and [`CHECK_DIGITS`] digits of the CRC-32 of
//! everything before. It is one word of ASCII letters, digits and `_`. Nothing else depends on the form: the filter and
//! the database know a key only by its digest. So keys of the earlier form and imported keys stay valid. The word
//! `live` or `test` is for people; the row of a key decides its type.

use super::{error::Error, keys::KeyType};
use crate::port::Act;

/// The expression for secret scanners.
pub const PATTERN: &str = r"\bkg_(?:live|test)_[0-9A-Za-z]{33}\b";

/// The digits, in ascending order.
const ALPHABET: [u8; BASE] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: usize = 62;
/// Number of random bytes of a key: 160 bits.
const RANDOM_BYTES: usize = 20;
/// Number of random digits: 62^27 is 2^160.7.
const DIGITS: usize = 27;
/// Number of digits of the CRC-32: 62^6 is 2^35.7.
const CHECK_DIGITS: usize = 6;

/// The form of a text that was sent as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It has the form, and its checksum is right.
    Whole,
    /// It begins like a key of this form, but was mistyped or cut.
    Mistyped,
    /// It has another form: the earlier one, or that of a key from elsewhere.
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

/// Makes a new key.
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

/// The last `N` digits of the number `bytes`, most significant first, by one long division by 62 for each digit.
fn digits<const N: usize>(bytes: &[u8]) -> [char; N] {
    let mut number = bytes.to_vec();
    let mut text = ['0'; N];
    for place in text.iter_mut().rev() {
        let mut rest = 0_usize;
        for byte in &mut number {
            // No overflow: the remainder is below 62, and 62 * 256 is below 2^16.
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
