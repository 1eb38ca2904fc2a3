//! Pacing limits how often something may happen at once. It does not know what that is.

use std::time::Duration;

/// Keeps something that may happen at once from happening all the time.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    last_ms: Option<u64>,
}

impl Pacer {
    /// Whether it may happen now: not if it did within the interval. A clock that was set back lets it.
    pub fn may(&mut self, interval: Duration, now_ms: u64) -> bool {
        let since = self.last_ms.and_then(|last| now_ms.checked_sub(last)).map(Duration::from_millis);
        let may = since.is_none_or(|since| since >= interval);
        if may {
            self.last_ms = Some(now_ms);
        }
        may
    }
}
