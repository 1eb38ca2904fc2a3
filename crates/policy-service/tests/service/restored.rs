//! Databases that were restored from a backup, or that are copies of another. Cursors reveal it, and the policy gets a
//! new epoch, so that no gateway continues with a lost history.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{Options, Service, follower::Follower, send};
use management::port::{self, Act, Actor, Mark, Store};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, migrate::Migrate as _};
use store::SqliteStore;

/// Longer than a running service needs to notice a change by another process.
const SOON: Duration = Duration::from_secs(10);
const HOUR: i64 = 3_600;

/// `edge` sees one API, and so has an epoch of its own. Pages are small, so a policy has several.
const OPTIONS: Options = Options {
    page_rows: 3,
    history_rows: 100_000,
    gateways: "gw:secret,edge:e",
    gone_after: std::time::Duration::from_secs(3_600),
    gateway_apis: Some(r#"{"edge": ["api-1"]}"#),
    sign_in: None,
};

/// Makes `count` revisions.
async fn changes(service: &Service, count: u32) {
    for number in 0..count {
        let name = format!("{number} after revision {}", service.revision().await);
        service.put("/v1/applications/app-1", json!({"owner": "alice", "name": name})).await.expect(200);
    }
}

fn ask(service: &Service, gateway: &str, path: &str) -> RequestBuilder {
    let secret = if gateway == "gw" { "secret" } else { "e" };
    service.request(Method::GET, path).basic_auth(gateway, Some(secret))
}

/// The links of a full policy: `next` of the first page, and `poll` of the last.
async fn links(service: &Service, gateway: &str) -> (String, String) {
    let mut path = "/v1/policy".to_owned();
    let mut first = None;
    loop {
        let page = send(ask(service, gateway, &path)).await.expect(200).json();
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => return (first.unwrap(), page["poll"].as_str().unwrap().to_owned()),
        }
        first.get_or_insert(path.clone());
    }
}

async fn epoch(service: &Service) -> String {
    service.store.state().await.unwrap().epoch
}

/// `link`, with its `mark` replaced by the result of `change`.
fn with_mark(link: &str, change: impl Fn(&str) -> String) -> String {
    let (rest, mark) = link.split_once("&mark=").unwrap();
    assert!(!mark.contains('&'));
    format!("{rest}&mark={}", change(mark))
}

/// Links that a gateway may send.
struct Links {
    /// From revision 7, which is lost.
    poll: String,
    /// From a page of revision 7.
    next: String,
    /// From revision 4, which is in the backup.
    saved: String,
    /// From revision 7 of another database.
    foreign: String,
}

/// A change to a link before it is sent.
type Edit = fn(&Links) -> String;

/// A gateway holds revision 7. The backup of revision 4 is restored, and then a number of changes is made. The gateway
/// sends a cursor. Each case names the expected status and whether the policy gets a new epoch.
const CURSORS: &[(&str, &str, u32, Edit, u16, bool)] = &[
    ("overtaken by the restored history", "gw", 4, |links| links.poll.clone(), 410, true),
    ("at the same number as the restored history", "gw", 3, |links| links.poll.clone(), 410, true),
    ("above the restored revision", "gw", 1, |links| links.poll.clone(), 410, true),
    ("before any change", "gw", 0, |links| links.poll.clone(), 410, true),
    ("of a page", "gw", 4, |links| links.next.clone(), 410, true),
    ("of a page, above the restored revision", "gw", 1, |links| links.next.clone(), 410, true),
    ("of a limited gateway", "edge", 4, |links| links.poll.clone(), 410, true),
    ("of a limited gateway, above the restored revision", "edge", 1, |links| links.poll.clone(), 410, true),
    ("of another gateway with another epoch", "edge", 0, |links| links.saved.clone(), 410, false),
    ("without the epoch", "gw", 4, |links| without_epoch(&links.poll), 410, true),
    ("without the epoch, at the same number", "gw", 3, |links| without_epoch(&links.poll), 410, true),
    ("of the saved revision", "gw", 0, |links| links.saved.clone(), 304, false),
    ("of the saved revision, with changes since", "gw", 4, |links| links.saved.clone(), 200, false),
    ("unsigned", "gw", 4, |links| without_mark(&links.poll), 200, false),
    ("unsigned, at the same number", "gw", 3, |links| without_mark(&links.poll), 304, false),
    ("unsigned, above the restored revision", "gw", 1, |links| without_mark(&links.poll), 410, false),
    ("forged", "gw", 4, |links| with_mark(&links.poll, |mark| forge(mark, 0)), 410, false),
    ("with a forged word", "gw", 4, |links| with_mark(&links.poll, |mark| forge(mark, 24)), 410, false),
    ("with a forged epoch", "gw", 4, |links| with_mark(&links.poll, |mark| forge(mark, 40)), 410, false),
    ("truncated", "gw", 4, |links| with_mark(&links.poll, |mark| mark[..mark.len() - 4].to_owned()), 410, false),
    ("empty", "gw", 4, |links| with_mark(&links.poll, |_| String::new()), 410, false),
    ("no mark at all", "gw", 4, |links| with_mark(&links.poll, |_| "A".repeat(9_000)), 410, false),
    ("with the mark of another revision", "gw", 4, |links| links.saved.replace("since=4", "since=5"), 410, false),
    ("signed by another database", "gw", 4, |links| links.foreign.clone(), 410, false),
];

