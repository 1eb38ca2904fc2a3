//! Hosts and paths of the current APIs: which two APIs would be meant by the same requests.
//!
//! A row of an API is read with the filter's own parser, so hosts and paths are compared here as the filter compares
//! them. Whether a clash is refused is decided in management.

use keygate::{
    policy::{rows, wire},
    request::hostname::HostPattern,
};
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::{Error, Kind, Store, change::Change};

/// Clashes that are told of one by one.
const MAX_TOLD: u32 = 20;

/// One host and one path of an API, in the form in which they are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A name, or a suffix that begins with a dot; empty: any host.
    pub host: String,
    /// The path, without a slash at its end.
    pub path: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.host.starts_with('.') { "*" } else { "" };
        let host = if self.host.is_empty() { "any host" } else { &self.host };
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{star}{host} with the path {path}")
    }
}

/// Two APIs at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The API with the smaller id, which gateways take to be meant.
    pub meant: String,
    /// The other one.
    pub shadowed: String,
    /// Where.
    pub place: Place,
}

/// The places of an API, each once; `document` is its row. A row that the filter cannot read has none.
pub fn places(document: &str) -> Vec<Place> {
    let row = serde_json::from_str::<wire::ApiRow<'_>>(document).ok();
    let Some(api) = row.and_then(|row| rows::Api::try_from(row).ok()) else { return Vec::new() };
    let mut places = Vec::new();
    for one in &api.matches {
        let path = text(one.path.as_bytes());
        match &one.hosts {
            None => places.push(Place { host: String::new(), path }),
            Some(hosts) => places.extend(hosts.iter().map(|host| {
                let (HostPattern::Exact(host) | HostPattern::Suffix(host)) = host;
                Place { host: text(host), path: path.clone() }
            })),
        }
    }
    places.sort();
    places.dedup();
    places
}

/// The parser lets through only ASCII.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Store {
    /// Some of the APIs that stand at one place. They were stored before such rows were refused.
    pub async fn clashes(&self) -> Result<Vec<Clash>, Error> {
        let rows = sqlx::query(
            "SELECT a.api AS meant, b.api AS shadowed, host, path FROM api_match a JOIN api_match b USING (host, path) \
             WHERE a.api < b.api ORDER BY host, path LIMIT ?",
        )
        .bind(MAX_TOLD)
        .fetch_all(&mut *self.readers.acquire().await?)
        .await?;
        let clash = |row: &sqlx::sqlite::SqliteRow| {
            let place = Place { host: row.try_get("host")?, path: row.try_get("path")? };
            Ok(Clash { meant: row.try_get("meant")?, shadowed: row.try_get("shadowed")?, place })
        };
        rows.iter().map(clash).collect()
    }
}

impl Change {
    /// Another API than `api` that stands at one of `places`.
    pub async fn api_at(&mut self, places: &[Place], api: &str) -> Result<Option<(String, Place)>, Error> {
        let row = sqlx::query(
            "SELECT m.api, m.host, m.path FROM json_each(?1) CROSS JOIN api_match m \
             ON m.host = value->>0 AND m.path = value->>1 WHERE m.api <> ?2 LIMIT 1",
        )
        .bind(json(places)?)
        .bind(api)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok((row.try_get("api")?, Place { host: row.try_get("host")?, path: row.try_get("path")? })))
            .transpose()
    }
}

pub(super) async fn add(connection: &mut SqliteConnection, api: &str, document: &str) -> Result<(), Error> {
    let places = places(document);
    if places.is_empty() {
        return Ok(());
    }
    sqlx::query("INSERT INTO api_match (host, path, api) SELECT value->>0, value->>1, ? FROM json_each(?)")
        .bind(api)
        .bind(json(&places)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut SqliteConnection, api: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM api_match WHERE api = ?").bind(api).execute(connection).await?;
    Ok(())
}

/// Fills the table of a database from before there was one.
pub(super) async fn fill(writer: &SqlitePool) -> Result<(), Error> {
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

fn json(places: &[Place]) -> Result<String, Error> {
    let pairs: Vec<_> = places.iter().map(|place| (&place.host, &place.path)).collect();
    serde_json::to_string(&pairs).map_err(|_| Error::Damaged("places that are no JSON"))
}
