//! The rows that are counted, packed: as keys of a slot's records.
//!
//! A row is requests of one combination within one hour, or a key's last use. The hour stands last, so that the rows of one
//! combination follow each other when rows are sorted. Outcomes are written as text: shared data outlives the module, and
//! another version may know other reasons.

use std::borrow::Cow;

use super::report::{Count, HOUR, KeyUse, MAX_REQUESTS, Report};
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

/// Who asked for what, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination<'a> {
    /// Application and API; `None` where combinations could not be kept apart.
    pub pair: Option<(&'a str, &'a str)>,
    /// The subscription's plan.
    pub plan: Option<&'a str>,
    /// `allowed`, or the reason why not.
    pub outcome: &'a str,
}

/// The row of a combination in an hour, which is given in hours since 1970.
pub fn requests(combination: &Combination<'_>, hour: u32) -> Vec<u8> {
    let Combination { pair, plan, outcome } = combination;
    let texts = pair.map_or(0, |(application, api)| application.len().saturating_add(api.len()));
    let texts = texts.saturating_add(plan.map_or(0, str::len)).saturating_add(outcome.len());
    // And tag, flags, lengths and the hour.
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

/// The same row without who and what: where there is no room to keep combinations apart. `None`: it is a key's.
pub fn unattributed(row: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
    match read(row)? {
        Row::Key(_) => Ok(None),
        Row::Requests(Combination { outcome, .. }, hour) => {
            Ok(Some(requests(&Combination { pair: None, plan: None, outcome }, hour)))
        }
    }
}

/// Whether the row counts requests, so that values of the same row are added; of a key's the later one counts.
pub fn adds(row: &[u8]) -> bool {
    row.first() == Some(&REQUESTS)
}

/// A row's value after another one came.
pub fn combine(row: &[u8], value: u64, more: u64) -> u64 {
    if adds(row) { value.saturating_add(more).min(MAX_REQUESTS) } else { value.max(more) }
}

/// What the rows of one combination have in common, and the hour; `None`: it is a key's.
pub fn split_hour(row: &[u8]) -> Option<(&[u8], u32)> {
    let (combination, hour) = row.split_last_chunk::<HOUR_BYTES>().filter(|_| adds(row))?;
    Some((combination, u32::from_be_bytes(*hour)))
}

/// Spreads rows over slots, those of one combination to the same one.
pub fn spread(row: &[u8]) -> u64 {
    Digest::of(split_hour(row).map_or(row, |(combination, _)| combination)).prefix()
}

/// A row, read.
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
    let hour = u32::from_be_bytes(reader.take(HOUR_BYTES)?.try_into().map_err(|_| Corrupt)?);
    reader.finish()?;
    Ok(Row::Requests(Combination { pair, plan, outcome }, hour))
}

/// Appends a row with its value to a report.
pub fn tell<'a>(report: &mut Report<'a>, row: &'a [u8], value: u64) -> Result<(), Corrupt> {
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
