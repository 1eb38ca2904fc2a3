//! Owners in every database: the rows that a caller sees in lists, look-ups and usage.

use management::port::{
    Actor, Kind, NewRow, Store,
    list::{Column, Filter, Sort},
    sight::{Reach, Sight},
    usage::{UsageFilter, UsageRow},
};
use serde_json::{Value, json};

use crate::{
    databases::Opened,
    support::{NOW, act, api, application, begin, key, put, subscription},
};

fn owned(row: NewRow, owner: &str) -> NewRow {
    NewRow { beside: Some(json!({ "owner": owner }).to_string()), ..row }
}

fn in_state(row: NewRow, state: &str) -> NewRow {
    let mut document: Value = serde_json::from_str(&row.document).unwrap();
    document["state"] = json!(state);
    NewRow { document: document.to_string(), ..row }
}

fn named(row: NewRow, name: &str) -> NewRow {
    let mut document: Value = serde_json::from_str(&row.document).unwrap();
    document["name"] = json!(name);
    NewRow { document: document.to_string(), ..row }
}

fn own(owner: &str) -> Reach {
    Reach::Own(owner.to_owned())
}

fn to_apis_of(owner: &str) -> Reach {
    Reach::ToApisOf(owner.to_owned())
}

/// The APIs `a` of pat (published), `b` of pia (published), `c` of pia (created) and `d` without an owner; the
/// applications `s` of sam and `t` of sue, with keys and subscriptions; and a block that sue left at `a` with an
/// application that is sam's now.
async fn fill(store: &Store) {
    let kept = NewRow {
        kept_block: Some("BLOCKED".to_owned()),
        kept_owner: Some("sue".to_owned()),
        ..subscription("left", "s", "d", "BLOCKED")
    };
    put(
        store,
        &[
            owned(in_state(api("a", "/a"), "PUBLISHED"), "pat"),
            owned(in_state(api("b", "/b"), "PUBLISHED"), "pia"),
            owned(in_state(api("c", "/c"), "CREATED"), "pia"),
            in_state(api("d", "/d"), "PUBLISHED"),
            named(application("s", "sam", "ACTIVE"), "Name of s"),
            named(application("t", "sue", "ACTIVE"), "name of t"),
            key("sk", "s", "ACTIVE"),
            key("tk", "t", "ACTIVE"),
            subscription("sa", "s", "a", "UNBLOCKED"),
            subscription("sb", "s", "b", "UNBLOCKED"),
            subscription("tb", "t", "b", "UNBLOCKED"),
            kept,
        ],
    )
    .await;
}

pub async fn who_is_limited_sees_only_what_reaches_them(opened: &Opened) {
    let store = &opened.store;
    fill(store).await;
    let published = || Reach::OwnedIn("PUBLISHED");
    for (kind, reaches, expected) in [
        (Kind::Api, vec![own("pat"), published()], vec!["a", "b"]),
        (Kind::Api, vec![own("pia"), published()], vec!["a", "b", "c"]),
        (Kind::Api, vec![published()], vec!["a", "b"]),
        (Kind::Api, vec![Reach::Owned], vec!["a", "b", "c"]),
        (Kind::Api, vec![], vec![]),
        (Kind::Application, vec![own("sam")], vec!["s"]),
        (Kind::Application, vec![own("nobody")], vec![]),
        (Kind::Key, vec![own("sue")], vec!["tk"]),
        (Kind::Subscription, vec![own("sam")], vec!["sa", "sb"]),
        (Kind::Subscription, vec![own("sue")], vec!["left", "tb"]),
        (Kind::Subscription, vec![to_apis_of("pia")], vec!["sb", "tb"]),
        (Kind::Subscription, vec![to_apis_of("pat")], vec!["sa"]),
        (Kind::DenyPolicy, vec![], vec![]),
    ] {
        let sight = Sight::Only(reaches);
        let filter = Filter { sight: sight.clone(), ..Filter::default() };
        let sort = Sort { column: Column::Id, descending: false };
        let page = store.list(kind, &filter, sort, None, 10).await.unwrap();
        let found: Vec<_> = page.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(found, expected, "{kind:?} {sight:?}");
        assert_eq!(page.total, i64::try_from(expected.len()).unwrap(), "{kind:?} {sight:?}");
        let mut change = begin(store).await;
        for id in ["a", "b", "c", "d", "s", "t", "sk", "tk", "sa", "sb", "tb", "left", "none"] {
            let is_seen = expected.contains(&id);
            assert_eq!(store.sees(kind, id, &sight).await.unwrap(), is_seen, "{kind:?} {id} {sight:?}");
            assert_eq!(change.sees(kind, id, &sight).await.unwrap(), is_seen, "{kind:?} {id} {sight:?}");
        }
    }
    // The name of an application finds its subscriptions, for those who see the application. Its id stands in the row.
    for (owner, part, expected) in [
        (Some("sam"), "name of s", vec!["sa", "sb"]),
        (Some("sue"), "name of s", vec![]),
        (Some("sue"), "S", vec!["left"]),
        (Some("sue"), "of T", vec!["tb"]),
        (None, "name of s", vec!["left", "sa", "sb"]),
        (None, "%", vec![]),
    ] {
        let sight = owner.map_or(Sight::All, |owner| Sight::Only(vec![own(owner)]));
        let filter = Filter { part: Some(part.to_owned()), sight, ..Filter::default() };
        let sort = Sort { column: Column::Id, descending: false };
        let page = store.list(Kind::Subscription, &filter, sort, None, 10).await.unwrap();
        let found: Vec<_> = page.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(found, expected, "{owner:?} {part}");
    }
    assert!(store.sees(Kind::Api, "d", &Sight::All).await.unwrap());
    assert!(!store.sees(Kind::Api, "none", &Sight::All).await.unwrap());
    let filter = Filter { owner: Some("pia".to_owned()), ..Filter::default() };
    let sort = Sort { column: Column::Owner, descending: true };
    let page = store.list(Kind::Api, &filter, sort, None, 10).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    let mut change = begin(store).await;
    let mut others = change.places_of_others("pia").await.unwrap();
    others.sort();
    assert_eq!(
        others.iter().map(|(api, place)| (api.as_str(), place.path.as_str())).collect::<Vec<_>>(),
        [("a", "/a"), ("d", "/d")]
    );
}

pub async fn usage_is_seen_by_whose_application_or_api_it_is_of(opened: &Opened) {
    let store = &opened.store;
    fill(store).await;
    let mut report = store.begin_report(act(Actor::Service, NOW)).await.unwrap();
    let row = |application: &str, api: &str| UsageRow {
        application: application.to_owned(),
        api: api.to_owned(),
        hour: NOW,
        plan: String::new(),
        outcome: "allowed".to_owned(),
        requests: 1,
    };
    report.add_usage(&[row("s", "a"), row("s", "b"), row("t", "b"), row("", "")]).await.unwrap();
    report.commit_without_revision();
    report.commit().await.unwrap();
    for (reaches, expected) in [
        (vec![own("sam")], vec!["s a", "s b"]),
        (vec![own("sue")], vec!["t b"]),
        (vec![to_apis_of("pia")], vec!["s b", "t b"]),
        (vec![to_apis_of("pat")], vec!["s a"]),
        (vec![own("nobody")], vec![]),
        (vec![], vec![]),
    ] {
        let filter = UsageFilter { sight: Sight::Only(reaches), ..UsageFilter::default() };
        let rows = store.usage(&filter, None, 10).await.unwrap();
        let found: Vec<_> = rows.iter().map(|row| format!("{} {}", row.application, row.api)).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}
