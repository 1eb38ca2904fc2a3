//! The required properties of every database behind the port. All of them run for each implementation. To add a
//! database, add a line at the end of this file with the function that opens it.
//!
//! The properties use only the traits of `management::port`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "conformance/accounts.rs"]
mod accounts;
#[path = "conformance/audit.rs"]
mod audit;
#[path = "conformance/sight.rs"]
mod sight;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use management::port::{
    Act, Actor, Error, Kind, Name, NewRow, Origin, Scope, Snapshot, Store, Transaction,
    list::{Column, Filter, Sort},
    places::places,
    target::target,
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};
use serde_json::{Value, json};
use store::sqlite::{Settings, SqliteStore};

/// 2025-06-01T00:00:00Z, the time of all acts of a test unless it names another.
const NOW: i64 = 1_748_736_000;
const DAY: i64 = 86_400;

/// A test's own database. It is deleted with the directory.
struct Opened {
    store: Store,
    _place: tempfile::TempDir,
}

/// Number of past versions that are kept.
async fn sqlite(history_rows: i64) -> Opened {
    let place = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", place.path().join("policy.db").display());
    let settings = Settings { history_rows, ..Settings::default() };
    let store = Arc::new(SqliteStore::open(&url, settings).await.unwrap());
    Opened { store, _place: place }
}

fn act(actor: Actor, now: i64) -> Act {
    Act {
        actor,
        now,
        random: |bytes| {
            bytes.fill(7);
            Ok(())
        },
        origin: Origin::default(),
    }
}

async fn begin(store: &Store) -> Box<dyn Transaction> {
    store.begin(act(Actor::administrator(), NOW)).await.unwrap()
}

/// A row of this kind. The columns by which the database finds it come from its document.
fn row(kind: Kind, id: &str, document: Value) -> NewRow {
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let identity = match kind {
        Kind::Key => text("sha256").unwrap(),
        Kind::Subscription => format!("{}\u{1f}{}", text("application").unwrap(), text("api").unwrap()),
        _ => id.to_owned(),
    };
    let application = if kind == Kind::Application { Some(id.to_owned()) } else { text("application") };
    NewRow {
        kind,
        id: id.to_owned(),
        identity,
        application,
        api: text("api").filter(|_| kind == Kind::Subscription),
        plan: text("plan"),
        kept_block: None,
        kept_owner: None,
        beside: None,
        state_before: None,
        document: document.to_string(),
    }
}

fn api(id: &str, path: &str) -> NewRow {
    row(Kind::Api, id, json!({"id": id, "state": "PUBLISHED", "match": [{"path": path}]}))
}

fn application(id: &str, owner: &str, state: &str) -> NewRow {
    row(Kind::Application, id, json!({"id": id, "owner": owner, "state": state}))
}

fn key(id: &str, application: &str, state: &str) -> NewRow {
    let document =
        json!({"id": id, "sha256": digest(id), "application": application, "type": "PRODUCTION", "state": state});
    row(Kind::Key, id, document)
}

fn subscription(id: &str, application: &str, api: &str, state: &str) -> NewRow {
    row(Kind::Subscription, id, json!({"application": application, "api": api, "state": state}))
}

/// A digest for `id`.
fn digest(id: &str) -> String {
    let hexadecimal: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hexadecimal:0>64}")
}

/// Writes rows in one change. Returns its revision.
async fn put(store: &Store, rows: &[NewRow]) -> i64 {
    let mut change = begin(store).await;
    for row in rows {
        match change.find(row.kind, &row.id).await.unwrap() {
            Some(stored) => change.replace(&stored, row).await.unwrap(),
            None => change.insert(row).await.unwrap(),
        }
    }
    change.commit().await.unwrap()
}

/// Removes a row in one change. Returns its revision.
async fn remove(store: &Store, kind: Kind, id: &str) -> i64 {
    let mut change = begin(store).await;
    let stored = change.find(kind, id).await.unwrap().unwrap();
    change.remove(&stored).await.unwrap();
    change.commit().await.unwrap()
}

fn only(apis: &[&str]) -> Scope {
    Scope::Apis(Arc::new(apis.iter().map(|api| (*api).to_owned()).collect()))
}

/// Which rows to read.
#[derive(Clone, Copy)]
enum Part {
    Full,
    Removed(i64),
    Changed(i64),
}

