//! Connects: settings of connections, rejected databases, and migrations, which one service at a time runs.

use std::{sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{PostgresStore, accounts, fault::Fault, fresh, gateways, notify, state::read_state, url};
pub use crate::settings::BUSY_TIMEOUT;
use crate::{Settings, random};
use management::port::{Error, Latest, Secret};

/// How long a transaction may be idle while it holds the lock for which all services wait. A service that is stopped or
/// cut off then loses its transaction. An import needs only microseconds between two rows.
const TRANSACTION_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start waits for another service that migrates the database.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a server may take to accept the first connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of connections that read. With the writing and the listening one, these are 10 of PostgreSQL's default of
/// 100.
const READERS: u32 = 8;
/// The advisory lock for creating and migrating the database. Any number works that no other program uses.
const MIGRATION_LOCK: i64 = 0x6b65_7967_6174_6501;
/// How many times the pooler check asks which server process answers.
const POOLER_ROUNDS: usize = 3;

impl PostgresStore {
    /// Opens the database at `url` (`postgres://HOST/DATABASE`). Creates the tables if there are none, and migrates
    /// them.
    pub async fn open(url: &str, settings: Settings) -> Result<Self, Error> {
        let options = url::parse(url)?;
        Ok(Self::open_with(options, url, settings).await?)
    }

    async fn open_with(options: PgConnectOptions, url: &str, settings: Settings) -> Result<Self, Fault> {
        let options = options
            .application_name("keygate policy-service")
            // pgbouncer does not know this parameter, and this program stores no floats.
            .extra_float_digits(None)
            // A logged statement could contain any value, including secrets.
            .disable_statement_logging();
        let mut connection = connect(&options).await?;
        refuse_pooler(&mut connection, &options).await?;
        let is_new = bring_up_to_date(&mut connection, url, settings).await?;
        let state = read_state(&mut connection).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT secret FROM policy_state").fetch_one(&mut connection).await?;
        let channel = notify::channel(&mut connection).await?.into();
        let accounts = watch::Sender::new(accounts::changes(&mut connection).await?);
        let gateways = watch::Sender::new(gateways::changes(&mut connection).await?);
        connection.close().await?;
        let (doubtful, begun, checked, times) = Default::default();
        Ok(Self {
            // Exactly one connection, so that writers of this service wait here in order.
            writer: pool(1)
                .test_before_acquire(false)
                .before_acquire(|held, _| Box::pin(takes_changes(held)))
                .connect_lazy_with(options.clone()),
            readers: pool(READERS).connect_lazy_with(options.clone()),
            // A second connection replaces one whose server has vanished.
            listeners: pool(2).connect_lazy_with(options.clone()),
            options,
            settings,
            latest: watch::Sender::new(Latest::of(&state)),
            accounts,
            gateways,
            wanted: watch::Sender::default(),
            secret: Secret::new(&secret)?,
            channel,
            doubtful,
            begun,
            is_new,
            reports: Semaphore::new(1).into(),
            checked,
            looked: Arc::new(fresh::Looked::now()),
            times,
        })
    }

    /// Why no connection can be opened now. `None` if one can be.
    pub(super) async fn why_away(&self) -> Option<Error> {
        match connect(&self.options).await {
            Ok(connection) => {
                // The connection was only a test.
                let _ = connection.close().await;
                None
            }
            Err(fault) => Some(fault.into()),
        }
    }
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY_TIMEOUT)
        .after_connect(|connection, _| Box::pin(set_limits(connection)))
}

/// Whether a connection still writes. One that was opened to a standby, or before a setting was changed, stays read-only
/// until it is opened anew. This is also the test whether the server is there, at the cost of the usual one.
async fn takes_changes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'").fetch_one(connection).await
}

