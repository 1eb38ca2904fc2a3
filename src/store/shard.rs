//! A shard: records sorted by key, under the generation in which they were written.
//!
//! Layout behind the checksum: generation (8 bytes), number of records (4), then for each record its key and its value,
//! both behind their length. A shard of another generation than the manifest's reads as empty, so nothing ever needs
//! deleting.

use std::cmp::Ordering;

use super::{
    Corrupt,
    bytes::{self, Reader, Write},
};

/// Records of one shard. A policy of 10 million keys has some 150 in each.
pub const MAX_SHARD_RECORDS: u32 = 1 << 20;

/// A shard's records, read one by one.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    /// Under which it was written.
    pub generation: u64,
    /// How many records it has.
    pub records: u32,
    reader: Reader<'a>,
}

/// The key of a record. Numbers are compared first, and all but one record of a lookup differ in them.
#[derive(Clone, Copy, Debug)]
pub struct RecordKey<'a> {
    /// Its first eight bytes as a number, which is spread evenly and says in which shard the record is.
    pub prefix: u64,
    /// The others.
    pub rest: &'a [u8],
}

impl<'a> RecordKey<'a> {
    /// `None` for bytes that are too few.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_first_chunk()?;
        Some(Self { prefix: u64::from_be_bytes(*prefix), rest })
    }

    /// Appends its bytes behind their length.
    pub fn put(self, out: &mut Vec<u8>) {
        let prefix = self.prefix.to_be_bytes();
        out.put_varint(u64::try_from(prefix.len().saturating_add(self.rest.len())).unwrap_or(u64::MAX));
        out.extend_from_slice(&prefix);
        out.extend_from_slice(self.rest);
    }
}

/// One record: key and value.
pub type Record<'a> = (&'a [u8], &'a [u8]);

impl<'a> Shard<'a> {
    /// Checks a value of shared data; `key` is the one that it stands under. An emptied value is `None`.
    pub fn open(key: &[u8], value: &'a [u8]) -> Result<Option<Self>, Corrupt> {
        if value.is_empty() {
            return Ok(None);
        }
        let mut reader = bytes::open(key, value)?;
        let (generation, records) = (reader.u64()?, reader.u32()?);
        if records > MAX_SHARD_RECORDS {
            return Err(Corrupt);
        }
        Ok(Some(Self { generation, records, reader }))
    }

    /// The value of a record.
    pub fn find(mut self, key: RecordKey<'_>) -> Result<Option<&'a [u8]>, Corrupt> {
        while let Some((found, value)) = self.next_record()? {
            let found = RecordKey::read(found).ok_or(Corrupt)?;
            match found.prefix.cmp(&key.prefix).then_with(|| found.rest.cmp(key.rest)) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(value)),
                Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The next record; records are strictly sorted, and nothing follows the last.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Corrupt> {
        let Some(left) = self.records.checked_sub(1) else {
            self.reader.finish()?;
            return Ok(None);
        };
        self.records = left;
        Ok(Some((self.reader.sized()?, self.reader.sized()?)))
    }
}

/// A shard while it is written.
#[derive(Debug)]
pub struct ShardWriter {
    value: Vec<u8>,
    records: u32,
}

/// Bytes before the number of records: checksum and generation.
const RECORDS_AT: std::ops::Range<usize> = 16..20;

impl ShardWriter {
    /// An empty shard of this generation.
    pub fn new(generation: u64) -> Self {
        let mut value = bytes::unsealed();
        value.extend(generation.to_le_bytes());
        value.extend([0; 4]);
        Self { value, records: 0 }
    }

    /// Appends a record; the caller keeps them sorted.
    pub fn push(&mut self, (key, value): Record<'_>) {
        self.value.put_sized(key);
        self.value.put_sized(value);
        self.records = self.records.saturating_add(1);
    }

    /// How many records it has.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The value to be set under `key`.
    pub fn finish(mut self, key: &[u8]) -> Vec<u8> {
        if let Some(slot) = self.value.get_mut(RECORDS_AT) {
            slot.copy_from_slice(&self.records.to_le_bytes());
        }
        bytes::seal(key, &mut self.value);
        self.value
    }
}