/// Reads all documents of a part of the policy at a revision, in pages of `limit` rows.
async fn read(store: &Store, scope: &Scope, part: Part, at: i64, limit: usize) -> Result<Vec<String>, Error> {
    let mut snapshot = store.snapshot().await?;
    let mut documents = Vec::new();
    let mut after = 0;
    loop {
        let page = match part {
            Part::Full => snapshot.full(scope, at, after, limit).await?,
            Part::Removed(since) => snapshot.removed(scope, since, at, after, limit).await?,
            Part::Changed(since) => snapshot.changed(scope, since, at, after, limit).await?,
        };
        assert_eq!(usize::try_from(page.count).unwrap(), page.iter().count());
        assert!(page.iter().count() <= limit);
        documents.extend(page.iter().map(|(_, document)| document.to_owned()));
        let Some(next) = page.next else { break };
        assert!(next > after, "a page goes on");
        after = next;
    }
    documents.sort();
    Ok(documents)
}

fn documents(rows: &[NewRow]) -> Vec<String> {
    let mut documents: Vec<String> = rows.iter().map(|row| row.document.clone()).collect();
    documents.sort();
    documents
}

async fn a_change_is_one_revision_or_none(opened: &Opened) {
    let store = &opened.store;
    assert!(store.is_new());
    assert_eq!(store.state().await.unwrap().revision, 0);
    assert_eq!(put(store, &[api("a", "/a"), api("b", "/b")]).await, 1);

    let change = begin(store).await;
    assert!(!change.is_dirty());
    assert_eq!(change.commit().await.unwrap(), 1, "nothing was changed");

    let mut dropped = begin(store).await;
    dropped.insert(&api("c", "/c")).await.unwrap();
    assert!(dropped.is_dirty());
    assert_eq!(dropped.count(Kind::Api), 3, "a change sees what it does");
    assert_eq!(store.state().await.unwrap().count(Kind::Api), 2, "and nobody else does");
    drop(dropped);
    assert_eq!(store.find(Kind::Api, "c").await.unwrap(), None);

    let state = store.state().await.unwrap();
    assert_eq!((state.revision, state.horizon, state.count(Kind::Api), state.count(Kind::Key)), (1, 0, 2, 0));
}

async fn what_is_beside_the_policy_makes_no_revision(opened: &Opened) {
    let store = &opened.store;
    for (kept, expected) in [(false, true), (true, true), (true, false)] {
        let mut report = store.begin_report(act(Actor::Service, NOW)).await.unwrap();
        assert_eq!(report.take_batch("gateway", "batch").await.unwrap(), expected);
        if kept {
            report.commit_without_revision();
        }
        assert_eq!(report.commit().await.unwrap(), 0);
    }
    store.check_writer(&act(Actor::Service, NOW)).await.unwrap();
    assert_eq!(store.state().await.unwrap().revision, 0);
}

async fn a_change_knows_who_makes_it_and_when(opened: &Opened) {
    for actor in [Actor::administrator(), Actor::Import, Actor::Service] {
        let change = opened.store.begin(act(actor.clone(), NOW + 5)).await.unwrap();
        assert_eq!((&change.act().actor, change.act().now), (&actor, NOW + 5));
        assert_eq!(change.act().random::<2>().unwrap(), [7, 7]);
    }
}

