//! Figures for pages: who subscribes, when a subscription was last used, usage over time, and subscriptions by application.

use management::port::{
    Kind, NewRow, Store,
    list::{Column, Filter, Sort},
    overview::{Spans, Spent, Subscriber},
    sight::{Reach, Sight},
    usage::{Pair, UsageFilter},
};
use serde_json::json;

use crate::{
    databases::Opened,
    support::{DAY, NOW, api, application, put, row, subscription},
    usage::{add, used_row},
};

fn pair(application: &str, api: &str) -> Pair {
    Pair { application: application.to_owned(), api: api.to_owned() }
}

fn named(id: &str, name: &str, owner: &str) -> NewRow {
    row(Kind::Application, id, json!({"id": id, "name": name, "owner": owner, "state": "ACTIVE"}))
}

pub async fn subscribers_are_told_in_the_order_of_the_question(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a"), named("shop", "Shop", "alice"), application("app", "bob", "ACTIVE")]).await;
    let rows = [
        used_row("shop", "a", NOW - 7_200, "allowed", 5),
        used_row("shop", "a", NOW - 3_600, "allowed", 1),
        used_row("shop", "a", NOW, "subscription_blocked", 9),
        used_row("shop", "b", NOW, "allowed", 1),
        used_row("app", "a", NOW, "subscription_blocked", 1),
    ];
    add(store, NOW, &rows).await;
    let asked = [pair("app", "a"), pair("gone", "a"), pair("shop", "a"), pair("shop", "b"), pair("shop\0", "a")];
    let told = |name: Option<&str>, owner: Option<&str>, last_used| Subscriber {
        name: name.map(str::to_owned),
        owner: owner.map(str::to_owned),
        last_used,
    };
    assert_eq!(
        store.subscribers(&asked).await.unwrap(),
        [
            told(None, Some("bob"), None),
            told(None, None, None),
            told(Some("Shop"), Some("alice"), Some(NOW - 3_600)),
            told(Some("Shop"), Some("alice"), Some(NOW)),
            told(None, None, None),
        ]
    );
    assert!(store.subscribers(&[]).await.unwrap().is_empty());
}

async fn spent(store: &Store, filter: UsageFilter, spans: Spans) -> Vec<(i64, String, i64)> {
    let found = store.spent(&filter, spans).await.unwrap();
    found.into_iter().map(|Spent { begin, outcome, requests }| (begin - NOW, outcome, requests)).collect()
}

