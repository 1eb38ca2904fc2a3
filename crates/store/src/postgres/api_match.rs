//! The table of hosts and paths of the current APIs ([`management::port::places`]).

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{fault::Fault, text::texts};
use crate::lists::MAX_TOLD;
use management::port::places::{Clash, Place, places};

/// Returns some pairs of APIs with the same place.
pub async fn clashes(connection: &mut PgConnection) -> Result<Vec<Clash>, Fault> {
    let rows = sqlx::query(
        r#"
        SELECT a.api AS meant, b.api AS shadowed, host, path
        FROM api_match a JOIN api_match b USING (host, path)
        WHERE a.api < b.api
        ORDER BY host, path LIMIT $1"#,
    )
    .bind(i64::from(MAX_TOLD))
    .fetch_all(connection)
    .await?;
    let clash = |row: &PgRow| {
        let place = Place { host: row.try_get("host")?, path: row.try_get("path")? };
        Ok(Clash { meant: row.try_get("meant")?, shadowed: row.try_get("shadowed")?, place })
    };
    rows.iter().map(clash).collect()
}

/// Finds another API than `api` with one of the matches `places`.
pub async fn api_at(
    connection: &mut PgConnection,
    places: &[Place],
    api: &str,
) -> Result<Option<(String, Place)>, Fault> {
    let (hosts, paths) = columns(places);
    let row = sqlx::query(
        r#"
        SELECT m.api, m.host, m.path
        FROM unnest($1::text[], $2::text[]) AS place (host, path)
        JOIN api_match m ON m.host = place.host AND m.path = place.path
        WHERE m.api <> $3 LIMIT 1"#,
    )
    .bind(hosts)
    .bind(paths)
    .bind(api)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((row.try_get("api")?, Place { host: row.try_get("host")?, path: row.try_get("path")? })))
        .transpose()
}

pub(super) async fn add(connection: &mut PgConnection, api: &str, document: &str) -> Result<(), Fault> {
    let places = places(document);
    if places.is_empty() {
        return Ok(());
    }
    let (hosts, paths) = columns(&places);
    sqlx::query(
        r#"
        INSERT INTO api_match (host, path, api)
        SELECT host, path, $3 FROM unnest($1::text[], $2::text[]) AS place (host, path)"#,
    )
    .bind(hosts)
    .bind(paths)
    .bind(api)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, apis: &[String]) -> Result<(), Fault> {
    sqlx::query("DELETE FROM api_match WHERE api = ANY ($1)").bind(apis).execute(connection).await?;
    Ok(())
}

fn columns(places: &[Place]) -> (Vec<String>, Vec<String>) {
    (texts(places.iter().map(|place| place.host.as_str())), texts(places.iter().map(|place| place.path.as_str())))
}
