//! What a restore does with many rows at once.

use management::port::{
    Actor, Kind, Scope, Store,
    usage::{KeyUsed, Pair, Windows},
};

use crate::{
    databases::Opened,
    support::{NOW, act, api, application, begin, key, put, subscription},
    usage::{add, used_row},
};

/// The number of the pairs of these applications that have used anything at a time.
async fn used(store: &Store, applications: &[&str]) -> usize {
    let pairs: Vec<Pair> =
        applications.iter().map(|id| Pair { application: (*id).to_owned(), api: "a".to_owned() }).collect();
    begin(store).await.used(&pairs, &Windows::of(NOW)).await.unwrap().len()
}

pub async fn usage_of_many_is_forgotten_as_that_of_each(opened: &Opened) {
    let store = &opened.store;
    let ids = ["one", "two", "three", "four"];
    put(store, &[api("a", "/a")]).await;
    for id in ids {
        put(store, &[application(id, "o", "ACTIVE"), key(&format!("k-{id}"), id, "ACTIVE")]).await;
        put(store, &[subscription(&format!("s-{id}"), id, "a", "UNBLOCKED")]).await;
    }
    let counts: Vec<_> = ids.iter().map(|id| used_row(id, "a", NOW, "allowed", 5)).collect();
    add(store, NOW, &counts).await;
    let mut report = store.begin_report(act(Actor::Service, NOW)).await.unwrap();
    let uses: Vec<_> = ids.iter().map(|id| KeyUsed { id: format!("k-{id}"), last_used: NOW }).collect();
    assert_eq!(report.touch(&uses, &Scope::All).await.unwrap(), 4);
    report.commit_without_revision();
    report.commit().await.unwrap();
    assert_eq!(used(store, &ids).await, 4);

    let mut change = store.begin(act(Actor::Service, NOW + 5)).await.unwrap();
    change.forget_keys(&["k-one", "k-two", "none"]).await.unwrap();
    change.forget_totals_of(&["one", "two"]).await.unwrap();
    // Beside one that was forgotten alone.
    change.forget_key("k-three").await.unwrap();
    change.forget_totals("three").await.unwrap();
    // Again, and nothing.
    change.forget_totals_of(&["two"]).await.unwrap();
    change.forget_totals_of(&[]).await.unwrap();
    change.forget_keys(&[]).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    let left = store.last_used(&["k-one", "k-two", "k-three", "k-four"]).await.unwrap();
    assert_eq!(left.into_iter().map(|used| used.id).collect::<Vec<_>>(), ["k-four"]);
    assert_eq!(used(store, &ids).await, 1);
    // What is reported later of an application that is gone does not count either, however it was forgotten.
    add(store, NOW + 10, &counts).await;
    assert_eq!((used(store, &ids[..2]).await, used(store, &ids[2..3]).await), (0, 0));
    assert_eq!(used(store, &ids[3..]).await, 1);
}

pub async fn applications_that_something_belongs_to_are_found(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a")]).await;
    for id in ["none", "key", "subscription", "both", "past"] {
        put(store, &[application(id, "o", "ACTIVE")]).await;
    }
    put(store, &[key("k", "key", "ACTIVE"), key("b", "both", "REVOKED"), key("p", "past", "ACTIVE")]).await;
    put(store, &[subscription("s", "subscription", "a", "BLOCKED"), subscription("t", "both", "a", "UNBLOCKED")]).await;
    let mut change = begin(store).await;
    let gone = change.find(Kind::Key, "p").await.unwrap().unwrap();
    change.remove(&gone).await.unwrap();
    let mut found: Vec<String> = change
        .with_dependents(&["none", "key", "subscription", "both", "past", "not there", "\0"])
        .await
        .unwrap()
        .into_iter()
        .collect();
    found.sort();
    assert_eq!(found, ["both", "key", "subscription"]);
    assert!(change.with_dependents(&[]).await.unwrap().is_empty());
}
