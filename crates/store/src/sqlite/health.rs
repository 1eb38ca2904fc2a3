//! Whether a change would be taken now, as `/healthz/write` tells.
//!
//! A check takes the lock as a change does, after the changes that wait already. It writes only if the last change failed
//! or there is little room: then it finds out whether a change could be written.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Ordering, SqliteStore, space, transaction::SqliteTransaction, usage};
use management::port::{Act, Error, Transaction as _};

/// How long another program may hold the lock before changes count as refused.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a good answer is given again without another look: anybody may ask, and each look takes the lock and may write.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// The result of a check, as far as it holds for other requests, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Good,
    Locked,
    Full,
}

/// When the last check ended, and what it found. Checks wait for each other here.
pub(super) type Checked = Mutex<Option<(Instant, Found)>>;

impl SqliteStore {
    /// Whether a change would be taken now.
    pub async fn check_changes(&self, act: &Act) -> Result<(), Error> {
        let asked = Instant::now();
        self.place.check()?;
        let mut checked = self.checked.lock().await;
        let is_doubtful = self.doubtful.load(Ordering::Relaxed);
        if let Some((ended, found)) = *checked {
            // Another check ended while this one waited.
            let is_now = ended >= asked;
            match found {
                Found::Locked if is_now => return Err(Error::Busy),
                Found::Full if is_now => return Err(Error::Full),
                Found::Good if !is_doubtful && ended.checked_add(GOOD_FOR).is_some_and(|until| until > asked) => {
                    return Ok(());
                }
                _ => {}
            }
        }
        let result = self.look(act, is_doubtful || space::is_little(self.place.file())).await;
        let found = match &result {
            Ok(()) => Some(Found::Good),
            Err(Error::Busy) => Some(Found::Locked),
            Err(Error::Full) => Some(Found::Full),
            Err(_) => None,
        };
        *checked = found.map(|found| (Instant::now(), found));
        result
    }

    async fn look(&self, act: &Act, is_doubtful: bool) -> Result<(), Error> {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            if let Ok(result) = timeout(LOCK_TIMEOUT, self.probe(act, is_doubtful)).await {
                return result;
            }
            // Changes of this service that wait for each other are no failure.
            if self.begun.load(Ordering::Relaxed) == before {
                return Err(Error::Busy);
            }
        }
    }

    /// Begins a change; where it is doubtful whether one can be written, writes as much as one, and takes it away again.
    async fn probe(&self, act: &Act, is_doubtful: bool) -> Result<(), Error> {
        let mut change = SqliteTransaction::begin(self, act.clone()).await?;
        if is_doubtful {
            usage::write_probe(change.connection()).await?;
            change.commit_without_revision();
            Box::new(change).commit().await?;
            // In a second transaction: a row that is added and deleted in one transaction is never written.
            change = SqliteTransaction::begin(self, act.clone()).await?;
            usage::remove_probe(change.connection()).await?;
            change.commit_without_revision();
        }
        Box::new(change).commit().await.map(drop)
    }
}
