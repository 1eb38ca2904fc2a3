//! Log lines for what may happen a thousand times a second: the first one is written at once, the others are counted, and
//! a minute later one line tells their number.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long is counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Counts one kind of event.
#[derive(Debug)]
pub struct Tally {
    /// What happened after the first event of this window; `None`: no window is open.
    more: Mutex<Option<u64>>,
    log: fn(u64),
}

impl Tally {
    /// `log` writes the line about so many further events.
    pub fn new(log: fn(u64)) -> Arc<Self> {
        Arc::new(Self { more: Mutex::new(None), log })
    }

    /// Notes an event. `true`: it is the first, and the caller writes its line.
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
