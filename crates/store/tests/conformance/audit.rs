//! What every database does with the audit log.

use management::port::{
    Actor, Kind, Store,
    audit::{Action, AuditFilter, Deed, Entry, Subject},
};
use serde_json::{Value, json};

use crate::{
    databases::Opened,
    support::{NOW, act, api, application, begin, key, put, remove},
    usage::{add, used_row},
};

async fn entries(store: &Store, filter: AuditFilter) -> Vec<Entry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        // Pages of two: where one ends must not matter.
        let page = store.entries(&filter, after, false, 2).await.unwrap();
        all.extend(page.entries);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

fn of_revision(entries: &[Entry], revision: i64) -> Entry {
    let found: Vec<_> = entries.iter().filter(|entry| entry.revision == Some(revision)).collect();
    assert_eq!(found.len(), 1, "revision {revision}: {found:?}");
    found[0].clone()
}

fn json_of(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

pub async fn each_revision_has_one_entry_that_says_who_did_what(opened: &Opened) {
    let store = &opened.store;
    // Nobody states what it is: the entry follows from the rows.
    let made = put(store, &[application("a", "o", "ACTIVE"), key("k", "a", "ACTIVE")]).await;
    let changed = put(store, &[application("a", "other", "ACTIVE")]).await;
    let mut change = begin(store).await;
    let stored = change.find(Kind::Application, "a").await.unwrap().unwrap();
    change.record(Deed::of_row(Action::Block, Kind::Application, "a").because(Some("why".to_owned())));
    change.replace(&stored, &application("a", "other", "BLOCKED")).await.unwrap();
    let blocked = change.commit().await.unwrap();
    let removed = remove(store, Kind::Key, "k").await;

    let all = entries(store, AuditFilter::default()).await;
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.is_sorted_by_key(|entry| entry.seq));
    let entry = of_revision(&all, made);
    let who = (entry.at, entry.actor.as_str(), entry.role.as_deref(), entry.address.as_deref());
    assert_eq!(who, (NOW, "administrator", Some("administrator"), None));
    let what = |entry: &Entry| (entry.action.clone(), entry.kind.clone(), entry.id.clone().unwrap_or_default());
    assert_eq!(what(&entry), ("create".to_owned(), "application".to_owned(), "a".to_owned()));
    assert_eq!((json_of(&entry.before), json_of(&entry.after)["owner"].clone()), (Value::Null, json!("o")));
    let also = &entry.also[0];
    assert_eq!((also.kind.as_str(), also.id.as_str(), also.before.as_deref()), ("key", "k", None));
    assert_eq!((json_of(&also.after)["id"].clone(), entry.also_total), (json!("k"), 1));
    let entry = of_revision(&all, changed);
    assert_eq!(what(&entry).0, "replace");
    assert_eq!(json_of(&entry.before)["owner"], "o");
    assert_eq!(json_of(&entry.after)["owner"], "other");
    let entry = of_revision(&all, blocked);
    assert_eq!((what(&entry).0.as_str(), entry.reason.as_deref()), ("block", Some("why")));
    let entry = of_revision(&all, removed);
    assert_eq!((what(&entry).0.as_str(), json_of(&entry.after)), ("delete", Value::Null));
}

pub async fn what_is_no_part_of_the_policy_has_entries_without_a_revision(opened: &Opened) {
    let store = &opened.store;
    let mut change = begin(store).await;
    change.record(Deed::beside_policy(Action::Create, Subject::Token, "t", None, Some("{}".to_owned())));
    change.commit_without_revision();
    assert_eq!(change.commit().await.unwrap(), 0);
    // A report of usage is no change that anybody asks about.
    add(store, NOW, &[used_row("a", "x", NOW, "allowed", 10)]).await;
    // And a change that is dropped never was.
    let mut dropped = begin(store).await;
    dropped.record(Deed::of_row(Action::Create, Kind::Api, "x"));
    dropped.insert(&api("x", "/x")).await.unwrap();
    drop(dropped);
    let before = store.state().await.unwrap().epoch;
    let after = store.renew_epoch(&act(Actor::Service, NOW)).await.unwrap();
    let all = entries(store, AuditFilter::default()).await;
    let told: Vec<_> = all.iter().map(|entry| (entry.kind.as_str(), entry.action.as_str(), entry.revision)).collect();
    assert_eq!(told, [("token", "create", None), ("policy", "renew_epoch", None)]);
    assert_eq!((all[1].actor.as_str(), all[1].role.as_deref()), ("service", None));
    assert_eq!((json_of(&all[1].before), json_of(&all[1].after)), (json!({"epoch": before}), json!({"epoch": after})));
}