async fn changes_come_one_after_the_other(opened: &Opened) {
    let mut first = begin(&opened.store).await;
    let store = Arc::clone(&opened.store);
    let second = tokio::spawn(async move { put(&store, &[api("b", "/b")]).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished(), "one writes at a time");
    first.insert(&api("a", "/a")).await.unwrap();
    assert_eq!(first.commit().await.unwrap(), 1);
    assert_eq!(second.await.unwrap(), 2);
}

async fn those_who_wait_are_told_of_what_can_be_read(opened: &Opened) {
    let store = &opened.store;
    let mut revisions = store.revisions();
    assert_eq!(store.waiting(), 1);
    assert_eq!(revisions.borrow_and_update().revision, 0);
    let revision = put(store, &[api("a", "/a")]).await;
    tokio::time::timeout(Duration::from_secs(5), revisions.changed()).await.expect("it is told").unwrap();
    let latest = revisions.borrow_and_update().clone();
    let state = store.snapshot().await.unwrap().state().clone();
    assert_eq!((latest.revision, latest.word, &latest.epoch), (revision, state.word, &state.epoch));
    drop(begin(store).await);
    assert!(!revisions.has_changed().unwrap(), "nothing is new");
    let renewed = store.renew_epoch(&act(Actor::administrator(), NOW)).await.unwrap();
    assert_eq!(revisions.borrow_and_update().epoch, renewed);
}

async fn a_row_is_found_by_each_of_its_names(opened: &Opened) {
    let store = &opened.store;
    let kept = NewRow { kept_block: Some("BLOCKED".to_owned()), ..application("gone", "o", "BLOCKED") };
    put(store, &[api("a", "/a"), application("app", "o", "ACTIVE"), kept, key("k", "app", "ACTIVE")]).await;
    put(store, &[subscription("s", "app", "a", "UNBLOCKED"), row(Kind::Plan, "p", json!({"id": "p"}))]).await;

    let stored = store.find(Kind::Key, "k").await.unwrap().unwrap();
    assert_eq!((stored.kind, stored.id.as_str(), stored.from_revision), (Kind::Key, "k", 1));
    assert_eq!(stored.document, key("k", "app", "ACTIVE").document, "to the byte");
    assert_eq!(store.find_identity(Kind::Key, &digest("k")).await.unwrap(), Some(stored.clone()));
    assert_eq!(store.find(Kind::Api, "k").await.unwrap(), None, "an id is of one kind");
    assert_eq!(store.subscriptions_of("app").await.unwrap().len(), 1);

    let mut change = begin(store).await;
    assert_eq!(change.find(Kind::Key, "k").await.unwrap(), Some(stored.clone()));
    assert_eq!(change.find_identity(Kind::Key, &digest("k")).await.unwrap(), Some(stored));
    assert_eq!(change.of_application("app").await.unwrap().len(), 2);
    assert_eq!(change.of_api("a").await.unwrap().len(), 1);
    assert_eq!(change.of_plan("p").await.unwrap(), None);
    for (name, values, expected) in [
        (Name::Id, vec!["app", "gone", "x"], vec!["app", "gone"]),
        (Name::Present, vec!["app", "gone", "x"], vec!["app"]),
        (Name::Identity, vec!["app", "k"], vec!["app"]),
        (Name::Id, vec![], vec![]),
    ] {
        let found = change.existing(Kind::Application, name, &values).await.unwrap();
        let mut found: Vec<_> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name:?} {values:?}");
    }
}

async fn every_column_of_a_row_is_read_as_it_was_written(opened: &Opened) {
    let store = &opened.store;
    let new = NewRow {
        plan: Some("p".to_owned()),
        kept_block: Some("BLOCKED".to_owned()),
        kept_owner: Some("o".to_owned()),
        beside: Some("{}".to_owned()),
        state_before: Some("ON_HOLD".to_owned()),
        ..subscription("s", "app", "a", "BLOCKED")
    };
    put(store, std::slice::from_ref(&new)).await;
    let found = store.find(Kind::Subscription, "s").await.unwrap().unwrap();
    assert_eq!(store.find_identity(Kind::Subscription, &new.identity).await.unwrap(), Some(found.clone()));
    assert!(begin(store).await.of_plan("p").await.unwrap().is_some());
    // Without `..`, so that a new column does not compile before it is compared here.
    let management::port::Version {
        seq: _,
        from_revision: _,
        kind,
        id,
        application,
        api,
        kept_block,
        kept_owner,
        beside,
        state_before,
        document,
    } = found;
    let NewRow { identity, plan, .. } = new.clone();
    let read =
        NewRow { kind, id, identity, application, api, plan, kept_block, kept_owner, state_before, beside, document };
    assert_eq!(read, new);
}

async fn a_revision_is_read_as_it_was_in_pages_of_any_size(opened: &Opened) {
    let store = &opened.store;
    let before =
        [api("a", "/a"), api("b", "/b"), api("c", "/c"), application("app", "o", "ACTIVE"), key("k", "app", "ACTIVE")];
    let first = put(store, &before).await;
    let new = [application("app", "p", "ACTIVE"), api("d", "/d")];
    put(store, &new).await;
    let second = remove(store, Kind::Api, "b").await;
    let after = [api("a", "/a"), api("c", "/c"), new[0].clone(), key("k", "app", "ACTIVE"), new[1].clone()];
    for limit in [1, 2, 3, 100] {
        let of = async |part, at| read(store, &Scope::All, part, at, limit).await.unwrap();
        assert_eq!(of(Part::Full, first).await, documents(&before), "{limit}");
        assert_eq!(of(Part::Full, second).await, documents(&after), "{limit}");
        assert_eq!(of(Part::Removed(first), second).await, documents(&before[1..2]), "{limit}");
        assert_eq!(of(Part::Changed(first), second).await, documents(&new), "{limit}");
        assert!(of(Part::Changed(second), second).await.is_empty(), "{limit}");
    }
    let mut snapshot = store.snapshot().await.unwrap();
    for (at, expected) in
        [(first, Some(before[3].document.clone())), (second, Some(new[0].document.clone())), (0, None)]
    {
        assert_eq!(snapshot.document_at(Kind::Application, "app", at).await.unwrap(), expected, "{at}");
    }
    assert!(matches!(read(store, &Scope::All, Part::Full, second + 1, 5).await, Err(Error::Gone(_))), "not yet");
}

