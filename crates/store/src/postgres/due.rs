//! Rows that are due: the service must write them again. What they mean, the rules know.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{PostgresStore, fault::Fault, state::read_version, transaction::PostgresTransaction};
use management::port::{
    Error, Version,
    due::{DueRows, Dues},
};

#[async_trait]
impl Dues for PostgresStore {
    async fn next_due(&self) -> Result<Option<i64>, Error> {
        Ok(next(&mut *self.reader().await?).await?)
    }
}

#[async_trait]
impl DueRows for PostgresTransaction {
    async fn due(&mut self, now: i64, limit: usize) -> Result<Vec<Version>, Error> {
        Ok(due(self.connection(), now, limit).await?)
    }
}

async fn next(connection: &mut PgConnection) -> Result<Option<i64>, Fault> {
    let next = "SELECT due FROM version WHERE until_revision IS NULL AND due IS NOT NULL ORDER BY due, seq LIMIT 1";
    Ok(sqlx::query_scalar(next).fetch_optional(connection).await?)
}

async fn due(connection: &mut PgConnection, now: i64, limit: usize) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        r#"
        SELECT * FROM version WHERE until_revision IS NULL AND due IS NOT NULL AND due <= $1
        ORDER BY due, seq LIMIT $2"#,
    );
    let rows = rows.bind(now).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(connection).await?;
    rows.iter().map(read_version).collect()
}
