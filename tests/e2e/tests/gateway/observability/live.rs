//! A real Prometheus with the shipped files. While nothing is wrong no alert fires; each fault makes its alert fire; and at
//! the end every expression of the dashboard has an answer. `make e2e-observability` runs it and draws the dashboard.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, SystemTime},
};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    envoy::Envoy,
    feed::{self, Feed},
    http::{self, Ask},
    policy_service::GATEWAY_SECRET,
    story::{Call, ORDERS, SCENES},
    workers::Workers,
};
use serde_json::{Value, json};

use super::{
    expressions::{documented_of_filter, filled, panels, rules},
    prometheus::{Prometheus, Targets},
    world,
};

/// How long nothing may fire while nothing is wrong: longer than each window and `for` of the test.
const QUIET: Duration = Duration::from_secs(25);
const SOON: Duration = Duration::from_secs(20);
/// The lines of the filter that an Envoy may log in this test. Each fault is one line, and its end is one.
const MOST_LINES: usize = 30;

/// What fired, and after how long.
struct Fired<'a> {
    prometheus: &'a Prometheus,
    times: Vec<(String, Duration)>,
}

impl Fired<'_> {
    async fn fires(&mut self, alert: &str, instance: SocketAddr) {
        let took = self.prometheus.fires(alert, instance).await;
        println!("{alert} fired after {:.1} s", took.as_secs_f64());
        self.times.push((alert.to_owned(), took));
    }
}