/// Set by statements and not by connection parameters, because pgbouncer rejects parameters that it does not know.
///
/// `jit` is off: PostgreSQL takes the statements of the feed for expensive and compiles them. That takes half a second and
/// more, and the statements some 10 ms.
async fn set_limits(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (busy, idle) = (BUSY_TIMEOUT.as_millis(), TRANSACTION_IDLE_TIMEOUT.as_millis());
    let settings = format!(
        "SET jit = off; SET lock_timeout = {busy}; SET statement_timeout = {busy}; SET idle_in_transaction_session_timeout = {idle}; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    );
    connection.execute(sqlx::raw_sql(&settings)).await?;
    Ok(())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Fault> {
    let connection = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await;
    let late = || Error::Unavailable(format!("PostgreSQL does not answer within {CONNECT_TIMEOUT:?}"));
    Ok(connection.map_err(|_| late())??)
}

/// Rejects a pooler that gives each transaction another server connection, such as pgbouncer with `pool_mode =
/// transaction`. Behind it, neither limits on statements nor notifications work. It is recognised if two open
/// connections reach the same server process, or one connection reaches two.
async fn refuse_pooler(first: &mut PgConnection, options: &PgConnectOptions) -> Result<(), Fault> {
    let mut second = connect(options).await?;
    let mut seen = Vec::new();
    for _ in 0..POOLER_ROUNDS {
        seen.push((process(first).await?, process(&mut second).await?));
    }
    second.close().await?;
    let is_direct = seen.first().is_some_and(|pair| pair.0 != pair.1 && seen.iter().all(|other| other == pair));
    if is_direct {
        return Ok(());
    }
    Err(Error::Unavailable(
        "a pooler gives each transaction another connection (pgbouncer with pool_mode = transaction); set \
         pool_mode = session for this database, or connect to PostgreSQL itself"
            .to_owned(),
    )
    .into())
}

/// The server process that answers. This is a simple query, because a prepared one may be unknown where it is executed.
async fn process(connection: &mut PgConnection) -> Result<String, Fault> {
    use sqlx::Row as _;
    let row = connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()::text")).await?;
    Ok(row.try_get(0)?)
}

/// Creates or migrates the tables. Services that start at the same time wait for each other here. Returns whether the
/// tables are new.
async fn bring_up_to_date(connection: &mut PgConnection, url: &str, settings: Settings) -> Result<bool, Fault> {
    let wait = format!("SET lock_timeout = {}", MIGRATION_TIMEOUT.as_millis());
    connection.execute(sqlx::raw_sql(&wait)).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(&mut *connection).await?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await?;
    if encoding != "UTF8" {
        let what = format!("the database has the encoding {encoding}; make one with ENCODING 'UTF8'");
        return Err(Error::Unavailable(what).into());
    }
    match tables(connection).await? {
        Tables::Others => return Err(Error::Foreign(url::shown(url)).into()),
        Tables::None if settings.must_exist => return Err(Error::NoPolicy.into()),
        Tables::None | Tables::Ours => {}
    }
    // Otherwise sqlx takes another lock of its own.
    sqlx::migrate!("src/postgres/migrations").set_locking(false).run_direct(&mut *connection).await?;
    let made = sqlx::query(
        r#"
        INSERT INTO policy_state
        VALUES (1, $1, 0, $2, 0, 0, 0, 0, 0, false, $3, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING"#,
    )
    .bind(random::new_epoch()?)
    .bind(random::new_word()?)
    .bind(random::bytes::<32>()?.to_vec())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO revision_word (revision, word) SELECT revision, word FROM policy_state ON CONFLICT DO NOTHING",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(MIGRATION_LOCK).execute(&mut *connection).await?;
    Ok(made.rows_affected() == 1)
}

/// To which program the tables in the schema belong.
enum Tables {
    None,
    Ours,
    Others,
}

async fn tables(connection: &mut PgConnection) -> Result<Tables, Fault> {
    // Other programs may use sqlx's table of migrations as well. Tables of extensions belong to no program.
    let (all, ours): (i64, bool) = sqlx::query_as(
        r#"
        SELECT count(*), coalesce(bool_or(c.relname = 'policy_state'), false)
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND c.relname <> '_sqlx_migrations'
            AND NOT EXISTS (
                SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"#,
    )
    .fetch_one(connection)
    .await?;
    Ok(match (all, ours) {
        (_, true) => Tables::Ours,
        (0, false) => Tables::None,
        (_, false) => Tables::Others,
    })
}
