//! What a restore does with many rows at once.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{fault::Fault, transaction::SqliteTransaction};
use management::port::{Error, Transaction as _, many::ManyRows};

#[async_trait]
impl ManyRows for SqliteTransaction {
    async fn with_dependents(&mut self, applications: &[&str]) -> Result<HashSet<String>, Error> {
        let found = sqlx::query_scalar(
            "SELECT DISTINCT application FROM version WHERE until_revision IS NULL AND kind IN (3, 4) \
             AND application IN (SELECT value FROM json_each(?))",
        );
        let found = found.bind(list(applications)).fetch_all(self.connection()).await.map_err(Fault::from)?;
        Ok(found.into_iter().collect())
    }

    async fn forget_keys(&mut self, ids: &[&str]) -> Result<(), Error> {
        let forgotten = sqlx::query("DELETE FROM key_use WHERE id IN (SELECT value FROM json_each(?))").bind(list(ids));
        forgotten.execute(self.connection()).await.map_err(Fault::from)?;
        Ok(())
    }

    async fn forget_totals_of(&mut self, applications: &[&str]) -> Result<(), Error> {
        let (now, applications) = (self.act().now, list(applications));
        let totals = sqlx::query("DELETE FROM usage_total WHERE application IN (SELECT value FROM json_each(?))");
        totals.bind(&applications).execute(self.connection()).await.map_err(Fault::from)?;
        let cuts =
            sqlx::query("INSERT OR REPLACE INTO usage_cut (application, deleted_at) SELECT value, ? FROM json_each(?)");
        cuts.bind(now).bind(applications).execute(self.connection()).await.map_err(Fault::from)?;
        Ok(())
    }
}

fn list(values: &[&str]) -> String {
    serde_json::json!(values).to_string()
}