pub async fn usage_is_added_up_over_time(opened: &Opened) {
    let store = &opened.store;
    let owned = |id: &str, owner: &str| NewRow {
        beside: Some(json!({"owner": owner}).to_string()),
        ..api(id, &format!("/{id}"))
    };
    put(store, &[owned("a", "p"), owned("b", "q"), named("shop", "Shop", "alice"), named("app", "App", "bob")]).await;
    add(
        store,
        NOW,
        &[
            used_row("shop", "a", NOW, "allowed", 5),
            used_row("app", "a", NOW, "allowed", 7),
            used_row("shop", "a", NOW + 3_600, "key_unknown", 2),
            used_row("shop", "b", NOW + DAY, "allowed", 100),
            used_row("", "", NOW, "allowed", 1_000),
        ],
    )
    .await;
    add(store, NOW, &[used_row("shop", "a", NOW, "allowed", 1)]).await;
    let all = UsageFilter::default;
    let some = |text: &str| Some(text.to_owned());
    let (hours, days) = (Spans { seconds: 3_600, ahead: 0 }, Spans { seconds: DAY, ahead: 0 });
    let east = |ahead: i64| Spans { seconds: DAY, ahead };
    let is = |begin: i64, outcome: &str, requests: i64| (begin, outcome.to_owned(), requests);
    let key_unknown = "key_unknown";
    for (filter, spans, expected) in [
        (all(), days, vec![is(0, "allowed", 1_013), is(0, key_unknown, 2), is(DAY, "allowed", 100)]),
        (UsageFilter { api: some("a"), ..all() }, hours, vec![is(0, "allowed", 13), is(3_600, key_unknown, 2)]),
        (
            UsageFilter { application: some("shop"), ..all() },
            days,
            vec![is(0, "allowed", 6), is(0, key_unknown, 2), is(DAY, "allowed", 100)],
        ),
        (UsageFilter { application: some("shop"), api: some("b"), ..all() }, days, vec![is(DAY, "allowed", 100)]),
        (UsageFilter { from: Some(NOW + 3_600), to: Some(NOW + DAY), ..all() }, hours, vec![is(3_600, key_unknown, 2)]),
        (
            UsageFilter { sight: Sight::Only(vec![Reach::ToApisOf("p".to_owned())]), ..all() },
            days,
            vec![is(0, "allowed", 13), is(0, key_unknown, 2)],
        ),
        (
            UsageFilter { sight: Sight::Only(vec![Reach::Own("bob".to_owned())]), ..all() },
            days,
            vec![is(0, "allowed", 7)],
        ),
        (UsageFilter { sight: Sight::Only(Vec::new()), ..all() }, days, vec![]),
        (UsageFilter { api: some("\0"), ..all() }, days, vec![]),
        // Days of a zone: an hour counts in the day that it begins in.
        (
            UsageFilter { api: some("a"), ..all() },
            east(-3_600),
            vec![is(3_600 - DAY, "allowed", 13), is(3_600, key_unknown, 2)],
        ),
        (
            UsageFilter { api: some("a"), ..all() },
            east(-5_400),
            vec![is(5_400 - DAY, "allowed", 13), is(5_400 - DAY, key_unknown, 2)],
        ),
    ] {
        let said = format!("{filter:?}");
        assert_eq!(spent(store, filter, spans).await, expected, "{said}");
    }
    // A sum that would overflow stays near the maximum.
    add(store, NOW, &[used_row("shop", "b", NOW, "allowed", i64::MAX)]).await;
    add(store, NOW, &[used_row("shop", "b", NOW, "allowed", i64::MAX)]).await;
    let sum = spent(store, UsageFilter { api: some("b"), ..all() }, Spans { seconds: 2 * DAY, ahead: 0 }).await;
    assert!(sum.iter().all(|(.., requests)| *requests > i64::MAX - 2_000), "{sum:?}");
    // What is too old goes from both.
    add(store, NOW + 402 * DAY, &[]).await;
    assert!(spent(store, all(), days).await.is_empty());
    assert!(spent(store, UsageFilter { application: some("shop"), ..all() }, days).await.is_empty());
}

pub async fn subscriptions_are_found_by_their_application(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a"), api("b", "/b"), named("app-1", "Web Shop", "alice"), named("app-2", "50%", "bob")])
        .await;
    put(
        store,
        &[
            subscription("s-1", "app-1", "a", "UNBLOCKED"),
            subscription("s-2", "app-1", "b", "BLOCKED"),
            subscription("s-3", "app-2", "a", "BLOCKED"),
        ],
    )
    .await;
    for (part, api, state, expected) in [
        ("shop", None, None, vec!["s-1", "s-2"]),
        ("shop", Some("a"), None, vec!["s-1"]),
        ("app-", None, Some("BLOCKED"), vec!["s-2", "s-3"]),
        ("%", None, None, vec!["s-3"]),
        ("s-1", None, None, vec!["s-1"]),
        ("alice", None, None, vec![]),
    ] {
        let filter = Filter {
            part: Some(part.to_owned()),
            api: api.map(str::to_owned),
            state: state.map(str::to_owned),
            ..Filter::default()
        };
        let sort = Sort { column: Column::Id, descending: false };
        let page = store.list(Kind::Subscription, &filter, sort, None, 10).await.unwrap();
        let found: Vec<&str> = page.rows.iter().map(|version| version.id.as_str()).collect();
        assert_eq!((found, page.total), (expected.clone(), i64::try_from(expected.len()).unwrap()), "{part}");
    }
}
