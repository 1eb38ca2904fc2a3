//! The port on SQLite: one file with the policy, its revision and its recent past.
//!
//! One connection writes and a few read. WAL with synchronous=FULL puts an acknowledged change on the disk, so SIGKILL
//! between two requests loses nothing. Long polls wait for the watch channel in [`SqliteStore`]. This folder does not
//! know what the rows mean. [`open`] opens the file, [`transaction`] writes versions, [`read`] finds current rows,
//! [`as_of`] finds past ones. [`audit`] keeps who changed what. [`history`] notices a restored backup. Usage ([`usage`]) is stored beside the policy and
//! makes no revisions. Everything specific to SQLite stays in this folder.

mod account_rows;
mod accounts;
mod answers;
mod api_match;
mod as_of;
mod audit;
mod concerned;
pub mod copy;
mod deny_target;
mod due;
mod explained;
mod fault;
mod forget;
mod gateways;
mod health;
mod history;
mod json;
mod listed;
mod many;
mod migrate;
mod open;
mod overview;
mod owners;
mod past;
mod place;
mod read;
mod sessions;
mod sight;
mod sight_rows;
mod space;
mod state;
mod transaction;
mod turn;
mod upkeep;
mod usage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use sqlx::{Sqlite, SqlitePool, Transaction, pool::PoolConnection};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::{as_of::Reader, fault::Fault, open::BUSY_TIMEOUT, place::Place, transaction::SqliteTransaction};
use crate::{
    Settings,
    announce::announce,
    times::{Timed, Times},
};
use management::port::{
    self, Act, Changes, Database, Error, History, Latest, Mark, Renewal, Secret, Snapshot, State, gateways::Wanted,
    times::Operation,
};

pub use open::file_of;
pub use place::beside;

/// The open database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    settings: Settings,
    latest: watch::Sender<Latest>,
    /// The number of changes of tokens and credentials.
    accounts: watch::Sender<i64>,
    /// The number of the last change of gateways.
    gateways: watch::Sender<i64>,
    /// The last replica that waits for gateways.
    wanted: watch::Sender<Wanted>,
    secret: Secret,
    /// The last change was dropped before it committed. Usually the rules rejected it; `check_writer` finds out whether
    /// the database was the reason.
    doubtful: Arc<AtomicBool>,
    /// Number of write transactions of this service that have got the lock.
    begun: Arc<AtomicU64>,
    /// The database was created when it was opened.
    is_new: bool,
    /// Usage reports wait here for each other, so that at most one of them waits for the writer or has it.
    reports: Arc<Semaphore>,
    place: Place,
    checked: Arc<health::Checked>,
    times: Times,
}

impl SqliteStore {
    /// Limits the file to this many pages of 4 KiB, as a full disk would.
    pub async fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        let limited = sqlx::query(&format!("PRAGMA max_page_count = {pages}")).execute(&self.writer).await;
        limited.map_err(Fault::from)?;
        Ok(())
    }

    /// Takes a connection that reads.
    async fn reader(&self) -> Result<Timed<PoolConnection<Sqlite>>, Fault> {
        Ok(self.times.of(Operation::Read, self.readers.acquire().await?))
    }

    /// Begins a write transaction. Fails if its data would be lost.
    async fn lock(&self) -> Result<Transaction<'static, Sqlite>, Fault> {
        self.place.check()?;
        let begun = Instant::now();
        // IMMEDIATE, because a transaction that reads first and writes later could fail because of another writer.
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.times.tell(Operation::Begin, begun);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(transaction)
    }

    /// Wakes the polls that wait for a new revision.
    fn announce(&self, state: &State) {
        announce(&self.latest, state);
    }

    /// Wakes receivers that wait for a change of tokens and credentials.
    fn announce_accounts(&self, changes: i64) {
        self.accounts.send_if_modified(|held| {
            let differs = changes != *held;
            *held = changes;
            differs
        });
    }
}

impl Database for SqliteStore {}

#[async_trait]
impl Changes for SqliteStore {
    async fn begin(&self, act: Act) -> Result<Box<dyn port::Transaction>, Error> {
        Ok(Box::new(SqliteTransaction::begin(self, act).await?))
    }

    async fn begin_report(&self, act: Act) -> Result<Box<dyn port::Transaction>, Error> {
        let turn = timeout(BUSY_TIMEOUT, Arc::clone(&self.reports).acquire_owned()).await;
        // The semaphore is never closed.
        let turn = turn.ok().and_then(Result::ok).ok_or(Error::Busy)?;
        Ok(Box::new(SqliteTransaction::begin(self, act).await?.with_turn(turn)))
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Ok(Box::new(Reader::begin(&self.readers, &self.times).await?))
    }

    fn revisions(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    fn waiting(&self) -> usize {
        self.latest.receiver_count()
    }

    fn secret(&self) -> &Secret {
        &self.secret
    }

    async fn renew_if_lost(&self, mark: &Mark, act: &Act) -> Result<Option<Renewal>, Error> {
        Ok(self.renew_after(mark, act).await?)
    }

    async fn renew_epoch(&self, act: &Act) -> Result<String, Error> {
        Ok(self.renew_at_once(act).await?)
    }
}
