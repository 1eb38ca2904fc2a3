//! A usage report: a gateway sends it to the policy service with `POST /v1/usage`, and gets a [`Receipt`].
//!
//! The filter writes these types and the policy service reads them, so both agree on the shape. A report is a batch
//! with a unique id; a service that receives the same id again counts nothing twice. Unknown fields are ignored.
//! [`UsageReport::check`] checks the whole report and says which place is wrong and what would be right.

#![warn(missing_docs)]

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::policy::{MAX_UNIX_SECONDS, Text, object::read_object, text::Str};

/// Version of the report's shape.
pub const FORMAT: u32 = 1;
/// Seconds of an hour, the unit in which requests are counted.
pub const HOUR: u64 = 3_600;
/// Outcome of a request that passed. The outcome of a refused request is its reason.
pub const ALLOWED: &str = "allowed";
/// Counts in one report. The filter sends at most 960 (see `crate::usage`); other gateways may send more.
pub const MAX_COUNTS: usize = 5_000;
/// Keys in one report.
pub const MAX_KEYS: usize = 5_000;
/// Size limit of a batch's id in bytes: room for a UUID or a digest in hexadecimal.
pub const MAX_BATCH_BYTES: usize = 64;
/// Size limit of an outcome in bytes. The longest reason has 27.
pub const MAX_OUTCOME_BYTES: usize = 64;
/// Requests in one count: 300 million per second for an hour. The sum of eight million such rows is still below 2^63.
pub const MAX_REQUESTS: u64 = 1 << 40;
/// How far an hour or a key's last use may be ahead of the reader's clock, in seconds. A day covers a gateway whose
/// clock is set to a wrong time zone.
pub const MAX_AHEAD: u64 = 86_400;

/// The report of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// The batch's id: 1 to [`MAX_BATCH_BYTES`] visible ASCII characters.
    pub batch: Cow<'a, str>,
    /// Requests by application, API, plan, hour and outcome. The same combination may occur more than once.
    #[serde(default)]
    pub counts: Vec<Count<'a>>,
    /// The last uses of keys.
    #[serde(default)]
    pub keys: Vec<KeyUse<'a>>,
}

/// Requests of one application to one API within one hour, with one outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count<'a> {
    /// The hour's first second, Unix time.
    pub hour: u64,
    /// The application's id. `None`, together with `api`, if the gateway had no room to distinguish combinations.
    #[serde(default)]
    pub application: Option<Cow<'a, str>>,
    /// The API's id.
    #[serde(default)]
    pub api: Option<Cow<'a, str>>,
    /// The subscription's plan.
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    /// [`ALLOWED`], or the reason of the refusal.
    pub outcome: Cow<'a, str>,
    /// Number of requests.
    pub requests: u64,
}

/// The last use of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse<'a> {
    /// The public id of the key.
    pub id: Cow<'a, str>,
    /// Unix time in seconds.
    pub last_used: u64,
}

/// The answer to an accepted report, as the policy service writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The batch's id.
    pub batch: String,
    /// The batch had been accepted before, so it counted nothing this time.
    pub repeated: bool,
    /// Number of rows that were left out because this gateway may not report on their API or key.
    pub rejected: u64,
}

/// [`Receipt`] as the filter reads it. The filter does not need `repeated`.
#[derive(Debug)]
pub struct ReceiptIn<'a> {
    /// The batch's id.
    pub batch: Str<'a>,
    /// Number of rows that were left out. Absent means zero.
    pub rejected: Option<u64>,
}

read_object!(ReceiptIn<'de> { batch, rejected });

/// An error in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReport {
    /// The place, such as `counts[3].hour`.
    pub field: String,
    /// What would be right there.
    pub expected: Expected,
}

/// What is allowed at a place of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// [`FORMAT`].
    Format,
    /// An id of a batch.
    Batch,
    /// A list of at most this many entries.
    AtMost(usize),
    /// The first second of an hour that is at most [`MAX_AHEAD`] ahead.
    Hour,
    /// An id, as in a policy.
    Id,
    /// Both or neither of application and API.
    Both,
    /// [`ALLOWED`] or a reason.
    Outcome,
    /// A number of requests.
    Requests,
    /// A time that is at most [`MAX_AHEAD`] ahead.
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

impl UsageReport<'_> {
    /// Checks the whole report. `now` is Unix time in seconds.
    ///
    /// # Errors
    ///
    /// The first error.
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
        let report: UsageReport<'_> = serde_json::from_value(report).map_err(|error| error.to_string())?;
        report.check(NOW).map_err(|error| error.field)
    }

    #[test]
    fn every_valid_report_is_accepted() {
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
    fn an_error_names_its_place() {
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
