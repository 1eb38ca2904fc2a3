//! Finds current rows: by id, by the feed's name, by application, API, plan and owner. Lists are in [`super::listed`].

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{
    PostgresStore, api_match, deny_target,
    fault::Fault,
    listed,
    state::{read_state, read_version},
    text::{text, texts},
    usage,
};
use management::port::{
    Error, Kind, Present, State, Version,
    list::{Filter, Page, Place, Sort},
    places::Clash,
    usage::{KeyUsed, UsageFilter, UsageRow},
};

#[async_trait]
impl Present for PostgresStore {
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
pub async fn find(connection: &mut PgConnection, kind: Kind, id: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = $1 AND id = $2")
        .bind(kind.number())
        .bind(text(id))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Finds the versions of `kind` with these ids.
pub async fn find_all(connection: &mut PgConnection, kind: Kind, ids: &[&str]) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = $1 AND id = ANY ($2)")
        .bind(kind.number())
        .bind(texts(ids.iter().copied()))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the version of `kind` with this name in the feed.
pub async fn find_identity(
    connection: &mut PgConnection,
    kind: Kind,
    identity: &str,
) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = $1 AND identity = $2")
        .bind(kind.number())
        .bind(text(identity))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Finds all keys and subscriptions of an application.
pub async fn of_application(connection: &mut PgConnection, application: &str) -> Result<Vec<Version>, Fault> {
    let rows =
        sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND application = $1 AND kind IN (3, 4)")
            .bind(text(application))
            .fetch_all(connection)
            .await?;
    rows.iter().map(read_version).collect()
}

/// Finds all subscriptions to an API.
pub async fn of_api(connection: &mut PgConnection, api: &str) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND api = $1")
        .bind(text(api))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_version).collect()
}

/// Finds one application or subscription that has this plan.
pub async fn of_plan(connection: &mut PgConnection, plan: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND plan = $1 LIMIT 1")
        .bind(text(plan))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Remembers the digests of keys among these rows that were revoked or regenerated, before the rows are removed or replaced.
pub async fn remember_revoked(connection: &mut PgConnection, seqs: &[i64]) -> Result<(), Fault> {
    sqlx::query(
        r#"
        INSERT INTO revoked_key
        SELECT identity FROM version WHERE seq = ANY ($1) AND kind = 3
            AND (document::jsonb ->> 'state' = 'REVOKED' OR document::jsonb ->> 'replaced_by' IS NOT NULL)
        ON CONFLICT DO NOTHING"#,
    )
    .bind(seqs)
    .execute(connection)
    .await?;
    Ok(())
}
