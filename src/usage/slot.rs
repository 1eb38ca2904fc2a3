//! A slot of shared data: rows that are being counted, and rows that are part of a batch.
//!
//! Every VM adds to the open part. The frozen part belongs to a batch and never changes until that batch is done, so
//! every VM builds the same batch from it. Freezing moves the open part into the frozen part in a single write and
//! drops the rows of an older batch, which has arrived by then. Layout after the checksum: the batch's number, then
//! both parts, each as its number of rows and the rows with their values.

use super::row;
use crate::shared::{
    Corrupt, Expected, Shared, SharedError,
    bytes::{self, Reader, Write as _},
    key::{SharedEntry, SourceId},
};

/// Rows of one part. See [`MAX_SLOT_BYTES`].
pub const MAX_SLOT_ROWS: usize = 240;
/// Bytes of the rows of one part. As JSON, 240 rows with 100 bytes around their ids and with all ids escaped are at
/// most 240 × 100 + 2 × 16,384 = 57 KB.
pub const MAX_SLOT_BYTES: usize = 16 << 10;
/// Maximum size of a value in bytes.
const VALUE_BYTES: usize = 10;
/// Slots of each level. A row goes to the first level whose slot has room for it. Few applications fill the first level
/// only, and one batch takes all of that. All levels together have room for 84 × 240 rows in 1.4 MB, or 2.8 MB while
/// all of them are also in a batch.
const LEVELS: [u16; 3] = [4, 16, 64];
pub const LEVEL_COUNT: usize = LEVELS.len();
/// The last slot. It is for requests whose combination was given up: one row for each outcome and hour.
pub const UNATTRIBUTED: u16 = 84;
pub const SLOTS: u16 = 85;
/// Hours that stay separate even without room: the current hour and the previous one.
const HOURS_APART: u32 = 2;
/// Attempts to write a slot that other VMs write too. Each VM writes it ten times a second, in some 50 µs.
const ATTEMPTS: usize = 4;

/// The slot in a level for a row with this spread.
pub fn place(level: usize, spread: u64) -> u16 {
    let size = LEVELS.get(level).copied().unwrap_or(1);
    let first: u16 = LEVELS.iter().take(level).fold(0, |sum, size| sum.saturating_add(*size));
    let bits = spread >> level.saturating_mul(16).min(48);
    let number = bits.checked_rem(u64::from(size)).and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
    first.saturating_add(number)
}

/// A decoded slot.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Slot<'a> {
    batch: u64,
    /// Sorted by row.
    open: Vec<Row<'a>>,
    open_bytes: usize,
    /// Whether older hours have been merged since the slot was read. Once is enough.
    merged: bool,
    frozen: Vec<Row<'a>>,
}

/// A row and its value.
pub type Row<'a> = (&'a [u8], u64);

impl<'a> Slot<'a> {
    /// Reads the value stored under `key`. An empty value is an empty slot.
    pub fn read(key: &[u8], value: &'a [u8]) -> Result<Self, Corrupt> {
        if value.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = bytes::open(key, value)?;
        let batch = reader.varint()?;
        let open = read_part(&mut reader)?;
        if !open.is_sorted_by(|(row, _), (next, _)| row < next) {
            return Err(Corrupt);
        }
        let frozen = read_part(&mut reader)?;
        reader.finish()?;
        let open_bytes = size_of_rows(&open);
        Ok(Self { batch, open, open_bytes, merged: false, frozen })
    }

    /// The value to store under `key`.
    fn write(&self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        out.put_varint(self.batch);
        write_part(&mut out, &self.open);
        write_part(&mut out, &self.frozen);
        bytes::seal(key, &mut out);
        out
    }

    /// Whether nothing was added since the last freeze.
    pub fn is_open_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The rows that are part of this batch.
    pub fn frozen_in(&self, batch: u64) -> &[Row<'a>] {
        if self.batch == batch { &self.frozen } else { &[] }
    }

    /// Adds to a row. `false`: there is no room for it.
    pub fn add(&mut self, row: &'a [u8], value: u64, this_hour: u32) -> bool {
        if let Some((_, known)) = self.find(row).ok().and_then(|place| self.open.get_mut(place)) {
            *known = row::combine(row, *known, value);
            return true;
        }
        if !self.has_room(row) && !self.merged {
            self.merge_hours(this_hour);
            self.merged = true;
        }
        if !self.has_room(row) {
            return false;
        }
        self.open_bytes = self.open_bytes.saturating_add(size_of_row(row));
        let (Ok(place) | Err(place)) = self.find(row);
        self.open.insert(place, (row, value));
        true
    }

