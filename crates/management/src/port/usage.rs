//! Usage: hourly rows, when keys were used last, and what was used of a plan in a day and a month.

use keygate::{limit::window::Window, policy::rows::Unit};
use serde::Serialize;

/// One row of usage. An empty text stands for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsageRow {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
    /// The hour's first second, Unix time.
    pub hour: i64,
    /// The subscription's plan.
    pub plan: String,
    /// `allowed`, or the reason why not.
    pub outcome: String,
    /// How many.
    pub requests: i64,
}

/// A key and when it was used last, in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUsed {
    /// Its id.
    pub id: String,
    /// When.
    pub last_used: i64,
}

/// Which rows are asked for.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only hours that begin at this time or later.
    pub from: Option<i64>,
    /// Only hours that begin before this time.
    pub to: Option<i64>,
}

/// The day and the month of UTC in which a time lies: first second, and the first second after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The day.
    pub day: (i64, i64),
    /// The month.
    pub month: (i64, i64),
}

impl Windows {
    /// The day and the month that `now` lies in, Unix time. A time before 1970 counts as its first second.
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

/// What an application used of an API, or of all: requests let through in the day and the month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Today.
    pub day: i64,
    /// This month.
    pub month: i64,
}

/// An application and an API; an empty one means all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pair {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
}
