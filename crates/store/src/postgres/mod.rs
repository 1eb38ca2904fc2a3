//! The port on PostgreSQL. Any number of services on one database act as one service.
//!
//! Every change first locks one row (`policy_state`) and takes its revision from there. So changes are serial,
//! whichever service makes them. Changes of one service wait for each other in this process, on its only writing
//! connection. [`notify`] tells the other services of a new revision. This folder does not know what the rows mean.
//! [`open`] connects, [`transaction`] writes versions, [`read`] finds current rows, [`as_of`] finds past ones,
//! [`audit`] keeps the audit log, and [`history`] notices a restored backup. Usage ([`usage`]) is stored beside the
//! policy and makes no revisions. Everything specific to PostgreSQL stays in this folder.

mod account_rows;
mod accounts;
mod answers;
mod api_match;
mod as_of;
mod audit;
mod concerned;
mod deny_target;
mod due;
mod explained;
mod fault;
mod forget;
mod fresh;
mod gateways;
mod health;
mod history;
mod listed;
mod many;
mod notify;
mod open;
mod overview;
mod owners;
mod past;
mod read;
mod sessions;
mod sight;
mod sight_rows;
mod state;
mod text;
mod transaction;
mod turn;
mod upkeep;
mod url;
mod usage;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{Executor as _, PgPool, Postgres, Transaction, pool::PoolConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use self::{as_of::Reader, fault::Fault, open::BUSY_TIMEOUT, state::lock_state, transaction::PostgresTransaction};
use crate::{
    Settings,
    announce::announce,
    times::{Timed, Times},
};
use management::port::{
    self, Act, Changes, Database, Error, History, Latest, Mark, Renewal, Secret, Snapshot, State, gateways::Wanted,
    times::Operation,
};

pub use url::{is_url, shown};

/// A wait for the connection that writes that is not taken off the wait for the lock: telling the server costs as long.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// The open database.
#[derive(Clone)]
pub struct PostgresStore {
    writer: PgPool,
    readers: PgPool,
    /// The connection that receives notifications.
    listeners: PgPool,
    /// How further connections are opened. It contains the password and is never shown.
    options: PgConnectOptions,
    settings: Settings,
    latest: watch::Sender<Latest>,
    /// The number of changes of tokens and credentials.
    accounts: watch::Sender<i64>,
    /// The number of the last change of gateways.
    gateways: watch::Sender<i64>,
    /// The last replica that waits for gateways.
    wanted: watch::Sender<Wanted>,
    secret: Secret,
    /// The channel on which services notify each other.
    channel: Arc<str>,
    doubtful: Arc<AtomicBool>,
    /// Number of write transactions of this service that have got the lock.
    begun: Arc<AtomicU64>,
    /// The database was created when it was opened.
    is_new: bool,
    /// Usage reports wait here for each other, so that at most one of them waits for the writer or has it.
    reports: Arc<Semaphore>,
    checked: Arc<health::Checked>,
    looked: Arc<fresh::Looked>,
    times: Times,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Takes a connection that reads.
    async fn reader(&self) -> Result<Timed<PoolConnection<Postgres>>, Fault> {
        match self.readers.acquire().await {
            Ok(reader) => Ok(self.times.of(Operation::Read, reader)),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Begins a transaction that reads one snapshot of the database.
    async fn begin_reading(&self) -> Result<Transaction<'static, Postgres>, Fault> {
        match self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await {
            Ok(transaction) => Ok(transaction),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Begins a transaction that writes, after those of this service that have begun before, and locks the row that says
    /// where the policy stands. Waits no longer than `limit` for all of that. Also returns the greatest `seq`.
    async fn begin_writing(&self, limit: Duration) -> Result<(Transaction<'static, Postgres>, State, i64), Fault> {
        let begun = Instant::now();
        // Nothing is cut off that the server is still busy with: it would go on with it, on the one connection that writes.
        let transaction = timeout(limit, self.writer.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")).await;
        let mut transaction = match transaction.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(transaction) => transaction,
            Err(error) => return Err(self.explain(error).await),
        };
        let waited = begun.elapsed();
        if limit < BUSY_TIMEOUT || waited > SHORT_WAIT {
            let left = limit.saturating_sub(waited).max(SHORT_WAIT);
            let setting = format!("SET LOCAL lock_timeout = {}", left.as_millis());
            transaction.execute(sqlx::raw_sql(&setting)).await?;
        }
        let (state, seq) = lock_state(&mut transaction).await?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok((transaction, state, seq))
    }

    /// Tells a busy pool from a server that is away. sqlx reports the same error for both.
    async fn explain(&self, error: sqlx::Error) -> Fault {
        match error {
            sqlx::Error::PoolTimedOut => self.why_away().await.map_or(Fault::from(error), Fault::from),
            error => error.into(),
        }
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

impl Database for PostgresStore {}

#[async_trait]
impl Changes for PostgresStore {
    async fn begin(&self, act: Act) -> Result<Box<dyn port::Transaction>, Error> {
        Ok(Box::new(PostgresTransaction::begin(self, act, BUSY_TIMEOUT).await?))
    }

    async fn begin_report(&self, act: Act) -> Result<Box<dyn port::Transaction>, Error> {
        let turn = timeout(BUSY_TIMEOUT, Arc::clone(&self.reports).acquire_owned()).await;
        // The semaphore is never closed.
        let turn = turn.ok().and_then(Result::ok).ok_or(Error::Busy)?;
        Ok(Box::new(PostgresTransaction::begin(self, act, BUSY_TIMEOUT).await?.with_turn(turn)))
    }
}

#[async_trait]
impl History for PostgresStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Ok(Box::new(Reader::begin(self).await?))
    }

    fn revisions(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    async fn catch_up(&self) {
        self.look_for_a_poll().await;
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
