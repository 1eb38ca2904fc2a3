//! A slot: a set of counts under one key of shared data.
//!
//! Layout after the checksum: for each count its name (16 bytes), the end of its window (8) and the tokens taken in it
//! (8). A VM reads a slot, changes it and writes it back by compare-and-swap. Counts of ended windows are dropped when
//! a new count needs room, so a slot never needs sweeping.

use super::window::LONGEST;
use crate::shared::{
    Corrupt,
    bytes::{self, CHECKSUM_BYTES},
    key::shard_of,
};

/// Slots of one policy. The host keeps a slot's entry for ever once it has been written: some 200 bytes with its key,
/// 3 MB for all slots. With a million counts, a slot has 61 of them, which is 2 KiB to read and write and 32 MB in all.
pub const SLOTS: u32 = 1 << 14;
/// Counts in one slot. They take 4 KiB, which the host copies in some 5 µs. All slots hold at most 2 million counts in
/// 64 MiB.
pub const MAX_COUNTS: usize = 128;
/// Seconds by which the clock of one worker may be ahead of another's. A worker reads its clock when a request begins.
pub const SKEW: u64 = 1;

const NAME_BYTES: usize = 16;
const COUNT_BYTES: usize = NAME_BYTES + 8 + 8;

/// The name of a count: part of a digest over its owner and its unit. The limit is not part of the name, so a changed
/// plan continues the same count.
pub type Name = [u8; NAME_BYTES];

/// The slot of a count.
pub fn slot_of(name: &Name) -> u32 {
    let [a, b, c, d, ..] = *name;
    shard_of(u32::from_be_bytes([a, b, c, d]), SLOTS)
}

/// The tokens taken in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// End of the window, in Unix seconds.
    pub end: u64,
    pub taken: u64,
}

impl Count {
    /// Whether the window can contain `now`. A window that ends later than any such window was begun under another
    /// clock.
    fn is_live(self, now: u64) -> bool {
        self.end > now && self.end <= now.saturating_add(LONGEST).saturating_add(SKEW)
    }

    fn read(bytes: &[u8; COUNT_BYTES]) -> (&Name, Self) {
        let (name, rest) = bytes.split_first_chunk::<NAME_BYTES>().unwrap_or((&[0; NAME_BYTES], &[]));
        let (end, taken) = rest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let taken = taken.first_chunk::<8>().unwrap_or(&[0; 8]);
        (name, Self { end: u64::from_le_bytes(*end), taken: u64::from_le_bytes(*taken) })
    }

    fn write(self, name: &Name, bytes: &mut [u8; COUNT_BYTES]) {
        let parts = name.iter().copied().chain(self.end.to_le_bytes()).chain(self.taken.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    }
}

/// A slot while it is read and changed.
#[derive(Debug)]
pub struct Slot {
    value: Vec<u8>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { value: bytes::unsealed() }
    }
}

impl Slot {
    /// Checks a value of shared data. `key` is its key.
    pub fn open(key: &[u8], value: Vec<u8>) -> Result<Self, Corrupt> {
        let counts = bytes::open(key, &value)?.rest();
        let (whole, rest) = counts.as_chunks::<COUNT_BYTES>();
        if whole.len() > MAX_COUNTS || !rest.is_empty() {
            return Err(Corrupt);
        }
        Ok(Self { value })
    }

    /// The count with this name, if its window can contain `now`.
    pub fn find(&self, name: &Name, now: u64) -> Option<Count> {
        let count = self.counts().iter().map(Count::read).find(|(found, _)| *found == name)?.1;
        count.is_live(now).then_some(count)
    }

    /// Sets a count. Returns how many counts with live windows were evicted for it. A full slot evicts the count whose
    /// window ends soonest; of several, the least used one, because then the least is lost.
    pub fn put(&mut self, name: &Name, count: Count, now: u64) -> u64 {
        if let Some(place) = self.counts_mut().iter_mut().find(|place| Count::read(place).0 == name) {
            count.write(name, place);
            return 0;
        }
        let mut evicted = 0;
        if self.counts().len() >= MAX_COUNTS {
            self.retain(|count| count.is_live(now));
        }
        if self.counts().len() >= MAX_COUNTS {
            let counts = self.counts().iter().map(|bytes| Count::read(bytes).1);
            let least = counts.enumerate().min_by_key(|(_, count)| (count.end, count.taken)).map(|(index, _)| index);
            let mut index = 0usize..;
            self.retain(|_| index.next() != least);
            evicted = 1;
        }
        let mut bytes = [0; COUNT_BYTES];
        count.write(name, &mut bytes);
        self.value.extend_from_slice(&bytes);
        evicted
    }

    /// The value to store under `key`.
    pub fn finish(mut self, key: &[u8]) -> Vec<u8> {
        bytes::seal(key, &mut self.value);
        self.value
    }

    fn counts(&self) -> &[[u8; COUNT_BYTES]] {
        self.value.get(CHECKSUM_BYTES..).unwrap_or_default().as_chunks().0
    }

    fn counts_mut(&mut self) -> &mut [[u8; COUNT_BYTES]] {
        self.value.get_mut(CHECKSUM_BYTES..).unwrap_or_default().as_chunks_mut().0
    }

    fn retain(&mut self, mut keep: impl FnMut(Count) -> bool) {
        let mut value = bytes::unsealed();
        for bytes in self.counts() {
            if keep(Count::read(bytes).1) {
                value.extend_from_slice(bytes);
            }
        }
        self.value = value;
    }
}
