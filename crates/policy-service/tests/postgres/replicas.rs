//! Any number of services on one database are one service.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use serde_json::json;
use testkit::{deadline::eventually, postgres::Postgres};

use super::service::{database, name_of, prepared, serve};
use crate::support::{Answer, digest, follower::Follower, import::imports_do_not_mix, program::Program};

/// How long anything may take that a test waits for.
const SOON: Duration = Duration::from_secs(20);

/// Polls a service like a gateway.
async fn ask(follower: &mut Follower, service: &Program, wait: u32) -> Option<bool> {
    let request = service.client.get(format!("{}{}", service.url, follower.path()));
    let request = request.basic_auth("gw", Some("secret")).header("prefer", format!("wait={wait}"));
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, text: response.text().await.ok()? };
    Some(follower.receive(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_start_at_once_on_an_empty_database_are_one() {
    let url = database();
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let prepared = prepared(&url);
            tokio::task::spawn_blocking(move || prepared.start())
        })
        .collect();
    let mut services = Vec::new();
    for one in starting {
        services.push(one.await.unwrap());
    }
    let mut epochs = BTreeSet::new();
    for service in &services {
        epochs.insert(service.policy("/v1/policy").await["epoch"].to_string());
    }
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    let made = services.iter().filter(|service| service.log().contains("a new database was made")).count();
    assert_eq!(made, 1, "one of them made it");
    services[0].seed().await;
    for (number, service) in (10..).zip(services.iter().cycle().take(20)) {
        assert_eq!(service.make_key(number).await.0, 201);
    }
    for service in &services {
        let (status, page) = service.held_poll("/v1/policy?since=23", 10).await;
        assert_eq!((status, &page["revision"]), (200, &json!(24)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_one_wakes_the_polls_held_at_another() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    for number in 10..30 {
        let revision = i64::try_from(number).unwrap() - 10 + 4;
        let path = format!("/v1/policy?since={revision}");
        let held = async { other.held_poll(&path, 20).await };
        let change = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(one.make_key(number).await.0, 201);
            std::time::Instant::now()
        };
        let ((status, page), changed) = tokio::join!(held, change);
        assert!(changed.elapsed() < Duration::from_secs(5), "{:?}", changed.elapsed());
        assert_eq!((status, &page["revision"], &page["base"]), (200, &json!(revision + 1), &json!(revision)));
        assert_eq!(page["keys"][0]["id"], format!("k-{number}"));
    }
}

/// A change that was answered is in the feed of every service, also for a poll that does not wait, and for a full policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_answered_by_one_is_in_the_feed_of_another() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    for number in 10..50 {
        let revision = i64::try_from(number).unwrap() - 10 + 4;
        assert_eq!(one.make_key(number).await.0, 201);
        let since = if number % 2 == 0 { format!("?since={revision}") } else { String::new() };
        let page = other.client.get(format!("{}/v1/policy{since}", other.url)).basic_auth("gw", Some("secret"));
        let answer = page.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{number}");
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["revision"], revision + 1, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_goes_from_one_to_another_loses_and_repeats_nothing() {
    let url = database();
    let services = [serve(&url), serve(&url), serve(&url)];
    services[0].seed().await;
    let mut followers: Vec<Follower> = (0..6).map(|_| Follower::new("gw", "secret")).collect();
    for follower in &mut followers {
        ask(follower, &services[0], 0).await.unwrap();
    }
    let writers = services.iter().enumerate().map(|(place, service)| async move {
        for number in 0..60 {
            let number = 1_000 * (u64::try_from(place).unwrap() + 1) + number;
            assert_eq!(service.make_key(number).await.0, 201);
        }
    });
    let writing = async {
        let mut writers = writers.collect::<Vec<_>>().into_iter();
        let (first, second, third) = (writers.next().unwrap(), writers.next().unwrap(), writers.next().unwrap());
        tokio::join!(first, second, third);
    };
    let revisions = std::sync::Mutex::new(0);
    let following = async {
        // `Follower` rejects a delta that does not build on its revision, and a row that occurs twice in a full policy.
        for round in 0.. {
            for (place, follower) in followers.iter_mut().enumerate() {
                let service = &services[(round + place) % services.len()];
                let before = follower.held.as_ref().map_or(0, |held| held.0);
                while !ask(follower, service, 1).await.unwrap() {}
                let now = follower.held.as_ref().map_or(0, |held| held.0);
                assert!(now >= before, "a revision falls: {before} {now}");
                *revisions.lock().unwrap() = now;
            }
            if followers.iter().all(|follower| follower.held.as_ref().unwrap().0 == 184) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(100), async { tokio::join!(writing, following) }).await.unwrap();
    for follower in &followers {
        assert_eq!(follower.restarts, 0);
        assert_eq!(follower.held.as_ref().unwrap().1.len(), 184);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_in_the_middle_loses_nothing_and_stops_nobody() {
    let url = database();
    let (mut killed, stays) = (serve(&url), serve(&url));
    stays.seed().await;
    let mut follower = Follower::new("gw", "secret");
    ask(&mut follower, &killed, 0).await.unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..4_u64 {
        let numbers = (round + 1) * 1_000..;
        let written = Cell::new(0);
        let writes = async {
            for number in numbers {
                let key = json!({"id": format!("k-{number}"), "application": "app-1", "sha256": digest(number)});
                match killed.try_post("/v1/keys", key, SOON).await {
                    Some(status) => assert_eq!(status, 201),
                    None => break,
                }
                acknowledged.insert(digest(number));
                written.set(written.get() + 1);
            }
        };
        // After some writes, and in the middle of one: each takes longer than a millisecond.
        let kill = async {
            let begun = std::time::Instant::now();
            while written.get() < 6 && begun.elapsed() < SOON {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            killed.signal("-KILL");
        };
        tokio::join!(writes, kill);
        // Changes do not wait for the lock of the dead service.
        let begun = std::time::Instant::now();
        assert_eq!(stays.make_key(round + 10).await.0, 201);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        acknowledged.insert(digest(round + 10));
        while !ask(&mut follower, &stays, 0).await.unwrap() {}
        killed.ended();
        killed = serve(&url);
    }
    while !ask(&mut follower, &killed, 0).await.unwrap() {}
    assert_eq!(follower.restarts, 0, "a kill is no reason for a full policy");
    let (_, held) = follower.held.unwrap();
    let held: BTreeSet<String> = held.keys().filter(|(list, _)| *list == "keys").map(|(_, id)| id.clone()).collect();
    assert!(acknowledged.len() > 20 && held.is_superset(&acknowledged), "{:?}", acknowledged.difference(&held));
    let stored = Postgres::shared()
        .unwrap()
        .sql(name_of(&url), "SELECT identity FROM version WHERE until_revision IS NULL AND kind = 3 ORDER BY 1");
    assert_eq!(held.into_iter().map(|id| id + "\n").collect::<String>(), stored.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_connection_is_ended_misses_nothing_and_listens_again() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    let server = Postgres::shared().unwrap();
    let listeners =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    let both = async || {
        let found = server.sql(name_of(&url), listeners).unwrap();
        if found.trim() == "2" { Ok(()) } else { Err(found) }
    };
    eventually("both services listen", SOON, both).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    server.sql(name_of(&url), end).unwrap();
    // Immediately, so that no listener is connected again and the regular look-up must find it.
    assert_eq!(one.make_key(10).await.0, 201);
    let (status, page) = other.held_poll("/v1/policy?since=4", 10).await;
    assert_eq!((status, &page["keys"][0]["id"]), (200, &json!("k-10")));
    eventually("both services listen again", SOON, both).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_is_soon_known_to_all() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    one.seed().await;
    let mut renew = one.another(&["renew-epoch"]);
    renew.variable("POLICY_DATABASE", Some(&url));
    for _ in 0..5 {
        let (succeeded, said) = renew.run();
        assert!(succeeded, "{said}");
        for service in [&one, &other] {
            let look = async || {
                let page = service.policy("/v1/policy").await;
                let epoch = page["epoch"].as_str().unwrap();
                if said.contains(epoch) { Ok(()) } else { Err(epoch.to_owned()) }
            };
            eventually("the new epoch", SOON, look).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_the_one_that_another_service_takes() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    imports_do_not_mix(&one, &other).await;
}
