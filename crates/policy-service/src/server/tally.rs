//! Limits log lines about events that may happen a thousand times a second. The first event is logged at once. The
//! others are counted, and a minute later one line says how many there were.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The time over which events are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Counts one kind of event.
#[derive(Debug)]
pub struct Tally {
    /// Events after the first one of this window; `None` if no window is open.
    more: Mutex<Option<u64>>,
    log: fn(u64),
}

impl Tally {
    /// `log` writes the line about the further events.
    pub fn new(log: fn(u64)) -> Arc<Self> {
        Arc::new(Self { more: Mutex::new(None), log })
    }

    /// Counts an event. Returns `true` for the first one; its caller then logs it.
    pub fn note(self: &Arc<Self>) -> bool {
        let mut more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(more) = more.as_mut() {
            *more = more.saturating_add(1);
            return false;
        }
        *more = Some(0);
        drop(more);
        let tally = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(WINDOW).await;
            let more = tally.more.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(more) = more.filter(|more| *more > 0) {
                (tally.log)(more);
            }
        });
        true
    }
}
