//! Usage: hourly rows, the last use of keys, and the usage of plans in a day and a month.

use keygate::{limit::window::Window, policy::rows::Unit};
use serde::Serialize;

use super::sight::Sight;

/// One row of usage. An empty text means that there is no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsageRow {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
    /// The first second of the hour, Unix time.
    pub hour: i64,
    /// The subscription's plan.
    pub plan: String,
    /// `allowed`, or the reason of the denial.
    pub outcome: String,
    /// Number of requests.
    pub requests: i64,
}

/// A key and the time of its last use, in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUsed {
    /// Its id.
    pub id: String,
    /// The time.
    pub last_used: i64,
}

/// Which rows of usage to return.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Only rows of this application.
    pub application: Option<String>,
    /// Only rows of this API.
    pub api: Option<String>,
    /// Only hours that begin at this time or later.
    pub from: Option<i64>,
    /// Only hours that begin before this time.
    pub to: Option<i64>,
    /// Only rows that who asks sees.
    pub sight: Sight,
}

/// The day and the month of UTC that contain a time: the first second, and the first second after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The day.
    pub day: (i64, i64),
    /// The month.
    pub month: (i64, i64),
}

impl Windows {
    /// The day and the month that contain `now`, Unix time. A time before 1970 counts as the first second of 1970.
    pub fn of(now: i64) -> Self {
        let of = |unit| {
            let Window { begin, end } = Window::of(unit, now.max(0).unsigned_abs());
            // A window ends in the year 10000 at the latest.
            let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
            (signed(begin), signed(end))
        };
        Self { day: of(Unit::Day), month: of(Unit::Month) }
    }
}

/// Allowed requests of an application to one API, or to all, in the current day and month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Today.
    pub day: i64,
    /// This month.
    pub month: i64,
}

/// An application and an API. An empty API means all APIs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pair {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
}
