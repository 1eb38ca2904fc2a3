//! The lease: which VM of a process refreshes.
//!
//! Whoever takes it raises its sequence by compare-and-swap, so each holder has a number that nobody else ever had, and
//! generations that it makes of this number are its own. A holder that dies simply stops renewing.

use super::{
    Corrupt, Entry, Expected, Shared, SharedError, Source,
    bytes::{self, Write},
};

/// How long a lease is good without being renewed: far longer than any slice of work blocks a thread, short enough that
/// a dead holder delays a block by no more than this.
pub const LEASE_MS: u64 = 5_000;
/// A holder renews when less than this is left.
const RENEW_BELOW_MS: u64 = 3_000;
/// How far the clock may seem to be set back between two VMs. One reads it, is held up by whatever the machine does, and
/// then finds what another has written meanwhile: without this it would take a lease that was just renewed.
const SKEW_MS: u64 = 5_000;
/// Builds under one lease before their generations would run into the next holder's.
const GENERATIONS_PER_LEASE: u64 = 1 << 20;

/// A lease that this VM holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    sequence: u64,
    expires_at_ms: u64,
    generations: u64,
}

/// What stands in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slip {
    sequence: u64,
    expires_at_ms: u64,
}

impl Slip {
    fn write(self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        out.put_varint(self.sequence);
        out.put_varint(self.expires_at_ms);
        bytes::seal(key, &mut out);
        out
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = bytes::open(key, value)?;
        let slip = Self { sequence: reader.varint()?, expires_at_ms: reader.varint()? };
        reader.finish()?;
        Ok(slip)
    }

    /// A slip that ends much later than any holder would make it was written under another clock.
    fn is_held(self, now_ms: u64) -> bool {
        let latest = now_ms.saturating_add(LEASE_MS).saturating_add(SKEW_MS);
        now_ms < self.expires_at_ms && self.expires_at_ms <= latest
    }
}

/// Whether somebody holds the lease.
pub fn is_held(shared: &impl Shared, source: &Source, now_ms: u64) -> Result<bool, SharedError> {
    let key = source.key(Entry::Lease);
    let slip = shared.get(&key)?.and_then(|read| Slip::read(&key, &read.value).ok());
    Ok(slip.is_some_and(|slip| slip.is_held(now_ms)))
}

impl Lease {
    /// Takes the lease if nobody holds it. `generation` is one that must lie below all that this lease will make.
    pub fn acquire(
        shared: &impl Shared,
        source: &Source,
        now_ms: u64,
        generation: u64,
    ) -> Result<Option<Self>, SharedError> {
        let key = source.key(Entry::Lease);
        let read = shared.get(&key)?;
        let slip = read.as_ref().and_then(|read| Slip::read(&key, &read.value).ok());
        if slip.is_some_and(|slip| slip.is_held(now_ms)) {
            return Ok(None);
        }
        // Time begins the sequence where none can be read, so that it is above all that was ever given.
        let sequence = slip.map_or(0, |slip| slip.sequence.saturating_add(1)).max(now_ms / 1000);
        let sequence = sequence.max((generation / GENERATIONS_PER_LEASE).saturating_add(1));
        let lease = Self { sequence, expires_at_ms: now_ms.saturating_add(LEASE_MS), generations: 0 };
        match shared.set(&key, &lease.slip().write(&key), Expected::of(read.as_ref())) {
            Ok(()) => Ok(Some(lease)),
            Err(SharedError::Raced) => Ok(None),
            Err(SharedError::Host) => Err(SharedError::Host),
        }
    }

    /// Renews the lease when it is time; `false`: it is lost.
    pub fn keep(&mut self, shared: &impl Shared, source: &Source, now_ms: u64) -> bool {
        if self.is_good(now_ms) && self.expires_at_ms.saturating_sub(now_ms) > RENEW_BELOW_MS {
            return true;
        }
        self.expires_at_ms = now_ms.saturating_add(LEASE_MS);
        self.replace(shared, source)
    }

    /// Gives the lease back.
    pub fn release(mut self, shared: &impl Shared, source: &Source) {
        self.expires_at_ms = 0;
        // If this fails the lease expires by itself.
        let _ = self.replace(shared, source);
    }

    /// Writes this lease over an older state of itself.
    fn replace(&self, shared: &impl Shared, source: &Source) -> bool {
        let key = source.key(Entry::Lease);
        let Ok(Some(read)) = shared.get(&key) else { return false };
        Slip::read(&key, &read.value).is_ok_and(|slip| slip.sequence == self.sequence)
            && shared.set(&key, &self.slip().write(&key), Expected::Version(read.cas)).is_ok()
    }

    fn is_good(&self, now_ms: u64) -> bool {
        self.slip().is_held(now_ms)
    }

    fn slip(&self) -> Slip {
        Slip { sequence: self.sequence, expires_at_ms: self.expires_at_ms }
    }

    /// A generation that nobody else ever had or will have.
    pub fn next_generation(&mut self) -> u64 {
        let number = self.generations.min(GENERATIONS_PER_LEASE.saturating_sub(1));
        self.generations = self.generations.saturating_add(1);
        self.sequence.saturating_mul(GENERATIONS_PER_LEASE).saturating_add(number)
    }

    /// The last generation that it made, or one below all that it will make: what is as old belongs to nobody any more.
    pub fn last_generation(&self) -> u64 {
        let made = self.generations.min(GENERATIONS_PER_LEASE);
        self.sequence.saturating_mul(GENERATIONS_PER_LEASE).saturating_add(made).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::Digest, store::memory::Memory};

    #[test]
    fn a_lease_is_taken_from_nobody_who_renews_it_and_is_not_held_for_ever_by_another_clock() {
        const NOW: u64 = 1_000_000;
        let source = Source::new(Digest::of(b"source"));
        for (other, held) in [
            (NOW, true),
            (NOW + LEASE_MS - 1, true),
            (NOW + LEASE_MS, false),
            // It looked at its clock before the holder did, and at the lease after the holder wrote it.
            (NOW - 1, true),
            (NOW - SKEW_MS, true),
            (NOW - SKEW_MS - 1, false),
            (0, false),
        ] {
            let memory = Memory::default();
            let mut first = Lease::acquire(&memory, &source, NOW - 10_000, 0).unwrap().unwrap();
            first.expires_at_ms = NOW;
            assert!(first.keep(&memory, &source, NOW), "nobody else took it");
            assert_eq!(is_held(&memory, &source, other), Ok(held), "{other}");
            let second = Lease::acquire(&memory, &source, other, 0).unwrap();
            assert_eq!(second.is_none(), held, "{other}");
            assert_eq!(first.replace(&memory, &source), held, "{other}: whoever has lost it notices");
        }
    }
}
