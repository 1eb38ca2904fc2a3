//! The ledger: which batch is on its way, and who sees to it.
//!
//! A batch goes through two steps before it is sent: it is noted here with its id and its slots, then these are frozen one
//! after the other. Whoever takes over at any point goes on at that point, and sends the same rows under the same id. Who
//! sees to it holds a claim that ends by itself. Every change is a compare-and-swap.

use super::slot::SLOTS;
use crate::shared::{
    Corrupt, Expected, Shared, SharedError,
    bytes::{self, Write as _},
    key::{Entry, Source},
};

/// Slots of one batch: 4 × 57 KB of JSON, see [`super::slot::MAX_SLOT_BYTES`], are less than 256 KiB.
pub const MAX_BATCH_SLOTS: usize = 4;
/// Bytes of a batch's id: 128 bits in hexadecimal.
pub const ID_BYTES: usize = 32;

/// What stands in shared data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The batch's number; it only ever rises.
    pub number: u64,
    /// How far it is.
    pub stage: Stage,
    /// Its id, which nobody else ever has.
    pub id: String,
    /// Its slots, in ascending order.
    pub slots: Vec<u16>,
    /// When the last report ended, in milliseconds of Unix time.
    pub ended_ms: u64,
    /// When something is to be done next.
    pub due_ms: u64,
    /// Until when nobody else sees to it.
    pub claimed_until_ms: u64,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has arrived, or will never be taken: the next one may begin.
    Done,
    /// Its slots are being frozen.
    Freezing,
    /// It is complete and may have been sent.
    Sealed,
}

impl Ledger {
    /// Of a process that has sent nothing yet. The time begins the numbers, so that they lie above all that were ever
    /// given, also where a ledger was lost.
    pub fn new(now_ms: u64, due_ms: u64) -> Self {
        let (id, slots) = (String::new(), Vec::new());
        Self { number: now_ms, stage: Stage::Done, id, slots, ended_ms: now_ms, due_ms, claimed_until_ms: 0 }
    }

    fn write(&self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        let stage = match self.stage {
            Stage::Done => 0,
            Stage::Freezing => 1,
            Stage::Sealed => 2,
        };
        for number in [self.number, stage, self.ended_ms, self.due_ms, self.claimed_until_ms] {
            out.put_varint(number);
        }
        out.put_sized(self.id.as_bytes());
        out.put_varint(u64::try_from(self.slots.len()).unwrap_or(u64::MAX));
        self.slots.iter().for_each(|slot| out.put_varint((*slot).into()));
        bytes::seal(key, &mut out);
        out
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = bytes::open(key, value)?;
        let number = reader.varint()?;
        let stage = match reader.varint()? {
            0 => Stage::Done,
            1 => Stage::Freezing,
            2 => Stage::Sealed,
            _ => return Err(Corrupt),
        };
        let (ended_ms, due_ms, claimed_until_ms) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let id = Some(reader.text()?).filter(|id| id.len() <= ID_BYTES).ok_or(Corrupt)?.to_owned();
        let count = usize::try_from(reader.varint()?).ok().filter(|count| *count <= MAX_BATCH_SLOTS).ok_or(Corrupt)?;
        let slot = |number: u64| u16::try_from(number).ok().filter(|slot| *slot < SLOTS).ok_or(Corrupt);
        let slots = (0..count).map(|_| slot(reader.varint()?)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { number, stage, id, slots, ended_ms, due_ms, claimed_until_ms })
    }
}

/// What was found in the ledger's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A ledger.
    Ledger(Ledger),
    /// None yet.
    Nothing,
    /// Something that cannot be read.
    Damaged,
}

/// A ledger as it was read, to be replaced only if nobody else did.
#[derive(Debug)]
pub struct Page {
    /// What was found.
    pub found: Found,
    expected: Expected,
}

/// Reads the ledger.
pub fn look(shared: &impl Shared, source: &Source) -> Result<Page, SharedError> {
    let key = source.key(Entry::Usage);
    let read = shared.get(&key)?;
    let found = match &read {
        None => Found::Nothing,
        Some(read) => Ledger::read(&key, &read.value).map_or(Found::Damaged, Found::Ledger),
    };
    Ok(Page { found, expected: Expected::of(read.as_ref()) })
}

impl Page {
    /// Writes `next` in its place; `false`: somebody else was quicker, or it cannot be written.
    pub fn replace(&self, shared: &impl Shared, source: &Source, next: &Ledger) -> bool {
        let key = source.key(Entry::Usage);
        shared.set(&key, &next.write(&key), self.expected).is_ok()
    }
}

/// Writes `next` where `known` stands.
pub fn advance(shared: &impl Shared, source: &Source, known: &Ledger, next: &Ledger) -> bool {
    look(shared, source).is_ok_and(|page| {
        matches!(&page.found, Found::Ledger(found) if found == known) && page.replace(shared, source, next)
    })
}
