//! One quota over several Envoys (`envoy/global-ratelimit/envoy.yaml`): keygate identifies the application, and rate
//! limit servers count. The servers here are thin ones, which share a count in memory. `envoys_ratelimit.rs` runs the
//! same with real ones.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use keygate::digest::Digest;
use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    feed::{self, Feed},
    http::{self, Answer, Ask},
    ports,
    stack::Policy,
};
use serde_json::json;

use crate::ratelimit_server::{self, RateLimitServer};

/// A generous time limit for a busy machine.
pub const WITHIN: Duration = Duration::from_secs(20);
/// The quota of the plan `gold`.
pub const QUOTA: u64 = 20;

pub const COUNTED: &str = "/orders/1.0/list";
const UNPLANNED: &str = "/payments/1.0/list";

fn shipped() -> PathBuf {
    artifacts::root().join("envoy/global-ratelimit/envoy.yaml")
}

/// The limits that the shipped file shows for a server: the comment from its first line to the next empty one.
pub fn shown(first: &str) -> String {
    let file = fs::read_to_string(shipped()).unwrap();
    let lines = file.lines().map(|line| line.strip_prefix('#').unwrap_or_default());
    let shown: Vec<_> = lines.skip_while(|line| line.trim() != first).take_while(|line| !line.is_empty()).collect();
    assert!(!shown.is_empty(), "the file shows no limits that begin with `{first}`");
    shown.join("\n")
}

/// `shop` and `desk` may call the API with the plan and one without. Their names are their keys.
pub async fn policy() -> Feed {
    let keys = ["shop", "desk"]
        .map(|name| json!({"sha256": Digest::of(name.as_bytes()).to_hex(), "id": name, "application": name}));
    let of = |application: &str| {
        [
            json!({"application": application, "api": "orders", "plan": "gold"}),
            json!({"application": application, "api": "payments"}),
        ]
    };
    let subscriptions = [of("shop"), of("desk")].concat();
    let page = json!({
        "format": 1, "revision": 1,
        "apis": [
            {"id": "orders", "match": [{"path": "/orders/1.0"}]},
            {"id": "payments", "match": [{"path": "/payments/1.0"}]},
        ],
        "applications": [{"id": "shop"}, {"id": "desk"}],
        "keys": keys,
        "subscriptions": subscriptions,
        "plans": [{"id": "gold"}],
    });
    let feed = Feed::start().await.unwrap();
    feed.answer(feed::page(&page));
    feed
}

/// An Envoy with the shipped file whose workers have the policy. No request has been counted yet.
pub async fn gateway(name: &str, feed: &Feed, server: SocketAddr, edits: Vec<(&'static str, String)>) -> Stack {
    let options = Options { policy: Policy::At(feed.address()), shipped: shipped(), edits, ..Options::default() }
        .edit("address: 127.0.0.1, port_value: 8081", format!("address: 127.0.0.1, port_value: {}", server.port()));
    let stack = Stack::start(name, options).await.unwrap();
    eventually("the policy", WITHIN, async || match ask(&stack, Ask::get(UNPLANNED).key("shop")).await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer),
    })
    .await
    .unwrap();
    stack
}

pub async fn ask(stack: &Stack, ask: Ask) -> Answer {
    http::send(stack.envoy().unwrap().gateway(), &ask).await.unwrap()
}

/// Two Envoys, each with a server of its own. On a busy machine an answer may take longer than the shipped timeout, and the
/// request would pass. So they wait longer.
pub async fn gateways(name: &str, feed: &Feed, servers: [SocketAddr; 2]) -> [Stack; 2] {
    let patient = || vec![("timeout: 0.1s", format!("timeout: {}s", WITHIN.as_secs()))];
    let [first, second] = ["one", "two"].map(|which| format!("{name}-{which}"));
    let [at_first, at_second] = servers;
    let (one, two) =
        tokio::join!(gateway(&first, feed, at_first, patient()), gateway(&second, feed, at_second, patient()));
    [one, two]
}

