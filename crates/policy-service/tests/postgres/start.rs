//! Messages at the start: unusable databases, and no password anywhere.

use std::time::Instant;

use testkit::postgres::Postgres;

use super::service::{database, name_of, prepared, serve};
use crate::support::{
    follower::Follower,
    load::{Load, assert_prefix, keys_of},
    program::Program,
};

/// Runs a command on a database to its end.
fn run(url: &str, arguments: &[&str]) -> (bool, String) {
    let mut program = Program::command(arguments);
    program.variable("POLICY_DATABASE", Some(url));
    program.run()
}

#[test]
fn a_database_that_cannot_be_used_is_an_error_that_names_it_without_its_password() {
    let server = Postgres::shared().unwrap();
    let other = database();
    server.sql(name_of(&other), "CREATE TABLE customers (id int)").unwrap();
    let latin = "latin";
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0").unwrap();
    let port = server.port();
    for (url, words) in [
        (
            "postgres://ann:hunter2@127.0.0.1:9/policy".to_owned(),
            "postgres://127.0.0.1:9/policy: the database cannot be read or written",
        ),
        (format!("postgresql://keygate:hunter2@127.0.0.1:{port}/nowhere"), "database \"nowhere\" does not exist"),
        (format!("postgres://nobody:hunter2@127.0.0.1:{port}/postgres"), "role \"nobody\" does not exist"),
        (format!("postgres://keygate:hunter2@127.0.0.1:{port}/{latin}"), "ENCODING 'UTF8'"),
        (other.replace("keygate@", "keygate:hunter2@"), "is a database of another program; nothing in it was changed"),
        (
            "postgres://ann:hunter2@h/d?passwort=hunter2".to_owned(),
            "unknown parameter passwort, expected one of sslmode",
        ),
        ("mysql://ann:hunter2@h/d".to_owned(), "\"mysql://…\", expected sqlite:FILE"),
    ] {
        let (succeeded, said) = run(&url, &["serve"]);
        assert!(!succeeded && said.contains(words), "{url}: {said}");
        assert!(said.contains("--database (POLICY_DATABASE)") && !said.contains("hunter2"), "{url}: {said}");
    }
    assert_eq!(
        server.sql(name_of(&other), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap(),
        "1\n"
    );
}

#[test]
fn a_later_schema_is_refused_and_kept() {
    let url = database();
    drop(serve(&url));
    let server = Postgres::shared().unwrap();
    let name = name_of(&url);
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', true, '', 0)";
    server.sql(name, later).unwrap();
    let (succeeded, said) = run(&url, &["serve"]);
    assert!(!succeeded && said.contains("a later version of policy-service") && said.contains("9999"), "{said}");
}

#[tokio::test]
async fn the_password_is_nowhere_in_the_log() {
    let url = database().replace("keygate@", "keygate:hunter2@");
    let mut prepared = prepared(&url);
    prepared.variable("RUST_LOG", Some("trace"));
    let service = prepared.start();
    service.seed().await;
    let log = service.log();
    assert!(log.contains("a new database was made") && log.contains("postgres://127.0.0.1"), "{log}");
    let (_, help) = run(&url, &["serve", "--help"]);
    for text in [&log, &help] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_backup_is_a_matter_of_postgresqls_own_programs() {
    let url = database();
    for command in ["backup", "restore"] {
        let (succeeded, said) = run(&url, &[command, "file"]);
        assert!(!succeeded && said.contains("pg_dump") && said.contains("docs/operations.md"), "{said}");
    }
    let (succeeded, said) = run(&url, &["renew-epoch"]);
    assert!(!succeeded && said.contains("this is not a database of policy-service"), "{said}");
    drop(serve(&url));
    let (succeeded, said) = run(&url, &["renew-epoch"]);
    assert!(succeeded && said.contains("the new epoch is"), "{said}");
}

/// As docs/operations.md describes it.
#[tokio::test]
async fn what_was_dumped_can_be_restored_and_is_another_policy() {
    let server = Postgres::shared().unwrap();
    let url = database();
    let service = serve(&url);
    service.seed().await;
    let before = service.policy("/v1/policy").await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("policy.dump");
    let succeeds = |mut command: std::process::Command| assert!(command.status().unwrap().success(), "{command:?}");
    let mut dump = server.client("pg_dump");
    dump.args(["--format=custom", "--file"]).arg(&file).arg(name_of(&url));
    succeeds(dump);
    assert_eq!(service.make_key(2).await.0, 201);
    drop(service);
    let copy = database();
    let mut restore = server.client("pg_restore");
    restore.args(["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", name_of(&copy)]).arg(&file);
    succeeds(restore);
    assert!(run(&copy, &["renew-epoch"]).0);
    let service = serve(&copy);
    assert!(service.log().contains("the database was opened"), "{}", service.log());
    let after = service.policy("/v1/policy").await;
    assert_eq!((&after["keys"], &after["revision"]), (&before["keys"], &before["revision"]));
    assert_ne!(after["epoch"], before["epoch"]);
    assert_eq!(service.make_key(3).await.0, 201);
}

/// As docs/operations.md describes it, but without `renew-epoch`, while two hundred changes a second go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_load_has_a_prefix_of_the_changes_and_gateways_notice_what_is_lost() {
    let server = Postgres::shared().unwrap();
    let url = database();
    let service = serve(&url);
    service.seed().await;
    let from = service.policy("/v1/policy").await["revision"].as_u64().unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("policy.dump");
    let mut gateway = Follower::new("gw", "secret");
    let load = Load::begin(&service);
    load.goes_on(20).await;
    let mut dump = server.client("pg_dump");
    dump.args(["--format=custom", "--file"]).arg(&file).arg(name_of(&url));
    assert!(tokio::task::spawn_blocking(move || dump.status()).await.unwrap().unwrap().success());
    load.goes_on(20).await;
    let made = load.end().await;
    gateway.follow_program(&service).await;
    drop(service);

    let copy = database();
    let mut restore = server.client("pg_restore");
    restore.args(["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", name_of(&copy)]).arg(&file);
    assert!(restore.status().unwrap().success());
    let service = serve(&copy);
    let page = service.policy("/v1/policy").await;
    let (found, revision) = (keys_of(&page), page["revision"].as_u64().unwrap());
    assert_prefix(&found, &made, (from, revision), Instant::now());
    assert_eq!(found.len() as u64, revision - from, "nothing else is there");
    gateway.follow_program(&service).await;
    assert_eq!(gateway.restarts, 1, "the gateway begins anew");
    service.logs("has lost").await;
    assert_eq!(gateway.held.as_ref().unwrap().0, i64::try_from(revision).unwrap());
}

#[tokio::test]
async fn an_import_beside_the_services_is_in_the_feed() {
    let url = database();
    let service = serve(&url);
    service.seed().await;
    let page = r#"{"format": 1, "applications": [{"id": "imported", "owner": "bob"}]}"#;
    let mut import = service.another(&["import", "pages"]);
    import.variable("POLICY_DATABASE", Some(&url));
    std::fs::write(service.directory().join("pages"), page).unwrap();
    let (poll, (succeeded, said)) = tokio::join!(service.held_poll("/v1/policy?since=4", 20), async {
        tokio::task::spawn_blocking(move || import.run()).await.unwrap()
    });
    assert!(succeeded, "{said}");
    assert_eq!((poll.0, &poll.1["applications"][0]["id"]), (200, &serde_json::json!("imported")));
}
