//! The packed form of counted rows, which are the keys of a slot's records.
//!
//! A row is about the requests of one combination within one hour, or about a key's last use. The hour is at the end, so
//! that the rows of one combination are adjacent when rows are sorted. Outcomes are stored as text, because shared data
//! outlives the module and another version may know other reasons.

use std::borrow::Cow;

use super::report::{Count, HOUR, KeyUse, MAX_REQUESTS, UsageReport};
use crate::{
    digest::Digest,
    shared::{
        Corrupt,
        bytes::{Reader, Write as _},
    },
};

const REQUESTS: u8 = 0;
const KEY: u8 = 1;
/// Bytes of the hour at the end of a row of requests.
const HOUR_BYTES: usize = 4;

/// Application, API, plan and outcome of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination<'a> {
    /// Application and API. `None` if there was no room to distinguish combinations.
    pub pair: Option<(&'a str, &'a str)>,
    pub plan: Option<&'a str>,
    /// `allowed`, or the reason of the refusal.
    pub outcome: &'a str,
}

/// The row of a combination in an hour. `hour` counts from 1970.
pub fn requests(combination: &Combination<'_>, hour: u32) -> Vec<u8> {
    let Combination { pair, plan, outcome } = combination;
    let texts = pair.map_or(0, |(application, api)| application.len().saturating_add(api.len()));
    let texts = texts.saturating_add(plan.map_or(0, str::len)).saturating_add(outcome.len());
    // 16 bytes for tag, flags, lengths and the hour.
    let mut row = Vec::with_capacity(texts.saturating_add(16));
    row.extend([REQUESTS, u8::from(pair.is_some())]);
    if let Some((application, api)) = pair {
        row.put_sized(application.as_bytes());
        row.put_sized(api.as_bytes());
    }
    row.put_optional_text(*plan);
    row.put_sized(outcome.as_bytes());
    row.extend(hour.to_be_bytes());
    row
}

/// The row of a key's last use.
pub fn key(id: &str) -> Vec<u8> {
    [&[KEY], id.as_bytes()].concat()
}

/// The same row without application, API and plan, for use when there is no room to distinguish combinations. `None` for
/// a key's row.
pub fn unattributed(row: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
    match read(row)? {
        Row::Key(_) => Ok(None),
        Row::Requests(Combination { outcome, .. }, hour) => {
            Ok(Some(requests(&Combination { pair: None, plan: None, outcome }, hour)))
        }
    }
}

/// Whether the row counts requests. Values of such a row are added; of a key's row the later value counts.
pub fn adds(row: &[u8]) -> bool {
    row.first() == Some(&REQUESTS)
}

/// The value of a row after another value for it has been worked in.
pub fn combine(row: &[u8], value: u64, more: u64) -> u64 {
    if adds(row) { value.saturating_add(more).min(MAX_REQUESTS) } else { value.max(more) }
}

/// Splits a row into the part that identifies the combination, and the hour. `None` for a key's row.
pub fn split_hour(row: &[u8]) -> Option<(&[u8], u32)> {
    let (combination, hour) = row.split_last_chunk::<HOUR_BYTES>().filter(|_| adds(row))?;
    Some((combination, u32::from_be_bytes(*hour)))
}

/// A number that spreads rows over slots. Rows of one combination have the same number.
pub fn spread(row: &[u8]) -> u64 {
    Digest::of(split_hour(row).map_or(row, |(combination, _)| combination)).prefix()
}

/// A decoded row.
enum Row<'a> {
    Requests(Combination<'a>, u32),
    Key(&'a str),
}

fn read(row: &[u8]) -> Result<Row<'_>, Corrupt> {
    let mut reader = Reader::new(row);
    if reader.u8()? == KEY {
        return std::str::from_utf8(reader.rest()).map(Row::Key).map_err(|_| Corrupt);
    }
    let pair = if reader.flag()? { Some((reader.text()?, reader.text()?)) } else { None };
    let (plan, outcome) = (reader.optional_text()?, reader.text()?);
    let hour = u32::from_be_bytes(reader.next_bytes(HOUR_BYTES)?.try_into().map_err(|_| Corrupt)?);
    reader.finish()?;
    Ok(Row::Requests(Combination { pair, plan, outcome }, hour))
}

/// Appends a row with its value to a report.
pub fn tell<'a>(report: &mut UsageReport<'a>, row: &'a [u8], value: u64) -> Result<(), Corrupt> {
    match read(row)? {
        Row::Key(id) => report.keys.push(KeyUse { id: Cow::Borrowed(id), last_used: value }),
        Row::Requests(Combination { pair, plan, outcome }, hour) => report.counts.push(Count {
            hour: u64::from(hour).saturating_mul(HOUR),
            application: pair.map(|(application, _)| Cow::Borrowed(application)),
            api: pair.map(|(_, api)| Cow::Borrowed(api)),
            plan: plan.map(Cow::Borrowed),
            outcome: Cow::Borrowed(outcome),
            requests: value,
        }),
    }
    Ok(())
}
