//! Opens the file: settings of SQLite, rejected files and permissions.

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    str::FromStr as _,
    sync::Arc,
};

use sqlx::{
    Connection as _, Database, Sqlite, SqliteConnection, SqlitePool, TransactionManager as _,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{Semaphore, watch};

use super::{
    Settings, SqliteStore, accounts, api_match, deny_target,
    fault::Fault,
    gateways, migrate,
    place::{Place, beside},
    space,
    state::read_state,
};
pub use crate::settings::BUSY_TIMEOUT;
use management::port::{Error, Latest, Secret};

/// Number of rows that SQLite's thread may be ahead of the reader. With sqlx's default of 50, the two wake each other a
/// hundred times a page.
const ROW_BUFFER: usize = 1_000;
/// Number of connections that read. Reads are short and bound by the processor.
const READERS: u32 = 4;
/// Page cache of each connection in KiB, negative by SQLite's convention: 5 x 16 MiB in total.
const CACHE_KIB: &str = "-16384";
/// The same for bulk writes. Digests are random, so every page of their index is used again and again.
const BULK_CACHE_KIB: &str = "-524288";
/// Number of 4-KiB pages in the write-ahead log after which SQLite moves them into the database: SQLite's own default.
const CHECKPOINT_PAGES: &str = "1000";
/// The same for bulk writes: 512 MiB, so that frequently written pages are moved rarely.
const BULK_CHECKPOINT_PAGES: &str = "131072";
/// The parameters of a URL that sqlx knows.
const PARAMETERS: [&str; 4] = ["mode", "cache", "immutable", "vfs"];

impl SqliteStore {
    /// Opens the database at `url` (`sqlite:policy.db`). Creates it if it does not exist, and migrates it.
    pub async fn open(url: &str, settings: Settings) -> Result<Self, Error> {
        Ok(Self::open_file(url, settings).await?)
    }

    async fn open_file(url: &str, settings: Settings) -> Result<Self, Fault> {
        let file = file_of(url)?;
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| Error::Url(url.to_owned()))?
            // `keep_private` creates the file. A connection that opens later must not create another file after the
            // first is gone.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROW_BUFFER)
            .pragma("cache_size", if settings.bulk { BULK_CACHE_KIB } else { CACHE_KIB })
            .pragma("wal_autocheckpoint", if settings.bulk { BULK_CHECKPOINT_PAGES } else { CHECKPOINT_PAGES });
        let pool = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false);
            // Connections are never replaced, because a new one could open another file with the same name.
            let pool = pool.idle_timeout(None).max_lifetime(None);
            pool.after_release(|connection, _| Box::pin(is_usable(connection)))
        };
        let named = |fault: Fault| match fault.into() {
            Error::Unavailable(what) => {
                let why = space::why_not_writable(Path::new(file)).map(|why| format!("; {why}")).unwrap_or_default();
                Error::Unavailable(format!("{file}: {what}{why}"))
            }
            other => other,
        };
        // Exactly one connection, so that writers wait here in order and not in SQLite's busy loop.
        if belongs_to_another(url).await.map_err(named)? {
            return Err(Error::Foreign(file.to_owned()).into());
        }
        // If an earlier start was killed before it created the tables, the file exists but is empty.
        let is_new = std::fs::metadata(options.get_filename()).map_or(true, |metadata| metadata.len() == 0);
        keep_private(options.get_filename(), settings.must_exist);
        let opened = pool().max_connections(1).connect_with(options.clone()).await;
        let writer = opened.map_err(|error| named(error.into()))?;
        migrate::migrate(writer.clone()).await?;
        api_match::fill(&writer).await?;
        deny_target::fill(&writer).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT secret FROM history").fetch_one(&writer).await?;
        let secret = Secret::new(&secret)?;
        let file = options.get_filename().to_owned();
        let readers = pool().max_connections(READERS);
        let readers = readers.connect_with(options.pragma("query_only", "ON")).await?;
        let state = read_state(&mut *all_at_once(&readers).await?).await?;
        let latest = watch::Sender::new(Latest::of(&state));
        let accounts = watch::Sender::new(accounts::changes(&mut *readers.acquire().await?).await?);
        let gateways = watch::Sender::new(gateways::changes(&mut *readers.acquire().await?).await?);
        let (doubtful, begun, checked, times) = Default::default();
        let place = Place::of(&file);
        Ok(Self {
            writer,
            readers,
            settings,
            latest,
            accounts,
            gateways,
            wanted: watch::Sender::default(),
            secret,
            doubtful,
            begun,
            is_new,
            reports: Arc::new(Semaphore::new(1)),
            place,
            checked,
            times,
        })
    }
}

