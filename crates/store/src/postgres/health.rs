//! Whether a change would be accepted now, for `/healthz/write`.
//!
//! A check takes the lock like a change, after the changes that wait already, and writes a row that is not kept: the file
//! of each table grows by itself, so only that shows whether there is room for a row. If the last change failed, it also
//! writes and commits as much as a change, because the server's log may have no room either.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::{sync::Mutex, time::Instant};

use super::{BUSY_TIMEOUT, Ordering, PostgresStore, fault::Fault, transaction::PostgresTransaction, usage};
use management::port::{Act, Error, Transaction as _};

/// How long another program may hold the lock before the check says that changes fail.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a result is reused. Anybody may ask, and each check takes the lock and may write.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// The end of the last good check. Checks wait for each other here.
pub(super) type Checked = Mutex<Option<Instant>>;

impl PostgresStore {
    /// Whether a change would be accepted now.
    pub(super) async fn check_changes(&self, act: &Act) -> Result<(), Error> {
        let mut checked = self.checked.lock().await;
        let is_doubtful = self.doubtful.load(Ordering::Relaxed);
        let is_recent = checked.is_some_and(|ended| ended.elapsed() < GOOD_FOR);
        if is_recent && !is_doubtful {
            return Ok(());
        }
        let result = self.try_changes(act, is_doubtful).await;
        *checked = result.is_ok().then(Instant::now);
        result
    }

    async fn try_changes(&self, act: &Act, is_doubtful: bool) -> Result<(), Error> {
        let asked = Instant::now();
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            let result = self.probe(act, is_doubtful).await;
            // Changes of this service that wait for each other are no failure.
            let is_queue = self.begun.load(Ordering::Relaxed) != before && asked.elapsed() < BUSY_TIMEOUT;
            if !matches!(result, Err(Error::Busy)) || !is_queue {
                return result;
            }
        }
    }

    /// Begins a change and writes a row. If it is doubtful whether a change can be committed, commits as much as one and
    /// removes it again.
    async fn probe(&self, act: &Act, is_doubtful: bool) -> Result<(), Error> {
        let mut change = PostgresTransaction::begin(self, act.clone(), LOCK_TIMEOUT).await?;
        write_row(change.connection()).await?;
        // It is not dirty, so nothing is kept.
        Box::new(change).commit().await?;
        if is_doubtful {
            let mut change = PostgresTransaction::begin(self, act.clone(), LOCK_TIMEOUT).await?;
            usage::write_probe(change.connection()).await?;
            change.commit_without_revision();
            Box::new(change).commit().await?;
            let mut change = PostgresTransaction::begin(self, act.clone(), LOCK_TIMEOUT).await?;
            usage::remove_probe(change.connection()).await?;
            change.commit_without_revision();
            Box::new(change).commit().await?;
        }
        Ok(())
    }
}

/// Writes a version that no change writes: no plan has an empty id. The caller does not commit it.
async fn write_row(connection: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query(
        r#"
        INSERT INTO version (seq, kind, id, identity, from_revision, document)
        SELECT seq + 1, 5, '', '', revision + 1, '{}' FROM policy_state"#,
    )
    .execute(connection)
    .await?;
    Ok(())
}
