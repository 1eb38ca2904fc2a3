//! Rows that are due: the service must write them again. What they mean, the rules know.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteStore, fault::Fault, state::read_version, transaction::SqliteTransaction};
use management::port::{
    Error, Version,
    due::{DueRows, Dues},
};

#[async_trait]
impl Dues for SqliteStore {
    async fn next_due(&self) -> Result<Option<i64>, Error> {
        Ok(next(&mut *self.reader().await?).await?)
    }
}

#[async_trait]
impl DueRows for SqliteTransaction {
    async fn due(&mut self, now: i64, limit: usize) -> Result<Vec<Version>, Error> {
        Ok(due(self.connection(), now, limit).await?)
    }
}

async fn next(connection: &mut SqliteConnection) -> Result<Option<i64>, Fault> {
    let next =
        "SELECT min(due) FROM version INDEXED BY version_by_due WHERE until_revision IS NULL AND due IS NOT NULL";
    Ok(sqlx::query_scalar(next).fetch_one(connection).await?)
}

async fn due(connection: &mut SqliteConnection, now: i64, limit: usize) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        "SELECT * FROM version INDEXED BY version_by_due \
         WHERE until_revision IS NULL AND due IS NOT NULL AND due <= ? ORDER BY due, seq LIMIT ?",
    );
    let rows = rows.bind(now).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(connection).await?;
    rows.iter().map(read_version).collect()
}
