//! Finding what holds now: by id, by the feed's name, in lists, by whom it belongs to.

use sqlx::{Sqlite, SqliteConnection};

use super::{Error, Kind, Store, Version};

/// Which rows a list has.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
}

impl Store {
    /// The version of `kind` with this id.
    pub async fn find(&self, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
        find(&mut *self.readers.acquire().await?, kind, id).await
    }

    /// At most `limit` rows of `kind` in the order of their ids, from the first after `after`.
    pub async fn list(&self, kind: Kind, filter: &Filter, after: &str, limit: u32) -> Result<Vec<Version>, Error> {
        let mut query =
            sqlx::QueryBuilder::<Sqlite>::new("SELECT * FROM version WHERE until_revision IS NULL AND kind = ");
        query.push_bind(kind.number()).push(" AND id > ").push_bind(after);
        if let Some(application) = &filter.application {
            query.push(" AND application = ").push_bind(application);
        }
        if let Some(api) = &filter.api {
            query.push(" AND api = ").push_bind(api);
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *self.readers.acquire().await?).await?;
        rows.iter().map(Version::from_row).collect()
    }
}

/// The version of `kind` with this id.
pub async fn find(connection: &mut SqliteConnection, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = ? AND id = ?")
        .bind(kind.number())
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Version::from_row).transpose()
}

/// The version of `kind` that the feed knows by this name.
pub async fn find_identity(
    connection: &mut SqliteConnection,
    kind: Kind,
    identity: &str,
) -> Result<Option<Version>, Error> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND kind = ? AND identity = ?")
        .bind(kind.number())
        .bind(identity)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Version::from_row).transpose()
}

/// All keys and subscriptions of an application.
pub async fn of_application(connection: &mut SqliteConnection, application: &str) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND application = ? AND kind IN (?, ?)")
        .bind(application)
        .bind(Kind::Key.number())
        .bind(Kind::Subscription.number())
        .fetch_all(connection)
        .await?;
    rows.iter().map(Version::from_row).collect()
}

/// All subscriptions to an API.
pub async fn of_api(connection: &mut SqliteConnection, api: &str) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND api = ?")
        .bind(api)
        .fetch_all(connection)
        .await?;
    rows.iter().map(Version::from_row).collect()
}

/// One application or subscription that names this plan.
pub async fn of_plan(connection: &mut SqliteConnection, plan: &str) -> Result<Option<Version>, Error> {
    let row = sqlx::query("SELECT * FROM version WHERE until_revision IS NULL AND plan = ? LIMIT 1")
        .bind(plan)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Version::from_row).transpose()
}

/// Remembers the digest of the key in this row, if it is revoked: the row goes, or is replaced.
pub async fn remember_revoked(connection: &mut SqliteConnection, seq: i64) -> Result<(), Error> {
    sqlx::query(
        "INSERT OR IGNORE INTO revoked_key SELECT identity FROM version \
         WHERE seq = ? AND kind = 3 AND json_extract(document, '$.state') = 'REVOKED'",
    )
    .bind(seq)
    .execute(connection)
    .await?;
    Ok(())
}