#[tokio::test]
async fn two_envoys_with_a_server_each_let_one_quota_pass_and_count_nothing_else() {
    let feed = policy().await;
    let counts = ratelimit_server::counts(&shown("- namespace: keygate"));
    let servers = [RateLimitServer::start(&counts), RateLimitServer::start(&counts)];
    let both = gateways("global", &feed, [servers[0].address(), servers[1].address()]).await;
    let both = one_quota(both).await;
    for stack in both {
        stack.stop().await;
    }
}

/// What two Envoys with one count let pass. The requests come one after the other.
pub async fn one_quota(stacks: [Stack; 2]) -> [Stack; 2] {
    let both = [&stacks[0], &stacks[1]];

    // keygate refuses these requests, so they are not counted. A client can count neither for another application nor
    // under another plan.
    for number in 0..30 {
        let answer = ask(both[number % 2], Ask::get(COUNTED).key("nobody").header("x-application-id", "shop")).await;
        assert_eq!(answer.status, 401, "{answer}");
        let forged = Ask::get(UNPLANNED).key("desk").header("x-application-id", "shop");
        let forged = forged.header("x-api-id", "orders").header("x-plan", "gold");
        let answer = ask(both[number % 2], forged).await;
        assert_eq!(answer.status, 200, "{answer}");
    }

    let mut passed = [0_u64; 2];
    for number in 0..50 {
        let forged = Ask::get(COUNTED).key("shop").header("x-plan", "platinum").header("x-application-id", "desk");
        let answer = ask(both[number % 2], if number < 25 { Ask::get(COUNTED).key("shop") } else { forged }).await;
        if number < 20 {
            assert_eq!(answer.status, 200, "{number}: {answer}");
            passed[number % 2] += 1;
        } else {
            assert_eq!((answer.status.as_u16(), answer.code().as_deref()), (429, Some("900804")), "{number}: {answer}");
        }
    }
    assert_eq!(passed, [QUOTA / 2; 2]);

    // Neither another application nor a request without a plan is limited.
    for stack in both {
        for (path, key) in [(COUNTED, "desk"), (UNPLANNED, "shop")] {
            let answer = ask(stack, Ask::get(path).key(key)).await;
            assert_eq!(answer.status, 200, "{path} {key}: {answer}");
        }
    }
    // A server made every decision. None is Envoy's fallback without a server.
    for stack in both {
        let errors = stack.envoy().unwrap().stats(r"ratelimit\.(error|failure_mode_allowed)").await.unwrap();
        assert!(errors.iter().all(|(_, value)| *value == 0), "{errors:?}");
    }
    stacks
}

#[tokio::test]
async fn without_the_server_requests_pass_unless_the_configuration_refuses_them() {
    let feed = policy().await;
    let nobody: SocketAddr = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let deny = vec![("failure_mode_deny: false", "failure_mode_deny: true".to_owned())];
    let (allows, denies) = tokio::join!(
        gateway("global-allows", &feed, nobody, Vec::new()),
        gateway("global-denies", &feed, nobody, deny)
    );
    for (stack, status) in [(&allows, 200), (&denies, 503)] {
        let answer = ask(stack, Ask::get(COUNTED).key("shop")).await;
        assert_eq!(answer.status, status, "{answer}");
        assert_eq!(ask(stack, Ask::get(COUNTED).key("nobody")).await.status, 401, "keygate decides all the same");
        assert_eq!(
            ask(stack, Ask::get(UNPLANNED).key("shop")).await.status,
            200,
            "what is not counted needs no server"
        );
    }
    let name = "cluster.upstream.ratelimit.failure_mode_allowed";
    assert_eq!(allows.envoy().unwrap().stat(name).await.unwrap(), 1);
    allows.stop().await;
    denies.stop().await;
}