fn without_mark(link: &str) -> String {
    link.split_once("&mark=").unwrap().0.to_owned()
}

fn without_epoch(link: &str) -> String {
    let (before, rest) = link.split_once("&epoch=").unwrap();
    format!("{before}&{}", rest.split_once('&').unwrap().1)
}

fn forge(mark: &str, place: usize) -> String {
    let other = if &mark[place..=place] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &mark[..place], &mark[place + 1..])
}

#[tokio::test]
async fn a_cursor_of_a_lost_history_is_410_and_makes_a_new_epoch_and_no_other_does() {
    let elsewhere = Service::with(OPTIONS).await;
    elsewhere.seed().await;
    changes(&elsewhere, 3).await;
    let foreign = links(&elsewhere, "gw").await.1;
    for (name, gateway, made, edit, status, renews) in CURSORS {
        let service = Service::with(OPTIONS).await;
        service.seed().await;
        let backup = service.directory.path().join("backup");
        service.back_up(&backup).await;
        let saved = links(&service, "gw").await.1;
        changes(&service, 3).await;
        let (next, poll) = links(&service, gateway).await;
        assert!(poll.contains("since=7&") && next.contains("revision=7&"), "{poll}, {next}");

        let service = service.put_back(&backup, OPTIONS).await;
        if *made > 0 {
            service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
            changes(&service, made - 1).await;
        }
        assert_eq!(service.revision().await, 4 + i64::from(*made));
        let before = epoch(&service).await;
        let cursor = edit(&Links { poll, next, saved, foreign: foreign.clone() });
        // One gateway of many is enough to renew the epoch.
        for _ in 0..3 {
            let answer = send(ask(&service, gateway, &cursor)).await;
            assert_eq!(answer.status, *status, "{name}: {}", answer.text);
        }
        let after = epoch(&service).await;
        assert_eq!(after != before, *renews, "{name}");
        // If the mark is valid, the gateway learns of the block, and the epoch stays.
        let (_, poll) = links(&service, gateway).await;
        send(ask(&service, gateway, &poll)).await.expect(304);
        assert_eq!(epoch(&service).await, after, "{name}");
    }
}

#[tokio::test]
async fn a_gateway_that_follows_holds_what_the_restored_database_says_each_time() {
    let service = Service::with(OPTIONS).await;
    service.seed().await;
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    let (mut all, mut edge) = (Follower::new("gw", "secret"), Follower::new("edge", "e"));
    changes(&service, 3).await;
    all.follow(&service).await;
    edge.follow(&service).await;
    let mut service = service;
    // The same backup is restored four times within a minute. The gateways are below the restored revision, at it, and
    // above it.
    for (made, state) in [(1, "BLOCKED"), (4, "PROD_ONLY_BLOCKED"), (2, "BLOCKED"), (2, "PROD_ONLY_BLOCKED")] {
        service = service.put_back(&backup, OPTIONS).await;
        service.post(&format!("/v1/subscriptions/s-1/block?state={state}"), Value::Null).await.expect(200);
        changes(&service, made - 1).await;
        for follower in [&mut all, &mut edge] {
            follower.follow(&service).await;
            let (revision, policy) = follower.held.as_ref().unwrap();
            assert_eq!(*revision, 4 + i64::from(made));
            let blocked = policy.iter().find(|((list, _), _)| *list == "subscriptions").unwrap().1;
            assert_eq!(blocked["state"], state, "{made}");
        }
    }
}

