//! Copies of whole databases: makes one while others write, and replaces all rows by one while a service reads them.
//!
//! The caller chooses the names and places of the files.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{SqliteStore, fault::Fault, history, open::BUSY_TIMEOUT, state::read_state};
use management::port::{Act, Error, Latest, State};

/// Tables to which a restore adds rows without removing any. So a revoked key stays revoked, an epoch never comes back as
/// a new one, and the audit log only grows.
const KEPT: [&str; 4] = ["earlier_epoch", "revoked_key", "audit", "audit_also"];

/// Tables that a restore does not change, unless the database is new. So a token that was revoked since the backup
/// stays revoked.
const LEFT: [&str; 3] = ["token", "gateway_credential", "account_state"];

/// Tables that a restore never fills, not even in a new database. So nobody is signed in who signed out after the backup.
/// And no gateway counts as known that was heard of before the backup alone.
const OWN: [&str; 4] = ["session", "used_sign_in", "gateway", "gateway_state"];

/// Writes a copy of the database `from` to `to`, which must be an empty file. The copy shows the database at one
/// moment, even if others write meanwhile, and includes the write-ahead log.
pub async fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    Ok(copy_file(from, to).await?)
}

async fn copy_file(from: &Path, to: &Path) -> Result<(), Fault> {
    if !has_policy(from).await? {
        return Err(Error::NoPolicy.into());
    }
    let mut connection = read(from).await?;
    let to = to.to_str().ok_or_else(|| Error::Unavailable("the path of the copy is not UTF-8".to_owned()))?;
    sqlx::query("VACUUM INTO ?").bind(to).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether `file` is a database of this program.
pub async fn holds_policy(file: &Path) -> Result<bool, Error> {
    Ok(has_policy(file).await?)
}

async fn has_policy(file: &Path) -> Result<bool, Fault> {
    let mut connection = read(file).await?;
    let found = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'policy_state'";
    let found = sqlx::query_scalar(found).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}

async fn read(file: &Path) -> Result<SqliteConnection, Fault> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(BUSY_TIMEOUT);
    Ok(SqliteConnection::connect_with(&options).await?)
}

impl SqliteStore {
    /// Replaces all rows by those of `backup`, a database of this schema, in one change. The epoch is new, so all
    /// gateways fetch the full policy. The secret that signs cursors stays, because a running service has it in memory.
    pub async fn restore(&self, backup: &Path, act: &Act) -> Result<State, Error> {
        Ok(self.take_rows_of(backup, act).await?)
    }

    async fn take_rows_of(&self, backup: &Path, act: &Act) -> Result<State, Fault> {
        self.place.check()?;
        let mut connection = self.writer.acquire().await?;
        sqlx::query("ATTACH DATABASE ? AS backup")
            .bind(backup.to_str().unwrap_or_default())
            .execute(&mut *connection)
            .await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let before = read_state(&mut transaction).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT secret FROM history").fetch_one(&mut *transaction).await?;
        let tables = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations' \
                      AND name NOT LIKE 'sqlite^_%' ESCAPE '^'";
        for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&mut *transaction).await? {
            if OWN.contains(&table.as_str()) || (!self.is_new && LEFT.contains(&table.as_str())) {
                continue;
            }
            let statements = match table.as_str() {
                "earlier_epoch" => "INSERT OR IGNORE INTO main.earlier_epoch (epoch) \
                                    SELECT epoch FROM backup.earlier_epoch ORDER BY number"
                    .to_owned(),
                // Entries that the database has not get new places behind those that it has.
                "audit" => {
                    let columns = "word, at, actor, role, address, request_id, action, kind, id, revision, before, after, \
                                   reason, counts, also_total";
                    format!(
                        "INSERT OR IGNORE INTO main.audit ({columns}) SELECT {columns} FROM backup.audit ORDER BY seq"
                    )
                }
                kept if KEPT.contains(&kept) => {
                    format!("INSERT OR IGNORE INTO main.{table} SELECT * FROM backup.{table}")
                }
                _ => format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM backup.{table}"),
            };
            sqlx::raw_sql(&statements).execute(&mut *transaction).await?;
        }
        if !self.is_new {
            sqlx::query("UPDATE history SET secret = ?").bind(secret).execute(&mut *transaction).await?;
        }
        let restored = read_state(&mut transaction).await?;
        let state = history::replace(&mut transaction, &before, &restored, act).await?;
        self.place.check()?;
        transaction.commit().await?;
        sqlx::query("DETACH DATABASE backup").execute(&mut *connection).await?;
        self.latest.send_replace(Latest::of(&state));
        Ok(state)
    }
}
