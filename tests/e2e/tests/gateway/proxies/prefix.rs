//! The policy service below a path prefix that a proxy strips. Pages and deltas of several pages arrive, the full
//! policy is fetched once, and usage is reported below the same prefix.

use std::time::Duration;

use keygate_e2e::{
    Options, Stack,
    cutter::Cutter,
    deadline::eventually,
    http::Ask,
    story::{Expected, ORDERS, PAYMENTS},
    workers::Workers,
};
use serde_json::json;

use crate::front::{self, Front};

/// How long a change may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// One interval of reports, the second that workers leave to the main thread, and time for a slow machine.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);
/// Rows on a page of the feed. The demo data has about a dozen.
const PAGE_ROWS: &str = "2";

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNKNOWN: Expected = Expected::Refused(401, "900901", "Invalid Credentials");

#[tokio::test]
async fn pages_deltas_and_usage_pass_a_proxy_that_strips_a_path_prefix() {
    let front = Front::start("prefix-service", Options::default().variable("POLICY_PAGE_ROWS", PAGE_ROWS)).await;
    let policy = front.policy();
    let strips = json!({"prefix_rewrite": "/", "timeout": "0s"});
    let envoy = front::envoy("prefix-envoy", policy.address(), &["*"], json!({"prefix": "/keygate/"}), strips).await;
    let seen = Cutter::start(envoy.gateway()).await.unwrap();
    let options = front::asks(seen.address())
        .edit(r#""path": "/v1/policy""#, r#""path": "/keygate/v1/policy""#)
        .edit(r#""usage": {"path": "/v1/usage", "interval_ms": 60000}"#, r#""usage": {"interval_ms": 1000}"#);
    let stack = Stack::start("prefix", options).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let mut becomes = async |key: &str, path: &str, expected: Expected| {
        let ask = Ask::get(path).key(key);
        eventually(format!("{path}: {expected}"), SEEN_WITHIN, async || workers.expect(&ask, expected).await)
            .await
            .unwrap_or_else(|error| panic!("{error}; log:\n{}", stack.envoy().unwrap().log()));
    };

    // The full policy has several pages, and each of them passes the proxy.
    becomes(&front.keys.production, ORDERS, REACHES).await;
    let targets = || seen.asked().iter().map(|asked| asked.target().to_owned()).collect::<Vec<_>>();
    let pages = targets();
    assert!(pages.len() > 4, "{pages:?}");

    // A delta of one page, and one of several pages: an application is deleted with its keys and subscriptions.
    policy.post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    becomes(&front.keys.production, ORDERS, BLOCKED).await;
    becomes(&front.keys.production, PAYMENTS, REACHES).await;
    let deleted = policy.call(Ask::new("DELETE", "/v1/applications/shop")).await.unwrap();
    assert!(deleted.status.is_success(), "{deleted}");
    becomes(&front.keys.production, PAYMENTS, UNKNOWN).await;
    becomes(&front.keys.sandbox, PAYMENTS, UNKNOWN).await;
    becomes(&front.keys.partner, ORDERS, REACHES).await;

    let billed = async || {
        let page = policy.call(Ask::get("/v1/usage?limit=1000")).await.unwrap().json();
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|item| item["application"] == "partner" && item["outcome"] == "allowed")
    };
    eventually("usage to be reported", REPORTED_WITHIN, async || {
        if billed().await { Ok(()) } else { Err(format!("asked: {:?}", targets())) }
    })
    .await
    .unwrap();

    let targets = targets();
    let outside: Vec<_> = targets.iter().filter(|target| !target.starts_with("/keygate/v1/")).collect();
    assert!(outside.is_empty(), "{outside:?}");
    for asked in seen.asked() {
        assert!(asked.header("keygate-version").is_some_and(|version| !version.is_empty()), "{}", asked.head);
    }
    let full = targets.iter().filter(|target| *target == "/keygate/v1/policy").count();
    assert_eq!(full, 1, "how often the full policy was fetched: {targets:?}");
    assert_eq!(envoy.stat("http.front.downstream_rq_4xx").await.unwrap(), 0, "{targets:?}");
    assert_eq!(stack.envoy().unwrap().stat("wasmcustom.keygate.refresh.failed").await.unwrap(), 0);
    stack.stop().await;
    front.stack.stop().await;
}
