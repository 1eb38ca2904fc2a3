//! Real Envoys on what the control planes made of the shipped manifests. The captures are kept in the project, so these
//! tests need neither of the control planes; `make e2e-mesh` says when a capture has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use keygate_e2e::{
    artifacts,
    config::EnvoyConfig,
    deadline::eventually,
    envoy::{Envoy, Launch},
    http::{self, Ask},
    load::Load,
    policy_service::{GATEWAY_SECRET, PolicyService},
    ports,
    story::{self, BLOCKED, Expected, Keys, ORDERS},
    upstream::Upstream,
};
use serde_json::{Value, json};

use crate::{
    capture::{Words, replay},
    shadow::passes_until_it_is_enforced,
    stage::{answers, fetches},
};

/// How long Envoy may take to have its first policy, on a busy machine.
const STARTING: Duration = Duration::from_secs(30);
/// How long a change of the policy may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// The mode in the text of a configuration, and a wrong one.
const ENFORCE: &str = r#"\"mode\":\"enforce\""#;
const SHADOW: &str = r#"\"mode\":\"shadow\""#;
const WRONG: &str = r#"\"mode\":\"enforced\""#;

/// An Envoy on a capture, with everything around it.
struct Captured {
    policy: PolicyService,
    envoy: Envoy,
    keys: Keys,
    folder: PathBuf,
    _upstreams: [Upstream; 2],
}

