//! Finds current rows: by id, by the feed's name, by application, API, plan and owner. Lists are in [`super::listed`].

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{
    SqliteStore, api_match, deny_target,
    fault::Fault,
    listed,
    state::{read_state, read_version},
    usage,
};
use management::port::{
    Error, Kind, Present, State, Version,
    list::{Filter, Page, Place, Sort},
    places::Clash,
    usage::{KeyUsed, UsageFilter, UsageRow},
};

#[async_trait]
impl Present for SqliteStore {
    async fn state(&self) -> Result<State, Error> {
        Ok(read_state(&mut *self.reader().await?).await?)
    }

    async fn find(&self, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
        Ok(find(&mut *self.reader().await?, kind, id).await?)
    }

    async fn find_identity(&self, kind: Kind, identity: &str) -> Result<Option<Version>, Error> {
        Ok(find_identity(&mut *self.reader().await?, kind, identity).await?)
    }

    async fn subscriptions_of(&self, application: &str) -> Result<Vec<Version>, Error> {
        let all = of_application(&mut *self.reader().await?, application).await?;
        Ok(all.into_iter().filter(|version| version.kind == Kind::Subscription).collect())
    }

    async fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        sort: Sort,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Page, Error> {
        Ok(listed::list(&mut *self.reader().await?, kind, filter, sort, after, limit).await?)
    }

    async fn applies(&self, documents: &[String]) -> Result<Vec<bool>, Error> {
        Ok(deny_target::applies(&mut *self.reader().await?, documents).await?)
    }

    async fn clashes(&self) -> Result<Vec<Clash>, Error> {
        Ok(api_match::clashes(&mut *self.reader().await?).await?)
    }

    async fn usage(&self, filter: &UsageFilter, after: Option<&UsageRow>, limit: u32) -> Result<Vec<UsageRow>, Error> {
        Ok(usage::list(&mut *self.reader().await?, filter, after, limit).await?)
    }

    async fn last_used(&self, ids: &[&str]) -> Result<Vec<KeyUsed>, Error> {
        Ok(usage::last_used(&mut *self.reader().await?, ids).await?)
    }
}

/// Finds the version of `kind` with this id.
pub async fn find(connection: &mut SqliteConnection, kind: Kind, id: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = ? AND id = ?")
        .bind(kind.number())
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Finds the versions of `kind` with these ids.
pub async fn find_all(connection: &mut SqliteConnection, kind: Kind, ids: &[&str]) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        "SELECT * FROM version WHERE until_revision IS NULL AND kind = ? AND id IN (SELECT value FROM json_each(?))",
    )
    .bind(kind.number())
    .bind(serde_json::json!(ids).to_string())
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the version of `kind` with this name in the feed.
pub async fn find_identity(
    connection: &mut SqliteConnection,
    kind: Kind,
    identity: &str,
) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = ? AND identity = ?")
        .bind(kind.number())
        .bind(identity)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Finds all keys and subscriptions of an application.
pub async fn of_application(connection: &mut SqliteConnection, application: &str) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND application = ? AND kind IN (?, ?)")
        .bind(application)
        .bind(Kind::Key.number())
        .bind(Kind::Subscription.number())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_version).collect()
}

/// Finds all subscriptions to an API.
pub async fn of_api(connection: &mut SqliteConnection, api: &str) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND api = ?")
        .bind(api)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_version).collect()
}

/// Finds one application or subscription with this plan.
pub async fn of_plan(connection: &mut SqliteConnection, plan: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND plan = ? LIMIT 1")
        .bind(plan)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Remembers the digests of keys that were revoked or regenerated, before the rows at `places`, a JSON array of `seq`, are
/// removed or replaced.
pub async fn remember_revoked(connection: &mut SqliteConnection, places: &str) -> Result<(), Fault> {
    sqlx::query(
        "INSERT OR IGNORE INTO revoked_key SELECT identity FROM version \
         WHERE seq IN (SELECT value FROM json_each(?)) AND kind = 3 AND (json_extract(document, '$.state') = 'REVOKED' \
         OR json_extract(document, '$.replaced_by') IS NOT NULL)",
    )
    .bind(places)
    .execute(connection)
    .await?;
    Ok(())
}
