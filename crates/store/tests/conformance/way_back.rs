//! The kept past in every database: revisions, differences and earlier rows.

use std::collections::BTreeMap;

use management::port::{
    Actor, Error, Kind, NewRow, Store, Version,
    audit::{Action, Deed},
    past::{Difference, Made},
};
use serde_json::json;

use crate::{
    databases::Opened,
    support::{NOW, act, api, application, begin, digest, key, put, remove, row, subscription},
};

async fn differences(store: &Store, from: i64, to: i64) -> Vec<(Kind, String, Option<String>, Option<String>)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        // In pages of two, so that pages end at different places.
        let page = store.differences(from, to, after.as_ref(), 2).await.unwrap();
        let document = |version: Option<Version>| version.map(|version| version.document);
        all.extend(
            page.differences
                .into_iter()
                .map(|Difference { kind, id, before, after }| (kind, id, document(before), document(after))),
        );
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

pub async fn what_differs_between_two_revisions_is_what_changed(opened: &Opened) {
    let store = &opened.store;
    // The expected rows at each revision, from a model.
    let mut models: Vec<BTreeMap<(i64, String), String>> = vec![BTreeMap::new()];
    let mut number = 7_u64;
    let mut dice = |below: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % below
    };
    for step in 0..60 {
        let mut model = models.last().unwrap().clone();
        let mut change = begin(store).await;
        for _ in 0..=dice(3) {
            let id = format!("id-{}", dice(5));
            let row = match dice(3) {
                0 => application(&id, &format!("owner-{}", dice(3)), "ACTIVE"),
                1 => key(&id, "id-0", ["ACTIVE", "REVOKED"][usize::try_from(dice(2)).unwrap()]),
                _ => subscription(&id, &id, &format!("api-{}", dice(2)), "UNBLOCKED"),
            };
            let name = (row.kind.number(), id.clone());
            let stored = change.find(row.kind, &id).await.unwrap();
            match (stored, dice(4)) {
                (Some(stored), 0) => {
                    change.remove(&stored).await.unwrap();
                    model.remove(&name);
                }
                (Some(stored), _) => {
                    change.replace(&stored, &row).await.unwrap();
                    model.insert(name, row.document);
                }
                (None, _) => {
                    change.insert(&row).await.unwrap();
                    model.insert(name, row.document);
                }
            }
        }
        let revision = change.commit().await.unwrap();
        assert_eq!(usize::try_from(revision).unwrap(), step + 1);
        models.push(model);
    }
    for (from, to) in [(0, 60), (60, 0), (3, 4), (20, 50), (50, 20), (60, 60), (59, 60), (0, 1)] {
        let (before, after) = (&models[from], &models[to]);
        let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let expected: Vec<_> = names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name))
            .map(|name| {
                let kind = Kind::from_number(name.0).unwrap();
                (kind, name.1.clone(), before.get(name).cloned(), after.get(name).cloned())
            })
            .collect();
        let [from, to] = [from, to].map(|revision| i64::try_from(revision).unwrap());
        assert_eq!(differences(store, from, to).await, expected, "{from} {to}");
    }
    // A change sees the past without its own changes.
    let mut change = begin(store).await;
    let touched = change.touched_since(40, 1_000).await.unwrap();
    for (kind, id) in &touched {
        if let Some(stored) = change.find(*kind, id).await.unwrap() {
            change.remove(&stored).await.unwrap();
        }
    }
    change.insert(&api("new", "/new")).await.unwrap();
    assert_eq!(change.touched_since(40, 1_000).await.unwrap(), touched);
    for kind in [Kind::Application, Kind::Key, Kind::Subscription] {
        let ids: Vec<String> = (0..5).map(|number| format!("id-{number}")).collect();
        let held = change.held_at(40, kind, &ids).await.unwrap().into_iter();
        let mut held: Vec<_> = held.map(|version| ((kind.number(), version.id), version.document)).collect();
        held.sort();
        let expected = models[40].iter().filter(|((of, _), _)| *of == kind.number());
        assert_eq!(held, expected.map(|(name, document)| (name.clone(), document.clone())).collect::<Vec<_>>());
    }
    drop(change);
    for revision in [61, -1] {
        assert!(matches!(store.differences(revision, 60, None, 2).await, Err(Error::Gone(_))), "{revision}");
        assert!(matches!(begin(store).await.touched_since(revision, 1).await, Err(Error::Gone(_))), "{revision}");
    }
}

pub async fn the_last_that_was_known_of_a_thing_is_found_by_its_name(opened: &Opened) {
    let store = &opened.store;
    put(store, &[application("a", "o", "ACTIVE"), key("k", "a", "ACTIVE")]).await;
    put(store, &[key("k", "a", "REVOKED")]).await;
    let mut change = begin(store).await;
    let last = change.last_past(Kind::Key, &digest("k")).await.unwrap().unwrap();
    assert!(last.document.contains("ACTIVE"), "{last:?}");
    let stored = change.find(Kind::Key, "k").await.unwrap().unwrap();
    change.remove(&stored).await.unwrap();
    // Including rows that this change itself removed.
    let last = change.last_past(Kind::Key, &digest("k")).await.unwrap().unwrap();
    assert!(last.document.contains("REVOKED"), "{last:?}");
    assert_eq!(change.last_past(Kind::Key, &digest("other")).await.unwrap(), None);
}

pub async fn revisions_are_listed_with_what_made_them(opened: &Opened) {
    let store = &opened.store;
    put(store, &[application("a", "o", "ACTIVE")]).await;
    let mut change = store.begin(act(Actor::Service, NOW + 1)).await.unwrap();
    change.record(Deed::of_row(Action::Block, Kind::Application, "a"));
    let stored = change.find(Kind::Application, "a").await.unwrap().unwrap();
    change.replace(&stored, &application("a", "o", "BLOCKED")).await.unwrap();
    change.commit().await.unwrap();
    // It makes no revision, so only the audit log has it.
    store.renew_epoch(&act(Actor::Service, NOW)).await.unwrap();
    let some = |text: &str| Some(text.to_owned());
    let made = |revision, at, actor: &str, action: &str| Made {
        revision,
        at: Some(at),
        actor: some(actor),
        action: some(action),
        kind: some("application"),
        id: some("a"),
    };
    let (first, second) = (made(1, NOW, "administrator", "create"), made(2, NOW + 1, "service", "block"));
    assert_eq!(store.made(None, false, 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.made(None, true, 10).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.made(Some(1), false, 10).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.made(Some(2), true, 10).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(store.made(None, false, 1).await.unwrap(), [first]);
}

/// Of many versions the database reads the objects in another way.
pub async fn a_large_difference_is_read_in_pages(opened: &Opened) {
    let store = &opened.store;
    let plans: Vec<NewRow> =
        (0..10_500).map(|number| row(Kind::Plan, &format!("p-{number:05}"), json!({"limits": []}))).collect();
    let mut change = begin(store).await;
    for some in plans.chunks(1_000) {
        change.insert_all(some).await.unwrap();
    }
    let first = change.commit().await.unwrap();
    put(store, &[row(Kind::Plan, "p-00007", json!({"limits": [7]}))]).await;
    let last = remove(store, Kind::Plan, "p-00009").await;
    for (from, to, count) in [(0, last, 10_499), (last, 0, 10_499), (0, first, 10_500), (first, last, 2)] {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = store.differences(from, to, after.as_ref(), 4_000).await.unwrap();
            found.extend(page.differences.into_iter().map(|difference| difference.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), found.is_sorted()), (count, true), "{from} to {to}");
        assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>().len(), count, "{from} to {to}: each once");
    }
}
