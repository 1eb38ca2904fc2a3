//! Detects a policy in shared data that no VM has used for long: a copy that an earlier configuration left behind. It
//! may be much older than the current policy of the service, so it decides nothing before it is confirmed.
//!
//! As long as any VM uses a policy, one of the VMs holds its lease, or has just given it back.

use std::time::Duration;

use crate::shared::slip::{Slip, Version};

/// How long a lease may be free in normal operation. A VM that serves requests leaves it to others for a second.
const HANDOVER: Duration = Duration::from_secs(2);

/// The version `found`, if no VM has used it for longer than `stale_after`, or if that was noted before and it has not
/// been confirmed since.
pub fn unnamed(slip: Option<&Slip>, found: Version, now_ms: u64, stale_after: Duration) -> Option<Version> {
    // Every VM that writes a policy also writes a slip. So without a slip another program has overwritten it.
    let Some(slip) = slip else { return Some(found) };
    let free = Duration::from_millis(now_ms.saturating_sub(slip.expires_at_ms));
    let is_unnamed = !slip.is_held(now_ms) && free > stale_after.max(HANDOVER);
    (is_unnamed || slip.unnamed == Some(found)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_unnamed_when_its_lease_was_free_for_longer_than_stale_after() {
        const NOW: u64 = 10_000_000;
        let found = Version { sequence: 4, confirmed_at_ms: 9 };
        let other = Version { sequence: 4, confirmed_at_ms: 8 };
        let slip = |expires_at_ms, unnamed| Slip { expires_at_ms, unnamed, ..Slip::default() };
        for (name, slip, stale_after_ms, expected) in [
            ("no slip", None, 60_000, true),
            ("held", Some(slip(NOW + 1, None)), 0, false),
            ("given back just now", Some(slip(NOW, None)), 0, false),
            ("a handover", Some(slip(NOW - 2_000, None)), 0, false),
            ("longer than one", Some(slip(NOW - 2_001, None)), 0, true),
            ("as long as allowed", Some(slip(NOW - 60_000, None)), 60_000, false),
            ("longer", Some(slip(NOW - 60_001, None)), 60_000, true),
            ("held, but noted before", Some(slip(NOW + 1, Some(found))), 60_000, true),
            ("confirmed since", Some(slip(NOW + 1, Some(other))), 60_000, false),
        ] {
            let stale_after = Duration::from_millis(stale_after_ms);
            assert_eq!(unnamed(slip.as_ref(), found, NOW, stale_after).is_some(), expected, "{name}");
        }
    }
}
