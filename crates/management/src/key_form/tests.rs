//! Many keys: all different, all of the published form, and none valid after a change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

use std::collections::HashSet;

use regex::Regex;

use super::{ALPHABET, Form, PATTERN, new_key};
use crate::{
    keys::KeyType,
    port::{Act, Actor, Origin},
};

/// Number of keys in a usual run.
const MANY: usize = 100_000;

fn act() -> Act {
    Act {
        actor: Actor::Service,
        now: 0,
        origin: Origin::default(),
        random: |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()),
    }
}

/// Computes the checksum in another way: with numbers instead of a division of bytes, and a CRC-32 bit by bit.
fn expected_sum(told: &str) -> String {
    let mut crc = u32::MAX;
    for byte in told.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = u64::from(!crc);
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(ALPHABET[usize::try_from(rest % 62).unwrap()]);
        rest /= 62;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

fn check(count: usize) {
    let published = Regex::new(&format!("^{PATTERN}$")).unwrap();
    let mut seen = HashSet::with_capacity(count);
    for number in 0..count {
        let key_type = if number % 2 == 0 { KeyType::Production } else { KeyType::Sandbox };
        let key = new_key(&act(), key_type).unwrap();
        assert!(published.is_match(&key), "{key}");
        assert_eq!(key.starts_with("kg_live_"), key_type == KeyType::Production, "{key}");
        assert_eq!(Form::of(&key), Form::Whole, "{key}");
        let (told, sum) = key.split_at(key.len() - 6);
        assert_eq!(sum, expected_sum(told), "{key}");

        // Changes one digit, or swaps two neighbours, at a place that differs from key to key.
        let place = 8 + number % (key.len() - 8);
        let mut other = key.clone().into_bytes();
        let digit = ALPHABET.iter().position(|digit| *digit == other[place]).unwrap();
        other[place] = ALPHABET[(digit + 1 + number % 61) % 62];
        let mut swapped = key.clone().into_bytes();
        swapped.swap(place, if place + 1 < key.len() { place + 1 } else { 8 });
        for changed in [other, swapped] {
            let changed = String::from_utf8(changed).unwrap();
            let form = if changed == key { Form::Whole } else { Form::Mistyped };
            assert_eq!(Form::of(&changed), form, "{changed} of {key}");
        }
        assert!(seen.insert(key));
    }
}

#[test]
fn a_hundred_thousand_keys_are_all_different_and_of_the_published_form() {
    check(MANY);
}

#[test]
#[ignore = "half a minute: a million"]
fn a_million_keys_are_all_different_and_of_the_published_form() {
    check(10 * MANY);
}

#[test]
fn the_form_of_a_text_is_told_without_asking_anyone() {
    let whole = Act {
        random: |bytes| {
            bytes.fill(0);
            Ok(())
        },
        ..act()
    };
    let key = new_key(&whole, KeyType::Production).unwrap();
    assert_eq!(key, "kg_live_0000000000000000000000000000keAmu");
    let most = Act {
        random: |bytes| {
            bytes.fill(255);
            Ok(())
        },
        ..act()
    };
    assert_eq!(&new_key(&most, KeyType::Sandbox).unwrap()[..35], "kg_test_aWgEPTl1tmebfsQzFP4bxwgy80V");
    for (text, form) in [
        (key.as_str(), Form::Whole),
        (&key[..40], Form::Mistyped),
        (&key.replace("live", "test"), Form::Mistyped),
        (&format!("{key}0"), Form::Mistyped),
        (&format!("{}-", &key[..40]), Form::Mistyped),
        (&format!("{}ü", &key[..39]), Form::Mistyped),
        ("kg_live_", Form::Mistyped),
        ("kg_test_ü", Form::Mistyped),
        ("kg_2KfWRuIjcjP6xrgW4PTVMz6WtVBVlY8mPCZey9L-PXU", Form::Other),
        ("a key of our own", Form::Other),
        ("", Form::Other),
    ] {
        assert_eq!(Form::of(text), form, "{text}");
    }
}
