//! Health, changes by other processes, and closing.

use std::time::Duration;

use async_trait::async_trait;

use super::SqliteStore;
use management::port::{Act, Error, Upkeep};

/// How often `close` looks whether the last connection has ended. If another program has the database open, the log stays,
/// so after half a second `close` does not wait any more.
const CLOSING_LOOKS: u32 = 50;
/// Looks in a row that find no log before it counts as removed.
const LOOKS_WITHOUT_LOG: u32 = 5;
/// The pause before the next look.
const CLOSING_PAUSE: Duration = Duration::from_millis(10);
/// How often the revision is looked up for changes that another process made (`import`, a second service).
const FOREIGN_CHANGES_INTERVAL: Duration = Duration::from_millis(500);

#[async_trait]
impl Upkeep for SqliteStore {
    fn is_new(&self) -> bool {
        self.is_new
    }

    async fn check_writer(&self, act: &Act) -> Result<(), Error> {
        self.check_changes(act).await
    }

    async fn watch(&self, act: fn() -> Act) {
        let mut ticks = tokio::time::interval(FOREIGN_CHANGES_INTERVAL);
        let mut was_in_place = true;
        loop {
            ticks.tick().await;
            let found = self.place.check();
            let is_in_place = found.is_ok();
            match found {
                Ok(()) if was_in_place => {}
                Ok(()) => tracing::warn!("the files of the database are in their place again; changes are taken"),
                Err(error) if was_in_place => {
                    tracing::error!(%error, "changes are refused; put the files back, or stop the service and restore a backup");
                }
                Err(_) => {}
            }
            was_in_place = is_in_place;
            let held = self.latest.borrow().clone();
            if let Err(error) = self.follow(&held, &act()).await.map_err(Error::from) {
                tracing::warn!(%error, "the revision could not be read");
            }
        }
    }

    async fn close(&self) {
        self.readers.close().await;
        // Closing the last connection does it, too. But a connection whose request was cancelled may close a moment later.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await {
            tracing::warn!(%error, "the write-ahead log stays beside the file; the next start reads it");
        }
        self.writer.close().await;
        // Such a connection is then the last one, and removes the log. One that was just being opened makes the log again
        // first. The program must not end meanwhile.
        let mut without_log = 0u32;
        for _ in 0..CLOSING_LOOKS {
            without_log = if self.place.has_log() { 0 } else { without_log.saturating_add(1) };
            if without_log == LOOKS_WITHOUT_LOG {
                return;
            }
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }
}
