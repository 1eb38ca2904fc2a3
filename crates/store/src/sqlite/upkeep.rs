//! Health checks, changes by other processes, and closing.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlitePool;

use super::{SqliteStore, accounts, fault::Fault};
use management::port::{Act, Error, Upkeep, times::Observer};

/// How often the service looks for changes by another process (`import`, a second service).
const FOREIGN_CHANGES_INTERVAL: Duration = Duration::from_millis(500);

#[async_trait]
impl Upkeep for SqliteStore {
    fn is_new(&self) -> bool {
        self.is_new
    }

    async fn check_writer(&self, act: &Act) -> Result<(), Error> {
        self.check_changes(act).await
    }

    fn observe(&self, observer: Observer) {
        self.times.observe(observer);
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
            match self.count_account_changes().await.map_err(Error::from) {
                Ok(changes) => self.announce_accounts(changes),
                Err(error) => tracing::warn!(%error, "changes of tokens and credentials could not be read"),
            }
            if let Err(error) = self.look_at_gateways().await.map_err(Error::from) {
                tracing::warn!(%error, "changes of gateways could not be read");
            }
        }
    }

    async fn close(&self) {
        close_pool(&self.readers).await;
        // Closing the last connection does this too, unless another program has the database open.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await {
            tracing::warn!(%error, "the write-ahead log stays beside the file; the next start reads it");
        }
        close_pool(&self.writer).await;
    }
}

impl SqliteStore {
    async fn count_account_changes(&self) -> Result<i64, Fault> {
        accounts::changes(&mut *self.reader().await?).await
    }
}

/// Closes all connections. The program may end afterwards, because the last connection removes the log.
async fn close_pool(pool: &SqlitePool) {
    // The pool's own `close` returns while connections are still being returned to the pool, and leaves those open. So
    // this takes all connections first. A connection that cannot be opened or is not returned needs no closing.
    let mut taken = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        taken.extend(pool.acquire().await.ok());
    }
    for connection in taken {
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "a connection of the database was not closed well");
        }
    }
    pool.close().await;
}
