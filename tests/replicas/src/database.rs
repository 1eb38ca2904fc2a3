//! A database for one run, the rate of its plain commits, and its rows, read without the service.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection, SqliteConnection};
use testkit::{Error, Result, postgres::Postgres};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Postgres,
    Sqlite,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// A durable database: committed data is on the disk.
pub struct Database {
    pub kind: Kind,
    pub url: String,
    pub service: PathBuf,
    pub folder: tempfile::TempDir,
    server: Option<Postgres>,
}

impl Database {
    pub async fn start(kind: Kind, service: &Path) -> Result<Self> {
        // Beside the sources, because a temporary folder may be in memory.
        std::fs::create_dir_all("target").map_err(Error::io("making target"))?;
        let folder = tempfile::Builder::new().prefix("bench-service-").tempdir_in("target");
        let folder = folder.map_err(Error::io("making a folder"))?;
        let service = service.canonicalize().map_err(Error::io(format!("looking for {}", service.display())))?;
        let (server, url) = match kind {
            Kind::Postgres => {
                let server = Postgres::start(&[])?;
                let url = server.database()?;
                (Some(server), url)
            }
            Kind::Sqlite => {
                let file = folder.path().join("policy.db");
                let file = std::path::absolute(file).map_err(Error::io("a path"))?;
                (None, format!("sqlite:{}", file.display()))
            }
        };
        Ok(Self { kind, url, service, folder, server })
    }

    /// Sequential commits per second, with one row each, in a separate table.
    pub async fn floor(&self, during: Duration) -> Result<f64> {
        match &self.server {
            Some(server) => {
                let url = server.database()?;
                let mut connection = PgConnection::connect(&url).await.map_err(failed)?;
                sqlx::query("CREATE TABLE floor (n bigint)").execute(&mut connection).await.map_err(failed)?;
                let (begun, mut count) = (Instant::now(), 0);
                while begun.elapsed() < during {
                    let insert = sqlx::query("INSERT INTO floor VALUES ($1)").bind(count);
                    insert.execute(&mut connection).await.map_err(failed)?;
                    count += 1_i64;
                }
                Ok(count as f64 / begun.elapsed().as_secs_f64())
            }
            None => {
                let url = format!("sqlite:{}?mode=rwc", self.folder.path().join("floor.db").display());
                let mut connection = SqliteConnection::connect(&url).await.map_err(failed)?;
                for setting in
                    ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE floor (n INTEGER)"]
                {
                    sqlx::query(setting).execute(&mut connection).await.map_err(failed)?;
                }
                let (begun, mut count) = (Instant::now(), 0);
                while begun.elapsed() < during {
                    let insert = sqlx::query("INSERT INTO floor VALUES (?)").bind(count);
                    insert.execute(&mut connection).await.map_err(failed)?;
                    count += 1_i64;
                }
                Ok(count as f64 / begun.elapsed().as_secs_f64())
            }
        }
    }

    /// Kind number and identity of every current row.
    pub async fn rows(&self) -> Result<BTreeSet<(i64, String)>> {
        const ROWS: &str = "SELECT CAST(kind AS BIGINT), identity FROM version WHERE until_revision IS NULL";
        let rows = match self.kind {
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.map_err(failed)?;
                sqlx::query_as(ROWS).fetch_all(&mut connection).await.map_err(failed)?
            }
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.map_err(failed)?;
                sqlx::query_as(ROWS).fetch_all(&mut connection).await.map_err(failed)?
            }
        };
        Ok(rows.into_iter().collect())
    }
}

pub fn failed(error: sqlx::Error) -> Error {
    Error::Io { what: "asking the database".to_owned(), error: std::io::Error::other(error) }
}
