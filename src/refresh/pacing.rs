//! Limits how often an action may happen at once. It does not know the action.

use std::time::Duration;

/// Keeps an action that may happen at once from happening all the time.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    last_ms: Option<u64>,
}

impl Pacer {
    /// Whether the action may happen now: not if it happened within the interval. If the clock was set back, it may.
    pub fn may(&mut self, interval: Duration, now_ms: u64) -> bool {
        let since = self.last_ms.and_then(|last| now_ms.checked_sub(last)).map(Duration::from_millis);
        let may = since.is_none_or(|since| since >= interval);
        if may {
            self.last_ms = Some(now_ms);
        }
        may
    }
}
