//! Ids of rows, made from the names of other products.
//!
//! A name that is a valid id is the id. Any other name, and any name that looks as if it was made here, gets an id of
//! its readable part, `~` and the first 128 bits of its SHA-256. So two names have two ids, whatever else is in the
//! files, and a name has the same id in every run.

use keygate::{
    digest::Digest,
    policy::{MAX_TEXT_BYTES, Text},
};

/// Hexadecimal digits of the digest in a made id: 128 bits.
const DIGITS: usize = 32;
/// Separates the readable part from the digest.
const MARK: char = '~';
/// Separates the parts of an id of several names.
const SEPARATOR: char = ':';

/// The id of a name.
pub fn of_name(name: &str) -> String {
    let is_addressable = !matches!(name, "." | ".." | "lookup");
    if is_addressable && !looks_made(name) && Text::new(name).is_ok() { name.to_owned() } else { made(name, name) }
}

/// The id of several names together. No other names have it.
pub fn of_names(names: &[&str]) -> String {
    let joined = names.join(&SEPARATOR.to_string());
    if names.iter().all(|name| !name.contains(SEPARATOR)) {
        return of_name(&joined);
    }
    // With the lengths, so that `a:b` and `c` are not `a` and `b:c`.
    let exact: String = names.iter().map(|name| format!("{}{SEPARATOR}{name}", name.len())).collect();
    made(&joined, &exact)
}

/// A text that is valid as a name for people: the name itself if possible.
pub fn display(name: &str) -> String {
    if Text::new(name).is_ok() { name.to_owned() } else { made(name, name) }
}

fn looks_made(name: &str) -> bool {
    let digits = name.rsplit_once(MARK).map(|(_, digits)| digits);
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(is_digit))
}

/// An id with the readable part of `name` and the digest of `exact`.
fn made(name: &str, exact: &str) -> String {
    let most = MAX_TEXT_BYTES.saturating_sub(DIGITS).saturating_sub(MARK.len_utf8());
    let mut id = String::new();
    for character in name.trim().chars() {
        let character = if character.is_control() || character.is_whitespace() { '-' } else { character };
        if id.len().saturating_add(character.len_utf8()) > most {
            break;
        }
        id.push(character);
    }
    id.push(MARK);
    id.extend(Digest::of(exact.as_bytes()).to_hex().chars().take(DIGITS));
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_name_has_a_valid_id_and_no_two_have_the_same() {
        let long = "x".repeat(MAX_TEXT_BYTES);
        let longer = "x".repeat(MAX_TEXT_BYTES + 1);
        let wide = "é".repeat(MAX_TEXT_BYTES);
        let imitated = of_name(" shop");
        let names = [
            "", " ", "  ", "\t", "\0", "shop", " shop", "shop ", "shop\n", "shop\r\n", "Shop", "śhop", ".", "..",
            "lookup", "a:b", "a~b", &long, &longer, &wide, &imitated, "\u{feff}", "\u{85}", "日本", "a/b", "a\u{1f}b",
        ];
        let mut ids = HashMap::new();
        for name in names {
            let id = of_name(name);
            assert!(Text::new(id.as_str()).is_ok(), "{name:?}: {id:?}");
            assert_eq!(ids.insert(id.clone(), name), None, "{name:?}: {id:?}");
        }
        for name in ["shop", "Shop", "a:b", "a~b", "日本", &long] {
            assert_eq!(of_name(name), name);
        }
    }

    #[test]
    fn no_two_lists_of_names_have_the_same_id() {
        let lists: [&[&str]; 9] = [
            &["a", "b"],
            &["a:b"],
            &["a", "b", ""],
            &["a:b", "c"],
            &["a", "b:c"],
            &["a:b:c"],
            &["a", "b", "c"],
            &["", "a"],
            &["a", ""],
        ];
        let mut ids = HashMap::new();
        for names in lists {
            let id = of_names(names);
            assert!(Text::new(id.as_str()).is_ok(), "{names:?}: {id:?}");
            assert_eq!(ids.insert(id.clone(), names).filter(|_| names.len() > 1), None, "{names:?}: {id:?}");
        }
        assert_eq!(of_names(&["shop", "payments-1.0"]), "shop:payments-1.0");
    }
}
