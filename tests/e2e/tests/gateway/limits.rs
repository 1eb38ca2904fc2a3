//! Limits of plans in a real Envoy with four workers: their exactness under full load, and what clients see of them
//! with the shipped configuration.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use keygate::digest::Digest;
use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    feed::{self, Feed},
    http::{Answer, Ask, Connection},
    stack::Policy,
};
use serde_json::{Value, json};

/// How long a policy may take to arrive.
const WITHIN: Duration = Duration::from_secs(20);
/// Open connections: enough that each of four workers has some.
const CONNECTIONS: usize = 32;

fn limited() -> Ask {
    Ask::get("/orders/1.0").key("limited-key")
}

fn unlimited() -> Ask {
    Ask::get("/orders/1.0").key("unlimited-key")
}

/// An Envoy with four workers and a policy with two keys: one under the plan, the other under none.
async fn gateway(name: &str, plan: Value) -> (Stack, Feed) {
    let key = |clear: &str, application: &str| json!({"sha256": Digest::of(clear.as_bytes()).to_hex(), "id": clear, "application": application});
    let mut plan = plan;
    plan["id"] = json!("plan");
    let page = json!({
        "format": 1, "revision": 1,
        "apis": [{"id": "orders", "match": [{"path": "/orders/1.0"}]}],
        "applications": [{"id": "limited"}, {"id": "unlimited"}],
        "keys": [key("limited-key", "limited"), key("unlimited-key", "unlimited")],
        "subscriptions": [{"application": "limited", "api": "orders", "plan": "plan"}, {"application": "unlimited", "api": "orders"}],
        "plans": [plan],
    });
    let feed = Feed::start().await.unwrap();
    feed.answer(feed::page(&page));
    let options = Options { policy: Policy::At(feed.address()), ..Options::default() }.workers(4);
    let stack = Stack::start(name, options).await.unwrap();
    let gateway = stack.envoy().unwrap().gateway();
    // Every worker has the policy when a connection to each gets an answer. The unlimited key is not counted.
    for mut connection in connect(gateway).await {
        eventually("the policy", WITHIN, async || {
            let answer = connection.send(&unlimited()).await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await
        .unwrap();
    }
    (stack, feed)
}

async fn connect(gateway: SocketAddr) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(gateway).await.unwrap());
    }
    connections
}

/// Asks over all connections at once, each until `done` accepts an answer. Returns the number of answers, and how many
/// of them let a request pass.
async fn load(gateway: SocketAddr, done: impl Fn(&Answer) -> bool + Clone + Send + 'static) -> (usize, usize) {
    let mut clients = Vec::new();
    for mut connection in connect(gateway).await {
        let done = done.clone();
        clients.push(tokio::spawn(async move {
            let mut statuses = Vec::new();
            loop {
                let answer = connection.send(&limited()).await.unwrap();
                statuses.push(answer.status.as_u16());
                if done(&answer) {
                    return statuses;
                }
            }
        }));
    }
    let mut statuses = Vec::new();
    for client in clients {
        statuses.extend(client.await.unwrap());
    }
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "only these two");
    (statuses.len(), statuses.iter().filter(|status| **status == 200).count())
}

#[tokio::test]
async fn four_workers_under_full_load_let_as_many_pass_as_the_limit_says() {
    const LIMIT: usize = 6_000;
    let (stack, _feed) = gateway("limits-load", json!({"limits": [{"requests": LIMIT, "per": "month"}]})).await;
    let gateway = stack.envoy().unwrap().gateway();
    // Each connection asks until it is refused. Its worker has then found the limit used up.
    let refused = |answer: &Answer| answer.status == 429;
    let (_, mut passed) = load(gateway, refused).await;
    println!("{passed} of {LIMIT}");
    assert!((LIMIT * 98 / 100..=LIMIT).contains(&passed), "{passed} of {LIMIT}");
    // Idle workers give their unused part back. Then the limit is reached exactly.
    eventually("the last request", WITHIN, async || {
        passed += load(gateway, refused).await.1;
        if passed >= LIMIT { Ok(()) } else { Err(passed) }
    })
    .await
    .unwrap();
    passed += load(gateway, refused).await.1;
    assert_eq!(passed, LIMIT);
    let stats = stack.envoy().unwrap().stats("^wasmcustom.keygate.limits").await.unwrap();
    assert!(stats.len() == 2 && stats.iter().all(|(_, value)| *value == 0), "{stats:?}");
    stack.stop().await;
}

