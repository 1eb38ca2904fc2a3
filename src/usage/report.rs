//! A usage report: what a gateway sends to the policy service with `POST /v1/usage`, and what it is answered.
//!
//! The filter writes with these types and the policy service reads with them, so neither can say what the other cannot
//! understand. A report is a batch under an id that nobody else ever uses; who has taken it once and gets it again counts
//! nothing twice. Unknown fields are ignored. What a report says is checked as a whole: [`Report::check`] says which
//! place is wrong, and what would be right there.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::policy::{MAX_UNIX_SECONDS, Text, object::read_object, text::Str};

/// Version of the shape.
pub const FORMAT: u32 = 1;
/// Seconds of an hour, the unit in which requests are counted.
pub const HOUR: u64 = 3_600;
/// What a request that was let through is counted as; one that was refused is counted as its reason.
pub const ALLOWED: &str = "allowed";
/// Counts in one report. The filter sends at most 960, see `crate::usage`; other gateways may send more.
pub const MAX_COUNTS: usize = 5_000;
/// Keys in one report.
pub const MAX_KEYS: usize = 5_000;
/// Bytes of a batch's id: room for a UUID or a digest in hexadecimal.
pub const MAX_BATCH_BYTES: usize = 64;
/// Bytes of an outcome; the longest reason has 27.
pub const MAX_OUTCOME_BYTES: usize = 64;
/// Requests in one count: 300 million a second for an hour. Eight million such rows still add up below 2^63.
pub const MAX_REQUESTS: u64 = 1 << 40;
/// How far ahead of the reader's clock an hour or a key's last use may lie, in seconds: a day, whatever time zone a
/// gateway's clock was wrongly set by.
pub const MAX_AHEAD: u64 = 86_400;

/// What a gateway reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// The batch's id: 1 to [`MAX_BATCH_BYTES`] visible ASCII characters.
    pub batch: Cow<'a, str>,
    /// How many requests, by whom, to what, when, and what became of them. The same combination may stand here twice.
    #[serde(default)]
    pub counts: Vec<Count<'a>>,
    /// When keys were used last.
    #[serde(default)]
    pub keys: Vec<KeyUse<'a>>,
}

/// Requests of one application to one API within one hour, with one outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count<'a> {
    /// The hour's first second, Unix time.
    pub hour: u64,
    /// The application's id; `None`, as is the API's then, where the gateway could not keep combinations apart.
    #[serde(default)]
    pub application: Option<Cow<'a, str>>,
    /// The API's id.
    #[serde(default)]
    pub api: Option<Cow<'a, str>>,
    /// The subscription's plan.
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    /// [`ALLOWED`], or the reason why not.
    pub outcome: Cow<'a, str>,
    /// How many.
    pub requests: u64,
}

/// When a key was used last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse<'a> {
    /// The key's public handle.
    pub id: Cow<'a, str>,
    /// Unix time in seconds.
    pub last_used: u64,
}

/// The answer to a report that was taken, as the policy service writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The batch's id.
    pub batch: String,
    /// It was taken before, and counted nothing now.
    pub repeated: bool,
    /// Rows that were left out, since this gateway may not report on their API or key.
    pub rejected: u64,
}

/// The same as the filter reads it: whether it was taken before changes nothing for it.
#[derive(Debug)]
pub struct ReceiptIn<'a> {
    /// The batch's id.
    pub batch: Str<'a>,
    /// Rows that were left out; absent is none.
    pub rejected: Option<u64>,
}

read_object!(ReceiptIn<'de> { batch, rejected });

/// What is wrong with a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReport {
    /// Where, as `counts[3].hour`.
    pub field: String,
    /// What would be right.
    pub expected: Expected,
}

