//! A database that goes away, comes back, accepts no changes or is slow, while a service runs.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{deadline::eventually, postgres::Postgres};

use super::service::{database, name_of, serve};
use crate::support::{digest, program::Program};

/// How long the service may take to notice a change of the database's state.
const SOON: Duration = Duration::from_secs(30);

/// The status and the body of `/healthz/write`.
async fn health(service: &Program) -> (u16, String) {
    service.get("/healthz/write").await
}

async fn becomes(service: &Program, status: u16, words: &str) {
    let look = async || {
        let found = health(service).await;
        if found.0 == status && found.1.contains(words) { Ok(()) } else { Err(format!("{found:?}")) }
    };
    eventually(format!("{status} {words}"), SOON, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_told_of_and_comes_back_by_itself() {
    let mut server = Postgres::start(&["fsync=off"]).unwrap();
    let url = server.database().unwrap();
    let service = serve(&url);
    service.seed().await;
    becomes(&service, 200, "").await;
    let held = service.held_poll("/v1/policy?since=4", 3);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| server.stop());
        service.logs("requests are refused until it can").await;
        let begun = Instant::now();
        let (status, problem) = service.make_key(10).await;
        assert_eq!((status, &problem["title"]), (503, &json!("Service Unavailable")), "{problem}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        becomes(&service, 503, "cannot be read or written").await;
        assert_eq!(service.get("/healthz").await.0, 200);
    };
    let ((status, _), ()) = tokio::join!(held, stop);
    assert_eq!(status, 304, "a poll for which nothing is new needs no database");
    let feed = service.client.get(format!("{}/v1/policy", service.url)).basic_auth("gw", Some("secret"));
    assert_eq!(feed.send().await.unwrap().status().as_u16(), 503);
    server.resume().unwrap();
    becomes(&service, 200, "").await;
    service.logs("the database answers again").await;
    assert_eq!(service.make_key(10).await.0, 201);
    let (status, page) = service.held_poll("/v1/policy?since=4", 0).await;
    assert_eq!((status, &page["keys"][0]["sha256"]), (200, &json!(digest(10))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_changes_serves_the_feed() {
    let url = database();
    let service = serve(&url);
    service.seed().await;
    let server = Postgres::shared().unwrap();
    let name = name_of(&url);
    // Like a standby, or a server that is being replaced.
    let set = |setting: &str| {
        server.sql("postgres", &format!("ALTER DATABASE {name} {setting}")).unwrap();
        let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
        server.sql(name, end_all).unwrap();
    };
    set("SET default_transaction_read_only = on");
    becomes(&service, 503, "cannot be read or written").await;
    let (status, problem) = service.make_key(10).await;
    assert_eq!(status, 503, "{problem}");
    service.logs("takes no changes, as a standby or by its settings").await;
    assert_eq!(service.policy("/v1/policy").await["revision"], 4);
    set("RESET default_transaction_read_only");
    becomes(&service, 200, "").await;
    assert_eq!(service.make_key(10).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_program_holds_is_told_of_and_the_feed_goes_on() {
    let url = database();
    let service = serve(&url);
    service.seed().await;
    let server = Postgres::shared().unwrap();
    let mut other = server.client("psql");
    let hold = "BEGIN; SELECT 1 FROM policy_state FOR UPDATE; SELECT pg_sleep(100)";
    let mut other = other
        .args(["-q", "-d", name_of(&url), "-c", hold])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    becomes(&service, 503, "busy").await;
    let begun = Instant::now();
    let (status, problem) = service.make_key(10).await;
    assert_eq!(status, 503, "{problem}");
    assert!(begun.elapsed() < Duration::from_millis(4_900), "{:?}", begun.elapsed());
    assert_eq!(service.policy("/v1/policy").await["revision"], 4);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE query LIKE '%pg_sleep(100)' AND pid <> pg_backend_pid()";
    server.sql(name_of(&url), end).unwrap();
    other.wait().unwrap();
    becomes(&service, 200, "").await;
    assert_eq!(service.make_key(10).await.0, 201);
}