#[tokio::test]
async fn windows_of_a_second_hold_and_begin_anew_under_full_load() {
    const LIMIT: usize = 600;
    let (stack, _feed) = gateway("limits-second", json!({"limits": [{"requests": LIMIT, "per": "second"}]})).await;
    let envoy = stack.envoy().unwrap();
    let before = envoy.access_log().len();
    let begun = Instant::now();
    let (asked, _) = load(envoy.gateway(), move |_| begun.elapsed() > Duration::from_secs(6)).await;
    let (lines, _) = eventually("the access log", WITHIN, async || {
        let lines = envoy.access_log();
        if lines.len() >= before + asked { Ok(lines) } else { Err(lines.len()) }
    })
    .await
    .unwrap();
    // Requests by the second in which Envoy received them. At most one request of each worker is decided in the next
    // second.
    let mut windows: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["application_id"] == "limited") {
        let second = line["time"].as_str().unwrap().split('.').next().unwrap();
        let window = windows.entry(second.to_owned()).or_default();
        window.0 += 1;
        window.1 += usize::from(line["reason"] == "allowed");
    }
    println!("asked and passed, by second: {windows:?}");
    assert!(windows.len() >= 5, "{windows:?}");
    for (number, (asked, passed)) in windows.values().enumerate() {
        assert!(*passed <= LIMIT * 101 / 100, "{windows:?}");
        // The first and the last second are incomplete. A machine that is too busy to send many more requests than the
        // limit proves nothing about its use.
        if number > 0 && number + 1 < windows.len() && *asked >= LIMIT * 3 / 2 {
            assert!(*passed >= LIMIT * 98 / 100, "{windows:?}");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn clients_see_their_limits_and_those_without_see_none() {
    const NAMES: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
    let plan = json!({"limits": [{"requests": 3, "per": "month"}]});
    let (stack, _feed) = gateway("limits-headers", plan).await;
    let mut connections = connect(stack.envoy().unwrap().gateway()).await;
    let values = |answer: &Answer, name: &str| {
        let values = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
        values.collect::<Vec<_>>()
    };
    for (number, expected) in [(0, (200, "2")), (1, (200, "1")), (2, (200, "0")), (3, (429, "0")), (4, (429, "0"))] {
        let answer = connections[number * 5].send(&limited()).await.unwrap();
        let [limit, remaining, reset] = NAMES.map(|name| values(&answer, name));
        assert_eq!((answer.status.as_u16(), &remaining[..]), (expected.0, &[expected.1.to_owned()][..]), "{number}");
        assert_eq!(limit, ["3"], "{number}");
        let seconds: u64 = reset[0].parse().unwrap();
        assert!(reset.len() == 1 && (1..=31 * 86_400).contains(&seconds), "{reset:?}");
        if answer.status == 429 {
            assert_eq!(answer.code().as_deref(), Some("900804"));
            let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(retry_after, seconds);
        }
    }
    let answer = connections[0].send(&unlimited()).await.unwrap();
    assert_eq!((answer.status.as_u16(), NAMES.map(|name| values(&answer, name).len())), (200, [0, 0, 0]));
    let answer = connections[0].send(&Ask::get("/orders/1.0")).await.unwrap();
    assert_eq!((answer.status.as_u16(), NAMES.map(|name| values(&answer, name).len())), (401, [0, 0, 0]));
    stack.stop().await;
}
