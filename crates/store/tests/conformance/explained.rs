//! The rows of a revision that decide about one request.

use management::port::{Error, Kind, NewRow, Version};
use serde_json::json;

use crate::{
    databases::Opened,
    support::{api, application, digest, key, put, remove, row, subscription},
};

fn documents(versions: impl IntoIterator<Item = Version>) -> Vec<String> {
    let mut documents: Vec<_> = versions.into_iter().map(|version| version.document).collect();
    documents.sort();
    documents
}

fn of(rows: &[&NewRow]) -> Vec<String> {
    let mut documents: Vec<_> = rows.iter().map(|row| row.document.clone()).collect();
    documents.sort();
    documents
}

/// Rows that change, end and come again between revisions, each read at each of them.
pub async fn the_rows_of_one_request_are_read_as_they_were(opened: &Opened) {
    let store = &opened.store;
    let plan = row(Kind::Plan, "gold", json!({"id": "gold"}));
    let deny = row(Kind::DenyPolicy, "d1", json!({"id": "d1", "type": "USER", "value": "mallory"}));
    let (old, new) = (api("a", "/old"), api("a", "/new"));
    let (active, blocked) = (application("app", "o", "ACTIVE"), application("app", "o", "BLOCKED"));
    let (open, shut) = (subscription("s", "app", "a", "UNBLOCKED"), subscription("s", "app", "a", "BLOCKED"));
    let (k, other) = (key("k", "app", "ACTIVE"), key("l", "other", "ACTIVE"));
    let elsewhere = subscription("t", "other", "a", "UNBLOCKED");
    let before = [&old, &active, &open, &k, &other, &elsewhere, &plan].map(NewRow::clone);
    let first = put(store, &before).await;
    let second = put(store, &[new.clone(), blocked.clone(), shut.clone(), deny.clone()]).await;
    remove(store, Kind::Subscription, "s").await;
    remove(store, Kind::Plan, "gold").await;
    let third = remove(store, Kind::Key, "k").await;

    let mut view = store.snapshot().await.unwrap();
    for (at, small, of_application, has_key) in [
        (0, of(&[]), of(&[]), false),
        (first, of(&[&old, &plan]), of(&[&active, &open]), true),
        (second, of(&[&new, &plan, &deny]), of(&[&blocked, &shut]), true),
        (third, of(&[&new, &deny]), of(&[&blocked]), false),
    ] {
        assert_eq!(documents(view.small_lists_at(at).await.unwrap()), small, "{at}");
        assert_eq!(documents(view.application_at("app", at).await.unwrap()), of_application, "{at}");
        for found in [
            view.id_at(Kind::Key, "k", at).await.unwrap(),
            view.identity_at(Kind::Key, &digest("k"), at).await.unwrap(),
        ] {
            assert_eq!(documents(found), if has_key { of(&[&k]) } else { Vec::new() }, "{at}");
        }
        assert_eq!(view.id_at(Kind::Key, "nobody", at).await.unwrap(), None);
        // PostgreSQL cannot store this character, so no row has it.
        assert_eq!(view.identity_at(Kind::Key, "\0", at).await.unwrap(), None);
        assert!(view.application_at("\0", at).await.unwrap().is_empty());
    }
    for at in [-1, third + 1] {
        assert!(matches!(view.small_lists_at(at).await, Err(Error::Gone(gone)) if gone == at));
        assert!(matches!(view.application_at("app", at).await, Err(Error::Gone(gone)) if gone == at));
        assert!(matches!(view.id_at(Kind::Key, "k", at).await, Err(Error::Gone(gone)) if gone == at));
        assert!(matches!(view.identity_at(Kind::Key, "k", at).await, Err(Error::Gone(gone)) if gone == at));
    }
}
