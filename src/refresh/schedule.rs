//! When to try again: the interval, the back-off after failures, and the jitter that keeps a fleet of gateways apart.

use std::time::Duration;

/// Longest pause after failures, unless the interval itself is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The pause before the next fetch, after so many failures in a row. Jitter shortens it by up to a tenth; `random` may be
/// any number.
pub fn pause(interval: Duration, failures: u32, retry_after: Option<Duration>, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let backoff = interval.saturating_mul(1 << doublings).min(MAX_BACKOFF.max(interval));
    let tenth = backoff.as_millis().checked_div(10).and_then(|tenth| u64::try_from(tenth).ok()).unwrap_or(0);
    let jitter = Duration::from_millis(random.checked_rem(tenth.saturating_add(1)).unwrap_or(0));
    backoff.saturating_sub(jitter).max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        for random in [0, 1, 499, 500, 12345, u64::MAX] {
            let pause = pause(Duration::from_secs(5), 0, None, random).as_millis();
            assert!((4500..=5000).contains(&pause), "{pause}");
        }
    }

    #[test]
    fn failures_double_the_pause_up_to_a_bound() {
        let seconds = |interval, failures| pause(Duration::from_secs(interval), failures, None, 0).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| seconds(5, failures)), [5, 5, 10, 20, 30, 30, 30]);
        assert_eq!([0, 1, 9].map(|failures| seconds(60, failures)), [60, 60, 60]);
        assert_eq!(pause(Duration::from_secs(5), 1, Some(Duration::from_secs(90)), 0).as_secs(), 90);
        assert_eq!(pause(Duration::from_secs(5), 1, Some(Duration::from_secs(1)), 0).as_secs(), 5);
    }
}