/// Opens all connections of the pool and returns one. Otherwise the pool opens them in the background, even while the
/// database is being closed, and such a connection leaves a log beside the file.
async fn all_at_once(readers: &SqlitePool) -> Result<PoolConnection<Sqlite>, Fault> {
    let mut opened = readers.acquire().await?;
    let mut others = Vec::new();
    for _ in 1..READERS {
        others.push(std::mem::replace(&mut opened, readers.acquire().await?));
    }
    Ok(opened)
}

/// The file that a database URL names.
pub fn file_of(url: &str) -> Result<&str, Error> {
    let rest = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    let (file, options) = rest.map_or(("", ""), |rest| rest.split_once('?').unwrap_or((rest, "")));
    // In memory, each connection would have a database of its own, and nothing would be kept.
    if file.is_empty() || file.ends_with('/') || file.contains(":memory:") || options.contains("memory") {
        // What stands before the @ of another kind of URL may be a password.
        let shown = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite");
        return Err(Error::Url(shown.map_or_else(|| url.to_owned(), |(scheme, _)| format!("{scheme}://…"))));
    }
    match options.split('&').filter_map(|one| one.split('=').next()).find(|name| !PARAMETERS.contains(name)) {
        Some(name) if !options.is_empty() => {
            Err(Error::Parameter { name: Some(name.to_owned()), allowed: PARAMETERS.join(", ") })
        }
        _ => Ok(file),
    }
}

/// Makes the database readable by its owner only, before SQLite opens it. The files that SQLite puts beside it get the
/// same permissions. Also fixes files that an earlier version left open to others.
fn keep_private(file: &Path, must_exist: bool) {
    const OWNER_ALONE: u32 = 0o600;
    if !must_exist {
        // An existing file stays as it is. SQLite reports all other problems better.
        let _ = OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(file);
    }
    for end in ["", "-wal", "-shm"] {
        let beside = beside(file, end);
        let Ok(held) = std::fs::metadata(&beside) else { continue };
        if held.permissions().mode() & 0o777 == OWNER_ALONE || !held.is_file() {
            continue;
        }
        if let Err(error) = std::fs::set_permissions(&beside, Permissions::from_mode(OWNER_ALONE)) {
            tracing::warn!(%error, "others may read the database, and its permissions cannot be changed");
        }
    }
}

/// Whether the file has tables of another program. Opens it read-only, because opening it for writing changes it.
async fn belongs_to_another(url: &str) -> Result<bool, Fault> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| Error::Url(url.to_owned()))?.read_only(true);
    // A missing or empty file belongs to no program.
    if !std::fs::metadata(options.get_filename()).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return Ok(false);
    }
    // Other programs may use this table of migrations as well. If the file has no other table, this program was killed
    // while it created its tables.
    let tables = "SELECT count(*) > 0 AND sum(name = 'policy_state') = 0 FROM sqlite_master \
                  WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' AND name <> '_sqlx_migrations'";
    let mut connection = SqliteConnection::connect_with(&options.busy_timeout(BUSY_TIMEOUT)).await?;
    let foreign = sqlx::query_scalar::<_, Option<bool>>(tables).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(foreign.unwrap_or(false))
}

/// Whether a connection may be used again. If the disk is full or fails, SQLite rolls a transaction back by itself.
/// sqlx's own rollback then fails, and no transaction could begin on this connection any more.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // sqlx rolls a dropped transaction back before it answers.
    connection.ping().await?;
    Ok(<Sqlite as Database>::TransactionManager::get_transaction_depth(connection) == 0)
}
