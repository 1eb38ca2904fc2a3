//! A shard: records sorted by key, all of one generation.
//!
//! Layout: a checksum (8 bytes) over the shard's name, head and table; the head, which has the generation (8) and the
//! number of records (4); the table, which has for each record its tag, a checksum of its bytes, and the position of
//! their end (4 each); then the bytes of the records, each the rest of the key after its length, and then the value.
//!
//! A lookup verifies the table and the one record that it finds, so its cost does not depend on the other records. A
//! tag that is missing in a verified table has no record. Only a writer verifies every record. A shard whose generation
//! differs from the manifest's counts as empty, so nothing ever has to be deleted.

use crate::{
    equal::equal,
    shared::{
        Corrupt,
        bytes::{self, Reader, Write},
    },
};

/// Maximum number of records in a shard. A policy of 10 million keys has some 150 in each.
pub const MAX_SHARD_RECORDS: u32 = 1 << 20;

/// Bytes before the table: checksum, generation, number of records.
const HEAD_BYTES: usize = 8 + 8 + 4;
/// Size of a table entry: tag, checksum, end.
const ENTRY_BYTES: usize = 4 + 4 + 4;

/// The records of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    pub generation: u64,
    table: &'a [[u8; ENTRY_BYTES]],
    bodies: &'a [u8],
    /// Index of the record that is read next.
    next: usize,
}

/// The key of a record. Records are sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey<'a> {
    /// An evenly spread number that determines the shard. Nearly all records of a shard have different tags.
    pub tag: u32,
    /// Distinguishes records with the same tag.
    pub rest: &'a [u8],
}

/// Key and value of a record.
pub type Record<'a> = (RecordKey<'a>, &'a [u8]);

impl<'a> Shard<'a> {
    /// Checks head and table of a value of shared data. `name` is its key. `None` for an emptied value.
    pub fn open(name: &[u8], value: &'a [u8]) -> Result<Option<Self>, Corrupt> {
        if value.is_empty() {
            return Ok(None);
        }
        let Some([.., a, b, c, d]) = value.first_chunk::<HEAD_BYTES>() else { return Err(Corrupt) };
        let records = u32::from_le_bytes([*a, *b, *c, *d]);
        if records > MAX_SHARD_RECORDS {
            return Err(Corrupt);
        }
        let table = usize::try_from(records).map_err(|_| Corrupt)?.saturating_mul(ENTRY_BYTES);
        let (sealed, bodies) = value.split_at_checked(HEAD_BYTES.saturating_add(table)).ok_or(Corrupt)?;
        let mut reader = bytes::open(name, sealed)?;
        let (generation, _) = (reader.u64()?, reader.u32()?);
        let (table, _) = reader.rest().as_chunks();
        if table.last().map_or(0, end_of) != bodies.len() {
            return Err(Corrupt);
        }
        Ok(Some(Self { generation, table, bodies, next: 0 }))
    }

    /// Checks all records.
    pub fn check(mut self) -> Result<(), Corrupt> {
        while self.next_record()?.is_some() {}
        Ok(())
    }

    /// The value of a record.
    pub fn find(self, key: RecordKey<'_>) -> Result<Option<&'a [u8]>, Corrupt> {
        let mut number = self.table.partition_point(|entry| tag_of(entry) < key.tag);
        while let Some(entry) = self.table.get(number)
            && tag_of(entry) == key.tag
        {
            let (found, value) = self.record(number, entry)?;
            if equal(found.rest, key.rest) {
                return Ok(Some(value));
            }
            number = number.saturating_add(1);
        }
        Ok(None)
    }

    /// The next record. Records are strictly sorted.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Corrupt> {
        let Some(entry) = self.table.get(self.next) else { return Ok(None) };
        let record = self.record(self.next, entry)?;
        self.next = self.next.saturating_add(1);
        Ok(Some(record))
    }

    fn record(&self, number: usize, entry: &[u8; ENTRY_BYTES]) -> Result<Record<'a>, Corrupt> {
        let before = number.checked_sub(1).and_then(|before| self.table.get(before));
        let body = self.bodies.get(before.map_or(0, end_of)..end_of(entry)).ok_or(Corrupt)?;
        let tag = tag_of(entry);
        let [_, _, _, _, sum @ .., _, _, _, _] = *entry;
        if sum != sum_of(tag, body) {
            return Err(Corrupt);
        }
        let mut reader = Reader::new(body);
        let rest = reader.sized()?;
        Ok((RecordKey { tag, rest }, reader.rest()))
    }
}

fn tag_of([a, b, c, d, ..]: &[u8; ENTRY_BYTES]) -> u32 {
    u32::from_le_bytes([*a, *b, *c, *d])
}

fn end_of([.., a, b, c, d]: &[u8; ENTRY_BYTES]) -> usize {
    usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX)
}

/// Half of a checksum. It misses one in four billion damages, and only in the content of the damaged record itself.
fn sum_of(tag: u32, body: &[u8]) -> [u8; 4] {
    let [sum @ .., _, _, _, _] = bytes::hash(tag.into(), body).to_le_bytes();
    sum
}

/// A shard that is being written.
#[derive(Debug)]
pub struct ShardWriter {
    sealed: Vec<u8>,
    bodies: Vec<u8>,
}

impl ShardWriter {
    /// An empty shard of this generation.
    pub fn new(generation: u64) -> Self {
        let mut sealed = bytes::unsealed();
        sealed.extend(generation.to_le_bytes());
        sealed.extend([0; 4]);
        Self { sealed, bodies: Vec::new() }
    }

    /// Appends a record. The caller must append records in order.
    pub fn push(&mut self, (RecordKey { tag, rest }, value): Record<'_>) {
        let start = self.bodies.len();
        self.bodies.put_sized(rest);
        self.bodies.extend_from_slice(value);
        let body = self.bodies.get(start..).unwrap_or_default();
        self.sealed.extend(tag.to_le_bytes());
        self.sealed.extend(sum_of(tag, body));
        self.sealed.extend(u32::try_from(self.bodies.len()).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// The value to be set under `name`.
    pub fn finish(mut self, name: &[u8]) -> Vec<u8> {
        if let Some(([.., a, b, c, d], table)) = self.sealed.split_first_chunk_mut::<HEAD_BYTES>() {
            let (table, _) = table.as_chunks::<ENTRY_BYTES>();
            [*a, *b, *c, *d] = u32::try_from(table.len()).unwrap_or(u32::MAX).to_le_bytes();
        }
        bytes::seal(name, &mut self.sealed);
        self.sealed.append(&mut self.bodies);
        self.sealed
    }
}
