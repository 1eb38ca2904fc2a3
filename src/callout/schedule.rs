//! When to try again: the interval, the back-off after failures, and the jitter that keeps a fleet of gateways apart.

use std::time::Duration;

/// Longest pause after failures, unless the interval itself is longer.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Jitter shortens a pause by at least this many milliseconds, if a tenth of the pause allows it. A VM looks every 10
/// ms, so it notices the end of the pause within the interval.
const LEAST_JITTER_MS: u64 = 10;
/// Shortest pause after a `retry-after`, unless the interval itself is shorter.
const LEAST_RETRY: Duration = Duration::from_secs(1);

/// The pause before the next request, after this many failures in a row. `retry_after` overrides it. Jitter shortens it
/// by up to a tenth. `random` may be any number.
pub fn pause(interval: Duration, failures: u32, retry_after: Option<Duration>, random: u64) -> Duration {
    if let Some(after) = retry_after {
        return after.max(interval.min(LEAST_RETRY));
    }
    let doublings = failures.saturating_sub(1).min(16);
    let backoff = interval.saturating_mul(1 << doublings).min(MAX_BACKOFF.max(interval));
    let tenth = backoff.as_millis().checked_div(10).and_then(|tenth| u64::try_from(tenth).ok()).unwrap_or(0);
    let least = LEAST_JITTER_MS.min(tenth);
    let jitter = random.checked_rem(tenth.saturating_sub(least).saturating_add(1)).unwrap_or(0).saturating_add(least);
    backoff.saturating_sub(Duration::from_millis(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        for random in [0, 1, 499, 500, 12345, u64::MAX] {
            for interval in [100, 150, 1_000, 5_000] {
                let pause = pause(Duration::from_millis(interval), 0, None, random).as_millis();
                // Plus the tick that notices the end of the pause.
                let (least, most) = (u128::from(interval) * 9 / 10, u128::from(interval) - 10);
                assert!((least..=most).contains(&pause), "{interval}: {pause}");
            }
        }
    }

    #[test]
    fn failures_double_the_pause_up_to_a_bound() {
        let seconds = |interval, failures| pause(Duration::from_secs(interval), failures, None, 0).as_secs() + 1;
        assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| seconds(5, failures)), [5, 5, 10, 20, 30, 30, 30]);
        assert_eq!([0, 1, 9].map(|failures| seconds(60, failures)), [60, 60, 60]);
    }

    #[test]
    fn retry_after_counts_for_any_interval() {
        for (interval, after, expected) in
            [(5_000, 90_000, 90_000), (30_000, 2_000, 2_000), (5_000, 0, 1_000), (100, 0, 100), (100, 2_000, 2_000)]
        {
            let [interval, after] = [interval, after].map(Duration::from_millis);
            assert_eq!(pause(interval, 3, Some(after), 7).as_millis(), expected, "{interval:?} {after:?}");
        }
    }
}
