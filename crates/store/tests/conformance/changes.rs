//! Changes: one revision or none, one after the other, told when they can be read.

use std::{sync::Arc, time::Duration};

use management::port::{Actor, Kind, times::Operation};

use crate::{
    databases::Opened,
    support::{NOW, act, api, begin, put},
};

pub async fn a_change_is_one_revision_or_none(opened: &Opened) {
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

pub async fn what_is_beside_the_policy_makes_no_revision(opened: &Opened) {
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

pub async fn a_change_knows_who_makes_it_and_when(opened: &Opened) {
    for actor in [Actor::administrator(), Actor::Import, Actor::Service] {
        let change = opened.store.begin(act(actor.clone(), NOW + 5)).await.unwrap();
        assert_eq!((&change.act().actor, change.act().now), (&actor, NOW + 5));
        assert_eq!(change.act().random::<2>().unwrap(), [7, 7]);
    }
}

pub async fn changes_come_one_after_the_other(opened: &Opened) {
    let mut first = begin(&opened.store).await;
    let store = Arc::clone(&opened.store);
    let second = tokio::spawn(async move { put(&store, &[api("b", "/b")]).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished(), "one writes at a time");
    first.insert(&api("a", "/a")).await.unwrap();
    assert_eq!(first.commit().await.unwrap(), 1);
    assert_eq!(second.await.unwrap(), 2);
}

pub async fn those_who_wait_are_told_of_what_can_be_read(opened: &Opened) {
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

pub async fn its_times_are_told(opened: &Opened) {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let store = &opened.store;
    store.observe(Arc::new(move |operation, took| told.send((operation, took)).unwrap()));
    let mut operations =
        || std::iter::from_fn(|| heard.try_recv().ok()).map(|(operation, _)| operation).collect::<Vec<_>>();
    store.find(Kind::Api, "a").await.unwrap();
    assert_eq!(operations(), [Operation::Read]);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(operations(), [], "it is read from still");
    drop(snapshot);
    assert_eq!(operations(), [Operation::Read]);
    put(store, &[api("a", "/a")]).await;
    assert_eq!(operations(), [Operation::Begin, Operation::Write]);
    drop(begin(store).await);
    assert_eq!(operations(), [Operation::Begin], "nothing was written");
}
