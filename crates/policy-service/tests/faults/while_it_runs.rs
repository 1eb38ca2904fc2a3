//! Faults that begin while a service runs, and end again.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use testkit::{deadline::eventually, postgres::Postgres};

use super::proxy::Proxy;
use crate::support::{TOKEN, program::Program};

/// How long the service may take to notice that a fault begins or ends.
const SOON: Duration = Duration::from_secs(30);
/// How long any request may take, whatever the database does: the wait for a connection, and the look why there is none.
const LIMIT: Duration = Duration::from_secs(9);

/// A request.
#[derive(Clone, Copy, Debug)]
enum Ask<'a> {
    /// A change: a new plan.
    Plan(&'a str),
    Health,
    /// A full policy.
    Feed,
}

/// What holds during a fault.
struct Expected {
    change: u16,
    /// In the problem of a change.
    says: &'static str,
    /// Of `/healthz/write`.
    health: u16,
    /// Of a full policy that a gateway has asked for before, and that is kept in memory.
    feed: u16,
}

/// The status and the body of a request, which ends in time.
async fn ask(service: &Program, what: Ask<'_>) -> (u16, String) {
    let (url, client) = (&service.url, &service.client);
    let request = match what {
        Ask::Plan(id) => client.post(format!("{url}/v1/plans")).bearer_auth(TOKEN).json(&json!({"id": id})),
        Ask::Health => client.get(format!("{url}/healthz/write")),
        Ask::Feed => client.get(format!("{url}/v1/policy")).basic_auth("gw", Some("secret")),
    };
    let begun = Instant::now();
    let response = request.send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert!(begun.elapsed() < LIMIT, "{what:?}: {status} after {:?}", begun.elapsed());
    (status, text)
}

async fn becomes(service: &Program, fault: &str, what: Ask<'_>, status: u16, says: &str) {
    let look = async || {
        let found = ask(service, what).await;
        if found.0 == status && found.1.contains(says) { Ok(()) } else { Err(format!("{found:?}")) }
    };
    eventually(format!("{fault}: {what:?}: {status} {says}"), SOON, look).await.unwrap();
}

/// Checks what holds during a fault, twice.
async fn during(service: &Program, what: &str, expected: Expected) {
    let Expected { change, says, health, feed } = expected;
    for round in 0..2 {
        becomes(service, what, Ask::Plan(&format!("{what}-{round}")), change, says).await;
        becomes(service, what, Ask::Health, health, "").await;
        becomes(service, what, Ask::Feed, feed, "").await;
        assert_eq!(service.get("/healthz").await.0, 200, "{what}");
    }
}

/// Checks that changes are taken again.
async fn after(service: &Program, what: &str) {
    becomes(service, what, Ask::Health, 200, "").await;
    becomes(service, what, Ask::Plan(&format!("after-{what}")), 201, "").await;
    becomes(service, what, Ask::Feed, 200, &format!("after-{what}")).await;
}

fn limit_files(service: &Program, bytes: &str) {
    let arguments = ["--pid".to_owned(), service.id().to_string(), format!("--fsize={bytes}:")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let service = Program::start();
    service.seed().await;
    let file = service.directory().join("policy.db");

    let mut other = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    during(&service, "locked", Expected { change: 503, says: "busy", health: 503, feed: 200 }).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    after(&service, "locked").await;
    other.close().await.unwrap();

    limit_files(&service, "1");
    during(&service, "full", Expected { change: 507, says: "disk is full", health: 507, feed: 200 }).await;
    limit_files(&service, "unlimited");
    after(&service, "full").await;

    fs::rename(&file, service.directory().join("elsewhere")).unwrap();
    during(&service, "moved", Expected { change: 503, says: "removed or replaced", health: 503, feed: 200 }).await;
    fs::rename(service.directory().join("elsewhere"), &file).unwrap();
    after(&service, "moved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql() {
    let mut server = Postgres::start(&["fsync=off", "full_page_writes=off"]).unwrap();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let proxy = Proxy::start(server.port()).await;
    let url = url.replace(&server.port().to_string(), &proxy.port.to_string());
    let mut service = Program::command(&["serve"]);
    let service = service.variable("POLICY_DATABASE", Some(&url)).start();
    service.seed().await;
    let end_of = |text: &str| {
        let what =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {text} AND pid <> pg_backend_pid()");
        server.sql(&name, &what).unwrap();
    };

    let hold = "BEGIN; SELECT 1 FROM policy_state FOR UPDATE; SELECT pg_sleep(100)";
    let mut other = server.client("psql");
    let other = other.args(["-q", "-d", &name, "-c", hold]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut other = other.spawn().unwrap();
    during(&service, "locked", Expected { change: 503, says: "busy", health: 503, feed: 200 }).await;
    end_of("query LIKE '%pg_sleep(100)'");
    other.wait().unwrap();
    after(&service, "locked").await;

    // As the server answers when a table's file cannot grow.
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT ON version EXECUTE FUNCTION full_disk()";
    server.sql(&name, full).unwrap();
    during(&service, "full", Expected { change: 507, says: "disk is full", health: 507, feed: 200 }).await;
    server.sql(&name, "DROP FUNCTION full_disk CASCADE").unwrap();
    after(&service, "full").await;

    server.sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).unwrap();
    end_of("datname = current_database()");
    during(&service, "read-only", Expected { change: 503, says: "cannot be", health: 503, feed: 200 }).await;
    server.sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only")).unwrap();
    after(&service, "read-only").await;

    proxy.slow_down(Duration::from_secs(10));
    during(&service, "slow", Expected { change: 503, says: "cannot be", health: 503, feed: 200 }).await;
    proxy.slow_down(Duration::ZERO);
    after(&service, "slow").await;

    tokio::task::block_in_place(|| server.stop());
    during(&service, "away", Expected { change: 503, says: "cannot be", health: 503, feed: 200 }).await;
    server.resume().unwrap();
    after(&service, "away").await;
}