#[tokio::test]
async fn the_tag_of_a_lost_revision_is_not_the_tag_of_another_of_the_same_number() {
    let service = Service::with(Options { page_rows: 5_000, ..OPTIONS }).await;
    service.seed().await;
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    changes(&service, 1).await;
    let tag = service.feed("/v1/policy").await.expect(200).header("etag").to_owned();
    let service = service.put_back(&backup, OPTIONS).await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    assert_eq!(service.revision().await, 5);
    send(service.poll("/v1/policy").header("if-none-match", tag)).await.expect(200);
}

#[tokio::test]
async fn a_mark_of_a_forgotten_revision_is_410_and_the_epoch_stays() {
    let options = Options { history_rows: 2, ..OPTIONS };
    let service = Service::with(options).await;
    service.seed().await;
    let (_, poll) = links(&service, "gw").await;
    changes(&service, 6).await;
    let before = epoch(&service).await;
    service.feed(&poll).await.expect_problem(410, None);
    assert_eq!(epoch(&service).await, before);
}

/// Restores like `sqlite3 policy.db '.restore backup'`: inside the open file.
async fn restore_in_place(service: &Service, backup: &Path) {
    let url = format!("sqlite:{}", service.directory.path().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("ATTACH ? AS backup").bind(backup.to_str().unwrap()).execute(&mut connection).await.unwrap();
    let mut statements = "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE;".to_owned();
    for table in ["version", "policy_state", "history", "earlier_epoch", "revision_word", "api_match"] {
        statements += &format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM backup.{table};");
    }
    sqlx::raw_sql(&(statements + "COMMIT;")).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_put_back_under_the_running_service_is_noticed_without_any_cursor() {
    let service = Service::with(OPTIONS).await;
    service.seed().await;
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    let store = service.store.clone();
    let watch = tokio::spawn(async move { store.watch(policy_service::clock::act_of_service).await });
    for _ in 0..2 {
        changes(&service, 3).await;
        let before = epoch(&service).await;
        let (_, poll) = links(&service, "gw").await;
        let waits = tokio::spawn(send(ask(&service, "gw", &poll).header("prefer", "wait=30")));
        let begun = Instant::now();
        restore_in_place(&service, &backup).await;
        // A held poll ends as well.
        waits.await.unwrap().expect(410);
        assert!(begun.elapsed() < SOON);
        let after = service.feed("/v1/policy").await.expect(200).json();
        assert_ne!(after["epoch"], before);
        assert_eq!(after["revision"], 4);
    }
    watch.abort();
}

/// After a 410 a gateway fetches the full policy, and sends no cursor until it has loaded one. It rejects a lower
/// revision of the same epoch. So one cursor must be enough, even if the epoch cannot be renewed at once.
#[tokio::test]
async fn a_loss_soon_after_another_one_renews_the_epoch_later_without_another_cursor() {
    let service = Service::with(OPTIONS).await;
    service.seed().await;
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    changes(&service, 3).await;
    let (_, lost) = links(&service, "gw").await;
    let service = service.put_back(&backup, OPTIONS).await;
    service.feed(&lost).await.expect(410);
    // This backup contains the time of the renewal.
    service.back_up(&service.directory.path().join("later")).await;
    changes(&service, 3).await;
    let (_, lost) = links(&service, "gw").await;
    let later = service.directory.path().join("later");
    let service = service.put_back(&later, OPTIONS).await;
    let before = epoch(&service).await;
    service.feed(&lost).await.expect(410);
    assert_eq!(epoch(&service).await, before, "at most once a minute");

    // Move the renewal a minute into the past.
    let url = format!("sqlite:{}", service.directory.path().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("UPDATE history SET renewed_at = renewed_at - 60").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = service.store.clone();
    let watch = tokio::spawn(async move { store.watch(policy_service::clock::act_of_service).await });
    let begun = Instant::now();
    while service.feed("/v1/policy").await.expect(200).json()["epoch"] == before {
        assert!(begun.elapsed() < SOON, "the epoch stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The epoch is renewed only once.
    let after = epoch(&service).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(epoch(&service).await, after);
    watch.abort();
}

async fn open(directory: &Path, name: &str) -> Store {
    let url = format!("sqlite:{}", directory.join(name).display());
    Arc::new(SqliteStore::open(&url, store::Settings::default()).await.unwrap())
}

/// Makes a revision.
async fn revision(store: &Store) {
    let mut change = store.begin(crate::support::act()).await.unwrap();
    let plan = port::NewRow {
        kind: port::Kind::Plan,
        id: format!("plan-{}", store.state().await.unwrap().revision),
        identity: format!("plan-{}", store.state().await.unwrap().revision),
        application: None,
        api: None,
        plan: None,
        kept_block: None,
        kept_owner: None,
        beside: None,
        due: None,
        state_before: None,
        document: "{}".to_owned(),
    };
    change.insert(&plan).await.unwrap();
    change.commit().await.unwrap();
}

/// An act of the service at this time.
fn service_at(now: i64) -> Act {
    Act { actor: Actor::Service, now, ..crate::support::act() }
}

/// The mark of the latest revision.
async fn mark(store: &Store) -> Mark {
    let state = store.state().await.unwrap();
    store.secret().mark(&state.epoch, state.revision, state.word)
}

/// A store, and a copy of it that made another revision with the same number.
async fn copies(directory: &Path) -> (Store, Store) {
    let original = open(directory, "original").await;
    revision(&original).await;
    original.close().await;
    std::fs::copy(directory.join("original"), directory.join("copy")).unwrap();
    let (original, copy) = (open(directory, "original").await, open(directory, "copy").await);
    revision(&original).await;
    revision(&copy).await;
    (original, copy)
}

#[tokio::test]
async fn two_copies_that_take_turns_do_not_renew_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let (original, copy) = copies(directory.path()).await;
    let begin = 1_800_000_000;
    let (mut renewals, mut first) = (0, None);
    // For three hours a gateway changes between the two every second, with the cursor that the other one sent.
    for second in 0..3 * HOUR {
        let (told, asked) = if second % 2 == 0 { (&original, &copy) } else { (&copy, &original) };
        if let Some(renewal) = asked.renew_if_lost(&mark(told).await, &service_at(begin + second)).await.unwrap() {
            assert_ne!(renewal.before, renewal.now);
            renewals += 1;
            first.get_or_insert(second);
        }
    }
    assert_eq!(first, Some(0), "the loss is noticed at once");
    assert!((2..=8).contains(&renewals), "{renewals} renewals in three hours, of each copy at most one an hour");
}

#[tokio::test]
async fn a_second_loss_is_answered_by_a_new_epoch_a_minute_after_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (original, copy) = copies(directory.path()).await;
    let begin = 1_800_000_000;
    assert!(original.renew_if_lost(&mark(&copy).await, &service_at(begin)).await.unwrap().is_some());
    // A backup from after the renewal loses another revision.
    original.close().await;
    std::fs::copy(directory.path().join("original"), directory.path().join("backup")).unwrap();
    let original = open(directory.path(), "original").await;
    revision(&original).await;
    let lost = mark(&original).await;
    let restored = open(directory.path(), "backup").await;
    for (second, renews) in [(1, false), (59, false), (60, true), (61, false), (600, false)] {
        let renewal = restored.renew_if_lost(&lost, &service_at(begin + second)).await.unwrap();
        assert_eq!(renewal.is_some(), renews, "after {second} s");
    }
    // A clock that was set back does not delay the renewal.
    revision(&restored).await;
    let mine = mark(&restored).await;
    let lost = restored.secret().mark(&mine.epoch, mine.revision, mine.word ^ 1);
    assert!(restored.renew_if_lost(&lost, &service_at(begin - 100 * HOUR)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_of_an_earlier_version_gets_a_new_epoch_once() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.ensure_migrations_table().await.unwrap();
    for migration in sqlx::migrate!("../store/src/sqlite/migrations").iter().take(2) {
        connection.apply(migration).await.unwrap();
    }
    let earlier = "00112233445566778899aabbccddeeff";
    sqlx::query("INSERT INTO policy_state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
        .bind(earlier)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let service = Service::in_directory(directory, OPTIONS).await;
    let renewed = epoch(&service).await;
    assert_ne!(renewed, earlier);
    service.feed(&format!("/v1/policy?since=0&epoch={earlier}")).await.expect_problem(410, None);
    let known = service.store.secret().mark(earlier, 0, 1);
    assert_eq!(
        service.store.renew_if_lost(&known, &service_at(1_800_000_000)).await.unwrap(),
        None,
        "it is remembered"
    );
    service.seed().await;
    let (_, poll) = links(&service, "gw").await;
    service.feed(&poll).await.expect(304);
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    let service = service.put_back(&backup, OPTIONS).await;
    assert_eq!(epoch(&service).await, renewed, "once");
    service.feed(&poll).await.expect(304);
}
