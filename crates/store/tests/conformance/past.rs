//! The past: revisions, deltas, scopes, and which history they belong to.

use management::port::{
    Actor, Error, Kind, NewRow, Scope, Snapshot,
    list::{Column, Filter, Sort},
};
use serde_json::json;
use store::Settings;

use crate::{
    databases::Opened,
    support::{NOW, Part, act, api, application, begin, documents, key, only, put, read, remove, row, subscription},
};

pub async fn a_revision_is_read_as_it_was_in_pages_of_any_size(opened: &Opened) {
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

pub async fn a_snapshot_does_not_change(opened: &Opened) {
    let store = &opened.store;
    let revision = put(store, &[api("a", "/a")]).await;
    let mut snapshot: Box<dyn Snapshot> = store.snapshot().await.unwrap();
    let later = put(store, &[api("b", "/b")]).await;
    assert_eq!(snapshot.state().revision, revision);
    assert_eq!(snapshot.full(&Scope::All, revision, 0, 9).await.unwrap().count, 1);
    assert!(matches!(snapshot.full(&Scope::All, later, 0, 9).await, Err(Error::Gone(_))));
}

pub async fn a_limited_reader_sees_what_reaches_its_apis(opened: &Opened) {
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

pub async fn the_far_past_is_forgotten(opened: &Opened) {
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

pub async fn much_of_the_past_is_forgotten_little_by_little(opened: &Opened) {
    let plans: Vec<NewRow> =
        (0..15_000).map(|number| row(Kind::Plan, &format!("p-{number}"), json!({"limits": []}))).collect();
    let mut change = begin(&opened.store).await;
    for some in plans.chunks(1_000) {
        change.insert_all(some).await.unwrap();
    }
    change.commit().await.unwrap();
    let sort = Sort { column: Column::Id, descending: false };
    for _ in 0..3 {
        let held = opened.store.list(Kind::Plan, &Filter::default(), sort, None, 5_000).await.unwrap().rows;
        let mut change = begin(&opened.store).await;
        change.remove_all(&held).await.unwrap();
        change.commit().await.unwrap();
    }
    assert_eq!(opened.store.state().await.unwrap().past, 15_000);
    // From now on nothing is to be kept. The first 10,000 are two revisions.
    let settings = Settings { history_rows: 0, ..Settings::default() };
    let store = store::open(&opened.url, settings).await.unwrap();
    for left in [5_000, 0] {
        put(&store, &[application(&format!("app-{left}"), "o", "ACTIVE")]).await;
        assert_eq!(store.state().await.unwrap().past, left);
    }
    store.close().await;
}

pub async fn a_mark_shows_which_history_it_is_of(opened: &Opened) {
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