impl Captured {
    /// Starts Envoy on the capture `of`. `edit` may change the files of its lists before.
    async fn start(name: &str, of: &str, edit: impl FnOnce(&Path)) -> Self {
        let folder = artifacts::root().join("target/stack").join(format!("captured-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let policy = PolicyService::start(&folder, ports::free().unwrap()).await.unwrap();
        let keys = story::load(&policy).await.unwrap();
        let upstream = Upstream::start("production", 0).await.unwrap();
        let sandbox = Upstream::start("sandbox", 0).await.unwrap();
        let words = [
            ("policy", policy.address().port().to_string()),
            ("upstream", upstream.address().port().to_string()),
            ("sandbox", sandbox.address().port().to_string()),
            ("folder", folder.display().to_string()),
            ("policy-host", "127.0.0.1".to_owned()),
        ];
        let words = Words::new(ports::free().unwrap(), &words);
        let config = EnvoyConfig::new(replay(of, &words, &folder).to_string());
        edit(&folder);
        let launch = Launch { secret: Some(GATEWAY_SECRET), ..Launch::default() };
        let envoy = Envoy::start(&folder, &config, &launch, &folder.join("access.log")).await.unwrap();
        Self { policy, envoy, keys, folder, _upstreams: [upstream, sandbox] }
    }

    fn production(&self) -> Ask {
        Ask::get(ORDERS).key(&self.keys.production)
    }

    async fn stop(mut self) {
        self.envoy.stop().await;
        self.policy.stop().await;
    }
}

/// Changes a text in the file of a list, as a control plane sends another version. Envoy sees that the file was moved.
fn change(folder: &Path, list: &str, from: &str, to: &str) {
    let file = folder.join(format!("{list}.json"));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    let new = file.with_extension("new");
    fs::write(&new, text.replace(from, to)).unwrap();
    fs::rename(new, file).unwrap();
}

/// Plays the demo story on a capture. A sidecar has one upstream, for both types of keys.
async fn play(name: &str, has_sandbox: bool) {
    let captured = Captured::start(name, name, |_| ()).await;
    let (gateway, policy, keys) = (captured.envoy.gateway(), &captured.policy, &captured.keys);
    let production = captured.production();
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
    let logged = fs::read_to_string(captured.folder.join("access.log")).unwrap_or_default();
    assert!(!logged.contains(&keys.production), "a key is in the access log");
    captured.stop().await;
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

/// The list with the plugin's configuration, for each control plane, and the counter of what Envoy rejected of it.
const PLUGINS: [(&str, &str, &str); 2] = [
    ("envoy-gateway", "listeners", "listener_manager.lds.update_rejected"),
    ("istio-gateway", "filters", "extension_config_discovery.http_filter.*update_rejected"),
];

async fn rejected(envoy: &Envoy, filter: &str) -> u64 {
    envoy.stats(filter).await.unwrap().iter().map(|(_, value)| value).sum()
}

/// Over LDS and over ECDS, with and without a VM id.
#[tokio::test]
async fn edits_on_a_capture_lose_no_request_and_fetch_no_policy() {
    for (name, list, counter) in PLUGINS {
        let captured = Captured::start(&format!("{name}-edits"), name, |_| ()).await;
        let gateway = captured.envoy.gateway();
        let visitor = Expected::Refused(403, "900908", "Resource forbidden");
        let always = vec![
            (captured.production(), Expected::Reaches("production")),
            (Ask::get(ORDERS).key(&captured.keys.sandbox), Expected::Reaches("sandbox")),
            (Ask::get(ORDERS).key(&captured.keys.visitor), visitor),
        ];
        for (ask, expected) in &always {
            answers(gateway, ask, *expected, STARTING).await;
        }
        let fetched = fetches(captured.envoy.admin()).await;
        let load = Load::start(gateway.port(), always);
        let mut realm = "keygate".to_owned();
        for next in ["first", "second"] {
            let texts = [&realm, next].map(|realm| format!(r#"\"realm\":\"{realm}\""#));
            change(&captured.folder, list, &texts[0], &texts[1]);
            next.clone_into(&mut realm);
            let expected = format!("API-Key realm=\"{realm}\"");
            eventually(format!("{name}: the realm {realm}"), STARTING, async || {
                let refused = http::send(gateway, &Ask::get(ORDERS)).await.map_err(|error| error.to_string())?;
                if refused.header("www-authenticate") == Some(&expected) { Ok(()) } else { Err(refused.to_string()) }
            })
            .await
            .unwrap();
        }
        // Envoy rejects a bad edit, and the previous configuration decides.
        change(&captured.folder, list, ENFORCE, WRONG);
        eventually(format!("{name}: the bad edit to be rejected"), STARTING, async || {
            if rejected(&captured.envoy, counter).await > 0 { Ok(()) } else { Err("not yet") }
        })
        .await
        .unwrap();
        let asked = load.end().await.unwrap();
        assert!(asked > 20, "{name}: only {asked} requests were sent during the edits");
        assert_eq!(fetches(captured.envoy.admin()).await, fetched, "{name}: full policies");
        captured.stop().await;
    }
}

/// Leads the route of Envoy Gateway's capture that refuses what keygate did not decide to production, as the edit in
/// `envoy/gateway/routes.yaml` does.
fn lead_undecided_to_production(folder: &Path) {
    let file = folder.join("routes.json");
    let mut lists: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let routes = lists["resources"][0]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
    let at = |routes: &[Value], rule: &str| {
        let of =
            |route: &Value| route.pointer("/metadata/filter_metadata/envoy-gateway/resources/0/sectionName").cloned();
        routes.iter().position(|route| of(route) == Some(json!(rule))).unwrap()
    };
    let production = routes[at(routes, "production")]["route"].clone();
    let place = at(routes, "undecided");
    let undecided = routes[place].as_object_mut().unwrap();
    undecided.remove("direct_response").unwrap();
    undecided.remove("response_headers_to_add").unwrap();
    undecided.insert("route".to_owned(), production);
    fs::write(&file, lists.to_string()).unwrap();
}

#[tokio::test]
async fn in_shadow_mode_everything_passes_the_turned_route_and_is_refused_once_it_is_enforced() {
    let captured = Captured::start("envoy-gateway-shadow", "envoy-gateway", |folder| {
        change(folder, "listeners", ENFORCE, SHADOW);
        lead_undecided_to_production(folder);
    })
    .await;
    let ends = [captured.envoy.gateway(), captured.envoy.admin()];
    passes_until_it_is_enforced(ends, &captured.policy, &captured.keys, async || {
        change(&captured.folder, "listeners", SHADOW, ENFORCE);
    })
    .await;
    captured.stop().await;
}

/// Without the edit the routes go on to refuse: shadow mode opens nothing by itself.
#[tokio::test]
async fn in_shadow_mode_the_shipped_routes_refuse_what_keygate_would_refuse() {
    let captured = Captured::start("envoy-gateway-guarded", "envoy-gateway", |folder| {
        change(folder, "listeners", ENFORCE, SHADOW)
    })
    .await;
    let gateway = captured.envoy.gateway();
    answers(gateway, &captured.production(), Expected::Reaches("production"), STARTING).await;
    for ask in
        [Ask::get(ORDERS), Ask::get(ORDERS).key("never-given-out"), Ask::get(ORDERS).header("x-key-type", "SANDBOX")]
    {
        let answer = http::send(gateway, &ask).await.unwrap();
        assert_eq!(answer.status, 403, "{ask}: {answer}");
        assert!(answer.body.contains("keygate did not decide"), "{ask}: {answer}");
    }
    captured.stop().await;
}

/// Istio's listener is there before its filter. Its first configuration is refused, then mended.
#[tokio::test]
async fn a_first_configuration_that_is_refused_lets_nothing_pass_until_it_is_mended() {
    let captured =
        Captured::start("istio-refused", "istio-gateway", |folder| change(folder, "filters", ENFORCE, WRONG)).await;
    let gateway = captured.envoy.gateway();
    for ask in [captured.production(), Ask::get(ORDERS)] {
        let answer = http::send(gateway, &ask).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (500, ""), "{answer}");
    }
    change(&captured.folder, "filters", WRONG, ENFORCE);
    answers(gateway, &captured.production(), Expected::Reaches("production"), STARTING).await;
    captured.stop().await;
}

/// What Istio's agent sends for an image that it cannot fetch: with FAIL_OPEN a filter that allows everything. The guard
/// refuses.
#[tokio::test]
async fn a_plugin_that_allows_everything_lets_nothing_pass_the_guard() {
    let captured = Captured::start("istio-open", "istio-gateway", |folder| {
        let file = folder.join("filters.json");
        let mut filters: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
        filters["resources"][0]["typed_config"] = json!({"@type": rbac, "rules_stat_prefix": "wasm-default-allow"});
        fs::write(&file, filters.to_string()).unwrap();
    })
    .await;
    for ask in [captured.production(), Ask::get(ORDERS), Ask::get(ORDERS).header("x-key-type", "PRODUCTION")] {
        let answer = http::send(captured.envoy.gateway(), &ask).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "RBAC: access denied"), "{ask}");
    }
    captured.stop().await;
}