async fn plain(envoy: &Envoy, count: usize) {
    for _ in 0..count {
        http::send(envoy.gateway(), &Ask::get(ORDERS)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make e2e-observability"]
#[expect(clippy::too_many_lines, reason = "one world, whose faults come one after the other")]
async fn each_fault_fires_its_alert_and_nothing_else_does() {
    let begun = SystemTime::now();
    let (mut stack, keys) = world::healthy().await;
    let feed = Feed::start().await.unwrap();
    let fed = world::fed(&feed).await;
    let service = stack.policy().unwrap().address();
    let mut skipping = world::skipping(service).await;
    let dying = world::dying(service).await;
    let (secure, folder) = world::secure().await;
    let envoy = stack.envoy().unwrap();
    let (healthy, fed_at) = (envoy.admin(), fed.envoy().unwrap().admin());
    let skipping_at = skipping.envoy().unwrap().admin();
    let targets = Targets {
        envoys: vec![healthy, fed_at, skipping_at, dying.admin()],
        service,
        secure_service: secure.address(),
    };
    let place = artifacts::root().join("target/stack/observability-prometheus");
    let _ = fs::remove_dir_all(&place);
    let prometheus = Prometheus::start(&place, &targets).await;
    let mut fired = Fired { prometheus: &prometheus, times: Vec::new() };

    // The story, with steady traffic: blocks, refusals, a certificate that is good. Nothing fires for these instances.
    let traffic = world::traffic(envoy.gateway(), &keys.partner);
    let mut workers = Workers::connect(envoy).await.unwrap();
    let ours = [healthy.to_string(), service.to_string(), secure.address().to_string()];
    let quiet_until = SystemTime::now() + QUIET;
    let mut scenes = SCENES.iter().cycle();
    while SystemTime::now() < quiet_until {
        let scene = scenes.next().unwrap();
        if let Some(change) = scene.change {
            stack.policy().unwrap().post(change, None).await.unwrap();
        }
        for Call { caller, path, expected } in scene.calls {
            let ask = caller.key(&keys).map_or(Ask::get(*path), |key| Ask::get(*path).key(key));
            eventually("an answer of the story", SOON, async || workers.expect(&ask, *expected).await).await.unwrap();
        }
        let firing = prometheus.firing().await;
        assert!(firing.iter().all(|(_, instance)| !ours.contains(instance)), "{firing:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    stack.policy().unwrap().post("/v1/subscriptions/shop-orders/unblock", None).await.unwrap();
    the_documents_name_what_envoy_shows(&[envoy, skipping.envoy().unwrap()]).await;

    // A bad client.
    let flood = world::traffic_without_key(envoy.gateway());
    fired.fires("KeygateRefusalsJump", healthy).await;
    flood.abort();
    prometheus.ends("KeygateRefusalsJump", healthy).await;

    // Envoys with faults of their own.
    plain(skipping.envoy().unwrap(), 3).await;
    fired.fires("KeygateGuardRefuses", skipping_at).await;
    // Envoy replaces a dead VM at a request that comes a second later.
    let gateway = dying.gateway();
    let requests = tokio::spawn(async move {
        loop {
            let _ = http::send(gateway, &Ask::get(ORDERS)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    fired.fires("KeygateVmReloads", dying.admin()).await;
    requests.abort();

    // A feed that gives nothing, then a policy with mistakes, then an older one.
    plain(fed.envoy().unwrap(), 1).await;
    fired.fires("KeygateAllowsWithoutPolicy", fed_at).await;
    fired.fires("KeygatePolicyExpiresSoon", fed_at).await;
    feed.answer(feed::page(&world::page(5, &json!({"denyPolicies": [], "applications": [{"id": ""}]}))));
    fired.fires("KeygateRowsLeftOut", fed_at).await;
    fired.fires("KeygateUnknownFields", fed_at).await;
    feed.answer(feed::page(&world::page(3, &json!({}))));
    fired.fires("KeygatePolicyRefused", fed_at).await;
    let lines = [
        "the policy was not refreshed: GET /v1/policy of cluster",
        "a row of the policy is left out, so its key, application or subscription is not allowed",
        "the policy has a field that keygate does not know",
        "`revision` is below the current one",
    ];
    says(fed.envoy().unwrap(), &lines).await;
    says(&dying, &["Function: proxy_on_request_headers failed"]).await;

    // The certificate is replaced by one that has ended.
    world::write_certificate(&folder, 2020);
    fired.fires("PolicyServiceCertificateEnds", secure.address()).await;

    // Somebody guesses.
    let wrong = Ask::get("/v1/apis").header("authorization", "Bearer wrong");
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let wrong = wrong.clone();
                async move { http::send(service, &wrong).await.is_ok() }
            })
        })
        .collect();
    fired.fires("PolicyServiceCredentialsRefused", service).await;
    for guess in guesses {
        guess.await.unwrap();
    }

    // A gateway that does not take a change, one that refuses it, and one that ends.
    let page = gateway_calls(service, "/v1/policy", "behind", &[("keygate-heard-within", "600")]).await;
    let poll = page["poll"].as_str().unwrap();
    gateway_calls(service, &format!("/v1/policy{poll}"), "behind", &[("keygate-heard-within", "600")]).await;
    stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    stack.policy().unwrap().post("/v1/subscriptions/shop-orders/unblock", None).await.unwrap();
    fired.fires("PolicyServiceGatewayBehind", service).await;
    let refuses = [("keygate-heard-within", "600"), ("keygate-refused", "1; shrink")];
    gateway_calls(service, "/v1/policy", "refuses", &refuses).await;
    fired.fires("PolicyServiceGatewayRefuses", service).await;
    gateway_calls(service, "/v1/policy", "ends", &[("keygate-heard-within", "1")]).await;
    fired.fires("PolicyServiceGatewaySilent", service).await;

    // The database is moved away under the service, and back.
    let database = stack.folder().join("policy.db");
    let aside = stack.folder().join("policy.db.aside");
    fs::rename(&database, &aside).unwrap();
    fired.fires("PolicyServiceCannotWrite", service).await;
    let pressing = tokio::spawn(async move {
        loop {
            let change = Ask::new("POST", "/v1/subscriptions/shop-orders/block");
            let _ = http::send(
                service,
                &change.header("authorization", format!("Bearer {}", keygate_e2e::policy_service::ADMIN_TOKEN)),
            )
            .await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let errors = async || match fired.prometheus.firing().await {
        firing if firing.iter().any(|(name, _)| name == "PolicyServiceErrors") => Ok(()),
        firing => Err(format!("{firing:?}")),
    };
    let ((), took) = eventually("PolicyServiceErrors fires", Duration::from_secs(60), errors).await.unwrap();
    fired.times.push(("PolicyServiceErrors".to_owned(), took));
    pressing.abort();
    fs::rename(&aside, &database).unwrap();
    prometheus.ends("PolicyServiceCannotWrite", service).await;

    // The service goes away, and comes back.
    stack.policy_mut().unwrap().stop().await;
    fired.fires("PolicyServiceDown", service).await;
    fired.fires("KeygateRefreshFailing", healthy).await;
    fired.fires("KeygateUsageNotReported", healthy).await;
    fired.fires("KeygatePolicyStale", healthy).await;
    let lines = ["the policy was not refreshed", "the policy is stale", "usage was not reported"];
    says(stack.envoy().unwrap(), &lines).await;
    stack.policy_mut().unwrap().restart().await.unwrap();
    for (alert, instance) in
        [("PolicyServiceDown", service), ("KeygatePolicyStale", healthy), ("KeygateRefreshFailing", healthy)]
    {
        prometheus.ends(alert, instance).await;
    }

    says(stack.envoy().unwrap(), &["refreshed again", "fresh again", "reported again"]).await;

    // Every expression has an answer, also those that need something to have happened within a minute.
    plain(stack.envoy().unwrap(), 3).await;
    stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    for (title, expressions) in panels() {
        for expression in expressions {
            let full = async || match prometheus.query(&filled(&expression)).await {
                result if result.is_empty() => Err("nothing"),
                _ => Ok(()),
            };
            eventually(format!("{title}: {expression}"), SOON, full).await.unwrap();
        }
    }

    // An Envoy that is gone.
    skipping.stop_envoy().await;
    fired.fires("KeygateDown", skipping_at).await;
    let all: BTreeSet<String> = rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    let seen: BTreeSet<String> = fired.times.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(seen, all, "each alert fired");

    traffic.abort();
    draw(prometheus.address(), begun);
    prometheus.stop().await;
    stack.stop().await;
    fed.stop().await;
}

/// A call of a gateway that says these words of itself. Returns the page.
async fn gateway_calls(service: SocketAddr, path: &str, instance: &str, words: &[(&str, &str)]) -> Value {
    let ask = Ask::get(path).header("authorization", format!("Bearer {GATEWAY_SECRET}"));
    let ask = ask.header("keygate-version", "1").header("keygate-instance", instance).header("keygate-process", "1");
    let ask = words.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    let answer = http::send(service, &ask).await.unwrap();
    serde_json::from_str(&answer.body).unwrap_or_default()
}

/// At a mesh's level, the log has these lines, which the runbook names, and few others.
async fn says(envoy: &Envoy, lines: &[&str]) {
    for line in lines {
        let look = async || if envoy.log().contains(line) { Ok(()) } else { Err(envoy.log()) };
        eventually(format!("the log says `{line}`"), SOON, look).await.unwrap();
    }
    let of_filter = envoy.log().matches("wasm log").count();
    assert!(of_filter <= MOST_LINES, "{of_filter} lines: {}", envoy.log());
}

/// Between them the Envoys have every metric of the document, and no other.
async fn the_documents_name_what_envoy_shows(envoys: &[&Envoy]) {
    let mut shown = BTreeSet::new();
    for envoy in envoys {
        let answer = http::send(envoy.admin(), &Ask::get("/stats/prometheus")).await.unwrap();
        let names = answer.body.lines().filter(|line| line.starts_with("keygate_"));
        shown.extend(names.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()));
    }
    assert_eq!(shown, documented_of_filter());
}

/// Draws every panel of the dashboard into `target/observability.png`.
fn draw(prometheus: SocketAddr, begun: SystemTime) {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
    let script = artifacts::root().join("tests/e2e/tests/gateway/observability/draw.py");
    let drawn = Command::new("/usr/bin/python3")
        .arg(script)
        .arg(format!("http://{prometheus}"))
        .arg(artifacts::root().join("envoy/observability/dashboard.json"))
        .arg(artifacts::root().join("target/observability.png"))
        .args([seconds(begun), seconds(SystemTime::now())])
        .status();
    assert!(drawn.unwrap().success());
}
