//! The databases that are tested, and how a new one of each is made.

use std::sync::Arc;

use management::port::Store;
use store::{PostgresStore, Settings, SqliteStore};
use testkit::postgres::Postgres;

/// A test's own database. It is deleted with the directory.
pub struct Opened {
    pub store: Store,
    /// Where it is, for a further service on it.
    pub url: String,
    _place: Option<tempfile::TempDir>,
}

/// So many versions that hold no more are kept.
pub async fn sqlite(history_rows: i64) -> Opened {
    let place = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", place.path().join("policy.db").display());
    let settings = Settings { history_rows, ..Settings::default() };
    let store = Arc::new(SqliteStore::open(&url, settings).await.unwrap());
    Opened { store, url, _place: Some(place) }
}

/// So many versions that hold no more are kept.
pub async fn postgres(history_rows: i64) -> Opened {
    let url = Postgres::shared().unwrap().database().unwrap();
    let settings = Settings { history_rows, ..Settings::default() };
    let store = Arc::new(PostgresStore::open(&url, settings).await.unwrap());
    Opened { store, url, _place: None }
}
