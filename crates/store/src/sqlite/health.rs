//! Whether a change would be accepted now, for `/healthz/write`.
//!
//! A check takes the lock like a change, after the changes that wait already. It writes only if the last change failed
//! or little room is left, to find out whether a change can be written.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Ordering, SqliteStore, space, transaction::SqliteTransaction, usage};
use management::port::{Act, Error, Transaction as _};

/// How long another program may hold the lock before the check says that changes fail.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a good result is reused. Anybody may ask, and each check takes the lock and may write.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// The result of a check, as far as it applies to other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Good,
    Locked,
    Full,
}

/// The end and the result of the last check. Checks wait for each other here.
pub(super) type Checked = Mutex<Option<(Instant, Found)>>;

impl SqliteStore {
    /// Whether a change would be accepted now.
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
            // The lock is busy because this service's own changes wait for each other, which is no failure.
            if self.begun.load(Ordering::Relaxed) == before {
                return Err(Error::Busy);
            }
        }
    }

    /// Begins a change. If it is doubtful whether a change can be written, writes as much as one and removes it again.
    async fn probe(&self, act: &Act, is_doubtful: bool) -> Result<(), Error> {
        let mut change = SqliteTransaction::begin(self, act.clone()).await?;
        if is_doubtful {
            usage::write_probe(change.connection()).await?;
            change.commit_without_revision();
            Box::new(change).commit().await?;
            // The removal needs a second transaction. A row that is added and deleted in one transaction is never
            // written.
            change = SqliteTransaction::begin(self, act.clone()).await?;
            usage::remove_probe(change.connection()).await?;
            change.commit_without_revision();
        }
        Box::new(change).commit().await.map(drop)
    }
}
