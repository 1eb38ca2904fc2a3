//! Tests with arbitrary bytes. No input makes the parser panic, puts a secret into an error, or gives two different
//! results.

use std::collections::HashSet;

use super::{config, environment, with};
use crate::config::{MAX_CONFIG_BYTES, json, parse};

/// Bytes that make JSON invalid or change its meaning.
const BYTES: [u8; 12] = *b"\"\\{}[],:0 \n\xff";

/// Each secret is long enough that no other text holds five of its bytes by chance.
const SECRETS: [&str; 7] = [
    "zQ7vK2xW9Lp3",
    "Jy4ZqX8wPuT6",
    "kV3bN6mQ1Lp3",
    "wX5zR9tY2Lp3",
    "918273645546372819",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "60303AE22B998861BCE3B28F33EEC1BE758A213C86C93C076DBE9F558C11C752",
];

/// The value of the environment variable.
const FROM_ENVIRONMENT: &str = "from-env";

/// A configuration with a secret in every place that takes one, and with one value of each kind.
fn planted() -> String {
    let [name, value, id, secret, number, deny, allow] = SECRETS;
    format!(
        r#"{{"policy": {{"cluster": "c", "headers": {{"{name}": "{value}", "x": {{"env": "SECRET"}}, "n": "{number}"}},
"credentials": {{"client_id": "{id}", "client_secret": "{secret}"}}, "timeout_ms": 10}},
"credential_sources": [{{"header": "a", "scheme": "B"}}, {{"basic": "password"}}], "allow_preflight": true,
"forward": {{"owner": null}}, "annotate": [], "emergency": {{"deny_keys": ["{deny}"], "allow_keys": ["{allow}"]}}}}"#
    )
}

/// Calls `hold` with `text` cut after each byte, and with each byte removed, replaced and preceded by another.
fn each_mutation(text: &str, mut hold: impl FnMut(&[u8])) {
    let text = text.as_bytes();
    for at in 0..text.len() {
        hold(&text[..at]);
        hold(&[&text[..at], &text[at + 1..]].concat());
        for byte in BYTES {
            hold(&[&text[..at], &[byte], &text[at + 1..]].concat());
            hold(&[&text[..at], &[byte], &text[at..]].concat());
        }
    }
}

/// All runs of five bytes of the secrets and of the values derived from them.
fn parts() -> HashSet<Vec<u8>> {
    let made = config(&planted()).unwrap().policy.authorization.unwrap().replace("Basic ", "");
    let windows = |secret: &str| -> Vec<Vec<u8>> { secret.as_bytes().windows(5).map(<[u8]>::to_vec).collect() };
    SECRETS.into_iter().chain([FROM_ENVIRONMENT, &made]).flat_map(windows).collect()
}

#[test]
fn no_mutation_panics_or_tells_a_secret_or_depends_on_anything_else() {
    let parts = parts();
    let tells = |text: &str| text.as_bytes().windows(5).any(|part| parts.contains(part));
    assert!(tells("…zQ7vK…") && tells("from-") && !tells("policy.headers"));
    let (mut refused, mut accepted) = (0, 0);
    each_mutation(&planted(), |bytes| {
        let result = parse(bytes, &environment);
        assert_eq!(parse(bytes, &environment), result);
        match result {
            Ok(config) => {
                accepted += 1;
                assert!(!tells(&format!("{config:?}")), "{config:?}");
            }
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(!tells(&text) && !tells(&format!("{error:?}")), "{error:?}");
                assert!(!text.contains(char::is_control), "{text}");
                let line = bytes.split(|byte| *byte == b'\n').nth(error.position.line - 1);
                assert!(line.is_some_and(|line| error.position.column <= line.len() + 1), "{text}");
            }
        }
    });
    // Most changes break the text. Some only change a name or a secret.
    assert!(refused > 10_000 && accepted > 1_000, "{refused} refused, {accepted} accepted");
}

/// The parser accepts the JSON that `serde_json` accepts, except for the depth and for numbers beyond `f64`.
#[test]
fn the_parser_accepts_the_json_that_serde_json_accepts() {
    let check = |bytes: &[u8]| {
        let Ok(text) = str::from_utf8(bytes) else { return };
        let (ours, theirs) = (json::parse(text).is_ok(), serde_json::from_str::<serde_json::Value>(text).is_ok());
        assert_eq!(ours, theirs, "{text}");
    };
    each_mutation(
        r#"{"a": [1, -2.5, 10e+3, 0E-1, "b\u00e4\ud83d\ude00\"\\\/\b\f\n\r\t", true, false, null, {}], "ö": ""}"#,
        check,
    );
    for text in
        ["", " ", "1 2", "01", "1.", ".5", "-", "+1", "1e", "0x1", "nul", "nullx", "\u{b}1", "\"\u{7f}\"", "'a'"]
    {
        check(text.as_bytes());
    }
}