    fn find(&self, row: &[u8]) -> Result<usize, usize> {
        self.open.binary_search_by(|(known, _)| (*known).cmp(row))
    }

    fn has_room(&self, row: &[u8]) -> bool {
        self.open.len() < MAX_SLOT_ROWS && self.open_bytes.saturating_add(size_of_row(row)) <= MAX_SLOT_BYTES
    }

    /// Merges the rows of a combination for all hours older than the last two into one row, under the latest of those
    /// hours.
    fn merge_hours(&mut self, this_hour: u32) {
        let is_old =
            |row: &[u8]| row::split_hour(row).is_some_and(|(_, hour)| hour.saturating_add(HOURS_APART) <= this_hour);
        let combination = |row: &'a [u8]| row::split_hour(row).map(|(combination, _)| combination);
        let mut merged: Vec<Row<'a>> = Vec::with_capacity(self.open.len());
        // The hour is at the end of a row. So the rows of one combination are adjacent, and the latest hour is last.
        for (row, value) in self.open.drain(..) {
            match merged.last_mut() {
                Some((last, sum)) if is_old(last) && is_old(row) && combination(last) == combination(row) => {
                    *sum = row::combine(row, *sum, value);
                    *last = row;
                }
                _ => merged.push((row, value)),
            }
        }
        self.open_bytes = size_of_rows(&merged);
        self.open = merged;
    }

    /// Moves the open part into this batch, unless it has been moved already.
    pub fn freeze(&mut self, batch: u64) {
        if self.batch < batch {
            self.batch = batch;
            self.frozen = std::mem::take(&mut self.open);
            self.open_bytes = 0;
        }
    }

    /// Drops the rows of a batch that has arrived.
    pub fn clear(&mut self, batch: u64) {
        if self.batch <= batch {
            self.frozen.clear();
        }
    }
}

fn size_of_row(row: &[u8]) -> usize {
    row.len().saturating_add(VALUE_BYTES)
}

fn size_of_rows(rows: &[Row<'_>]) -> usize {
    rows.iter().fold(0, |sum, (row, _)| sum.saturating_add(size_of_row(row)))
}

fn read_part<'a>(reader: &mut Reader<'a>) -> Result<Vec<Row<'a>>, Corrupt> {
    let rows = usize::try_from(reader.varint()?).ok().filter(|rows| *rows <= MAX_SLOT_ROWS).ok_or(Corrupt)?;
    (0..rows).map(|_| Ok((reader.sized()?, reader.varint()?))).collect()
}

fn write_part(out: &mut Vec<u8>, rows: &[Row<'_>]) {
    out.put_varint(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    for (row, value) in rows {
        out.put_sized(row);
        out.put_varint(*value);
    }
}

/// Result of changing a slot.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed<T> {
    Done(T),
    /// The slot is written, but its earlier content was damaged and is lost.
    Anew(T),
    /// The slot could not be written.
    Failed,
}

/// A row and its value, owned.
pub type Counted = (Box<[u8]>, u64);

/// Changes a slot, despite concurrent writers. `alter` may add `rows` to it.
pub fn change<T>(
    shared: &impl Shared,
    source: &SourceId,
    number: u16,
    rows: &[Row<'_>],
    alter: impl for<'s> Fn(&mut Slot<'s>, &'s [Row<'s>]) -> T,
) -> Changed<T> {
    let key = source.key(SharedEntry::UsageSlot(number));
    for _ in 0..ATTEMPTS {
        let Ok(read) = shared.get(&key) else { return Changed::Failed };
        let value = read.as_ref().map_or(&[][..], |read| &read.value);
        let (mut slot, damaged) = match Slot::read(&key, value) {
            Ok(slot) => (slot, false),
            Err(Corrupt) => (Slot::default(), true),
        };
        let altered = alter(&mut slot, rows);
        match shared.set(&key, &slot.write(&key), Expected::of(read.as_ref())) {
            Ok(()) if damaged => return Changed::Anew(altered),
            Ok(()) => return Changed::Done(altered),
            Err(SharedError::Raced) => {}
            Err(SharedError::Host) => break,
        }
    }
    Changed::Failed
}

/// Reads a slot. A slot that is damaged or cannot be read gives `Corrupt`.
pub fn with<T>(
    shared: &impl Shared,
    source: &SourceId,
    number: u16,
    look: impl FnOnce(&Slot<'_>) -> T,
) -> Result<T, Corrupt> {
    let key = source.key(SharedEntry::UsageSlot(number));
    let read = shared.get(&key).map_err(|_| Corrupt)?;
    Ok(look(&Slot::read(&key, read.as_ref().map_or(&[][..], |read| &read.value))?))
}
