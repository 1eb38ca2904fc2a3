//! Current rows: found by each of their names, and in lists.

use std::collections::BTreeSet;

use management::port::{
    Kind, MAX_OWNERS_BLOCKS, MAX_ROWS_AT_ONCE, Name, NewRow, OwnersBlock,
    list::{Column, Filter, Sort},
    places::places,
    target::target,
};
use serde_json::json;

use crate::{
    databases::Opened,
    support::{NOW, api, application, begin, digest, key, put, remove, row, subscription},
};

pub async fn a_row_is_found_by_each_of_its_names(opened: &Opened) {
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
    let found = change.find_all(Kind::Application, &["gone", "x", "app", "app"]).await.unwrap();
    let found: BTreeSet<&str> = found.iter().map(|version| version.id.as_str()).collect();
    assert_eq!(found, BTreeSet::from(["app", "gone"]));
    assert!(change.find_all(Kind::Application, &[]).await.unwrap().is_empty());
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

pub async fn every_column_of_a_row_is_read_as_it_was_written(opened: &Opened) {
    let store = &opened.store;
    let new = NewRow {
        plan: Some("p".to_owned()),
        kept_block: Some("BLOCKED".to_owned()),
        kept_owner: Some("o".to_owned()),
        beside: Some("{}".to_owned()),
        due: Some(NOW),
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
        due,
        state_before,
        document,
    } = found;
    let NewRow { identity, plan, .. } = new.clone();
    let read = NewRow {
        kind,
        id,
        identity,
        application,
        api,
        plan,
        kept_block,
        kept_owner,
        state_before,
        beside,
        due,
        document,
    };
    assert_eq!(read, new);
}

pub async fn a_revoked_key_stays_revoked_when_its_row_is_gone(opened: &Opened) {
    let store = &opened.store;
    put(store, &[application("app", "o", "ACTIVE"), key("k", "app", "REVOKED"), key("l", "app", "ACTIVE")]).await;
    let revoked = async |id: &str| !begin(store).await.revoked(&[&digest(id)]).await.unwrap().is_empty();
    assert!(!revoked("k").await, "its row says so itself");
    remove(store, Kind::Key, "k").await;
    remove(store, Kind::Key, "l").await;
    assert!(revoked("k").await);
    assert!(!revoked("l").await);
}

pub async fn rows_that_mean_the_same_are_found(opened: &Opened) {
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

pub async fn blocks_of_an_owner_are_found(opened: &Opened) {
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
    let owners = change.owners_of(&["one", "new", "nobody", "\0"]).await.unwrap();
    let mut owners: Vec<_> = owners.iter().map(|(application, owner)| (application.as_str(), owner.as_str())).collect();
    owners.sort_unstable();
    assert_eq!(owners, [("new", "p"), ("one", "o")]);
    let block = |owner: &str, application: &str, api: Option<&str>| OwnersBlock {
        owner: owner.to_owned(),
        application: application.to_owned(),
        api: api.map(str::to_owned),
    };
    let mut blocks = change.blocks_of(&["o", "p", "q", "\0"]).await.unwrap().unwrap();
    blocks.sort();
    assert_eq!(blocks, [block("o", "two", None), block("p", "one", Some("a"))]);
    assert_eq!(change.blocks_of(&["q"]).await.unwrap(), Some(Vec::new()));
    drop(change);
    // With more applications than blocks, the blocks are looked through, a planned one as well. They are the same.
    let others: Vec<NewRow> = (0..50).map(|number| application(&format!("o-{number}"), "o", "ACTIVE")).collect();
    let planned = NewRow { due: Some(9_000_000_000), ..subscription("planned", "o-7", "b", "UNBLOCKED") };
    put(store, &others).await;
    put(
        store,
        &[
            planned,
            subscription("prod", "o-8", "a", "PROD_ONLY_BLOCKED"),
            subscription("open", "o-9", "a", "UNBLOCKED"),
        ],
    )
    .await;
    let mut change = begin(store).await;
    let mut blocks = change.blocks_of(&["o", "p", "q", "\0"]).await.unwrap().unwrap();
    blocks.sort();
    let of_o = [block("o", "o-7", Some("b")), block("o", "o-8", Some("a")), block("o", "two", None)];
    assert_eq!(blocks[..3], of_o);
    assert_eq!(blocks[3..], [block("p", "one", Some("a"))]);
    assert_eq!(change.blocks_of(&["q"]).await.unwrap(), Some(Vec::new()));
    drop(change);
    // Too many are not returned in part.
    let many: Vec<NewRow> =
        (0..MAX_OWNERS_BLOCKS).map(|number| application(&format!("many-{number}"), "many", "BLOCKED")).collect();
    let mut change = begin(store).await;
    for some in many.chunks(MAX_ROWS_AT_ONCE) {
        change.insert_all(some).await.unwrap();
    }
    change.commit().await.unwrap();
    assert_eq!(begin(store).await.blocks_of(&["many"]).await.unwrap().unwrap().len(), MAX_OWNERS_BLOCKS);
    put(store, &[subscription("more", "many-1", "a", "PROD_ONLY_BLOCKED")]).await;
    assert_eq!(begin(store).await.blocks_of(&["many", "o"]).await.unwrap(), None);
}

pub async fn lists_are_filtered_sorted_and_counted(opened: &Opened) {
    let store = &opened.store;
    let rows: Vec<NewRow> = [("a", "x", "ACTIVE"), ("b", "y", "BLOCKED"), ("c", "x", "BLOCKED"), ("d%", "z", "ACTIVE")]
        .map(|(id, owner, state)| application(id, owner, state))
        .into();
    put(store, &rows).await;
    put(store, &[key("k", "a", "ACTIVE"), key("l", "b", "ACTIVE")]).await;
    // A block that begins, one that ends, none, and one that has begun on a row that was planned before.
    let due = |row: NewRow| NewRow { due: Some(NOW), ..row };
    let plans = |id: &str| {
        let document = json!({"application": "a", "api": id, "state": "UNBLOCKED", "blocked_from": NOW});
        due(row(Kind::Subscription, id, document))
    };
    put(store, &[plans("s"), due(subscription("t", "a", "t", "BLOCKED")), subscription("u", "a", "u", "UNBLOCKED")])
        .await;
    put(store, &[plans("v")]).await;
    put(store, &[subscription("v", "a", "v", "BLOCKED")]).await;
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
        (Kind::Subscription, Filter { planned: Some(true), ..all() }, by(Column::Id, false), vec!["s"]),
        (Kind::Subscription, Filter { planned: Some(false), ..all() }, by(Column::Id, true), vec!["v", "u", "t"]),
        (
            Kind::Subscription,
            Filter { planned: Some(false), state: some("BLOCKED"), ..all() },
            by(Column::Api, false),
            vec!["t", "v"],
        ),
        (
            Kind::Subscription,
            Filter { planned: Some(true), state: some("BLOCKED"), ..all() },
            by(Column::Id, false),
            vec![],
        ),
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

pub async fn many_rows_go_as_each_would_alone(opened: &Opened) {
    let store = &opened.store;
    let deny =
        |id: &str, value: &str| row(Kind::DenyPolicy, id, json!({"id": id, "type": "APPLICATION", "value": value}));
    put(store, &[api("a", "/a"), api("b", "/b"), application("app", "o", "ACTIVE"), deny("d", "app")]).await;
    put(store, &[key("k", "app", "REVOKED"), key("l", "app", "ACTIVE"), subscription("s", "app", "a", "UNBLOCKED")])
        .await;
    let mut change = begin(store).await;
    // One that this change made itself goes without a trace.
    change.insert(&subscription("t", "app", "b", "UNBLOCKED")).await.unwrap();
    let mut gone = Vec::new();
    for (kind, id) in [
        (Kind::Api, "a"),
        (Kind::DenyPolicy, "d"),
        (Kind::Key, "k"),
        (Kind::Key, "l"),
        (Kind::Subscription, "s"),
        (Kind::Subscription, "t"),
    ] {
        gone.push(change.find(kind, id).await.unwrap().unwrap());
    }
    change.remove_all(&gone).await.unwrap();
    change.remove_all(&[]).await.unwrap();
    let counts = [Kind::Api, Kind::DenyPolicy, Kind::Key, Kind::Subscription].map(|kind| change.count(kind));
    assert_eq!(counts, [1, 0, 0, 0]);
    assert_eq!(change.api_at(&places(&api("x", "/a").document), "x").await.unwrap(), None);
    let denied = target(&deny("x", "app").document).unwrap();
    assert_eq!(change.denied_by(&denied, "x").await.unwrap(), None);
    assert_eq!(change.commit().await.unwrap(), 3);
    let state = store.state().await.unwrap();
    assert_eq!((state.past, state.counts), (5, [1, 1, 0, 0, 0, 0]));
    let mut change = begin(store).await;
    assert_eq!(change.revoked(&[&digest("k"), &digest("l")]).await.unwrap().len(), 1);
    for one in gone {
        assert_eq!(change.find(one.kind, &one.id).await.unwrap(), None);
    }
    assert!(change.find(Kind::Api, "b").await.unwrap().is_some());
}

/// PostgreSQL has no text with this character, and a client may ask for one.
pub async fn a_text_with_a_nul_is_found_nowhere(opened: &Opened) {
    let store = &opened.store;
    put(store, &[application("a", "o", "ACTIVE"), key("k", "a", "ACTIVE")]).await;
    assert_eq!(store.find(Kind::Key, "k\0").await.unwrap(), None);
    assert_eq!(store.find_identity(Kind::Key, "\0").await.unwrap(), None);
    assert!(store.subscriptions_of("a\0").await.unwrap().is_empty());
    assert!(store.last_used(&["k\0"]).await.unwrap().is_empty());
    let some = || Some("\0".to_owned());
    let all = Filter::default;
    for filter in [
        Filter { state: some(), ..all() },
        Filter { r#type: some(), ..all() },
        Filter { owner: some(), ..all() },
        Filter { application: some(), ..all() },
        Filter { plan: some(), ..all() },
        Filter { identity: some(), ..all() },
        Filter { part: some(), ..all() },
    ] {
        let sort = Sort { column: Column::Id, descending: false };
        assert_eq!(store.list(Kind::Key, &filter, sort, None, 10).await.unwrap().total, 0, "{filter:?}");
    }
    let mut change = begin(store).await;
    assert_eq!(change.existing(Kind::Key, Name::Id, &["k\0", "k"]).await.unwrap().len(), 1);
    assert!(!change.is_owner_blocked("a\0", "\0").await.unwrap());
    assert!(change.of_plan("\0").await.unwrap().is_none());
}
