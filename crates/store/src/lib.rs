//! Databases of the policy service: implementations of the port ([`management::port`]), one folder each.
//!
//! To add a database, add a folder beside [`sqlite`] and [`postgres`] and a line in `tests/conformance`, which tests
//! every database. The databases share everything that is not SQL: judging a loss, adding up usage, the size of a page.

mod announce;
mod differences;
mod doubt;
mod entries;
mod gateways;
mod horizon;
mod lists;
mod loss;
mod owners;
mod pages;
pub mod postgres;
mod random;
mod settings;
pub mod sqlite;
mod times;
mod totals;

use std::sync::Arc;

use management::port::{Error, Store};

pub use self::{
    postgres::PostgresStore,
    settings::Settings,
    sqlite::{SqliteStore, beside, copy, file_of},
};

/// Opens the database at `url`, `sqlite:FILE` or `postgres://HOST/DATABASE`, and migrates it. Creates SQLite's file if
/// it does not exist.
pub async fn open(url: &str, settings: Settings) -> Result<Store, Error> {
    if postgres::is_url(url) {
        return Ok(Arc::new(PostgresStore::open(url, settings).await?));
    }
    Ok(Arc::new(SqliteStore::open(url, settings).await?))
}

/// The URL for messages and logs, without user, password and options.
pub fn shown(url: &str) -> String {
    if postgres::is_url(url) { postgres::shown(url) } else { url.to_owned() }
}
