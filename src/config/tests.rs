//! Tables of configurations: the meaning of each valid one, and the error of each invalid one.

#![allow(clippy::arithmetic_side_effects, reason = "test code: a panic is a failed test")]

mod accepted;
mod refused;
mod robust;
mod secrets;
mod syntax;

use super::{Config, parse};

/// The environment of all cases.
fn environment(name: &str) -> Option<Vec<u8>> {
    let value: &[u8] = match name {
        "SECRET" => b"from-env",
        "SECRET_LINE" => b"from-env\n",
        "SECRET_CRLF" => b"from-env\r\n",
        "SECRET_LINES" => b"from-env\n\n",
        "EMPTY" => b"",
        "LINE" => b"\n",
        "BLANKS" => b" from-env ",
        "COLON" => b"a:b",
        "LATIN1" => b"p\xe4ss",
        "LONG" => &[b'x'; 4_097],
        _ => return None,
    };
    Some(value.to_vec())
}

fn config(json: &str) -> Result<Config, String> {
    parse(json.as_bytes(), &environment).map_err(|error| error.to_string())
}

/// A complete configuration with further `fields`, which begin with a comma or are empty.
fn with(fields: &str) -> String {
    format!(r#"{{"policy": {{"cluster": "c"}}{fields}}}"#)
}

/// The same with `fields` inside `policy`.
fn with_policy(fields: &str) -> String {
    format!(r#"{{"policy": {{"cluster": "c"{fields}}}}}"#)
}

/// Checks the error of each configuration.
fn check_refused(cases: &[(&str, &str)]) {
    for (json, expected) in cases {
        assert_eq!(config(json).map(|_| "accepted"), Err((*expected).to_owned()), "{json}");
    }
}
