//! What a filter says of itself in the headers of each call. A word that cannot be read is as good as none, except where
//! that would make a gateway seem up to date.

use axum::http::HeaderMap;
use keygate::policy::{MAX_REVISION, Text};
use management::port::gateways::{Refused, RefusedBecause};

/// The name of the Envoy: 1 to 256 bytes, as every name.
const INSTANCE: &str = "keygate-instance";
/// Random, made once for each store.
const PROCESS: &str = "keygate-process";
const VERSION: &str = "keygate-version";
const WORKERS: &str = "keygate-workers";
const LAGGING: &str = "keygate-lagging";
const REFUSED: &str = "keygate-refused";
const HEARD_WITHIN: &str = "keygate-heard-within";
const EXPIRES_AFTER: &str = "keygate-expires-after";

/// Maximum length of a process and of a version, in bytes: four times a random word of 128 bits in hexadecimal digits.
const MAX_WORD_BYTES: usize = 128;
/// Workers of an Envoy. It has as many as the machine has processors.
const MAX_WORKERS: i64 = 1_000_000;
/// The time until the next call of a filter that does not name it: the longest poll and ten seconds.
const USUAL_HEARD_WITHIN: i64 = 60;
/// The longest time until the next call that is believed: a day.
const MAX_HEARD_WITHIN: i64 = 86_400;

/// What a filter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its Envoy and its process; `None` if it does not name both.
    pub name: Option<(String, String)>,
    /// Its version.
    pub version: Option<String>,
    /// Number of workers with a live VM.
    pub workers: Option<u32>,
    /// Number of workers that lag; `None` if that cannot be read.
    pub lagging: Option<u32>,
    /// A revision that it did not take.
    pub refused: Option<Refused>,
    /// Maximum number of seconds until its next call.
    pub heard_within: i64,
    /// Seconds after which its policy expires, 0 for never; `None` if it does not say.
    pub expires_after: Option<i64>,
}

impl Said {
    /// Reads the headers of a call. `None` if neither a filter nor anything that holds a poll seems to call.
    pub fn read(headers: &HeaderMap, is_held: bool) -> Option<Self> {
        let name = instance(headers).zip(word(headers, PROCESS));
        if name.is_none() && !is_held && !headers.contains_key(VERSION) {
            return None;
        }
        let workers = number(headers, WORKERS).and_then(few);
        let lagging = if headers.contains_key(LAGGING) { number(headers, LAGGING).and_then(few) } else { Some(0) };
        let heard_within = number(headers, HEARD_WITHIN).unwrap_or(USUAL_HEARD_WITHIN).min(MAX_HEARD_WITHIN);
        Some(Self {
            name,
            version: word(headers, VERSION),
            workers,
            lagging,
            refused: text(headers, REFUSED).and_then(refused),
            heard_within,
            expires_after: number(headers, EXPIRES_AFTER),
        })
    }
}

/// The only value of a header. Two values are as good as none.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    std::str::from_utf8(value.as_bytes()).ok()
}

fn instance(headers: &HeaderMap) -> Option<String> {
    text(headers, INSTANCE).filter(|name| Text::new(*name).is_ok()).map(str::to_owned)
}

fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    let is_word =
        |text: &&str| (1..=MAX_WORD_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    text(headers, name).filter(is_word).map(str::to_owned)
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    parse(text(headers, name)?)
}

/// Parses digits. A number that does not fit is a very large one.
fn parse(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(i64::MAX))
}

fn few(number: i64) -> Option<u32> {
    u32::try_from(number.min(MAX_WORKERS)).ok()
}

