//! Raw values of a page: their place in the body, and their conversion to valid rows.

use std::ops::Range;

use serde_json::value::RawValue;

use super::{
    describe::describe,
    object::{self, Read},
    rows::{InvalidRow, Problem},
    unknown::UnknownFields,
};

pub(super) fn parse<'a, W, T>(json: &'a str, unknown: &mut UnknownFields) -> Result<T, InvalidRow>
where
    W: Read<'a>,
    T: TryFrom<W, Error = InvalidRow>,
{
    let row: W = object::from_str(json, unknown)
        .map_err(|error| InvalidRow { field: "", problem: Problem::Shape(describe(&error, " of the row")) })?;
    T::try_from(row)
}

/// The place of a raw value in `body`.
pub(super) fn place(body: &str, raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr().saturating_sub(body.as_ptr().addr());
    start..start.saturating_add(raw.get().len())
}
