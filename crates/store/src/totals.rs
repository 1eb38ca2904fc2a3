//! Adds up rows of usage, and says how long usage is kept. Knows no limits.

use std::collections::{BTreeMap, HashMap};

use keygate::usage::report::ALLOWED;
use management::port::usage::{UsageRow, Windows};

/// How long a batch's id is remembered, in seconds. A gateway repeats an unanswered batch as soon as it can. A batch
/// would be counted twice only if its gateway was cut off for two days after the batch had arrived. A fleet of 1,000
/// gateways that each report every minute leaves 3 million ids of some 60 bytes.
pub const REMEMBER_BATCHES: i64 = 48 * 3_600;
/// How long totals are kept, in seconds: the current month, and the previous one for late reports. Deleted applications
/// are remembered for the same time.
pub const KEEP_TOTALS: i64 = 62 * 86_400;
/// Maximum number of hourly rows that a batch deletes. It is more than a batch adds, so the table shrinks after the
/// limit is lowered.
pub const TIDIED_AT_ONCE: i64 = 10_000;

/// Application, API, 1 for a day or 2 for a month, its first second, number of requests.
pub type Total<'r> = (&'r str, &'r str, i64, i64, i64);

/// What rows add to the totals by which limits are checked: for each API, and for all APIs of the application (the
/// empty API); for the day and for the month.
pub fn totals<'r>(rows: &[&'r UsageRow]) -> Vec<Total<'r>> {
    let mut totals: BTreeMap<(&str, &str, i64, i64), i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.outcome == ALLOWED && !row.application.is_empty()) {
        let Windows { day, month } = Windows::of(row.hour);
        for (api, (per, start)) in
            [row.api.as_str(), ""].into_iter().flat_map(|api| [(api, (1, day.0)), (api, (2, month.0))])
        {
            let total = totals.entry((&row.application, api, per, start)).or_default();
            *total = total.saturating_add(row.requests);
        }
    }
    totals
        .into_iter()
        .map(|((application, api, per, start), requests)| (application, api, per, start, requests))
        .collect()
}

/// API, the first second of the hour, outcome, number of requests.
pub type ApiHour<'r> = (&'r str, i64, &'r str, i64);

/// What rows add to the hours of their APIs, over all applications and plans.
pub fn hours_of_apis(rows: &[UsageRow]) -> Vec<ApiHour<'_>> {
    let mut hours: BTreeMap<(&str, i64, &str), i64> = BTreeMap::new();
    for row in rows {
        let hour = hours.entry((&row.api, row.hour, &row.outcome)).or_default();
        *hour = hour.saturating_add(row.requests);
    }
    hours.into_iter().map(|((api, hour, outcome), requests)| (api, hour, outcome, requests)).collect()
}

/// Whether a row counts for the plans of its application. Rows of an hour that began before the application was created
/// again do not count. `made` has the deleted applications, with the time when each was created again.
pub fn counts(made: &HashMap<String, Option<i64>>, row: &UsageRow) -> bool {
    match made.get(&row.application) {
        None => true,
        Some(made_at) => made_at.is_some_and(|made_at| made_at <= row.hour),
    }
}
