//! Usage: sums, what is forgotten, what was used of plans.

use std::collections::BTreeMap;

use management::port::{
    Actor, Kind, Scope, Store,
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};
use serde_json::json;

use crate::{
    databases::Opened,
    support::{DAY, NOW, act, api, application, begin, key, only, put, row, subscription},
};

pub fn used_row(application: &str, api: &str, hour: i64, outcome: &str, requests: i64) -> UsageRow {
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
pub async fn add(store: &Store, now: i64, rows: &[UsageRow]) {
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

pub async fn usage_adds_up_by_hour_day_and_month(opened: &Opened) {
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

pub async fn usage_that_is_too_old_goes(opened: &Opened) {
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

pub async fn a_gateway_has_room_and_its_batches_are_known(opened: &Opened) {
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

pub async fn the_last_use_of_a_key_is_kept_while_it_is_there(opened: &Opened) {
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

pub async fn rows_of_plans_are_found_by_what_was_used(opened: &Opened) {
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