async fn a_snapshot_does_not_change(opened: &Opened) {
    let store = &opened.store;
    let revision = put(store, &[api("a", "/a")]).await;
    let mut snapshot: Box<dyn Snapshot> = store.snapshot().await.unwrap();
    let later = put(store, &[api("b", "/b")]).await;
    assert_eq!(snapshot.state().revision, revision);
    assert_eq!(snapshot.full(&Scope::All, revision, 0, 9).await.unwrap().count, 1);
    assert!(matches!(snapshot.full(&Scope::All, later, 0, 9).await, Err(Error::Gone(_))));
}

async fn a_limited_reader_sees_what_reaches_its_apis(opened: &Opened) {
    let store = &opened.store;
    let seen = [
        api("a", "/a"),
        application("app", "o", "ACTIVE"),
        key("k", "app", "ACTIVE"),
        subscription("s", "app", "a", "UNBLOCKED"),
    ];
    let hidden = [
        api("b", "/b"),
        application("other", "o", "ACTIVE"),
        key("l", "other", "ACTIVE"),
        subscription("t", "other", "b", "UNBLOCKED"),
    ];
    let first = put(store, &[seen.clone(), hidden.clone()].concat()).await;
    assert_eq!(read(store, &only(&["a"]), Part::Full, first, 2).await.unwrap(), documents(&seen));
    assert!(read(store, &only(&[]), Part::Full, first, 2).await.unwrap().is_empty());
    // Rows that start to reach the scope are added even if they are older. Rows that stop reaching it are removed even
    // if they are current.
    let new = subscription("u", "other", "a", "UNBLOCKED");
    let second = put(store, std::slice::from_ref(&new)).await;
    let came = [hidden[1].clone(), hidden[2].clone(), new.clone()];
    assert_eq!(read(store, &only(&["a"]), Part::Changed(first), second, 1).await.unwrap(), documents(&came));
    let third = remove(store, Kind::Subscription, "u").await;
    assert_eq!(read(store, &only(&["a"]), Part::Removed(second), third, 1).await.unwrap(), documents(&came));
}

async fn the_far_past_is_forgotten(opened: &Opened) {
    let store = &opened.store;
    for number in 0..10 {
        put(store, &[api("a", &format!("/{number}"))]).await;
    }
    let state = store.state().await.unwrap();
    assert_eq!((state.revision, state.past), (10, 3));
    assert_eq!(read(store, &Scope::All, Part::Full, state.horizon, 9).await.unwrap().len(), 1);
    for at in [0, state.horizon - 1] {
        assert!(matches!(read(store, &Scope::All, Part::Full, at, 9).await, Err(Error::Gone(gone)) if gone == at));
    }
    let mut snapshot = store.snapshot().await.unwrap();
    assert!(matches!(snapshot.word(state.horizon - 1).await, Err(Error::Gone(_))));
}

