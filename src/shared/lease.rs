//! The lease: decides which VM of a process refreshes the policy.
//!
//! A VM that takes the lease raises its sequence by compare-and-swap. So each holder has a unique number, and the
//! generations that it derives from this number are unique too. A holder that dies stops renewing. [`Slip`] is the
//! stored form of the lease; it also holds facts about other VMs than the holder.

use super::{
    Expected, Shared, SharedError,
    key::{SharedEntry, SourceId},
    slip::{LEASE_MS, Slip, Version},
};

/// A holder renews if less than this time is left.
const RENEW_BELOW_MS: u64 = 3_000;
/// Number of generations per lease, so that they do not overlap those of the next holder.
const GENERATIONS_PER_LEASE: u64 = 1 << 20;

/// A lease that this VM holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    slip: Slip,
    generations: u64,
}

/// Facts about a VM that wants the lease.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applicant {
    /// A generation that must be lower than all generations of the lease.
    pub generation: u64,
    /// Tag of the headers and credentials that the VM sends to the policy service.
    pub proof_tag: u64,
    /// The policy that must not decide before it has been confirmed.
    pub unnamed: Option<Version>,
}

/// The current slip of the lease. `None` if there is none that can be read.
pub fn slip(shared: &impl Shared, source: &SourceId) -> Result<Option<Slip>, SharedError> {
    let key = source.key(SharedEntry::Lease);
    Ok(shared.get(&key)?.and_then(|read| Slip::read(&key, &read.value).ok()))
}

/// Whether any VM holds the lease.
pub fn is_held(shared: &impl Shared, source: &SourceId, now_ms: u64) -> Result<bool, SharedError> {
    Ok(slip(shared, source)?.is_some_and(|slip| slip.is_held(now_ms)))
}

impl Lease {
    /// Takes the lease if no VM holds it.
    pub fn acquire(
        shared: &impl Shared,
        source: &SourceId,
        now_ms: u64,
        applicant: Applicant,
    ) -> Result<Option<Self>, SharedError> {
        let key = source.key(SharedEntry::Lease);
        let read = shared.get(&key)?;
        let slip = read.as_ref().and_then(|read| Slip::read(&key, &read.value).ok());
        if slip.as_ref().is_some_and(|slip| slip.is_held(now_ms)) {
            return Ok(None);
        }
        // If no slip can be read, the sequence begins with the time. So it is higher than all earlier ones.
        let sequence = slip.as_ref().map_or(0, |slip| slip.sequence.saturating_add(1)).max(now_ms / 1000);
        let mut slip = slip.unwrap_or_default();
        slip.sequence = sequence.max((applicant.generation / GENERATIONS_PER_LEASE).saturating_add(1));
        slip.expires_at_ms = now_ms.saturating_add(LEASE_MS);
        slip.unnamed = applicant.unnamed.or(slip.unnamed);
        slip.tries(applicant.proof_tag);
        let lease = Self { slip, generations: 0 };
        match shared.set(&key, &lease.slip.write(&key), Expected::of(read.as_ref())) {
            Ok(()) => Ok(Some(lease)),
            Err(SharedError::Raced) => Ok(None),
            Err(SharedError::Host) => Err(SharedError::Host),
        }
    }

    /// Renews the lease when it is time. `false`: another VM has it now.
    pub fn keep(&mut self, shared: &impl Shared, source: &SourceId, now_ms: u64) -> bool {
        if self.slip.is_held(now_ms) && self.slip.expires_at_ms.saturating_sub(now_ms) > RENEW_BELOW_MS {
            return true;
        }
        self.slip.expires_at_ms = now_ms.saturating_add(LEASE_MS);
        self.replace(shared, source)
    }

    /// Gives the lease back.
    pub fn release(mut self, shared: &impl Shared, source: &SourceId, now_ms: u64) {
        self.slip.expires_at_ms = now_ms;
        // If this fails, the lease expires by itself.
        let _ = self.replace(shared, source);
    }

