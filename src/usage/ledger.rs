//! The ledger: records which batch is being sent, and which VM is responsible for it.
//!
//! A batch goes through two steps before it is sent: the ledger records its id and its slots, then the slots are frozen
//! one after the other. If another VM takes over, it continues at that point and sends the same rows under the same id.
//! The responsible VM holds a claim that ends by itself. Every change is a compare-and-swap.

use super::slot::SLOTS;
use crate::shared::{
    Corrupt, Expected, Shared, SharedError,
    bytes::{self, Write as _},
    key::{SharedEntry, SourceId},
};

/// Slots of one batch. 4 × 57 KB of JSON (see [`super::slot::MAX_SLOT_BYTES`]) are less than 256 KiB.
pub const MAX_BATCH_SLOTS: usize = 4;
/// Size of a batch's id in bytes: 128 bits in hexadecimal.
pub const ID_BYTES: usize = 32;

/// The content of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The batch's number. It only ever rises.
    pub number: u64,
    pub stage: Stage,
    /// The batch's id. It is unique.
    pub id: String,
    /// In ascending order.
    pub slots: Vec<u16>,
    /// End of the last report, in milliseconds of Unix time.
    pub ended_ms: u64,
    /// When the next action is due, in milliseconds of Unix time.
    pub due_ms: u64,
    /// Until when no other VM acts, in milliseconds of Unix time.
    pub claimed_until_ms: u64,
}

/// The progress of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The batch has arrived, or the service will never accept it. The next one may begin.
    Done,
    Freezing,
    /// The batch is complete and may have been sent.
    Sealed,
}

impl Ledger {
    /// The ledger of a process that has sent nothing yet. Numbers start at the current time, so they are higher than
    /// all earlier ones, even if a ledger was lost.
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

/// The result of reading the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerRead {
    Ledger(Ledger),
    Nothing,
    /// The entry cannot be read.
    Damaged,
}

/// A ledger as it was read. It can be replaced if no other VM has replaced it since.
#[derive(Debug)]
pub struct VersionedLedger {
    pub found: LedgerRead,
    expected: Expected,
}

pub fn look(shared: &impl Shared, source: &SourceId) -> Result<VersionedLedger, SharedError> {
    let key = source.key(SharedEntry::Usage);
    let read = shared.get(&key)?;
    let found = match &read {
        None => LedgerRead::Nothing,
        Some(read) => Ledger::read(&key, &read.value).map_or(LedgerRead::Damaged, LedgerRead::Ledger),
    };
    Ok(VersionedLedger { found, expected: Expected::of(read.as_ref()) })
}

impl VersionedLedger {
    /// Replaces the ledger by `next`. `false`: another VM was faster, or the host failed.
    pub fn replace(&self, shared: &impl Shared, source: &SourceId, next: &Ledger) -> bool {
        let key = source.key(SharedEntry::Usage);
        shared.set(&key, &next.write(&key), self.expected).is_ok()
    }
}

/// Writes `next` if the ledger is still `known`.
pub fn advance(shared: &impl Shared, source: &SourceId, known: &Ledger, next: &Ledger) -> bool {
    look(shared, source).is_ok_and(|page| {
        matches!(&page.found, LedgerRead::Ledger(found) if found == known) && page.replace(shared, source, next)
    })
}
