//! Databases on which no service starts: what is said, and that nothing in them is changed.

use std::fs;

use sqlx::{Connection as _, SqliteConnection};
use testkit::postgres::Postgres;

use crate::support::program::{Prepared, Program};

/// A row of the table: the program on such a database, and words of its last line.
type Case = (&'static str, Prepared, &'static str);

async fn sql(prepared: &Prepared, statement: &str) {
    let url = format!("sqlite:{}?mode=rwc", prepared.directory().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The program on a database that it has made before.
fn made(database: Option<&str>) -> Prepared {
    let mut prepared = Program::command(&["serve"]);
    if let Some(url) = database {
        prepared.variable("POLICY_DATABASE", Some(url));
    }
    let mut service = prepared.start();
    service.signal("-TERM");
    assert!(service.ended().success());
    prepared
}

/// Shell commands that run the program in a mount namespace of its own, after others. `None` where the system allows none.
fn in_namespace(commands: &str) -> Option<String> {
    let flags = ["-m", "-rm"].into_iter().find(|flags| {
        let mount = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"];
        std::process::Command::new("unshare").arg(flags).args(mount).output().is_ok_and(|done| done.status.success())
    })?;
    Some(format!(r#"exec unshare {flags} sh -c '{commands} && cd "$PWD" && exec "$0" "$@"' "$0" "$@""#))
}

const LATER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (9999, 'later', true, '', 0)";

async fn of_sqlite() -> Vec<Case> {
    let mut cases = Vec::new();
    let later = made(None);
    sql(&later, LATER).await;
    cases.push(("later schema", later, "a later version"));
    let other = Program::command(&["serve"]);
    sql(&other, "CREATE TABLE another (x)").await;
    cases.push(("another program", other, "another program"));
    let text = Program::command(&["serve"]);
    fs::write(text.directory().join("policy.db"), "no database at all, and long enough to be looked at".repeat(9))
        .unwrap();
    cases.push(("no database", text, "not a database"));
    let mut away = Program::command(&["serve"]);
    away.variable("POLICY_DATABASE", Some("sqlite:nowhere/policy.db"));
    cases.push(("away", away, "nowhere/policy.db: unable to open"));
    for (what, commands, says) in [
        ("full", "mount -t tmpfs -o size=64k tmpfs .", "the disk of the database is full"),
        ("read-only", "mount --bind . . && mount -o remount,bind,ro .", "Read-only file system"),
    ] {
        let mut prepared = if what == "full" { Program::command(&["serve"]) } else { made(None) };
        match in_namespace(commands) {
            Some(command) => prepared.before(&command),
            None => continue,
        };
        cases.push((what, prepared, says));
    }
    cases
}

fn of_postgresql(server: &Postgres) -> Vec<Case> {
    let new = || server.database().unwrap();
    let name_of = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let prepared = |url: &str| {
        let mut prepared = Program::command(&["serve"]);
        prepared.variable("POLICY_DATABASE", Some(url));
        prepared
    };
    let mut cases = Vec::new();
    let later = new();
    let of_later = made(Some(&later));
    server.sql(&name_of(&later), LATER).unwrap();
    cases.push(("later schema", of_later, "a later version"));
    let other = new();
    server.sql(&name_of(&other), "CREATE TABLE customers (id int)").unwrap();
    cases.push(("another program", prepared(&other), "another program"));
    cases.push(("away", prepared("postgres://keygate@127.0.0.1:9/policy"), "cannot be read or written"));
    for is_new in [true, false] {
        let read_only = new();
        let of_read_only = if is_new { prepared(&read_only) } else { made(Some(&read_only)) };
        let set = format!("ALTER DATABASE {} SET default_transaction_read_only = on", name_of(&read_only));
        server.sql("postgres", &set).unwrap();
        cases.push(("read-only", of_read_only, "takes no changes, as a standby or by its settings"));
    }
    cases
}

#[tokio::test]
async fn what_is_wrong_with_the_database_is_said() {
    let server = Postgres::shared().unwrap();
    for (kind, cases) in [("SQLite", of_sqlite().await), ("PostgreSQL", of_postgresql(server))] {
        for (what, prepared, says) in cases {
            let (succeeded, said) = prepared.run();
            let last = said.lines().last().unwrap_or_default();
            assert!(!succeeded && last.contains(says), "{kind}, {what}: {said}");
            assert!(last.contains("--database (POLICY_DATABASE)"), "{kind}, {what}: {said}");
        }
    }
}
