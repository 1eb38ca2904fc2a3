//! Finding what holds now: by id, by the feed's name, by whom it belongs to. Lists are in [`super::listed`].

use sqlx::SqliteConnection;

use super::{Error, Kind, Store, Version};

impl Store {
    /// The version of `kind` with this id.
    pub async fn find(&self, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
        find(&mut *self.readers.acquire().await?, kind, id).await
    }

    /// The version of `kind` that the feed knows by this name.
    pub async fn find_identity(&self, kind: Kind, identity: &str) -> Result<Option<Version>, Error> {
        find_identity(&mut *self.readers.acquire().await?, kind, identity).await
    }

    /// All subscriptions of an application.
    pub async fn subscriptions_of(&self, application: &str) -> Result<Vec<Version>, Error> {
        let all = of_application(&mut *self.readers.acquire().await?, application).await?;
        Ok(all.into_iter().filter(|version| version.kind == Kind::Subscription).collect())
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
