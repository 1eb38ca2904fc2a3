//! Whether a change would be taken now, as `/healthz/write` tells.
//!
//! A check takes the lock as a change does, after the changes that wait already. It writes only if the last change failed:
//! then it finds out whether there is room again.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Error, Ordering, Store, usage};

/// How long another program may hold the lock before changes count as refused.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a good answer is given again without another look: anybody may ask, and each look takes the lock.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// When the last check ended, and whether the lock was free. Checks wait for each other here.
pub(super) type Checked = Mutex<Option<(Instant, bool)>>;

impl Store {
    /// Whether a change would be taken now.
    pub async fn check_writer(&self) -> Result<(), Error> {
        let asked = Instant::now();
        self.place.check()?;
        let mut checked = self.checked.lock().await;
        let is_doubtful = self.doubtful.load(Ordering::Relaxed);
        match *checked {
            // Another check began and ended while this one waited.
            Some((ended, false)) if ended >= asked => return Err(Error::Busy),
            Some((ended, true)) if !is_doubtful && ended.checked_add(GOOD_FOR).is_some_and(|until| until > asked) => {
                return Ok(());
            }
            _ => {}
        }
        let result = self.look(is_doubtful).await;
        match &result {
            Ok(()) => *checked = Some((Instant::now(), true)),
            Err(Error::Busy) => *checked = Some((Instant::now(), false)),
            Err(_) => *checked = None,
        }
        result
    }

    async fn look(&self, is_doubtful: bool) -> Result<(), Error> {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            if let Ok(result) = timeout(LOCK_TIMEOUT, self.probe(is_doubtful)).await {
                return result;
            }
            // Changes of this service that wait for each other are no failure.
            if self.begun.load(Ordering::Relaxed) == before {
                return Err(Error::Busy);
            }
        }
    }

    /// Begins a change; after one that failed, writes something small.
    async fn probe(&self, writes: bool) -> Result<(), Error> {
        let mut change = self.change().await?;
        if writes {
            usage::probe(change.connection()).await?;
            change.keep();
        }
        change.commit().await.map(drop)
    }
}
