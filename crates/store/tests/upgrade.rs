//! A PostgreSQL database of the first schema: services that start on it at once bring it up to date, one of them, and keep
//! what it holds. (SQLite's earlier schemas are opened in the tests of the program.)
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{borrow::Cow, path::Path};

use management::port::{
    History as _, Kind, Present as _,
    list::{Column, Filter, Sort},
};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};
use store::{PostgresStore, Settings};
use testkit::postgres::Postgres;

/// The last migration of the first schema.
const FIRST: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn services_that_start_at_once_on_an_earlier_schema_bring_it_up_to_date_together() {
    let url = Postgres::shared().unwrap().database().unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/postgres/migrations");
    let mut migrator = Migrator::new(migrations).await.unwrap();
    let all = migrator.iter().count();
    let first: Vec<_> = migrator.iter().filter(|migration| migration.version <= FIRST).cloned().collect();
    migrator.migrations = Cow::Owned(first);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    migrator.run_direct(&mut connection).await.unwrap();
    for statement in [
        "INSERT INTO policy_state VALUES (1, 'an-epoch', 1, 42, 0, 0, 1, 0, 0, false, \
         decode(repeat('07', 32), 'hex'), 0, 1, 0, 0, 0, 0)",
        "INSERT INTO revision_word (revision, word) VALUES (0, 41), (1, 42)",
        "INSERT INTO version (seq, kind, id, identity, application, from_revision, document) VALUES \
         (1, 2, 'app', 'app', 'app', 1, '{\"id\":\"app\",\"owner\":\"alice\",\"state\":\"ACTIVE\"}')",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::open(&url, Settings::default()).await })
        })
        .collect();
    for one in opening {
        let store = one.await.unwrap().unwrap();
        let state = store.state().await.unwrap();
        assert_eq!((state.epoch.as_str(), state.revision, state.word), ("an-epoch", 1, 42));
        assert!(store.find(Kind::Application, "app").await.unwrap().is_some());
        let filter = Filter { owner: Some("alice".to_owned()), ..Filter::default() };
        let sort = Sort { column: Column::Id, descending: false };
        assert_eq!(store.list(Kind::Application, &filter, sort, None, 10).await.unwrap().total, 1);
        assert!(store.snapshot().await.unwrap().word(0).await.is_ok());
    }
    let done: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(usize::try_from(done).unwrap(), all);
}