async fn a_mark_shows_which_history_it_is_of(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a")]).await;
    put(store, &[api("b", "/b")]).await;
    let state = store.state().await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let earlier = snapshot.word(1).await.unwrap();
    let mark = |epoch: &str, revision, word| store.secret().mark(epoch, revision, word);
    for (mark, is_had) in [
        (mark(&state.epoch, 2, state.word), true),
        (mark(&state.epoch, 1, earlier), true),
        (mark(&state.epoch, 2, state.word ^ 1), false),
        (mark(&state.epoch, 1, earlier ^ 1), false),
        (mark(&state.epoch, 3, 0), false),
        (mark("another", 2, state.word), false),
    ] {
        match snapshot.check_mark(&mark).await {
            Ok(()) => assert!(is_had, "{mark:?}"),
            Err(Error::OtherHistory(revision)) => assert!(!is_had && revision == mark.revision, "{mark:?}"),
            Err(other) => panic!("{mark:?}: {other}"),
        }
    }
    drop(snapshot);

    let service = |now| act(Actor::Service, now);
    let renew = async |mark, now| store.renew_if_lost(&mark, &service(now)).await.unwrap();
    assert_eq!(renew(mark(&state.epoch, 2, state.word), NOW).await, None, "nothing is lost");
    let renewed = renew(mark(&state.epoch, 3, 0), NOW).await.unwrap();
    assert_eq!(renewed.before, state.epoch);
    assert_eq!(store.state().await.unwrap().epoch, renewed.now);
    assert_eq!(renew(mark(&state.epoch, 3, 0), NOW).await, None, "it is remembered as an earlier epoch");
    assert_eq!(renew(mark(&renewed.now, 9, 0), NOW + 59).await, None, "at most once a minute");
    assert!(renew(mark(&renewed.now, 9, 0), NOW + 60).await.is_some());
}

async fn a_revoked_key_stays_revoked_when_its_row_is_gone(opened: &Opened) {
    let store = &opened.store;
    put(store, &[application("app", "o", "ACTIVE"), key("k", "app", "REVOKED"), key("l", "app", "ACTIVE")]).await;
    let revoked = async |id: &str| !begin(store).await.revoked(&[&digest(id)]).await.unwrap().is_empty();
    assert!(!revoked("k").await, "its row says so itself");
    remove(store, Kind::Key, "k").await;
    remove(store, Kind::Key, "l").await;
    assert!(revoked("k").await);
    assert!(!revoked("l").await);
}

async fn rows_that_mean_the_same_are_found(opened: &Opened) {
    let store = &opened.store;
    let deny =
        |id: &str, kind: &str, value: &str| row(Kind::DenyPolicy, id, json!({"id": id, "type": kind, "value": value}));
    let policies =
        [deny("d", "IP_RANGE", "192.0.2.7/24"), deny("e", "APPLICATION", "app"), deny("f", "USER", "nobody")];
    put(store, &[api("a", "/a"), application("app", "o", "ACTIVE")]).await;
    put(store, &policies).await;
    let mut change = begin(store).await;
    let same = places(&api("x", "/a").document);
    assert_eq!(change.api_at(&same, "x").await.unwrap().map(|(api, _)| api).as_deref(), Some("a"));
    assert_eq!(change.api_at(&same, "a").await.unwrap(), None, "itself is no other");
    assert_eq!(change.api_at(&places(&api("x", "/x").document), "x").await.unwrap(), None);
    let range = target(&deny("x", "IP_RANGE", "192.0.2.0/24").document).unwrap();
    assert_eq!(change.denied_by(&range, "x").await.unwrap().as_deref(), Some("d"));
    assert_eq!(change.denied_by(&range, "d").await.unwrap(), None);
    change.insert_all(&[api("b", "/a")]).await.unwrap();
    change.commit().await.unwrap();
    let clashes = store.clashes().await.unwrap();
    assert_eq!(clashes.iter().map(|clash| (&*clash.meant, &*clash.shadowed)).collect::<Vec<_>>(), [("a", "b")]);
    let applies = store.applies(&policies.map(|policy| policy.document)).await.unwrap();
    assert_eq!(applies, [true, true, false]);
}

async fn blocks_of_an_owner_are_found(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a"), api("b", "/b"), application("one", "o", "ACTIVE"), application("two", "o", "ACTIVE")])
        .await;
    put(store, &[application("new", "p", "ACTIVE"), subscription("s", "one", "a", "BLOCKED")]).await;
    let mut change = begin(store).await;
    assert_eq!(change.owner_of("one").await.unwrap().as_deref(), Some("o"));
    assert_eq!(change.owner_of("nobody").await.unwrap(), None);
    for (application, api, expected) in
        [("two", "a", true), ("two", "b", false), ("new", "a", false), ("nobody", "a", false)]
    {
        assert_eq!(change.is_owner_blocked(application, api).await.unwrap(), expected, "{application} {api}");
    }
    assert!(!change.has_blocked_application("o").await.unwrap());
    drop(change);
    // A deleted subscription leaves a block for its owner at that time.
    let kept = NewRow {
        kept_block: Some("BLOCKED".to_owned()),
        kept_owner: Some("p".to_owned()),
        ..subscription("s", "one", "a", "BLOCKED")
    };
    put(store, &[kept, application("two", "o", "BLOCKED")]).await;
    let mut change = begin(store).await;
    assert!(change.has_blocked_application("o").await.unwrap());
    for (application, api, expected) in [("one", "b", true), ("new", "a", true), ("new", "b", false)] {
        assert_eq!(change.is_owner_blocked(application, api).await.unwrap(), expected, "{application} {api}");
    }
}

