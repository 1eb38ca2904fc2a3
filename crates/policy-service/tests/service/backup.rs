//! `backup` and `restore` while the program runs; the address that it listens on; its log lines about the database at
//! the start.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use crate::support::{
    TOKEN, digest,
    follower::Follower,
    load::{Load, assert_prefix, keys_of},
    program::Program,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

/// Runs the program on the database of `service`.
fn run(service: &Program, arguments: &[&str]) -> (bool, String) {
    service.another(arguments).run()
}

/// Runs SQL on a file that no other process has open.
async fn sql(file: &Path, statement: &str) {
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn plans(service: &Program) -> Vec<String> {
    let request = service.client.get(format!("{}/v1/plans", service.url)).bearer_auth(TOKEN);
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    list["items"].as_array().unwrap().iter().map(|plan| plan["id"].as_str().unwrap().to_owned()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_of_a_running_service_has_the_latest_change_and_is_its_owners_alone() {
    let service = Program::start();
    service.seed().await;
    for round in ["one", "two"] {
        assert_eq!(service.post("/v1/plans", json!({"id": round})).await.0, 201);
        let (success, said) = run(&service, &["backup", "backup.db"]);
        assert!(success, "{said}");
        let file = service.directory().join("backup.db");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = service.another(&["serve", "--database", "sqlite:backup.db"]).start();
        assert!(plans(&copy).await.contains(&round.to_owned()));
        let (page, of_copy) = (service.policy("/v1/policy").await, copy.policy("/v1/policy").await);
        assert_eq!((&page["epoch"], &page["revision"]), (&of_copy["epoch"], &of_copy["revision"]));
        // A service has this file open, so it counts as a database in use and not as a backup.
        let (success, said) = run(&service, &["backup", "backup.db"]);
        assert!(!success && said.contains("in use"), "{said}");
        copy.signal("-TERM");
        let mut copy = copy;
        assert!(copy.ended().success());
    }
    assert_eq!(names(service.directory()), ["backup.db", "log", "policy.db", "policy.db-shm", "policy.db-wal"]);
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_refused_and_changes_nothing() {
    let service = Program::start();
    service.seed().await;
    let directory = service.directory();
    fs::write(directory.join("text"), "no database at all, and long enough to be looked at".repeat(9)).unwrap();
    fs::write(directory.join("empty"), "").unwrap();
    fs::create_dir(directory.join("folder")).unwrap();
    sql(&directory.join("other.db"), "CREATE TABLE another (x)").await;
    assert!(run(&service, &["backup", "later.db"]).0);
    let later =
        "INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, 1, checksum, 1 FROM _sqlx_migrations LIMIT 1";
    sql(&directory.join("later.db"), later).await;
    assert!(run(&service, &["backup", "damaged.db"]).0);
    let bytes = fs::read(directory.join("damaged.db")).unwrap();
    fs::write(directory.join("damaged.db"), &bytes[..bytes.len() / 2]).unwrap();
    let before = (names(directory), service.policy("/v1/policy").await);
    for (arguments, says) in [
        (&["backup", "policy.db"][..], "in use"),
        (&["backup", "./policy.db"], "in use"),
        (&["backup", "text"], "not a backup"),
        (&["backup", "other.db"], "not a backup"),
        (&["backup", "folder"], "not a backup"),
        (&["backup", "nowhere/b.db"], "nowhere/b.db"),
        (&["backup", "--database", "sqlite:mistyped.db", "b.db"], "mistyped.db"),
        (&["backup", "--database", "sqlite:other.db", "b.db"], "not a database of policy-service"),
        (&["backup", "--database", "sqlite:empty", "b.db"], "not a database of policy-service"),
        (&["backup", "--database", "postgres://x", "b.db"], "pg_dump and pg_restore"),
        (&["backup"], "FILE"),
        (&["restore", "mistyped.db"], "mistyped.db"),
        (&["restore", "folder"], "folder"),
        (&["restore", "text"], "text"),
        (&["restore", "empty"], "not a database of policy-service"),
        (&["restore", "other.db"], "not a database of policy-service"),
        (&["restore", "later.db"], "later version"),
        (&["restore", "damaged.db"], "damaged.db"),
        (&["restore", "--database", "sqlite:other.db", "later.db"], "later version"),
        (&["restore"], "FILE"),
    ] {
        let (success, said) = run(&service, arguments);
        assert!(!success && said.contains(says), "{arguments:?}: {said}");
        assert_eq!(names(directory), before.0, "{arguments:?}");
    }
    assert_eq!(service.policy("/v1/policy").await, before.1);
    assert_eq!(service.get("/healthz/write").await.0, 200);
}

#[tokio::test]
async fn a_restore_beside_the_running_service_is_in_the_feed_and_gateways_begin_anew() {
    let service = Program::start();
    service.seed().await;
    assert!(run(&service, &["backup", "backup.db"]).0);
    let backup = fs::read(service.directory().join("backup.db")).unwrap();
    for path in ["/v1/keys/k-1/revoke", "/v1/subscriptions/s-1/block"] {
        assert_eq!(service.post(path, json!({})).await.0, 200);
    }
    assert_eq!(service.post("/v1/plans", json!({"id": "lost"})).await.0, 201);
    // A revoked key that was deleted stays revoked.
    let key = json!({"id": "k-2", "application": "app-1", "sha256": digest(2)});
    assert_eq!(service.post("/v1/keys", key.clone()).await.0, 201);
    assert_eq!(service.post("/v1/keys/k-2/revoke", json!({})).await.0, 200);
    service.client.delete(format!("{}/v1/keys/k-2", service.url)).bearer_auth(TOKEN).send().await.unwrap();
    let before = service.policy("/v1/policy").await;
    let poll = before["poll"].as_str().unwrap().to_owned();
    let held = service.client.get(format!("{}{poll}", service.url)).basic_auth("gw", Some("secret"));
    let held = tokio::spawn(held.header("prefer", "wait=40").send());
    let (success, said) = run(&service, &["restore", "backup.db"]);
    assert!(success && said.contains("revision 4"), "{said}");
    assert_eq!(held.await.unwrap().unwrap().status(), 410, "a held poll ends");
    let page = service.policy("/v1/policy").await;
    assert_eq!(page["revision"], 4);
    assert_ne!(page["epoch"], before["epoch"]);
    assert_eq!(page["subscriptions"][0]["state"], "UNBLOCKED");
    assert!(plans(&service).await.is_empty());
    assert_eq!(service.post("/v1/keys", key).await.0, 409);
    // Later changes are accepted, and cursors of this database stay valid.
    assert_eq!(service.post("/v1/plans", json!({"id": "new"})).await.0, 201);
    let poll = page["poll"].as_str().unwrap();
    assert_eq!(service.policy(poll).await["revision"], 5);
    assert_eq!(fs::read(service.directory().join("backup.db")).unwrap(), backup, "the backup stays as it is");
    assert_eq!(names(service.directory()), ["backup.db", "log", "policy.db", "policy.db-shm", "policy.db-wal"]);
}

/// Two hundred changes a second go on during the backup, after it, and during the restore.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_a_prefix_of_the_changes_and_gateways_notice_what_is_lost() {
    let service = Program::start();
    service.seed().await;
    let from = service.policy("/v1/policy").await["revision"].as_u64().unwrap();
    let mut gateway = Follower::new("gw", "secret");
    let run = async |arguments: &'static [&'static str]| {
        let prepared = service.another(arguments);
        tokio::task::spawn_blocking(move || prepared.run()).await.unwrap()
    };
    let load = Load::begin(&service);
    load.goes_on(20).await;
    let (success, said) = run(&["backup", "backup.db"]).await;
    assert!(success, "{said}");
    load.goes_on(20).await;
    gateway.follow_program(&service).await;
    let begun = Instant::now();
    let (success, said) = run(&["restore", "backup.db"]).await;
    assert!(success, "{said}");
    let ended = Instant::now();
    load.goes_on(20).await;
    let made = load.end().await;

    let revision = said.split_once("at revision ").and_then(|(_, rest)| rest.split(';').next());
    let revision: u64 = revision.unwrap().parse().unwrap();
    let page = service.policy("/v1/policy").await;
    let found = keys_of(&page);
    assert_prefix(&found, &made, (from, revision), begun);
    let after: Vec<u64> = made.iter().filter(|made| made.asked >= ended).map(|made| made.key).collect();
    assert!(after.len() > 10 && after.iter().all(|key| found.contains(key)), "changes after the restore stay");
    assert_eq!(found.len() as u64, page["revision"].as_u64().unwrap() - from, "nothing else is there");
    let held = gateway.held.as_ref().unwrap().0;
    assert!(u64::try_from(held).unwrap() > revision, "the gateway holds what is lost");
    gateway.follow_program(&service).await;
    assert_eq!(gateway.restarts, 1, "the gateway begins anew");
    let keys = |gateway: &Follower| gateway.held.as_ref().unwrap().1.keys().filter(|(list, _)| *list == "keys").count();
    assert_eq!(keys(&gateway), page["keys"].as_array().unwrap().len());
}

#[tokio::test]
async fn a_restore_makes_a_database_where_there_is_none() {
    let mut service = Program::start();
    service.seed().await;
    assert!(run(&service, &["backup", "backup.db"]).0);
    let (before, away) = (service.policy("/v1/policy").await, service.directory().join("backup.db"));
    service.signal("-TERM");
    assert!(service.ended().success());
    fs::remove_file(service.directory().join("policy.db")).unwrap();
    let (success, said) = run(&service, &["restore", away.to_str().unwrap()]);
    assert!(success, "{said}");
    let again = service.another(&["serve"]).start();
    let page = again.policy("/v1/policy").await;
    assert_eq!(page["revision"], before["revision"]);
    assert_eq!(page["keys"], before["keys"]);
    let poll = before["poll"].as_str().unwrap();
    let held = again.client.get(format!("{}{poll}", again.url)).basic_auth("gw", Some("secret"));
    assert_eq!(held.send().await.unwrap().status(), 410, "an earlier epoch");
}

#[tokio::test]
async fn at_start_the_log_says_whether_the_database_was_made_or_opened() {
    let mut service = Program::start();
    service.logs("a new database was made").await;
    service.signal("-TERM");
    assert!(service.ended().success());
    let again = service.another(&["serve"]).start();
    let line = again.logs("the database was opened").await;
    assert!(line.contains("policy.db"), "{line}");
    assert_eq!(again.log().matches("a new database was made").count(), 1, "{}", again.log());
}

#[tokio::test]
async fn it_listens_on_a_name_or_an_address() {
    for listen in ["localhost:0", "127.0.0.1:0", "0.0.0.0:0"] {
        let service = Program::command(&["serve", "--listen", listen]).start();
        let port = service.url.rsplit(':').next().unwrap();
        let begun = Instant::now();
        let answer = service.client.get(format!("http://127.0.0.1:{port}/healthz")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{listen}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    for listen in ["localhost", "localhost:", ":8085", "localhost:port", "localhost:65536", "localhost:+1", "no such:1"]
    {
        let (success, said) = Program::command(&["serve", "--listen", listen]).run();
        assert!(!success && said.contains("--listen") && said.contains("POLICY_LISTEN"), "{listen}: {said}");
    }
}

/// An operator who reads the log of the running service sees why all gateways fetch the policy anew.
#[tokio::test]
async fn a_running_service_says_that_another_program_renewed_the_epoch() {
    let service = Program::start();
    service.seed().await;
    assert!(run(&service, &["backup", "backup.db"]).0);
    for arguments in [&["restore", "backup.db"][..], &["renew-epoch"]] {
        let before = service.policy("/v1/policy").await["epoch"].as_str().unwrap().to_owned();
        let (success, said) = run(&service, arguments);
        assert!(success, "{said}");
        let line = service.logs(&format!("was=\"{before}\"")).await;
        assert!(line.contains("another program gave the policy a new epoch") && line.contains("WARN"), "{line}");
    }
}
