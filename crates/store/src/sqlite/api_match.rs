//! The table of hosts and paths of the current APIs ([`management::port::places`]).

use sqlx::{Row as _, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{fault::Fault, json::json};
use crate::lists::MAX_TOLD;
use management::port::{
    Kind,
    places::{Clash, Place, places},
};

/// Returns some pairs of APIs with the same place.
pub async fn clashes(connection: &mut SqliteConnection) -> Result<Vec<Clash>, Fault> {
    let rows = sqlx::query(
        "SELECT a.api AS meant, b.api AS shadowed, host, path FROM api_match a JOIN api_match b USING (host, path) \
         WHERE a.api < b.api ORDER BY host, path LIMIT ?",
    )
    .bind(MAX_TOLD)
    .fetch_all(connection)
    .await?;
    let clash = |row: &SqliteRow| {
        let place = Place { host: row.try_get("host")?, path: row.try_get("path")? };
        Ok(Clash { meant: row.try_get("meant")?, shadowed: row.try_get("shadowed")?, place })
    };
    rows.iter().map(clash).collect()
}

/// Finds another API than `api` with one of the places.
pub async fn api_at(
    connection: &mut SqliteConnection,
    places: &[Place],
    api: &str,
) -> Result<Option<(String, Place)>, Fault> {
    let row = sqlx::query(
        "SELECT m.api, m.host, m.path FROM json_each(?1) CROSS JOIN api_match m \
         ON m.host = value->>0 AND m.path = value->>1 WHERE m.api <> ?2 LIMIT 1",
    )
    .bind(json(&pairs(places))?)
    .bind(api)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((row.try_get("api")?, Place { host: row.try_get("host")?, path: row.try_get("path")? })))
        .transpose()
}

pub(super) async fn add(connection: &mut SqliteConnection, api: &str, document: &str) -> Result<(), Fault> {
    let places = places(document);
    if places.is_empty() {
        return Ok(());
    }
    sqlx::query("INSERT INTO api_match (host, path, api) SELECT value->>0, value->>1, ? FROM json_each(?)")
        .bind(api)
        .bind(json(&pairs(&places))?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut SqliteConnection, api: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM api_match WHERE api = ?").bind(api).execute(connection).await?;
    Ok(())
}

/// Fills the table in a database that was created before the table existed.
pub(super) async fn fill(writer: &SqlitePool) -> Result<(), Fault> {
    const EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM api_match)";
    const APIS: &str = "SELECT id, document FROM version WHERE until_revision IS NULL AND kind = ?";
    if !sqlx::query_scalar::<_, bool>(EMPTY).fetch_one(writer).await? {
        return Ok(());
    }
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have filled it meanwhile.
    if sqlx::query_scalar::<_, bool>(EMPTY).fetch_one(&mut *transaction).await? {
        for row in sqlx::query(APIS).bind(Kind::Api.number()).fetch_all(&mut *transaction).await? {
            let (api, document): (String, String) = (row.try_get("id")?, row.try_get("document")?);
            add(&mut transaction, &api, &document).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Places as pairs of host and path, as the statements read them.
fn pairs(places: &[Place]) -> Vec<(&String, &String)> {
    places.iter().map(|place| (&place.host, &place.path)).collect()
}
