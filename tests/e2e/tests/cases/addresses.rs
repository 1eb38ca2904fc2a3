//! The client's address with the shipped configuration: nothing that a client writes about itself changes it.

use std::{fs, net::SocketAddr, path::Path};

use keygate_e2e::{Options, Stack, artifacts, deadline::eventually, stack::Policy};
use serde_json::{Value, json};

use crate::{
    cases::table::Group,
    gateway::WITHIN,
    servers::{Feed, Page},
    wire,
};

/// Headers in which proxies name a client.
const TOLD: [&str; 8] = [
    "x-forwarded-for",
    "X-Forwarded-For",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-dst-host",
];

async fn status(address: SocketAddr, key: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut all: Vec<(&str, &[u8])> =
        vec![("host", b"gateway.test"), ("connection", b"close"), ("x-api-key", key.as_bytes())];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    let answer = wire::send(address, &wire::head("GET", b"/api", &all)).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, body["code"].clone())
}

#[tokio::test]
async fn a_forged_address_changes_nothing_under_the_shipped_configuration() {
    let group: Group = serde_json::from_value(json!({"name": "addresses", "cases": [], "policy": {
        "apis": [{"id": "api", "match": [{"path": "/api"}]}],
        "applications": [{"id": "app"}],
        "subscriptions": [{"application": "app", "api": "api"}],
        "keys": [{"key": "here-key", "application": "app", "permitted_ips": ["127.0.0.1", "203.0.113.7"]},
                 {"key": "there-key", "application": "app", "permitted_ips": ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::9"]},
                 {"key": "any-key", "application": "app"}],
        "deny_policies": [{"id": "d", "type": "IP", "value": "203.0.113.66"}, {"id": "inverted", "type": "IP_RANGE", "value": "127.0.0.0/8", "invert": true}],
    }})).unwrap();
    let feed = Feed::start().await;
    feed.put("/v1/policy", Page::Always(group.page(0).unwrap()));
    let options = Options { policy: Policy::At(feed.address), ..Options::default() };
    let stack = Stack::start("cases-addresses", options).await.unwrap();
    let gateway = stack.envoy().unwrap().gateway();
    eventually("the policy", WITHIN, async || match status(gateway, "any-key", &[]).await {
        (200, _) => Ok(()),
        (status, code) => Err(format!("{status} {code}")),
    })
    .await
    .unwrap();

    let not_permitted = (403, json!("900908"));
    assert_eq!(status(gateway, "here-key", &[]).await.0, 200);
    assert_eq!(status(gateway, "there-key", &[]).await, not_permitted);
    for name in TOLD {
        for forged in [
            "203.0.113.9",
            "203.0.113.9, 127.0.0.1",
            "127.0.0.1, 203.0.113.9",
            "203.0.113.9,203.0.113.9",
            "for=203.0.113.9",
            "2001:db8::9",
            "[2001:db8::9]:80",
            "::ffff:203.0.113.9",
        ] {
            let found = status(gateway, "there-key", &[(name, forged)]).await;
            assert_eq!(found, not_permitted, "{name}: {forged} gives a permitted address");
            assert_eq!(
                status(gateway, "here-key", &[(name, forged)]).await.0,
                200,
                "{name}: {forged} takes the address away"
            );
        }
        let twice = [(name, "203.0.113.9"), (name, "203.0.113.9")];
        assert_eq!(status(gateway, "there-key", &twice).await, not_permitted, "{name} twice");
        // Such a header does not bring the client under a deny policy either.
        assert_eq!(status(gateway, "any-key", &[(name, "203.0.113.66")]).await.0, 200, "{name}");
    }
    stack.stop().await;
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_shipped_connection_manager_takes_the_address_of_the_connection() {
    let mut found = Vec::new();
    files(&artifacts::root().join("envoy"), &mut found);
    let mut managers = 0;
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        let here = text.matches("http_connection_manager.v3.HttpConnectionManager").count();
        assert!(!text.contains("use_remote_address: false"), "{}", file.display());
        // A patch changes a manager that Istio makes, and may leave the field as Istio sets it: true at gateways.
        if text.contains("kind: EnvoyFilter") {
            continue;
        }
        managers += here;
        assert_eq!(text.matches("use_remote_address: true").count(), here, "{}", file.display());
    }
    assert!(managers > 0);
}
