//! Gateways that were heard of. The rules decide what their words mean ([`management::gateways`]).
//!
//! Times in the tables are those of the server's clock. Each service turns them into its own, so that replicas with
//! different clocks agree on who is silent. None of these statements waits for a change of the policy.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use tokio::sync::watch;

use super::{PostgresStore, fault::Fault, notify, text::text, text::texts, transaction::PostgresTransaction};
use crate::gateways::{REMOVED_KEPT_MS, announce};
use management::port::{
    Error,
    gateways::{GatewayRow, GatewayRows, Gateways, NotedGateway, NotedGateways, Wanted},
};

#[async_trait]
impl Gateways for PostgresStore {
    async fn note_gateways(&self, writer: &str, gateways: &[GatewayRow], now: i64) -> Result<i64, Error> {
        Ok(self.note(writer, gateways, now).await?)
    }

    async fn remove_gateways(&self, writer: &str, ids: &[&str], _: i64) -> Result<(), Error> {
        Ok(self.remove(writer, ids).await?)
    }

    async fn gateways_after(&self, number: i64, now: i64) -> Result<NotedGateways, Error> {
        Ok(after(&mut *self.reader().await?, number, now).await?)
    }

    fn gateway_changes(&self) -> watch::Receiver<i64> {
        self.gateways.subscribe()
    }

    async fn want_gateways(&self, writer: &str, seconds: u32) -> Result<(), Error> {
        let payload = notify::wanted(writer, seconds);
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(&*self.channel).bind(payload);
        told.execute(&mut **self.reader().await?).await.map_err(Fault::from)?;
        Ok(())
    }

    fn gateways_wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }
}

#[async_trait]
impl GatewayRows for PostgresTransaction {
    async fn remove_gateway(&mut self, id: &str, _: i64) -> Result<Option<GatewayRow>, Error> {
        let channel = self.channel();
        Ok(remove_one(self.connection(), &channel, id).await?)
    }
}

/// The server's clock when the statement began, Unix milliseconds. So a wait for the number of the change adds nothing.
macro_rules! clock {
    () => {
        "(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
    };
}

/// Counts a change of gateways, and locks the number until the change is there to be read.
const COUNT: &str = "UPDATE gateway_state SET changes = changes + 1 RETURNING changes";

impl PostgresStore {
    async fn note(&self, writer: &str, gateways: &[GatewayRow], now: i64) -> Result<i64, Fault> {
        if gateways.is_empty() {
            return changes(&mut *self.reader().await?).await;
        }
        // The time of a removed gateway is that of its removal, so only what was heard later brings it back.
        let change: i64 = sqlx::query_scalar(concat!(
            "WITH counted AS (UPDATE gateway_state SET changes = changes + 1 RETURNING changes), ",
            "noted AS (INSERT INTO gateway AS held (id, client_id, first_at, heard_at, document, writer, removed, change) ",
            "SELECT id, client_id, first_at - $1 + ",
            clock!(),
            ", heard_at - $1 + ",
            clock!(),
            ", document, $2, false, changes FROM counted, ",
            "unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) ",
            "AS new (id, client_id, first_at, heard_at, document) ",
            "ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at, document = excluded.document, ",
            "first_at = CASE WHEN held.removed THEN excluded.first_at ELSE least(held.first_at, excluded.first_at) END, ",
            "writer = excluded.writer, removed = false, change = excluded.change ",
            "WHERE excluded.heard_at >= held.heard_at OR (held.writer = excluded.writer AND NOT held.removed)) ",
            "SELECT changes FROM counted, pg_notify($8, $9)"
        ))
        .bind(now)
        .bind(writer)
        .bind(texts(gateways.iter().map(|row| row.id.as_str())))
        .bind(texts(gateways.iter().map(|row| row.client_id.as_str())))
        .bind(gateways.iter().map(|row| row.first_at).collect::<Vec<_>>())
        .bind(gateways.iter().map(|row| row.heard_at).collect::<Vec<_>>())
        .bind(texts(gateways.iter().map(|row| row.document.as_str())))
        .bind(&*self.channel)
        .bind(notify::GATEWAYS)
        .fetch_one(&mut **self.reader().await?)
        .await?;
        announce(&self.gateways, change);
        Ok(change)
    }