/// What should stand somewhere in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// [`FORMAT`].
    Format,
    /// An id of a batch.
    Batch,
    /// A list of at most so many.
    AtMost(usize),
    /// The first second of an hour that is not far ahead.
    Hour,
    /// An id as everywhere in a policy.
    Id,
    /// Both or neither of application and API.
    Both,
    /// [`ALLOWED`] or a reason.
    Outcome,
    /// A number of requests.
    Requests,
    /// A time that is not far ahead.
    Time,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "expected {FORMAT}, the only format there is"),
            Self::Batch => write!(f, "expected 1 to {MAX_BATCH_BYTES} visible ASCII characters, never used before"),
            Self::AtMost(limit) => write!(f, "expected at most {limit} entries; send the others as another batch"),
            Self::Hour => f.write_str(
                "expected the first second of an hour of UTC as Unix time, a multiple of 3600, at most a day ahead",
            ),
            Self::Id => f.write_str("expected an id of 1 to 256 bytes without control characters"),
            Self::Both => f.write_str("expected both application and api, or neither"),
            Self::Outcome => {
                write!(f, "expected \"{ALLOWED}\" or a reason: 1 to {MAX_OUTCOME_BYTES} of a to z, 0 to 9 and _")
            }
            Self::Requests => write!(f, "expected an integer from 1 to {MAX_REQUESTS}"),
            Self::Time => f.write_str("expected Unix time in seconds, at most a day ahead"),
        }
    }
}

impl fmt::Display for InvalidReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.expected)
    }
}

impl std::error::Error for InvalidReport {}

impl Report<'_> {
    /// Checks everything that a report says; `now` is Unix time in seconds.
    ///
    /// # Errors
    ///
    /// The first place that is wrong.
    pub fn check(&self, now: u64) -> Result<(), InvalidReport> {
        let latest = now.saturating_add(MAX_AHEAD).min(MAX_UNIX_SECONDS.unsigned_abs());
        require(self.format == FORMAT, "format", Expected::Format)?;
        let good = (1..=MAX_BATCH_BYTES).contains(&self.batch.len());
        require(good && self.batch.bytes().all(|byte| byte.is_ascii_graphic()), "batch", Expected::Batch)?;
        require(self.counts.len() <= MAX_COUNTS, "counts", Expected::AtMost(MAX_COUNTS))?;
        require(self.keys.len() <= MAX_KEYS, "keys", Expected::AtMost(MAX_KEYS))?;
        for (place, count) in self.counts.iter().enumerate() {
            count.check(latest).map_err(|(name, expected)| at("counts", place, name, expected))?;
        }
        for (place, key) in self.keys.iter().enumerate() {
            key.check(latest).map_err(|(name, expected)| at("keys", place, name, expected))?;
        }
        Ok(())
    }
}

type Wrong = (&'static str, Expected);

impl Count<'_> {
    fn check(&self, latest: u64) -> Result<(), Wrong> {
        let whole = self.hour.checked_rem(HOUR) == Some(0) && self.hour <= latest;
        let ids = [("application", &self.application), ("api", &self.api), ("plan", &self.plan)];
        let bad = ids.into_iter().find(|(_, id)| id.as_deref().is_some_and(|id| !is_id(id)));
        let outcome = (1..=MAX_OUTCOME_BYTES).contains(&self.outcome.len())
            && self.outcome.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        match bad {
            _ if !whole => Err(("hour", Expected::Hour)),
            Some((name, _)) => Err((name, Expected::Id)),
            None if self.application.is_some() && self.api.is_none() => Err(("api", Expected::Both)),
            None if self.application.is_none() && self.api.is_some() => Err(("application", Expected::Both)),
            None if !outcome => Err(("outcome", Expected::Outcome)),
            None if !(1..=MAX_REQUESTS).contains(&self.requests) => Err(("requests", Expected::Requests)),
            None => Ok(()),
        }
    }
}

impl KeyUse<'_> {
    fn check(&self, latest: u64) -> Result<(), Wrong> {
        if !is_id(&self.id) {
            return Err(("id", Expected::Id));
        }
        if self.last_used > latest {
            return Err(("last_used", Expected::Time));
        }
        Ok(())
    }
}

fn is_id(text: &str) -> bool {
    Text::new(text).is_ok()
}

