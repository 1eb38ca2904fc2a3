//! The files of the database are removed, replaced or locked by another program while the service runs.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::support::program::Program;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

async fn connect(directory: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", directory.join("policy.db").display())).await.unwrap()
}

fn moved(directory: &Path, name: &str) {
    fs::rename(directory.join(name), directory.join(format!("{name}.away"))).unwrap();
}

/// Replaces `name` by another complete file with the same content.
fn replaced(directory: &Path, name: &str) {
    fs::copy(directory.join(name), directory.join("other")).unwrap();
    fs::rename(directory.join("other"), directory.join(name)).unwrap();
}

#[tokio::test]
async fn a_database_that_is_no_longer_at_its_path_takes_no_change_and_serves_on() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 8] = [
        ("all removed", |directory| {
            for name in ["policy.db", "policy.db-wal", "policy.db-shm"] {
                fs::remove_file(directory.join(name)).unwrap();
            }
        }),
        ("removed", |directory| fs::remove_file(directory.join("policy.db")).unwrap()),
        ("moved", |directory| moved(directory, "policy.db")),
        ("replaced", |directory| replaced(directory, "policy.db")),
        ("an empty one in its place", |directory| {
            fs::write(directory.join("empty"), "").unwrap();
            fs::rename(directory.join("empty"), directory.join("policy.db")).unwrap();
        }),
        ("the latest changes removed", |directory| fs::remove_file(directory.join("policy.db-wal")).unwrap()),
        ("the latest changes replaced", |directory| replaced(directory, "policy.db-wal")),
        ("the locks removed", |directory| fs::remove_file(directory.join("policy.db-shm")).unwrap()),
    ];
    for (what, deed) in deeds {
        let service = Program::start();
        service.seed().await;
        assert_eq!(service.get("/healthz/write").await.0, 200, "{what}");
        deed(service.directory());
        let (status, said) = service.post("/v1/plans", json!({"id": "lost"})).await;
        assert_eq!(status, 503, "{what}: {said}");
        let (status, said) = service.get("/healthz/write").await;
        assert_eq!(status, 503, "{what}: {said}");
        assert!(said.contains("removed or replaced"), "{what}: {said}");
        let report = service.client.post(format!("{}/v1/usage", service.url)).basic_auth("gw", Some("secret"));
        let report = report.json(&json!({"format": 1, "batch": "b"})).send().await.unwrap();
        assert_eq!(report.status(), 503, "{what}");
        assert_eq!(service.get("/healthz").await.0, 200, "{what}");
        assert_eq!(service.policy("/v1/policy").await["revision"], 4, "{what}: the feed goes on");
        service.logs("changes are refused").await;
    }
}

#[tokio::test]
async fn a_database_that_is_put_back_takes_changes_again() {
    let service = Program::start();
    let (file, away) = (service.directory().join("policy.db"), service.directory().join("away"));
    fs::rename(&file, &away).unwrap();
    service.logs("changes are refused").await;
    fs::rename(&away, &file).unwrap();
    service.logs("in their place again").await;
    assert_eq!(service.post("/v1/plans", json!({"id": "kept"})).await.0, 201);
    assert_eq!(service.get("/healthz/write").await.0, 200);
}

#[tokio::test]
async fn a_lock_that_another_program_holds_is_told_after_a_second() {
    let service = Program::start();
    service.seed().await;
    let mut other = connect(service.directory()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let begun = Instant::now();
    let asked = || tokio::spawn(service.client.get(format!("{}/healthz/write", service.url)).send());
    for asked in (0..20).map(|_| asked()).collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap().unwrap().status(), 503);
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(service.get("/healthz").await.0, 200);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let begun = Instant::now();
    while service.get("/healthz/write").await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it stays refused");
    }
    assert_eq!(service.post("/v1/plans", json!({"id": "p"})).await.0, 201);
    // A lock that is held for a moment is no failure.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let asked = asked();
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
}
