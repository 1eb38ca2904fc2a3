//! Looks up the revision for a poll, because another service may have answered a change a moment ago.
//!
//! A notification of that change is on its way and takes some milliseconds. Polls that arrive while one looks share the
//! next look. Held polls do not need this: the notification wakes them.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{PostgresStore, fault::Fault, state::read_state};

/// The longest time that a poll waits for this. A look takes some 0.3 ms. If the database does not answer, polls go on with
/// the revision that is known.
const LIMIT: Duration = Duration::from_millis(200);

/// When the last look began.
#[derive(Debug)]
pub struct Looked(Mutex<Instant>);

impl Looked {
    /// One look has just begun.
    pub fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl PostgresStore {
    /// Announces what was changed before the call.
    pub(super) async fn look_for_a_poll(&self) {
        // An error is reported by the look that is repeated.
        let _ = timeout(LIMIT, self.look_after(Instant::now())).await;
    }

    /// Looks, unless another look began after `arrived`.
    async fn look_after(&self, arrived: Instant) -> Result<(), Fault> {
        let mut begun = self.looked.0.lock().await;
        if *begun <= arrived {
            let now = Instant::now();
            let state = read_state(&mut *self.reader().await?).await?;
            self.announce(&state);
            *begun = now;
        }
        Ok(())
    }
}
