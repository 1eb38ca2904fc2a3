//! Real Envoys on what the control planes made of the shipped manifests. The captures are kept in the project, so these
//! tests need neither of the control planes; `make e2e-mesh` says when a capture has changed.

use std::{fs, time::Duration};

use keygate_e2e::{
    artifacts,
    config::EnvoyConfig,
    envoy::{Envoy, Launch},
    http::{self, Ask},
    policy_service::{GATEWAY_SECRET, PolicyService},
    ports,
    story::{self, BLOCKED, Expected, ORDERS},
    upstream::Upstream,
};

use crate::{
    capture::{Words, replay},
    stage::answers,
};

/// How long Envoy may take to have its first policy, on a busy machine.
const STARTING: Duration = Duration::from_secs(30);
/// How long a change of the policy may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// Plays the demo story on a capture. A sidecar has one upstream, for both types of keys.
async fn play(name: &str, has_sandbox: bool) {
    let folder = artifacts::root().join("target/stack").join(format!("captured-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let policy = PolicyService::start(&folder, ports::free().unwrap()).await.unwrap();
    let keys = story::load(&policy).await.unwrap();
    let (upstream, sandbox) =
        (Upstream::start("production", 0).await.unwrap(), Upstream::start("sandbox", 0).await.unwrap());
    let port = ports::free().unwrap();
    let words = Words::new(
        port,
        &[
            ("policy", policy.address().port().to_string()),
            ("upstream", upstream.address().port().to_string()),
            ("sandbox", sandbox.address().port().to_string()),
            ("folder", folder.display().to_string()),
            ("policy-host", "127.0.0.1".to_owned()),
        ],
    );
    let config = EnvoyConfig::new(replay(name, &words, &folder).to_string());
    let launch = Launch { secret: Some(GATEWAY_SECRET), ..Launch::default() };
    let mut envoy = Envoy::start(&folder, &config, &launch, &folder.join("access.log")).await.unwrap();
    let gateway = envoy.gateway();
    let production = Ask::get(ORDERS).key(&keys.production);
    answers(gateway, &production, Expected::Reaches("production"), STARTING).await;
    let of_sandbox = Expected::Reaches(if has_sandbox { "sandbox" } else { "production" });
    answers(gateway, &Ask::get(ORDERS).key(&keys.sandbox), of_sandbox, Duration::ZERO).await;
    for (ask, status) in [
        (Ask::get(ORDERS), 401),
        (Ask::get(ORDERS).key("never-given-out"), 401),
        (Ask::get(ORDERS).key(&keys.visitor), 403),
        (Ask::get(ORDERS).header("x-key-type", "PRODUCTION"), 401),
        (Ask::get("/orders%2f1.0/list").key(&keys.production), 400),
        (production.clone().header("x_application_id", "partner"), 400),
    ] {
        let answer = http::send(gateway, &ask).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{ask}: {answer}");
    }
    policy.post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
    answers(gateway, &production, BLOCKED, SEEN_WITHIN).await;
    policy.post("/v1/subscriptions/shop-orders/unblock", None).await.unwrap();
    answers(gateway, &production, Expected::Reaches("production"), SEEN_WITHIN).await;
    let logged = fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    assert!(!logged.contains(&keys.production), "a key is in the access log");
    envoy.stop().await;
}

#[tokio::test]
async fn an_envoy_on_the_capture_of_envoy_gateway_tells_the_story() {
    play("envoy-gateway", true).await;
}

#[tokio::test]
async fn an_envoy_on_the_capture_of_istios_gateway_tells_the_story() {
    play("istio-gateway", true).await;
}

#[tokio::test]
async fn an_envoy_on_the_capture_of_istios_sidecar_tells_the_story() {
    play("istio-sidecar", false).await;
}
