//! Brings the schema up to date, for one program at a time.
//!
//! sqlx locks nothing on SQLite while it migrates, so two programs that start at once would apply the same migration.
//! Here all migrations and the first rows are one transaction that holds SQLite's write lock from its beginning.

use std::{pin::Pin, time::Duration};

use sqlx::{SqlitePool, migrate::Migrator};
use tokio::time::Instant;

use super::fault::Fault;
use crate::random::new_epoch;
use management::port::Error;

/// How long a start waits for another program that migrates. A migration that writes each of a million rows takes a
/// minute.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

static MIGRATIONS: Migrator = sqlx::migrate!("src/sqlite/migrations");

/// Applies the migrations that are missing, and writes the rows that each database has.
///
/// The future is boxed because the compiler cannot see otherwise that those who await it may move between threads.
pub fn migrate(writer: SqlitePool) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>> {
    Box::pin(async move { run(&writer).await })
}

async fn run(writer: &SqlitePool) -> Result<(), Fault> {
    let begun = Instant::now();
    let mut was_behind = is_behind(writer).await;
    let mut transaction = loop {
        let error = match writer.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => break transaction,
            Err(error) => Error::from(Fault::from(error)),
        };
        // Whoever holds the lock of a database that is up to date does something else, perhaps for ever. Whoever has just
        // brought it up to date gives the lock back.
        let is_behind = is_behind(writer).await;
        let may_migrate = matches!(error, Error::Busy) && begun.elapsed() < MIGRATION_TIMEOUT;
        if !may_migrate || !(was_behind || is_behind) {
            return Err(error.into());
        }
        was_behind = is_behind;
        tracing::info!("another program is bringing the database up to date; waiting");
    };
    MIGRATIONS.run_direct(&mut *transaction).await?;
    sqlx::query("INSERT OR IGNORE INTO policy_state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
        .bind(new_epoch()?)
        .execute(&mut *transaction)
        .await?;
    // A new database has no word for its revision yet.
    sqlx::query("INSERT OR IGNORE INTO revision_word (revision, word) SELECT revision, random() FROM policy_state")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

/// Whether a migration is missing. The table of migrations is missing in a new database.
async fn is_behind(writer: &SqlitePool) -> bool {
    let last = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations");
    let last = last.fetch_one(writer).await.ok().flatten();
    last < MIGRATIONS.iter().map(|migration| migration.version).max()
}
