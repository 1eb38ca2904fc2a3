//! Checks that PostgreSQL finds a row by the index that names it, also before the table has statistics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{PostgresStore, Settings};
use testkit::postgres::Postgres;

/// Statements of the store, and the index that each one needs. With another index it reads all rows of a kind.
const STATEMENTS: [(&str, &str); 5] = [
    ("SELECT * FROM version WHERE until_revision IS NULL AND kind = $1 AND id = $2", "version_by_id"),
    ("SELECT * FROM version WHERE until_revision IS NULL AND kind = $1 AND identity = $2", "version_by_identity"),
    ("SELECT * FROM version WHERE until_revision IS NOT NULL AND kind = $1 AND id = $2", "version_past_by_id"),
    ("SELECT * FROM version WHERE until_revision IS NOT NULL AND kind = $1 AND identity = $2", "version_past"),
    ("SELECT owner FROM listed WHERE kind = $1 AND id = $2", "listed_pkey"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_found_by_the_index_that_names_it_without_statistics() {
    let url = Postgres::shared().unwrap().database().unwrap();
    let _store = PostgresStore::open(&url, Settings::default()).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // A service prepares its statements when the tables are empty, and keeps the plans.
    connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off").await.unwrap();
    for (number, (statement, index)) in STATEMENTS.into_iter().enumerate() {
        connection.execute(&*format!("PREPARE s{number} (smallint, text) AS {statement}")).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE s{number} (3, 'k')");
        let plan: Vec<String> = sqlx::query_scalar(&explain).fetch_all(&mut connection).await.unwrap();
        let plan = plan.join("\n");
        let found = plan.split_whitespace().any(|word| word == index);
        assert!(
            found && plan.contains("kind = ") && !plan.contains("Filter"),
            "{statement}\nexpected {index}:\n{plan}"
        );
    }
}
