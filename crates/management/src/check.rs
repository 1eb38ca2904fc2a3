//! Validates input with the filter's own parsers. The filter accepts every row that passes, and every entry of its
//! lists has an effect.

use keygate::{
    policy::{
        MAX_LIST_ENTRIES, Text,
        ip_range::parse_range,
        rows::{self, InvalidRow, MAX_METHODS},
        wire,
    },
    request::{hostname::HostPattern, path::PathPrefix, referer::RefererPattern, template::PathTemplate},
    store::{change, record::MAX_KEY_BYTES},
};
use serde::Deserialize;

use super::{error::Error, resource::damaged};
use crate::port::Kind;

/// Bytes of a method. The longest registered one, UPDATEREDIRECTREF, has 17.
pub const MAX_METHOD_BYTES: usize = 32;

/// Checks that `document` is a valid row: it parses as the wire type `W` and converts to the filter's `T`.
pub fn row<'a, W: Deserialize<'a>, T: TryFrom<W, Error = InvalidRow>>(document: &'a str) -> Result<(), Error> {
    read::<W, T>(document).map(drop)
}

/// Checks that `document` is the row of a valid key that fits into the filter's record.
pub fn key(document: &str) -> Result<(), Error> {
    let key = read::<wire::KeyRow<'_>, rows::Key<'_>>(document)?;
    if change::takes(&key) {
        return Ok(());
    }
    let detail = format!(
        "expected apis, permitted_ips and permitted_referers that take less than {} KiB together: a gateway leaves a \
         larger key out",
        MAX_KEY_BYTES >> 10
    );
    Err(Error::Invalid { field: None, detail })
}

fn read<'a, W: Deserialize<'a>, T: TryFrom<W, Error = InvalidRow>>(document: &'a str) -> Result<T, Error> {
    let row: W = serde_json::from_str(document).map_err(|_| damaged())?;
    T::try_from(row).map_err(|invalid| Error::invalid(invalid.field, invalid.to_string()))
}

/// Checks an id, a name or an owner.
pub fn text(field: &str, text: &str) -> Result<(), Error> {
    Text::new(text).map(drop).map_err(|invalid| Error::invalid(field, invalid.to_string()))
}

/// Checks the id of a new object. It must be addressable in a path, in which `.` and `..` have a special meaning even
/// if they are escaped (RFC 3986, 5.2.4; WHATWG URL, "double-dot URL path segment").
pub fn addressable(kind: Kind, id: Option<&str>) -> Result<(), Error> {
    match id {
        Some("lookup") if kind == Kind::Key => {
            Err(Error::invalid("id", "expected another id than lookup, because /v1/keys/lookup is a route"))
        }
        Some("." | "..") => Err(Error::invalid("id", "expected an id other than . and .., which no path can name")),
        _ => Ok(()),
    }
}

/// Checks ids of APIs.
pub fn ids(field: &str, list: Option<&[String]>) -> Result<(), Error> {
    entries(field, list, |entry| Text::new(entry).is_ok(), "an id of 1 to 256 bytes without control characters")
}

/// Checks the hosts of a match.
pub fn hosts(field: &str, list: Option<&[String]>) -> Result<(), Error> {
    entries(field, list, |entry| HostPattern::parse(entry).is_some(), "a host name, or *. and a domain name")
}

/// Checks the path of a match.
pub fn prefix(field: &str, path: &str) -> Result<(), Error> {
    match PathPrefix::parse(path) {
        Some(_) => Ok(()),
        None => {
            let detail = "expected an absolute path that can be read only one way, without *, braces, blanks and query, \
                          such as /payments/1.0";
            Err(Error::invalid(field, detail))
        }
    }
}

/// Checks addresses and ranges of addresses.
pub fn ranges(field: &str, list: Option<&[String]>) -> Result<(), Error> {
    entries(field, list, |entry| parse_range(entry).is_some(), "an IP address, or a range such as 192.0.2.0/24")
}

/// Checks referers.
pub fn referers(field: &str, list: Option<&[String]>) -> Result<(), Error> {
    entries(
        field,
        list,
        |entry| RefererPattern::parse(entry).is_some(),
        "host and path without a scheme, such as example.com/*",
    )
}

/// Checks the methods of an operation.
pub fn methods(field: &str, list: Option<&[String]>) -> Result<(), Error> {
    let is_method = |entry: &str| {
        !entry.is_empty() && entry.len() <= MAX_METHOD_BYTES && entry.bytes().all(|b| b.is_ascii_uppercase())
    };
    if list.is_some_and(|list| list.len() > MAX_METHODS) {
        return Err(Error::invalid(field, format!("expected at most {MAX_METHODS} methods")));
    }
    entries(field, list, is_method, "a method in capitals, such as GET")
}

/// Checks the path of an operation.
pub fn template(field: &str, path: &str) -> Result<(), Error> {
    match PathTemplate::parse(path) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(field, "expected a path such as /orders/* (one segment) or /orders/** (any rest)")),
    }
}

fn entries(field: &str, list: Option<&[String]>, good: impl Fn(&str) -> bool, expected: &str) -> Result<(), Error> {
    let list = list.unwrap_or_default();
    if list.len() > MAX_LIST_ENTRIES {
        return Err(Error::invalid(field, format!("expected at most {MAX_LIST_ENTRIES} entries")));
    }
    match list.iter().position(|entry| !good(entry)) {
        Some(place) => Err(Error::invalid(format!("{field}[{place}]"), format!("expected {expected}"))),
        None => Ok(()),
    }
}