/// Parses `REVISION; REASON`.
fn refused(text: &str) -> Option<Refused> {
    let (revision, reason) = text.split_once(';').unwrap_or((text, ""));
    let revision = parse(revision.trim()).filter(|revision| revision.unsigned_abs() <= MAX_REVISION)?;
    Some(Refused { revision, reason: RefusedBecause::parse(reason.trim()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)], is_held: bool) -> Option<Said> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Said::read(&headers, is_held)
    }

    #[test]
    fn a_filter_says_who_and_how_it_is() {
        let said = read(
            &[
                (INSTANCE, "edge-1"),
                (PROCESS, "0a1b"),
                (VERSION, "1.2.3"),
                (WORKERS, "4"),
                (LAGGING, "1"),
                (REFUSED, "42; shrink"),
                (HEARD_WITHIN, "35"),
                (EXPIRES_AFTER, "3600"),
            ],
            false,
        );
        let refused = Some(Refused { revision: 42, reason: RefusedBecause::Shrink });
        let expected = Said {
            name: Some(("edge-1".to_owned(), "0a1b".to_owned())),
            version: Some("1.2.3".to_owned()),
            workers: Some(4),
            lagging: Some(1),
            refused,
            heard_within: 35,
            expires_after: Some(3_600),
        };
        assert_eq!(said, Some(expected));
        let least = read(&[(INSTANCE, "e"), (PROCESS, "p")], false).unwrap();
        assert_eq!((least.lagging, least.heard_within, least.expires_after), (Some(0), USUAL_HEARD_WITHIN, None));
    }

    #[test]
    fn who_does_not_name_itself_counts_if_it_may_be_a_filter() {
        let long = "a".repeat(257);
        for (headers, is_held, expected) in [
            (&[][..], false, None),
            (&[], true, Some(false)),
            (&[(VERSION, "1.2.3")], false, Some(false)),
            (&[(INSTANCE, "e"), (PROCESS, "p")], false, Some(true)),
            (&[(INSTANCE, "e")], true, Some(false)),
            (&[(PROCESS, "p")], true, Some(false)),
            (&[(INSTANCE, "e"), (INSTANCE, "f"), (PROCESS, "p")], true, Some(false)),
            (&[(INSTANCE, &long), (PROCESS, "p")], true, Some(false)),
            (&[(INSTANCE, &long[1..]), (PROCESS, "p")], true, Some(true)),
            (&[(INSTANCE, "e"), (PROCESS, "a b")], true, Some(false)),
            (&[(INSTANCE, "e"), (PROCESS, &long[..129])], true, Some(false)),
        ] {
            assert_eq!(read(headers, is_held).map(|said| said.name.is_some()), expected, "{headers:?} {is_held}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_never_good_news() {
        for (name, value, expected) in [
            (LAGGING, "0", (Some(0), None, 60)),
            (LAGGING, "7", (Some(7), None, 60)),
            (LAGGING, "-1", (None, None, 60)),
            (LAGGING, "", (None, None, 60)),
            (LAGGING, "99999999999999999999", (Some(1_000_000), None, 60)),
            (EXPIRES_AFTER, "0", (Some(0), Some(0), 60)),
            (EXPIRES_AFTER, "x", (Some(0), None, 60)),
            (HEARD_WITHIN, "0", (Some(0), None, 0)),
            (HEARD_WITHIN, "1.5", (Some(0), None, 60)),
            (HEARD_WITHIN, "99999999999999999999", (Some(0), None, 86_400)),
        ] {
            let said = read(&[(name, value)], true).unwrap();
            assert_eq!((said.lagging, said.expires_after, said.heard_within), expected, "{name}: {value}");
        }
        for (value, expected) in [
            ("7; page", Some((7, RefusedBecause::Page))),
            ("7;rollback", Some((7, RefusedBecause::Rollback))),
            ("7; new", Some((7, RefusedBecause::Other))),
            ("7", Some((7, RefusedBecause::Other))),
            ("x; page", None),
            ("99999999999999999999; page", None),
        ] {
            let refused = read(&[(REFUSED, value)], true).unwrap().refused;
            assert_eq!(refused.map(|refused| (refused.revision, refused.reason)), expected, "{value}");
        }
    }
}