#[test]
fn large_and_deep_texts_are_refused_early() {
    let over = " ".repeat(MAX_CONFIG_BYTES + 1);
    assert_eq!(
        config(&over).unwrap_err(),
        "configuration, line 1, column 1: found 524289 bytes, expected at most 524288"
    );
    let at_most = with("") + &" ".repeat(MAX_CONFIG_BYTES - with("").len());
    assert!(config(&at_most).is_ok());

    let deep = "[".repeat(MAX_CONFIG_BYTES);
    assert!(
        config(&deep)
            .unwrap_err()
            .ends_with("column 9: found more than 8 levels of lists and objects, expected at most 8")
    );
    let long = "x".repeat(10_000);
    let cut = "x".repeat(63);
    let name = config(&with(&format!(r#", "{long}": 1"#))).unwrap_err();
    assert!(name.starts_with(&format!("{cut}…, line 1, column 30: unknown field, expected")), "{name}");
    let value = config(&with(&format!(r#", "mode": "{long}""#))).unwrap_err();
    assert!(value.ends_with(&format!("found the string \"{cut}…\", expected `enforce` or `shadow`")), "{value}");

    let too_many = |what: &str, one: &dyn Fn(usize) -> String, count: usize| {
        let all: Vec<String> = (0..count).map(one).collect();
        config(&what.replace("ALL", &all.join(","))).err()
    };
    let headers = r#"{"policy": {"cluster": "c", "headers": {ALL}}}"#;
    let header = |n| format!(r#""x-{n}": "a""#);
    assert_eq!(too_many(headers, &header, 16), None);
    let error = too_many(headers, &header, 17).unwrap();
    assert!(error.ends_with("found an object of 17 fields, expected an object of at most 16 headers"), "{error}");

    let sources = with(r#", "credential_sources": [ALL]"#);
    let source = |n| format!(r#"{{"query": "{n}"}}"#);
    assert_eq!(too_many(&sources, &source, 16), None);
    let error = too_many(&sources, &source, 17).unwrap();
    assert!(error.ends_with("found a list of 17, expected a list of 1 to 16 sources"), "{error}");

    let emergency = with(r#", "emergency": {"deny_keys": [ALL]}"#);
    let digest = |n| format!("\"{n:064x}\"");
    assert_eq!(too_many(&emergency, &digest, 1_000), None);
    let error = too_many(&emergency, &digest, 1_001).unwrap();
    assert!(error.ends_with("found a list of 1001, expected a list of 0 to 1000 digests"), "{error}");
}

/// The wire form of a `google.protobuf.Struct` that holds one string. The entry takes `entry` bytes.
fn wire_struct(name: &str, entry: usize) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| {
        let length = bytes.len();
        let varint = if length < 128 { vec![length as u8] } else { vec![length as u8 | 128, (length >> 7) as u8] };
        [vec![tag], varint, bytes.to_vec()].concat()
    };
    let text = "v".repeat(entry.saturating_sub(name.len() + 6));
    let value = field(0x12, &field(0x1a, text.as_bytes()));
    field(0x0a, &[field(0x0a, name.as_bytes()), value].concat())
}

#[test]
fn a_struct_is_told_apart_from_broken_json() {
    // These lengths, read as JSON, are blanks, control characters or letters; some take more than one byte.
    for name in ["policy", "emergency", "forwarding", "proxy-headers", "a"] {
        for entry in [9, 10, 13, 25, 32, 34, 91, 123, 127, 200, 9_999] {
            let bytes = wire_struct(name, entry);
            let error = parse(&bytes, &environment).unwrap_err().to_string();
            assert_eq!(
                error,
                "configuration, line 1, column 1: found protobuf bytes, as of a google.protobuf.Struct, expected JSON \
                 text: give the configuration as google.protobuf.StringValue",
                "{bytes:?}",
            );
        }
    }
    for text in ["\n\"\n", "\n\t\n\t{\"policy\"}", "\n \n\n", "\n{\n}"] {
        let error = config(text).unwrap_err();
        assert!(!error.contains("protobuf"), "{text:?}: {error}");
    }
    let utf8 = parse(b"{\"policy\": {\n\"cluster\": \"\xe4\"}}", &environment).unwrap_err();
    assert_eq!(
        utf8.to_string(),
        "configuration, line 2, column 13: found bytes that are not UTF-8, expected JSON text",
    );
}

#[test]
fn only_the_variables_that_are_named_are_read() {
    let asked = std::cell::RefCell::new(Vec::new());
    let env = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        environment(name)
    };
    assert!(parse(planted().as_bytes(), &env).is_ok());
    assert_eq!(*asked.borrow(), ["SECRET"]);
}
