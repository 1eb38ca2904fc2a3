//! The database: one SQLite file that holds the policy, its revision and its recent past.
//!
//! One connection writes and a few read. WAL with synchronous=FULL: a change that was acknowledged is on the disk, so
//! SIGKILL between any two requests loses nothing. Who waits for changes listens to [`Store::revisions`]. What the rows
//! mean is not known here; [`change`] writes versions, [`read`] finds what holds now, [`as_of`] what held at a revision.
//! [`history`] notices a database that was put back from a backup. Usage ([`usage`]) stands beside the policy and makes no
//! revisions.

pub mod api_match;
pub mod as_of;
pub mod change;
pub mod copy;
pub mod deny_target;
mod error;
mod health;
pub mod history;
mod kind;
pub mod listed;
pub mod mark;
mod place;
pub mod read;
mod space;
pub mod usage;

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection as _, Database, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction, TransactionManager as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

pub use change::{Change, NewRow};
pub use error::Error;
pub use kind::Kind;
pub use place::beside;

use mark::Secret;
use place::Place;

/// How long a statement waits for another process's lock, and a request for a connection. Gateways give a callout 5 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// Rows that SQLite's thread may be ahead of their reader: with sqlx's 50 the two wake each other a hundred times a page.
const ROW_BUFFER: usize = 1_000;
/// Connections that read: SQLite reads are short and bound by the processor.
const READERS: u32 = 4;
/// How often is looked whether the last connection has ended. Where another program has the database open the log stays, so
/// after half a second nobody waits any more.
const CLOSING_LOOKS: u32 = 50;
/// The pause before the next look.
const CLOSING_PAUSE: Duration = Duration::from_millis(10);
/// Page cache of each connection, KiB (negative is SQLite's way to say so): 5 x 16 MiB in all.
const CACHE_KIB: &str = "-16384";
/// The same when many rows are written: digests are random, so every page of their index is touched again and again.
const BULK_CACHE_KIB: &str = "-524288";
/// Pages of 4 KiB in the write-ahead log after which they are moved into the database: SQLite's own default.
const CHECKPOINT_PAGES: &str = "1000";
/// The same when many rows are written: 512 MiB, so that pages that are written often are moved seldom.
const BULK_CHECKPOINT_PAGES: &str = "131072";
/// How often the revision is looked up for changes that another process made (`import`, a second service).
const FOREIGN_CHANGES_INTERVAL: Duration = Duration::from_millis(500);

/// Where the policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which policy this is.
    pub epoch: String,
    /// The latest revision.
    pub revision: i64,
    /// The oldest revision that can still be read.
    pub horizon: i64,
    /// How many versions hold no more.
    pub past: i64,
    /// The random word of the latest revision.
    pub word: i64,
    /// How often the epoch was renewed.
    renewals: i64,
    /// When the service last renewed it by itself, Unix time.
    renewed_at: i64,
    /// A revision is lost, and the epoch is to be renewed when the pause is over.
    is_lost: bool,
    counts: [i64; 6],
}

impl State {
    /// How many rows of `kind` there are.
    pub fn count(&self, kind: Kind) -> i64 {
        Kind::ALL.iter().zip(self.counts).find(|(other, _)| **other == kind).map_or(0, |(_, count)| count)
    }

    async fn read(connection: &mut SqliteConnection) -> Result<Self, Error> {
        let row = sqlx::query(
            "SELECT policy_state.*, renewals, renewed_at, is_lost, word FROM policy_state, history \
             JOIN revision_word ON revision_word.revision = policy_state.revision",
        )
        .fetch_one(connection)
        .await?;
        let mut counts = [0; 6];
        for (count, kind) in counts.iter_mut().zip(Kind::ALL) {
            *count = row.try_get(kind.list())?;
        }
        Ok(Self {
            epoch: row.try_get("epoch")?,
            revision: row.try_get("revision")?,
            horizon: row.try_get("horizon")?,
            past: row.try_get("past")?,
            word: row.try_get("word")?,
            renewals: row.try_get("renewals")?,
            renewed_at: row.try_get("renewed_at")?,
            is_lost: row.try_get("is_lost")?,
            counts,
        })
    }
}

/// A row as it holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its place in the table.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// What management calls it.
    pub id: String,
    /// Of applications, keys and subscriptions.
    pub application: Option<String>,
    /// Of subscriptions.
    pub api: Option<String>,
    /// The block that stays of a deleted subscription.
    pub kept_block: Option<String>,
    /// The owner to whom that block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The revision that brought it.
    pub from_revision: i64,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

impl Version {
    fn from_row(row: &SqliteRow) -> Result<Self, Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            kind: Kind::from_number(row.try_get("kind")?)?,
            id: row.try_get("id")?,
            application: row.try_get("application")?,
            api: row.try_get("api")?,
            kept_block: row.try_get("kept_block")?,
            kept_owner: row.try_get("kept_owner")?,
            state_before: row.try_get("state_before")?,
            from_revision: row.try_get("from_revision")?,
            document: row.try_get("document")?,
        })
    }
}