    /// Gives the lease back because the policy service refused this VM's credentials. `refused` has their tag and the
    /// time before which they are not tried again.
    pub fn release_refused(mut self, shared: &impl Shared, source: &SourceId, refused: (u64, u64), now_ms: u64) {
        let (proof_tag, until_ms) = refused;
        self.slip.refuse(proof_tag, until_ms);
        self.release(shared, source, now_ms);
    }

    /// Replaces an older state of this lease in shared data.
    fn replace(&self, shared: &impl Shared, source: &SourceId) -> bool {
        let key = source.key(SharedEntry::Lease);
        let Ok(Some(read)) = shared.get(&key) else { return false };
        Slip::read(&key, &read.value).is_ok_and(|slip| slip.sequence == self.slip.sequence)
            && shared.set(&key, &self.slip.write(&key), Expected::Version(read.cas)).is_ok()
    }

    /// A unique generation.
    pub fn next_generation(&mut self) -> u64 {
        let number = self.generations.min(GENERATIONS_PER_LEASE.saturating_sub(1));
        self.generations = self.generations.saturating_add(1);
        self.slip.sequence.saturating_mul(GENERATIONS_PER_LEASE).saturating_add(number)
    }

    /// The last generation that this lease has made, or a number below all that it will make. Data of older generations
    /// is not in use.
    pub fn last_generation(&self) -> u64 {
        let made = self.generations.min(GENERATIONS_PER_LEASE);
        self.slip.sequence.saturating_mul(GENERATIONS_PER_LEASE).saturating_add(made).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        shared::{SKEW_MS, memory::Memory},
    };

    const NOW: u64 = 1_000_000;

    fn source() -> SourceId {
        SourceId::new(Digest::of(b"source"))
    }

    #[test]
    fn a_renewed_lease_is_not_taken_and_a_wrong_clock_does_not_keep_it() {
        let source = source();
        for (other, held) in [
            (NOW, true),
            (NOW + LEASE_MS - 1, true),
            (NOW + LEASE_MS, false),
            // This VM read its clock before the holder did, and the lease after the holder wrote it.
            (NOW - 1, true),
            (NOW - SKEW_MS, true),
            (NOW - SKEW_MS - 1, false),
            (0, false),
        ] {
            let memory = Memory::default();
            let mut first = Lease::acquire(&memory, &source, NOW - 10_000, Applicant::default()).unwrap().unwrap();
            first.slip.expires_at_ms = NOW;
            assert!(first.keep(&memory, &source, NOW), "nobody else took it");
            assert_eq!(is_held(&memory, &source, other), Ok(held), "{other}");
            let second = Lease::acquire(&memory, &source, other, Applicant::default()).unwrap();
            assert_eq!(second.is_none(), held, "{other}");
            assert_eq!(first.replace(&memory, &source), held, "{other}: whoever has lost it notices");
        }
    }

    #[test]
    fn a_refused_vm_is_remembered_until_it_tries_again() {
        let (memory, source) = (Memory::default(), source());
        let take = |proof_tag, now_ms| {
            let applicant = Applicant { proof_tag, ..Applicant::default() };
            Lease::acquire(&memory, &source, now_ms, applicant).unwrap().unwrap()
        };
        let refused = |proof_tag| slip(&memory, &source).unwrap().unwrap().refused_until(proof_tag, NOW);
        take(1, NOW).release_refused(&memory, &source, (1, NOW + 5), NOW);
        assert_eq!((refused(1), refused(2)), (Some(NOW + 5), None));
        take(2, NOW).release_refused(&memory, &source, (2, NOW + 7), NOW);
        assert_eq!((refused(1), refused(2)), (Some(NOW + 5), Some(NOW + 7)));
        take(1, NOW).release(&memory, &source, NOW);
        assert_eq!((refused(1), refused(2)), (None, Some(NOW + 7)));
        assert!(!is_held(&memory, &source, NOW).unwrap());
    }
}
