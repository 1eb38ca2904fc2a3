//! The authority of callouts, which is derived from the cluster's name. A mesh names its clusters
//! `outbound|PORT|SUBSET|HOST`, and a proxy in front of the policy service expects `HOST:PORT`.

use std::time::Duration;

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    envoy::Envoy,
    http::Ask,
    ports,
    stack::Policy,
    story::{Expected, ORDERS},
    workers::Workers,
};
use serde_json::json;

use crate::front::{self, Front};

/// How long a change may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
const CLUSTER: &str = "outbound|8085||policy.ns.svc.cluster.local";
const AUTHORITY: &str = "policy.ns.svc.cluster.local:8085";
const HTTP_1: &str = "          http_protocol_options: {}\n";
const HTTP_2: &str = "          http2_protocol_options: {}\n";

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");

/// The options with another name for the policy's cluster.
fn named(options: Options, cluster: &str) -> Options {
    options
        .edit("  - name: policy-service\n", format!("  - name: \"{cluster}\"\n"))
        .edit("cluster_name: policy-service\n", format!("cluster_name: \"{cluster}\"\n"))
        .edit(r#""cluster": "policy-service""#, format!(r#""cluster": "{cluster}""#))
}

#[tokio::test]
async fn a_mesh_clusters_name_becomes_an_authority_that_a_proxy_finds_over_http_1_and_http_2() {
    let front = Front::start("authority-service", Options::default()).await;
    // This proxy knows only this authority.
    let envoy = front::envoy(
        "authority-envoy",
        front.policy().address(),
        &[AUTHORITY],
        json!({"prefix": "/"}),
        json!({"timeout": "0s"}),
    )
    .await;
    for (name, protocol) in [("http1", HTTP_1), ("http2", HTTP_2)] {
        let options = named(front::asks(envoy.gateway()), CLUSTER).edit(HTTP_1, protocol);
        let stack = Stack::start(&format!("authority-{name}"), options).await.unwrap();
        let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
        let ask = Ask::get(ORDERS).key(&front.keys.production);
        for (change, expected) in [("unblock", REACHES), ("block", BLOCKED), ("unblock", REACHES)] {
            front.policy().post(&format!("/v1/subscriptions/shop-orders/{change}"), None).await.unwrap();
            eventually(format!("{name}: {expected}"), SEEN_WITHIN, async || workers.expect(&ask, expected).await)
                .await
                .unwrap_or_else(|error| panic!("{error}; log:\n{}", stack.envoy().unwrap().log()));
        }
        let envoys = stack.envoy().unwrap();
        assert_eq!(envoys.stat("wasmcustom.keygate.refresh.failed").await.unwrap(), 0, "{name}");
        stack.stop().await;
    }
    let h2 = envoy.stat("http.front.downstream_cx_http2_total").await.unwrap();
    assert!(h2 > 0, "nothing came over HTTP/2");
    front.stack.stop().await;
}

#[tokio::test]
async fn a_clusters_name_that_makes_no_authority_is_refused_and_the_error_names_the_field() {
    for (number, cluster) in ["outbound|8085", "a|b", "ns/policy", "policy service"].into_iter().enumerate() {
        let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
        let options = named(Options { policy: Policy::At(nobody), ..Options::default() }, cluster);
        let stack = Stack::prepare(&format!("authority-refused{number}"), options).await.unwrap();
        let (status, log) =
            Envoy::refuse(stack.folder(), &stack.config().unwrap(), &["--mode", "validate"]).await.unwrap();
        assert!(!status.success(), "{cluster}: it was taken");
        assert!(
            log.lines().any(|line| line.contains("policy.authority") && line.contains("refused")),
            "{cluster}: {log}"
        );
    }
}