/// The latest revision and the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Which policy this is.
    pub epoch: String,
    /// The revision.
    pub revision: i64,
    /// Its random word.
    pub word: i64,
    /// How often the epoch was renewed: of two epochs the one with more is the later.
    renewals: i64,
}

impl Latest {
    fn of(state: &State) -> Self {
        let State { epoch, revision, word, renewals, .. } = state.clone();
        Self { epoch, revision, word, renewals }
    }

    /// Whether `mark` is of just this.
    pub fn has(&self, mark: &mark::Mark) -> bool {
        (&self.epoch, self.revision, self.word) == (&mark.epoch, mark.revision, mark.word)
    }
}

/// How the database is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many versions that hold no more are kept, so that gateways can catch up by deltas.
    pub history_rows: i64,
    /// How many days hourly rows of usage are kept.
    pub usage_days: i64,
    /// Whether many rows will be written: more memory, fewer checkpoints.
    pub bulk: bool,
    /// Whether the file has to be there.
    pub must_exist: bool,
}

impl Default for Settings {
    /// 100,000 versions of some 400 bytes are 40 MB, and as many changes as a busy day has. 400 days are a year of bills
    /// and a month to dispute the last one.
    fn default() -> Self {
        Self { history_rows: 100_000, usage_days: 400, bulk: false, must_exist: false }
    }
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    settings: Settings,
    latest: watch::Sender<Latest>,
    secret: Secret,
    /// The last change did not come to its end. Most were refused for what they said; [`Store::check_writer`] finds out.
    doubtful: Arc<AtomicBool>,
    /// How many write transactions of this service have got the lock.
    begun: Arc<AtomicU64>,
    /// It was made when it was opened.
    is_new: bool,
    /// Reports of usage wait here for each other, so that at most one of them waits for the writer or has it.
    reports: Arc<Semaphore>,
    place: Place,
    checked: Arc<health::Checked>,
}

impl Store {
    /// Opens the database at `url` (`sqlite:policy.db`), makes it if there is none and brings it up to date.
    pub async fn open(url: &str, settings: Settings) -> Result<Self, Error> {
        let file = file_of(url)?;
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| Error::Url(url.to_owned()))?
            // It is made below. A connection that is opened later must not make another one where it is gone.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROW_BUFFER)
            .pragma("cache_size", if settings.bulk { BULK_CACHE_KIB } else { CACHE_KIB })
            .pragma("wal_autocheckpoint", if settings.bulk { BULK_CHECKPOINT_PAGES } else { CHECKPOINT_PAGES });
        let pool = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false);
            // Connections stay: one that is opened later could be to another file.
            let pool = pool.idle_timeout(None).max_lifetime(None);
            pool.after_release(|connection, _| Box::pin(is_usable(connection)))
        };
        let named = |error: Error| match error {
            Error::Unavailable(what) => Error::Unavailable(format!("{file}: {what}")),
            other => other,
        };
        // One connection and no more: writers wait here, in order, and not in SQLite's busy loop.
        if belongs_to_another(url).await.map_err(named)? {
            return Err(Error::Foreign(file.to_owned()));
        }
        // An empty file is what a start leaves that was ended before it made the tables.
        let is_new = std::fs::metadata(options.get_filename()).map_or(true, |metadata| metadata.len() == 0);
        keep_private(options.get_filename(), settings.must_exist);
        let opened = pool().max_connections(1).connect_with(options.clone()).await;
        let writer = opened.map_err(|error| named(error.into()))?;
        sqlx::migrate!().run(&writer).await?;
        sqlx::query("INSERT OR IGNORE INTO policy_state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
            .bind(new_epoch()?)
            .execute(&writer)
            .await?;
        // A new database has no word yet.
        sqlx::query("INSERT OR IGNORE INTO revision_word SELECT revision, random() FROM policy_state")
            .execute(&writer)
            .await?;
        api_match::fill(&writer).await?;
        deny_target::fill(&writer).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT secret FROM history").fetch_one(&writer).await?;
        let secret = Secret::new(&secret)?;
        let file = options.get_filename().to_owned();
        let readers = pool().max_connections(READERS).min_connections(READERS);
        let readers = readers.connect_with(options.pragma("query_only", "ON")).await?;
        let state = State::read(&mut *readers.acquire().await?).await?;
        let latest = watch::Sender::new(Latest::of(&state));
        let (doubtful, begun, checked) = Default::default();
        let place = Place::of(&file);
        Ok(Self {
            writer,
            readers,
            settings,
            latest,
            secret,
            doubtful,
            begun,
            is_new,
            reports: Arc::new(Semaphore::new(1)),
            place,
            checked,
        })
    }

    /// Whether the database was made when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// How the database is kept.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Where the policy stands.
    pub async fn state(&self) -> Result<State, Error> {
        State::read(&mut *self.readers.acquire().await?).await
    }

    /// The latest revision, whenever it changes. It is never ahead of what can be read.
    pub fn revisions(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    /// How many wait for a new revision.
    pub fn waiting(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Lets the file grow to so many pages of 4 KiB and no further, as on a full disk.
    pub async fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        sqlx::query(&format!("PRAGMA max_page_count = {pages}")).execute(&self.writer).await?;
        Ok(())
    }

    /// Begins a write transaction, unless what it writes would be lost.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.place.check()?;
        // IMMEDIATE: a transaction that reads first and writes later could fail in between for another writer.
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(transaction)
    }

    /// Begins a change: everything done with it takes effect at once, under one new revision.
    pub async fn change(&self) -> Result<Change, Error> {
        Change::begin(self).await
    }

    /// Begins a change that brings a report of usage. The writer serves who waits for it in order, and only one report waits
    /// there: a change of the policy waits for at most one report, however many gateways send them.
    pub async fn report(&self) -> Result<Change, Error> {
        let turn = timeout(BUSY_TIMEOUT, Arc::clone(&self.reports).acquire_owned()).await;
        // Nobody closes the semaphore.
        let turn = turn.ok().and_then(Result::ok).ok_or(Error::Busy)?;
        Ok(Change::begin(self).await?.with_turn(turn))
    }

    /// What signs cursors.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Looks for changes that another process made to the same file, and whether the file is still in its place, for ever.
    pub async fn watch_foreign_changes(&self) {
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
            if let Err(error) = self.follow(&held, crate::clock::unix_seconds()).await {
                tracing::warn!(%error, "the revision could not be read");
            }
        }
    }

    /// Closes the file; what is in the write-ahead log is moved into it.
    pub async fn close(&self) {
        self.readers.close().await;
        // Closing the last connection would do it too, but one whose request was given up may end a moment later.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await {
            tracing::warn!(%error, "the write-ahead log stays beside the file; the next start reads it");
        }
        self.writer.close().await;
        // Such a one is then the last, and removes the log. The program must not end while it does.
        for _ in 0..CLOSING_LOOKS {
            if !self.place.has_log() {
                return;
            }
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }

    /// Tells those who wait, once what is new can be read. Changes may be announced out of order.
    fn announce(&self, state: &State) {
        self.latest.send_if_modified(|held| {
            let newer = (state.renewals, state.revision) > (held.renewals, held.revision);
            if newer {
                *held = Latest::of(state);
            }
            newer
        });
    }
}