    async fn remove(&self, writer: &str, ids: &[&str]) -> Result<(), Fault> {
        let mut connection = self.reader().await?;
        let change: i64 = sqlx::query_scalar(concat!(
            "WITH counted AS (UPDATE gateway_state SET changes = changes + 1 RETURNING changes), ",
            "removed AS (UPDATE gateway SET removed = true, writer = $1, change = changes, heard_at = ",
            clock!(),
            " FROM counted WHERE NOT removed AND id = ANY ($2)) ",
            "SELECT changes FROM counted, pg_notify($3, $4)"
        ))
        .bind(writer)
        .bind(texts(ids.iter().copied()))
        .bind(&*self.channel)
        .bind(notify::GATEWAYS)
        .fetch_one(&mut **connection)
        .await?;
        forget(&mut connection).await?;
        announce(&self.gateways, change);
        Ok(())
    }

    /// Announces what other services have noted. Errors are ignored here; the next look-up reports them.
    pub(super) async fn look_at_gateways(&self) {
        let looked = async { changes(&mut *self.reader().await?).await };
        if let Ok(number) = looked.await {
            announce(&self.gateways, number);
        }
    }

    /// Announces that another service waits for gateways.
    pub(super) fn announce_wanted(&self, by: &str, seconds: u32) {
        self.wanted.send_modify(|wanted| {
            *wanted = Wanted { by: by.to_owned(), seconds, number: wanted.number.saturating_add(1) };
        });
    }
}

/// The number of changes of gateways.
pub async fn changes(connection: &mut PgConnection) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar("SELECT changes FROM gateway_state").fetch_one(connection).await?)
}

async fn after(connection: &mut PgConnection, number: i64, now: i64) -> Result<NotedGateways, Fault> {
    let statement = concat!(
        "SELECT changes, ",
        clock!(),
        " AS server_now, gateway.* FROM gateway_state LEFT JOIN gateway ON change > $1"
    );
    let mut noted = NotedGateways::default();
    for row in sqlx::query(statement).bind(number).fetch_all(connection).await? {
        noted.number = row.try_get("changes")?;
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            let ahead = now.saturating_sub(row.try_get("server_now")?);
            noted.gateways.push(NotedGateway {
                row: read(&row, ahead)?,
                writer: row.try_get("writer")?,
                is_removed: row.try_get("removed")?,
            });
        }
    }
    Ok(noted)
}

/// `ahead`: how far the caller's clock is ahead of the server's.
fn read(row: &PgRow, ahead: i64) -> Result<GatewayRow, Fault> {
    let time = |name: &str| Ok::<_, Fault>(row.try_get::<i64, _>(name)?.saturating_add(ahead));
    Ok(GatewayRow {
        id: row.try_get("id")?,
        client_id: row.try_get("client_id")?,
        first_at: time("first_at")?,
        heard_at: time("heard_at")?,
        document: row.try_get("document")?,
    })
}

async fn remove_one(connection: &mut PgConnection, channel: &str, id: &str) -> Result<Option<GatewayRow>, Fault> {
    let change: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *connection).await?;
    let removed = sqlx::query(concat!(
        "UPDATE gateway SET removed = true, writer = '', change = $1, heard_at = ",
        clock!(),
        " WHERE NOT removed AND id = $2 RETURNING *"
    ));
    let removed = removed.bind(change).bind(text(id)).fetch_optional(&mut *connection).await?;
    forget(&mut *connection).await?;
    let told = sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(notify::GATEWAYS);
    told.execute(connection).await?;
    removed.as_ref().map(|row| read(row, 0)).transpose()
}

/// Deletes the rows of gateways that were removed long ago.
async fn forget(connection: &mut PgConnection) -> Result<(), Fault> {
    let forgotten = concat!("DELETE FROM gateway WHERE removed AND heard_at < ", clock!(), " - $1");
    sqlx::query(forgotten).bind(REMOVED_KEPT_MS).execute(connection).await?;
    Ok(())
}
