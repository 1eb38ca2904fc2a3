//! Deletes the far past. How far back it is kept is decided in [`crate::horizon`].

use sqlx::SqliteConnection;

use super::fault::Fault;
use crate::horizon::Past;

impl Past for SqliteConnection {
    type Fault = Fault;

    async fn end_of(&mut self, place: i64) -> Result<Option<i64>, Fault> {
        let ended = sqlx::query_scalar(
            "SELECT until_revision FROM version WHERE until_revision IS NOT NULL ORDER BY until_revision LIMIT 1 OFFSET ?",
        );
        Ok(ended.bind(place).fetch_optional(self).await?)
    }

    async fn made_by(&mut self, oldest: i64, looked_at: i64) -> Result<Option<i64>, Fault> {
        let held = sqlx::query_scalar(
            "SELECT max(revision) FROM (SELECT revision, at FROM revision_word ORDER BY revision LIMIT ?) WHERE at <= ?",
        );
        Ok(held.bind(looked_at).bind(oldest).fetch_one(self).await?)
    }
}

/// Deletes versions that ended at or before `horizon`. Returns their number.
pub(super) async fn up_to(connection: &mut SqliteConnection, horizon: i64) -> Result<i64, Fault> {
    let deleted = sqlx::query("DELETE FROM version WHERE until_revision <= ?").bind(horizon);
    let deleted = deleted.execute(&mut *connection).await?.rows_affected();
    sqlx::query("DELETE FROM revision_word WHERE revision < ?").bind(horizon).execute(connection).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}