fn require(holds: bool, field: &str, expected: Expected) -> Result<(), InvalidReport> {
    if holds { Ok(()) } else { Err(InvalidReport { field: field.to_owned(), expected }) }
}

fn at(list: &str, place: usize, name: &str, expected: Expected) -> InvalidReport {
    InvalidReport { field: format!("{list}[{place}].{name}"), expected }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_748_736_123;
    const THIS_HOUR: u64 = NOW / HOUR * HOUR;

    fn count() -> Value {
        json!({"hour": THIS_HOUR, "application": "app-1", "api": "payments-1.0", "plan": "gold",
            "outcome": "allowed", "requests": 123})
    }

    fn report(counts: Vec<Value>, keys: Vec<Value>) -> Value {
        json!({"format": 1, "batch": "b-1", "counts": counts, "keys": keys})
    }

    fn check(report: Value) -> Result<(), String> {
        let report: Report<'_> = serde_json::from_value(report).map_err(|error| error.to_string())?;
        report.check(NOW).map_err(|error| error.field)
    }

    #[test]
    fn what_a_gateway_may_say_is_taken() {
        for report in [
            report(vec![count()], vec![json!({"id": "k-81", "last_used": NOW})]),
            report(vec![], vec![]),
            json!({"format": 1, "batch": "b", "something": "new"}),
            report(vec![json!({"hour": 0, "outcome": "quota_exceeded", "requests": 1})], vec![]),
            report(
                vec![json!({"hour": 0, "application": null, "api": null, "plan": null, "outcome": "a",
                "requests": MAX_REQUESTS})],
                vec![],
            ),
        ] {
            assert_eq!(check(report.clone()), Ok(()), "{report}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let with = |name: &str, value: Value| {
            let mut row = count();
            row[name] = value;
            report(vec![count(), row], vec![])
        };
        let ahead = (NOW + MAX_AHEAD) / HOUR * HOUR;
        for (report, field) in [
            (json!({"format": 2, "batch": "b"}), "format"),
            (json!({"format": 1, "batch": ""}), "batch"),
            (json!({"format": 1, "batch": "x".repeat(MAX_BATCH_BYTES + 1)}), "batch"),
            (json!({"format": 1, "batch": "a b"}), "batch"),
            (with("hour", json!(THIS_HOUR + 1)), "counts[1].hour"),
            (with("hour", json!(ahead + HOUR)), "counts[1].hour"),
            (with("hour", json!(u64::MAX / HOUR * HOUR)), "counts[1].hour"),
            (with("application", json!("")), "counts[1].application"),
            (with("application", json!(null)), "counts[1].application"),
            (with("api", json!("a\u{1f}b")), "counts[1].api"),
            (with("api", json!(null)), "counts[1].api"),
            (with("plan", json!("x".repeat(257))), "counts[1].plan"),
            (with("outcome", json!("")), "counts[1].outcome"),
            (with("outcome", json!("Allowed")), "counts[1].outcome"),
            (with("outcome", json!("x".repeat(MAX_OUTCOME_BYTES + 1))), "counts[1].outcome"),
            (with("requests", json!(0)), "counts[1].requests"),
            (with("requests", json!(MAX_REQUESTS + 1)), "counts[1].requests"),
            (report(vec![], vec![json!({"id": "", "last_used": 1})]), "keys[0].id"),
            (report(vec![], vec![json!({"id": "k", "last_used": NOW + MAX_AHEAD + 1})]), "keys[0].last_used"),
            (report(vec![count(); MAX_COUNTS + 1], vec![]), "counts"),
            (report(vec![], vec![json!({"id": "k", "last_used": 1}); MAX_KEYS + 1]), "keys"),
        ] {
            assert_eq!(check(report), Err(field.to_owned()));
        }
        assert_eq!(check(with("hour", json!(ahead))), Ok(()));
        assert!(check(with("requests", json!(-1))).is_err());
        assert!(check(with("requests", json!(1.5))).is_err());
        assert!(check(json!({"batch": "b"})).is_err(), "without a format");
    }
}