pub async fn an_import_is_counted(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("x", "/x"), application("a", "o", "ACTIVE")]).await;
    let mut change = begin(store).await;
    change.record(Deed::of_policy(Action::Import, Some("label")));
    // What a rule states of one row does not take its place.
    change.record(Deed::of_row(Action::Create, Kind::Api, "y"));
    change.insert_all(&[api("y", "/y"), api("z", "/z"), key("k", "a", "ACTIVE")]).await.unwrap();
    let stored = change.find(Kind::Application, "a").await.unwrap().unwrap();
    change.replace(&stored, &application("a", "other", "ACTIVE")).await.unwrap();
    let stored = change.find(Kind::Api, "x").await.unwrap().unwrap();
    change.remove(&stored).await.unwrap();
    let revision = change.commit().await.unwrap();
    let entry = of_revision(&entries(store, AuditFilter::default()).await, revision);
    assert_eq!((entry.action.as_str(), entry.kind.as_str(), entry.id.as_deref()), ("import", "policy", Some("label")));
    let expected = json!({"apis": {"made": 2, "changed": 0, "removed": 1},
        "applications": {"made": 0, "changed": 1, "removed": 0}, "keys": {"made": 1, "changed": 0, "removed": 0}});
    assert_eq!((json_of(&entry.counts), entry.also.len()), (expected, 0));
}

pub async fn entries_are_found_by_what_people_look_for(opened: &Opened) {
    let store = &opened.store;
    for (now, who, rows) in [
        (NOW, Actor::administrator(), vec![application("a", "o", "ACTIVE"), key("k", "a", "ACTIVE")]),
        (NOW + 1, Actor::Service, vec![application("k", "o", "ACTIVE")]),
        (NOW + 2, Actor::administrator(), vec![key("k", "a", "REVOKED")]),
    ] {
        let mut change = store.begin(act(who, now)).await.unwrap();
        for row in rows {
            match change.find(row.kind, &row.id).await.unwrap() {
                Some(stored) => change.replace(&stored, &row).await.unwrap(),
                None => change.insert(&row).await.unwrap(),
            }
        }
        change.commit().await.unwrap();
    }
    let some = |text: &str| Some(text.to_owned());
    let all = AuditFilter::default;
    for (filter, revisions) in [
        (all(), vec![1, 2, 3]),
        (AuditFilter { kind: some("key"), ..all() }, vec![3]),
        (AuditFilter { kind: some("key"), id: some("k"), ..all() }, vec![1, 3]),
        (AuditFilter { kind: some("application"), id: some("k"), ..all() }, vec![2]),
        (AuditFilter { id: some("k"), ..all() }, vec![1, 2, 3]),
        (AuditFilter { id: some("none"), ..all() }, vec![]),
        (AuditFilter { actor: some("service"), ..all() }, vec![2]),
        (AuditFilter { action: some("create"), ..all() }, vec![1, 2]),
        (AuditFilter { from: Some(NOW + 1), ..all() }, vec![2, 3]),
        (AuditFilter { to: Some(NOW + 1), ..all() }, vec![1]),
        (AuditFilter { from: Some(NOW + 1), to: Some(NOW + 2), actor: some("service"), ..all() }, vec![2]),
    ] {
        let found: Vec<i64> = entries(store, filter.clone()).await.iter().filter_map(|entry| entry.revision).collect();
        assert_eq!(found, revisions, "{filter:?}");
        let page = store.entries(&filter, None, true, 100).await.unwrap();
        let reverse: Vec<i64> = page.entries.iter().filter_map(|entry| entry.revision).rev().collect();
        assert_eq!((reverse, page.next), (revisions, None), "{filter:?}");
    }
}

/// Of this database three versions that hold no more are kept.
pub async fn entries_stay_when_rows_and_history_go(opened: &Opened) {
    let store = &opened.store;
    for number in 0..20 {
        put(store, &[application("a", &format!("owner-{number}"), "ACTIVE")]).await;
    }
    remove(store, Kind::Application, "a").await;
    assert!(store.state().await.unwrap().horizon > 10);
    let all = entries(store, AuditFilter { id: Some("a".to_owned()), ..AuditFilter::default() }).await;
    let revisions: Vec<i64> = all.iter().filter_map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=21).collect::<Vec<i64>>());
}
