//! The slip of the lease: its holder and its end, the credentials that the policy service refused, and the policy that
//! must not decide before it is confirmed. Other code decides who may take the lease.

use super::{
    Corrupt, SKEW_MS,
    bytes::{self, Write},
};

/// How long a lease is valid without a renewal. Far longer than any slice of work blocks a thread, and short enough
/// that a dead holder delays a block by no more than this.
pub const LEASE_MS: u64 = 5_000;
/// A pause that ends later than this from now was written under another clock. Twice the longest `retry-after`.
const LONGEST_PAUSE_MS: u64 = 600_000;
/// Number of refused credentials that are remembered. A rotation has two at a time; several at once are rare.
const MAX_REFUSED: usize = 8;

/// A state of a policy in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Sequence of the manifest.
    pub sequence: u64,
    /// When the manifest was last confirmed, in milliseconds of Unix time.
    pub confirmed_at_ms: u64,
}

/// The content of the slip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slip {
    /// Unique number of the lease.
    pub sequence: u64,
    /// End of the lease, in milliseconds of Unix time. It may be in the past.
    pub expires_at_ms: u64,
    /// The policy that was found although no VM had used it for long.
    pub unnamed: Option<Version>,
    /// Tags of credentials that the policy service refused, and when each may be tried again.
    pub(crate) refused: Vec<(u64, u64)>,
}

impl Slip {
    /// The value to store under `key`.
    pub fn write(&self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        out.put_varint(self.sequence);
        out.put_varint(self.expires_at_ms);
        out.push(u8::from(self.unnamed.is_some()));
        if let Some(Version { sequence, confirmed_at_ms }) = self.unnamed {
            out.put_varint(sequence);
            out.put_varint(confirmed_at_ms);
        }
        for (proof_tag, at_ms) in &self.refused {
            out.put_varint(*proof_tag);
            out.put_varint(*at_ms);
        }
        bytes::seal(key, &mut out);
        out
    }

    /// Reads the value stored under `key`.
    pub fn read(key: &[u8], value: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = bytes::open(key, value)?;
        let (sequence, expires_at_ms) = (reader.varint()?, reader.varint()?);
        let unnamed = if reader.flag()? {
            Some(Version { sequence: reader.varint()?, confirmed_at_ms: reader.varint()? })
        } else {
            None
        };
        let mut refused = Vec::new();
        while !reader.is_empty() {
            if refused.len() >= MAX_REFUSED {
                return Err(Corrupt);
            }
            refused.push((reader.varint()?, reader.varint()?));
        }
        Ok(Self { sequence, expires_at_ms, unnamed, refused })
    }

    /// Whether the lease is held. A slip that ends much later than a holder would set it was written under another clock.
    pub fn is_held(&self, now_ms: u64) -> bool {
        let latest = now_ms.saturating_add(LEASE_MS).saturating_add(SKEW_MS);
        now_ms < self.expires_at_ms && self.expires_at_ms <= latest
    }

    /// When these credentials may be tried again. `None` if they were not refused last time.
    pub fn refused_until(&self, proof_tag: u64, now_ms: u64) -> Option<u64> {
        let (_, until_ms) = self.refused.iter().find(|(known, _)| *known == proof_tag)?;
        Some(if until_ms.saturating_sub(now_ms) > LONGEST_PAUSE_MS { 0 } else { *until_ms })
    }

    /// Notes that the policy service refused these credentials. They are not tried again before `until_ms`.
    pub(super) fn refuse(&mut self, proof_tag: u64, until_ms: u64) {
        self.tries(proof_tag);
        if self.refused.len() >= MAX_REFUSED {
            self.refused.remove(0);
        }
        self.refused.push((proof_tag, until_ms));
    }

    /// Forgets an earlier refusal, because these credentials are tried again.
    pub(super) fn tries(&mut self, proof_tag: u64) {
        self.refused.retain(|&(known, _)| known != proof_tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_read_back_and_no_damage_of_it_is_taken_for_one() {
        let mut slip = Slip { sequence: 7, expires_at_ms: 900_000, unnamed: None, refused: Vec::new() };
        for number in 0..20 {
            slip.refuse(u64::MAX - number, 1_000_000);
        }
        assert_eq!(slip.refused.len(), MAX_REFUSED, "the oldest goes");
        assert_eq!(slip.refused_until(u64::MAX - 19, 900_000), Some(1_000_000));
        assert_eq!(slip.refused_until(u64::MAX - 19, 0), Some(0), "of another clock");
        assert_eq!(slip.refused_until(u64::MAX, 900_000), None);
        for unnamed in [None, Some(Version { sequence: 3, confirmed_at_ms: 12 })] {
            slip.unnamed = unnamed;
            let value = slip.write(b"key");
            assert_eq!(Slip::read(b"key", &value), Ok(slip.clone()));
            for end in 0..value.len() {
                assert_eq!(Slip::read(b"key", &value[..end]), Err(Corrupt));
            }
        }
    }
}
