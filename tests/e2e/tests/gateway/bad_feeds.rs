//! A feed whose answers are not a policy: the last good policy stays in use, the log names the fault, and no VM dies.

use std::time::{Duration, Instant};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    feed::{self, Feed},
    http::Ask,
    stack::Policy,
    story::Expected,
    workers::Workers,
};
use serde_json::{Value, json};

/// The filter asks again within this time. The interval is short here, and no case fails twice in a row, because a good
/// answer comes between.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const KEY: &str = "a-good-key";
const REACHES: Expected = Expected::Reaches("production");
const UNKNOWN: Expected = Expected::Refused(401, "900901", "Invalid Credentials");

/// A policy in which [`KEY`] may call `/a`.
fn policy(revision: u64) -> Value {
    json!({
        "format": 1, "revision": revision,
        "apis": [{"id": "a", "match": [{"path": "/a"}]}],
        "applications": [{"id": "app"}],
        "keys": [{"sha256": digest(), "id": "k", "application": "app"}],
        "subscriptions": [{"application": "app", "api": "a"}],
    })
}

/// The SHA-256 of [`KEY`], as `printf %s a-good-key | sha256sum` prints it.
fn digest() -> &'static str {
    "dba2fb0354a274d0683d1b22454b7dbee741385afce3155904f2f302d456f49b"
}

async fn revision_is(stack: &Stack, revision: u64) {
    let envoy = stack.envoy().unwrap();
    eventually(format!("revision {revision}"), SEEN_WITHIN, async || {
        match envoy.stat("wasmcustom.keygate.policy.revision").await {
            Ok(found) if found == revision => Ok(()),
            found => Err(format!("{found:?}; log:\n{}", envoy.log())),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_bad_answer_changes_nothing_is_logged_and_kills_no_vm() {
    let feed = Feed::start().await.unwrap();
    feed.answer(feed::page(&policy(1)));
    let options = Options { policy: Policy::At(feed.address()), ..Options::default() }
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 100"#)
        .edit(r#""timeout_ms": 5000"#, r#""timeout_ms": 1000"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 0"#);
    let stack = Stack::start("bad-feeds", options).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let (good, bad) = (Ask::get("/a").key(KEY), Ask::get("/a").key("another"));
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&good, REACHES).await).await.unwrap();
    let before = envoy.vms().await.unwrap();

    let whole = feed::page(&policy(1));
    let text = policy(1).to_string();
    let json = |body: &str| feed::answer("200 OK", "application/json", body);
    let cases: &[(&str, Vec<u8>)] = &[
        ("cut short", feed::truncated(whole.clone())),
        ("half the JSON", json(&text[..text.len() / 2])),
        ("an empty body", json("")),
        ("an empty object", json("{}")),
        ("HTML", feed::answer("200 OK", "text/html", "<html><body>maintenance</body></html>")),
        ("HTML that calls itself JSON", json("<html>")),
        ("500", feed::answer("500 Internal Server Error", "text/plain", "oops")),
        ("404", feed::answer("404 Not Found", "application/json", "{}")),
        ("no answer at all", Vec::new()),
        ("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("another format", json(&text.replace(r#""format":1"#, r#""format":2"#))),
        ("not UTF-8", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n\xff".to_vec()),
        ("an API without an id", json(r#"{"format":1,"revision":9,"apis":[{}]}"#)),
        ("a next page elsewhere", json(r#"{"format":1,"revision":9,"next":"//elsewhere/v1/policy"}"#)),
        ("deep nesting", json(&"[".repeat(100_000))),
        ("410 at the beginning of the feed", feed::answer("410 Gone", "application/json", "{}")),
        ("401", feed::answer("401 Unauthorized", "application/problem+json", "{}")),
        ("a cycle of next", json(r#"{"format":1,"revision":1000,"next":"/v1/policy"}"#)),
        ("more than 32 MiB", json(&" ".repeat((32 << 20) + 1))),
        ("a redirect", b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ];
    for (number, (name, answer)) in cases.iter().enumerate() {
        let failures = async || {
            let failed = envoy.stat("wasmcustom.keygate.refresh.failed").await.unwrap();
            failed + envoy.stat("wasmcustom.keygate.refresh.refused").await.unwrap()
        };
        let (failed, logged) = (failures().await, envoy.log().len());
        feed.answer(answer.clone());
        eventually(format!("{name} to be refused, and logged with cluster and path"), SEEN_WITHIN, async || {
            let log = envoy.log();
            let line = log[logged..].lines().any(|line| line.contains("policy-service") && line.contains("/v1/policy"));
            if line && failures().await > failed { Ok(()) } else { Err(format!("log:\n{}", &log[logged..])) }
        })
        .await
        .unwrap();
        println!("{name}: {}", envoy.log()[logged..].trim());
        // The last good policy stays in use: it allows the same keys and no others.
        workers.expect(&good, REACHES).await.unwrap_or_else(|error| panic!("after {name}: {error}"));
        workers.expect(&bad, UNKNOWN).await.unwrap_or_else(|error| panic!("after {name}: {error}"));
        // A good answer is accepted again, so the answer of the case was the cause.
        let revision = 10 + number as u64;
        feed.answer(feed::page(&policy(revision)));
        revision_is(&stack, revision).await;
        workers.expect(&good, REACHES).await.unwrap_or_else(|error| panic!("back after {name}: {error}"));
    }
    assert_eq!(envoy.vms().await.unwrap(), before, "a VM died:\n{}", envoy.log());
    stack.stop().await;
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let feed = Feed::start().await.unwrap();
    feed.answer(feed::page(&policy(1)));
    let options = Options { policy: Policy::At(feed.address()), ..Options::default() }
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 100"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 0"#);
    let stack = Stack::start("bad-feeds-retry-after", options).await.unwrap();
    revision_is(&stack, 1).await;
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let answer = format!("HTTP/1.1 {status}\r\nretry-after: 3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        feed.answer(answer);
        let failed = async || stack.envoy().unwrap().stat("wasmcustom.keygate.refresh.failed").await.unwrap();
        let before = failed().await;
        let when = async |count: u64| {
            let reached = async || if failed().await >= count { Ok(()) } else { Err("not yet") };
            eventually(format!("{count} failures"), SEEN_WITHIN, reached).await.unwrap();
            Instant::now()
        };
        let (first, second) = (when(before + 1).await, when(before + 2).await);
        // Less the time of the checks. Without the header the pause would be 100 ms.
        assert!(second - first >= Duration::from_millis(2_500), "{status}: {:?}", second - first);
        feed.answer(feed::page(&policy(before + 10)));
        revision_is(&stack, before + 10).await;
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_bad_answer_before_any_policy_leaves_the_gateway_closed() {
    let feed = Feed::start().await.unwrap();
    feed.answer(feed::answer("200 OK", "text/html", "<html>"));
    let options = Options { policy: Policy::At(feed.address()), ..Options::default() }
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 100"#);
    let stack = Stack::start("bad-feeds-first", options).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let closed = Expected::Refused(503, "900424", "Policy unavailable");
    workers.expect(&Ask::get("/a").key(KEY), closed).await.unwrap();
    // The requests to the feed follow the configuration.
    let asked = feed.asked();
    let first = asked.first().expect("the feed was asked").to_ascii_lowercase();
    assert!(first.starts_with("get /v1/policy http/1.1\r\n"), "{first}");
    assert!(first.contains("authorization: basic "), "{first}");
    assert!(first.contains("host: policy-service\r\n"), "{first}");
    stack.stop().await;
}