/// The file that a database's URL names.
pub fn file_of(url: &str) -> Result<&str, Error> {
    let rest = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    let (file, options) = rest.map_or(("", ""), |rest| rest.split_once('?').unwrap_or((rest, "")));
    // In memory each connection would have a database of its own, and nothing would be kept.
    if file.is_empty() || file.ends_with('/') || file.contains(":memory:") || options.contains("memory") {
        return Err(Error::Url(url.to_owned()));
    }
    Ok(file)
}

/// Makes the database its owner's alone, before SQLite opens it: the files that SQLite puts beside it get its permissions.
/// Files that an earlier version left open to others are closed.
fn keep_private(file: &Path, must_exist: bool) {
    const OWNER_ALONE: u32 = 0o600;
    if !must_exist {
        // A file that is there stays as it is. What else is wrong with it SQLite says better.
        let _ = OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(file);
    }
    for end in ["", "-wal", "-shm"] {
        let beside = place::beside(file, end);
        let Ok(held) = std::fs::metadata(&beside) else { continue };
        if held.permissions().mode() & 0o777 == OWNER_ALONE || !held.is_file() {
            continue;
        }
        if let Err(error) = std::fs::set_permissions(&beside, Permissions::from_mode(OWNER_ALONE)) {
            tracing::warn!(%error, "others may read the database, and its permissions cannot be changed");
        }
    }
}

/// Whether another program has put tables into the file. It is only read: to open it for writing changes it.
async fn belongs_to_another(url: &str) -> Result<bool, Error> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| Error::Url(url.to_owned()))?.read_only(true);
    // What is not there, or is empty, is nobody's.
    if !std::fs::metadata(options.get_filename()).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return Ok(false);
    }
    // Others keep migrations so too; alone they are what is left where this program was killed while it made its tables.
    let tables = "SELECT count(*) > 0 AND sum(name = 'policy_state') = 0 FROM sqlite_master \
                  WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' AND name <> '_sqlx_migrations'";
    let mut connection = SqliteConnection::connect_with(&options.busy_timeout(BUSY_TIMEOUT)).await?;
    let foreign = sqlx::query_scalar::<_, Option<bool>>(tables).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(foreign.unwrap_or(false))
}

/// Whether a connection may be used again: not if a transaction of it is left open. SQLite ends one by itself where the
/// disk is full or fails; what sqlx then rolls back is gone, which it takes for a failure, and nothing could begin on this
/// connection any more.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A transaction that was dropped is rolled back before this is answered.
    connection.ping().await?;
    Ok(<Sqlite as Database>::TransactionManager::get_transaction_depth(connection) == 0)
}

/// 128 random bits in hexadecimal.
fn new_epoch() -> Result<String, Error> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The random word of a new revision.
fn new_word() -> Result<i64, Error> {
    random().map(i64::from_be_bytes)
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(bytes)
}