async fn lists_are_filtered_sorted_and_counted(opened: &Opened) {
    let store = &opened.store;
    let rows: Vec<NewRow> = [("a", "x", "ACTIVE"), ("b", "y", "BLOCKED"), ("c", "x", "BLOCKED"), ("d%", "z", "ACTIVE")]
        .map(|(id, owner, state)| application(id, owner, state))
        .into();
    put(store, &rows).await;
    put(store, &[key("k", "a", "ACTIVE"), key("l", "b", "ACTIVE")]).await;
    let some = |text: &str| Some(text.to_owned());
    let all = Filter::default;
    let by = |column, descending| Sort { column, descending };
    for (kind, filter, sort, expected) in [
        (Kind::Application, all(), by(Column::Id, false), vec!["a", "b", "c", "d%"]),
        (Kind::Application, all(), by(Column::Id, true), vec!["d%", "c", "b", "a"]),
        (Kind::Application, all(), by(Column::Owner, false), vec!["a", "c", "b", "d%"]),
        (Kind::Application, all(), by(Column::Changed, true), vec!["d%", "c", "b", "a"]),
        (Kind::Application, Filter { state: some("BLOCKED"), ..all() }, by(Column::Id, false), vec!["b", "c"]),
        (Kind::Application, Filter { owner: some("x"), ..all() }, by(Column::State, true), vec!["c", "a"]),
        (Kind::Application, Filter { part: some("%"), ..all() }, by(Column::Id, false), vec!["d%"]),
        (Kind::Key, Filter { owner: some("x"), ..all() }, by(Column::Id, false), vec!["k"]),
        (Kind::Key, Filter { application: some("b"), ..all() }, by(Column::Id, false), vec!["l"]),
        (Kind::Key, Filter { identity: Some(digest("l")), ..all() }, by(Column::Id, false), vec!["l"]),
        (Kind::Key, Filter { last_used_before: Some(1), ..all() }, by(Column::LastUsed, false), vec!["k", "l"]),
        (Kind::Plan, all(), by(Column::Id, false), vec![]),
    ] {
        for limit in [1, 2, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.list(kind, &filter, sort, after.as_ref(), limit).await.unwrap();
                assert_eq!(usize::try_from(page.total).unwrap(), expected.len(), "{filter:?}");
                found.extend(page.rows.into_iter().map(|version| version.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{kind:?} {filter:?} {sort:?} by {limit}");
        }
    }
}

fn used_row(application: &str, api: &str, hour: i64, outcome: &str, requests: i64) -> UsageRow {
    UsageRow {
        application: application.to_owned(),
        api: api.to_owned(),
        hour,
        plan: String::new(),
        outcome: outcome.to_owned(),
        requests,
    }
}

/// Adds usage at a time. It makes no revision.
async fn add(store: &Store, now: i64, rows: &[UsageRow]) {
    let mut report = store.begin_report(act(Actor::Service, now)).await.unwrap();
    report.add_usage(rows).await.unwrap();
    report.tidy_usage().await.unwrap();
    report.commit_without_revision();
    report.commit().await.unwrap();
}

/// The requests of the day and of the month.
async fn used(store: &Store, application: &str, api: &str, now: i64) -> (i64, i64) {
    let pair = Pair { application: application.to_owned(), api: api.to_owned() };
    let found = begin(store).await.used(std::slice::from_ref(&pair), &Windows::of(now)).await.unwrap();
    let found: BTreeMap<String, Used> = found.into_iter().map(|(pair, used)| (pair.api, used)).collect();
    found.get(api).map_or((0, 0), |used| (used.day, used.month))
}

async fn usage_adds_up_by_hour_day_and_month(opened: &Opened) {
    let store = &opened.store;
    // The last hour of a month, and the first of the next.
    let (last, first) = (NOW - 3_600, NOW);
    add(store, NOW, &[used_row("app", "a", last, "allowed", 5), used_row("app", "a", first, "allowed", 7)]).await;
    add(store, NOW, &[used_row("app", "b", first, "allowed", 1), used_row("app", "a", first, "blocked", 100)]).await;
    add(store, NOW, &[used_row("app", "a", first, "allowed", 2), used_row("app", "a", first + DAY, "allowed", 30)])
        .await;
    assert_eq!(used(store, "app", "a", first).await, (9, 39));
    assert_eq!(used(store, "app", "a", first + DAY).await, (30, 39));
    assert_eq!(used(store, "app", "a", last).await, (5, 5));
    assert_eq!(used(store, "app", "", first).await, (10, 40), "over all APIs");
    assert_eq!(used(store, "other", "", first).await, (0, 0));
    let filter =
        UsageFilter { api: Some("a".to_owned()), from: Some(first), to: Some(first + DAY), ..UsageFilter::default() };
    let rows = store.usage(&filter, None, 10).await.unwrap();
    assert_eq!(rows, [used_row("app", "a", first, "allowed", 9), used_row("app", "a", first, "blocked", 100)]);
    assert_eq!(store.usage(&filter, rows.first(), 10).await.unwrap(), rows[1..]);
    // A sum that would overflow stays at the maximum.
    add(store, NOW, &[used_row("app", "a", first, "allowed", i64::MAX)]).await;
    assert_eq!(used(store, "app", "a", first).await.0, i64::MAX);
}

async fn usage_that_is_too_old_goes(opened: &Opened) {
    let store = &opened.store;
    add(store, NOW, &[used_row("app", "a", NOW, "allowed", 5)]).await;
    let mut report = store.begin_report(act(Actor::Service, NOW)).await.unwrap();
    assert!(report.take_batch("gateway", "batch").await.unwrap());
    report.commit_without_revision();
    report.commit().await.unwrap();
    add(store, NOW + 100 * DAY, &[]).await;
    assert_eq!(used(store, "app", "a", NOW).await, (0, 0), "totals are kept for two months");
    assert_eq!(store.usage(&UsageFilter::default(), None, 10).await.unwrap().len(), 1, "hours are kept for 400 days");
    add(store, NOW + 401 * DAY, &[]).await;
    assert!(store.usage(&UsageFilter::default(), None, 10).await.unwrap().is_empty());
    let mut report = store.begin_report(act(Actor::Service, NOW + 401 * DAY)).await.unwrap();
    assert!(report.take_batch("gateway", "batch").await.unwrap(), "the batch is forgotten");
}

async fn a_gateway_has_room_and_its_batches_are_known(opened: &Opened) {
    let mut report = opened.store.begin_report(act(Actor::Service, NOW)).await.unwrap();
    assert_eq!(report.room("gateway").await.unwrap(), None);
    report.set_room("gateway", 17).await.unwrap();
    assert_eq!(report.room("gateway").await.unwrap(), Some((NOW, 17)));
    report.set_room("gateway", 4).await.unwrap();
    assert_eq!(report.room("gateway").await.unwrap(), Some((NOW, 4)));
    for (gateway, batch, is_new) in [("g", "1", true), ("g", "1", false), ("h", "1", true), ("g", "2", true)] {
        assert_eq!(report.take_batch(gateway, batch).await.unwrap(), is_new, "{gateway} {batch}");
    }
}

async fn the_last_use_of_a_key_is_kept_while_it_is_there(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a"), api("b", "/b"), application("app", "o", "ACTIVE"), key("k", "app", "ACTIVE")]).await;
    put(store, &[subscription("s", "app", "a", "UNBLOCKED")]).await;
    let at = |id: &str, last_used| KeyUsed { id: id.to_owned(), last_used };
    for (keys, scope, taken) in [
        (vec![at("k", 100), at("x", 100)], Scope::All, 1),
        (vec![at("k", 90)], Scope::All, 1),
        (vec![at("k", 900)], only(&["b"]), 0),
        (vec![at("k", 110)], only(&["a"]), 1),
        (vec![], Scope::All, 0),
    ] {
        let mut report = store.begin_report(act(Actor::Service, NOW)).await.unwrap();
        assert_eq!(report.touch(&keys, &scope).await.unwrap(), taken, "{keys:?} {scope:?}");
        report.commit_without_revision();
        report.commit().await.unwrap();
    }
    assert_eq!(store.last_used(&["k", "x"]).await.unwrap(), [at("k", 110)]);
    let mut change = begin(store).await;
    change.forget_key("k").await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert!(store.last_used(&["k"]).await.unwrap().is_empty());
}

async fn rows_of_plans_are_found_by_what_was_used(opened: &Opened) {
    let store = &opened.store;
    let plan = |id: &str, until: Option<i64>| {
        row(
            Kind::Application,
            id,
            json!({"id": id, "owner": "o", "state": "ACTIVE", "plan": "gold", "used_up_until": until}),
        )
    };
    let subscribed =
        row(Kind::Subscription, "s", json!({"application": "a", "api": "x", "state": "UNBLOCKED", "plan": "gold"}));
    put(store, &[row(Kind::Plan, "gold", json!({"id": "gold"})), plan("a", None), plan("b", Some(NOW + DAY))]).await;
    put(store, &[api("x", "/x"), application("none", "o", "ACTIVE"), subscribed]).await;
    add(store, NOW, &[used_row("a", "x", NOW, "allowed", 10)]).await;
    let mut change = begin(store).await;
    let ids = |versions: Vec<management::port::Version>| {
        let mut ids: Vec<String> = versions.into_iter().map(|version| version.id).collect();
        ids.sort();
        ids
    };
    let pair = |application: &str, api: &str| Pair { application: application.to_owned(), api: api.to_owned() };
    let pairs = [pair("a", "x"), pair("a", ""), pair("none", ""), pair("none", "x")];
    assert_eq!(ids(change.with_plans(&pairs).await.unwrap()), ["a", "s"]);
    assert_eq!(ids(change.used_up("gold").await.unwrap()), ["b"]);
    assert!(change.of_plan("gold").await.unwrap().is_some());
    let windows = Windows::of(NOW);
    for (least, expected) in
        [([Some(10), None], vec!["a", "s"]), ([Some(11), Some(11)], vec![]), ([None, Some(10)], vec!["a", "s"])]
    {
        assert_eq!(ids(change.reached("gold", &windows, least).await.unwrap()), expected, "{least:?}");
    }
    // An application that is created again starts with no usage.
    change.forget_totals("a").await.unwrap();
    assert!(change.reached("gold", &windows, [Some(1), Some(1)]).await.unwrap().is_empty());
}

use accounts::*;
use audit::*;
use sight::*;

/// The tests of one database. Each test has a database of its own.
macro_rules! conformance {
    ($database:ident) => {
        conformance!($database, 100_000: [
            a_change_is_one_revision_or_none,
            what_is_beside_the_policy_makes_no_revision,
            a_change_knows_who_makes_it_and_when,
            changes_come_one_after_the_other,
            those_who_wait_are_told_of_what_can_be_read,
            a_row_is_found_by_each_of_its_names,
            every_column_of_a_row_is_read_as_it_was_written,
            a_revision_is_read_as_it_was_in_pages_of_any_size,
            a_snapshot_does_not_change,
            a_limited_reader_sees_what_reaches_its_apis,
            a_mark_shows_which_history_it_is_of,
            a_revoked_key_stays_revoked_when_its_row_is_gone,
            rows_that_mean_the_same_are_found,
            blocks_of_an_owner_are_found,
            lists_are_filtered_sorted_and_counted,
            usage_adds_up_by_hour_day_and_month,
            usage_that_is_too_old_goes,
            a_gateway_has_room_and_its_batches_are_known,
            the_last_use_of_a_key_is_kept_while_it_is_there,
            rows_of_plans_are_found_by_what_was_used,
            each_revision_has_one_entry_that_says_who_did_what,
            what_is_no_part_of_the_policy_has_entries_without_a_revision,
            an_import_is_counted,
            entries_are_found_by_what_people_look_for,
            tokens_are_found_by_their_secret_until_they_are_removed,
            a_gateway_has_several_credentials_whose_scope_changes,
            those_who_wait_are_told_of_changed_accounts,
            who_is_limited_sees_only_what_reaches_them,
            usage_is_seen_by_whose_application_or_api_it_is_of,
        ], 3: [the_far_past_is_forgotten, entries_stay_when_rows_and_history_go]);
    };
    ($database:ident, $($history_rows:literal: [$($property:ident),* $(,)?]),*) => {
        mod $database {
            $($(
                #[tokio::test]
                async fn $property() {
                    super::$property(&super::$database($history_rows).await).await;
                }
            )*)*
        }
    };
}

conformance!(sqlite);
