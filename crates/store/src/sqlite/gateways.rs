//! Gateways that were heard of. The rules decide what their words mean ([`management::gateways`]).

use async_trait::async_trait;
use sqlx::{Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};
use tokio::sync::watch;

use super::{SqliteStore, fault::Fault, transaction::SqliteTransaction};
use crate::gateways::{REMOVED_KEPT_MS, announce};
use management::port::{
    Error,
    gateways::{GatewayRow, GatewayRows, Gateways, NotedGateway, NotedGateways, Wanted},
};

#[async_trait]
impl Gateways for SqliteStore {
    async fn note_gateways(&self, writer: &str, gateways: &[GatewayRow], _: i64) -> Result<i64, Error> {
        Ok(self.note(writer, gateways).await?)
    }

    async fn remove_gateways(&self, writer: &str, ids: &[&str], now: i64) -> Result<(), Error> {
        Ok(self.remove(writer, ids, now).await?)
    }

    async fn gateways_after(&self, number: i64, _: i64) -> Result<NotedGateways, Error> {
        Ok(after(&mut *self.reader().await?, number).await?)
    }

    fn gateway_changes(&self) -> watch::Receiver<i64> {
        self.gateways.subscribe()
    }

    /// Another service on this file looks twice a second, and notes what it hears every second.
    async fn want_gateways(&self, _: &str, _: u32) -> Result<(), Error> {
        Ok(())
    }

    fn gateways_wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }
}

#[async_trait]
impl GatewayRows for SqliteTransaction {
    async fn remove_gateway(&mut self, id: &str, now: i64) -> Result<Option<GatewayRow>, Error> {
        Ok(remove_one(self.connection(), id, now).await?)
    }
}

impl SqliteStore {
    async fn note(&self, writer: &str, gateways: &[GatewayRow]) -> Result<i64, Fault> {
        if gateways.is_empty() {
            return changes(&mut *self.reader().await?).await;
        }
        let mut transaction = self.lock().await?;
        let change = count_change(&mut transaction).await?;
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(
            "INSERT INTO gateway (id, client_id, first_at, heard_at, document, writer, removed, change) ",
        );
        query.push_values(gateways, |mut values, row| {
            values
                .push_bind(&row.id)
                .push_bind(&row.client_id)
                .push_bind(row.first_at)
                .push_bind(row.heard_at)
                .push_bind(&row.document)
                .push_bind(writer)
                .push("0")
                .push_bind(change);
        });
        // The time of a removed gateway is that of its removal, so only what was heard later brings it back.
        query.push(
            " ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at, document = excluded.document, \
             first_at = iif(removed, excluded.first_at, min(first_at, excluded.first_at)), \
             writer = excluded.writer, removed = 0, change = excluded.change \
             WHERE excluded.heard_at >= heard_at OR (writer = excluded.writer AND NOT removed)",
        );
        query.build().execute(&mut *transaction).await?;
        self.place.check()?;
        transaction.commit().await?;
        announce(&self.gateways, change);
        Ok(change)
    }

    async fn remove(&self, writer: &str, ids: &[&str], now: i64) -> Result<(), Fault> {
        let mut transaction = self.lock().await?;
        let change = count_change(&mut transaction).await?;
        sqlx::query(
            "UPDATE gateway SET removed = 1, heard_at = ?1, writer = ?2, change = ?3 \
             WHERE NOT removed AND id IN (SELECT value FROM json_each(?4))",
        )
        .bind(now)
        .bind(writer)
        .bind(change)
        .bind(serde_json::json!(ids).to_string())
        .execute(&mut *transaction)
        .await?;
        forget(&mut transaction, now).await?;
        self.place.check()?;
        transaction.commit().await?;
        announce(&self.gateways, change);
        Ok(())
    }

    /// Announces what other services on this file have noted.
    pub(super) async fn look_at_gateways(&self) -> Result<(), Fault> {
        announce(&self.gateways, changes(&mut *self.reader().await?).await?);
        Ok(())
    }
}

/// The number of changes of gateways.
pub async fn changes(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar("SELECT changes FROM gateway_state").fetch_one(connection).await?)
}

async fn count_change(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    let counted = sqlx::query_scalar("UPDATE gateway_state SET changes = changes + 1 RETURNING changes");
    Ok(counted.fetch_one(connection).await?)
}

async fn after(connection: &mut SqliteConnection, number: i64) -> Result<NotedGateways, Fault> {
    let statement = "SELECT changes, gateway.* FROM gateway_state LEFT JOIN gateway ON change > ?";
    let mut noted = NotedGateways::default();
    for row in sqlx::query(statement).bind(number).fetch_all(connection).await? {
        noted.number = row.try_get("changes")?;
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            noted.gateways.push(NotedGateway {
                row: read(&row)?,
                writer: row.try_get("writer")?,
                is_removed: row.try_get("removed")?,
            });
        }
    }
    Ok(noted)
}

fn read(row: &SqliteRow) -> Result<GatewayRow, Fault> {
    Ok(GatewayRow {
        id: row.try_get("id")?,
        client_id: row.try_get("client_id")?,
        first_at: row.try_get("first_at")?,
        heard_at: row.try_get("heard_at")?,
        document: row.try_get("document")?,
    })
}

async fn remove_one(connection: &mut SqliteConnection, id: &str, now: i64) -> Result<Option<GatewayRow>, Fault> {
    let found = sqlx::query("SELECT * FROM gateway WHERE id = ? AND NOT removed").bind(id);
    let Some(found) = found.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let change = count_change(&mut *connection).await?;
    let removed = sqlx::query("UPDATE gateway SET removed = 1, heard_at = ?, writer = '', change = ? WHERE id = ?");
    removed.bind(now).bind(change).bind(id).execute(&mut *connection).await?;
    forget(connection, now).await?;
    Ok(Some(read(&found)?))
}

/// Deletes the rows of gateways that were removed long ago.
async fn forget(connection: &mut SqliteConnection, now: i64) -> Result<(), Fault> {
    let before = now.saturating_sub(REMOVED_KEPT_MS);
    sqlx::query("DELETE FROM gateway WHERE removed AND heard_at < ?").bind(before).execute(connection).await?;
    Ok(())
}
