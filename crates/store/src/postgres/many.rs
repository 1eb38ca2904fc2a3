//! What a restore does with many rows at once.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{fault::Fault, text::texts, transaction::PostgresTransaction};
use management::port::{Error, Transaction as _, many::ManyRows};

#[async_trait]
impl ManyRows for PostgresTransaction {
    async fn with_dependents(&mut self, applications: &[&str]) -> Result<HashSet<String>, Error> {
        let found = sqlx::query_scalar(
            r#"
            SELECT DISTINCT application FROM version
            WHERE until_revision IS NULL AND kind IN (3, 4) AND application = ANY ($1)"#,
        );
        let found = found.bind(texts(applications.iter().copied())).fetch_all(self.connection()).await;
        Ok(found.map_err(Fault::from)?.into_iter().collect())
    }

    async fn forget_keys(&mut self, ids: &[&str]) -> Result<(), Error> {
        let forgotten = sqlx::query("DELETE FROM key_use WHERE id = ANY ($1)").bind(texts(ids.iter().copied()));
        forgotten.execute(self.connection()).await.map_err(Fault::from)?;
        Ok(())
    }

    async fn forget_totals_of(&mut self, applications: &[&str]) -> Result<(), Error> {
        let (now, applications) = (self.act().now, texts(applications.iter().copied()));
        let totals = sqlx::query("DELETE FROM usage_total WHERE application = ANY ($1)").bind(&applications);
        totals.execute(self.connection()).await.map_err(Fault::from)?;
        let cuts = sqlx::query(
            r#"
            INSERT INTO usage_cut (application, deleted_at) SELECT application, $2 FROM unnest($1::text[]) AS gone (application)
            ON CONFLICT (application) DO UPDATE SET deleted_at = excluded.deleted_at, made_at = NULL"#,
        );
        cuts.bind(applications).bind(now).execute(self.connection()).await.map_err(Fault::from)?;
        Ok(())
    }
}
