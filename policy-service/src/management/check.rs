//! Checks of what clients send, with the filter's own parsers: what passes is a good row for the filter, and every entry
//! of its lists means something.

use keygate::{
    hostname::HostPattern,
    path::PathPrefix,
    policy::{
        MAX_LIST_ENTRIES, Text,
        rows::{InvalidRow, parse_range},
    },
    referer::RefererPattern,
    template::PathTemplate,
};
use serde::Deserialize;

use super::resource::damaged;
use crate::problem::Problem;

/// Checks that `document` is a good row: of the wire type `W`, from which the filter makes its `T`.
pub fn row<'a, W: Deserialize<'a>, T: TryFrom<W, Error = InvalidRow>>(document: &'a str) -> Result<(), Problem> {
    let row: W = serde_json::from_str(document).map_err(|_| damaged())?;
    T::try_from(row).map(drop).map_err(|invalid| Problem::invalid(invalid.field, invalid.to_string()))
}

/// An id, a name or an owner.
pub fn text(field: &str, text: &str) -> Result<(), Problem> {
    Text::new(text).map(drop).map_err(|invalid| Problem::invalid(field, invalid.to_string()))
}

/// Ids of APIs.
pub fn ids(field: &str, list: Option<&[String]>) -> Result<(), Problem> {
    entries(field, list, |entry| Text::new(entry).is_ok(), "an id of 1 to 256 bytes without control characters")
}

/// Hosts of a match.
pub fn hosts(field: &str, list: Option<&[String]>) -> Result<(), Problem> {
    entries(field, list, |entry| HostPattern::parse(entry).is_some(), "a host name, or *. and a domain")
}

/// The path of a match.
pub fn prefix(field: &str, path: &str) -> Result<(), Problem> {
    match PathPrefix::parse(path) {
        Some(_) => Ok(()),
        None => {
            Err(Problem::invalid(field, "expected an absolute path that can be read only one way, as /payments/1.0"))
        }
    }
}

/// Addresses and ranges.
pub fn ranges(field: &str, list: Option<&[String]>) -> Result<(), Problem> {
    entries(field, list, |entry| parse_range(entry).is_some(), "an IP address, or a range as 192.0.2.0/24")
}

/// Referers.
pub fn referers(field: &str, list: Option<&[String]>) -> Result<(), Problem> {
    entries(
        field,
        list,
        |entry| RefererPattern::parse(entry).is_some(),
        "host and path without a scheme, as example.com/*",
    )
}

/// Methods of an operation.
pub fn methods(field: &str, list: Option<&[String]>) -> Result<(), Problem> {
    let is_method =
        |entry: &str| !entry.is_empty() && entry.len() <= 32 && entry.bytes().all(|b| b.is_ascii_uppercase());
    entries(field, list, is_method, "a method in capitals, as GET")
}

/// The path of an operation.
pub fn template(field: &str, path: &str) -> Result<(), Problem> {
    match PathTemplate::parse(path) {
        Some(_) => Ok(()),
        None => Err(Problem::invalid(field, "expected a path as /orders/* (one segment) or /orders/** (any rest)")),
    }
}

fn entries(field: &str, list: Option<&[String]>, good: impl Fn(&str) -> bool, expected: &str) -> Result<(), Problem> {
    let list = list.unwrap_or_default();
    if list.len() > MAX_LIST_ENTRIES {
        return Err(Problem::invalid(field, format!("expected at most {MAX_LIST_ENTRIES} entries")));
    }
    match list.iter().position(|entry| !good(entry)) {
        Some(place) => Err(Problem::invalid(format!("{field}[{place}]"), format!("expected {expected}"))),
        None => Ok(()),
    }
}
