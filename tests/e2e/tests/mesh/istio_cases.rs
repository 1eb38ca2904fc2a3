//! What Istio does in its own way: a secret in a variable, the agent's filters for an image that cannot be fetched, CORS behind
//! extensions, the hardened form, sidecars, a policy service outside of the mesh. `both_cases` has what it shares with Envoy
//! Gateway.

use std::{fs, time::Duration};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    ports,
    story::{Expected, ORDERS},
};
use serde_json::json;

use crate::{
    capture::{capture, compare},
    image::sha256,
    istio::{self, Istio, Proxy},
    manifests::Manifests,
    plane::{self, Plane as _},
    stage::{STARTING, Stage, WITHIN, answers, rotates, stat},
};

async fn start(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, Istio) {
    plane::start(name, edit).await
}

async fn started(name: &str) -> (Stage, Manifests, Istio) {
    plane::started(name, |_, _| ()).await
}

/// The secret comes from a variable of the VM, whose value is edited. Before Envoy 1.39 such an edit has no effect.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_rotated_secret_in_a_variable_keeps_the_policy() {
    let (mut stage, mut manifests, istio) = started("variable").await;
    rotates(&mut stage, istio.gateway(), istio.admin(), async |new| {
        let variable = json!([{"name": "POLICY_CLIENT_SECRET", "valueFrom": "INLINE", "value": new}]);
        manifests.set("WasmPlugin", "keygate", "/spec/vmConfig/env", variable);
        istio.edit(&mut manifests, "rotated").await;
    })
    .await;
    istio.stop().await;
}

/// Every edit gives the policy another name, and so another store in the same VMs. keygate empties those that no plugin uses.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn twenty_names_of_the_policy_leave_the_memory_of_two() {
    const KEYS: u64 = 50_000;
    /// keygate empties a store that no plugin has used for two minutes, and one in 20 s.
    const EMPTIED_WITHIN: Duration = Duration::from_secs(120 + 20 * 20 + 80);
    let (stage, mut manifests, istio) = started("names").await;
    let row = |number| json!({"sha256": sha256(format!("{number}").as_bytes()), "id": format!("many-{number}"), "application": "shop"});
    let keys: Vec<_> = (0..KEYS).map(row).collect();
    let page = stage.folder.join("keys.json");
    fs::write(&page, json!({"format": 1, "revision": 1, "keys": keys}).to_string()).unwrap();
    stage.policy.import(&page).await.unwrap();
    let loaded = async |name: &str| {
        eventually(format!("the policy {name}"), STARTING, async || {
            match stat(istio.admin(), &format!("wasmcustom.keygate.policy.{name}.keys")).await {
                keys if keys >= KEYS => Ok(()),
                keys => Err(format!("{keys} keys")),
            }
        })
        .await
        .unwrap();
    };
    loaded("edge").await;
    let allocated = async || stat(istio.admin(), "server.memory_allocated").await;
    let before = allocated().await;
    let mut most = 0;
    for number in 0..20 {
        let name = format!("name-{number}");
        Istio::set_config(&mut manifests, "/policy/name", name.clone().into());
        istio.edit(&mut manifests, &name).await;
        loaded(&name).await;
        istio.settle(&stage).await;
        most = most.max(allocated().await);
    }
    let store = stat(istio.admin(), "wasmcustom.keygate.policy.name-19.bytes").await;
    // One beside the one in use, and as much again for what Envoy keeps of twenty configurations.
    let bound = before + 2 * store;
    let (after, took) =
        eventually("the stores of earlier names to be emptied", EMPTIED_WITHIN, async || match allocated().await {
            bytes if bytes <= bound => Ok(bytes),
            bytes => Err(format!("{bytes} bytes, and {before} before")),
        })
        .await
        .unwrap();
    println!("{before} bytes before, {most} at most, {after} after {} s; a store has {store}", took.as_secs());
    assert!(most > before + 10 * store, "{most} bytes at most: 20 stores are more, so this test sees nothing");
    istio.settle(&stage).await;
    istio.stop().await;
}

/// The agent replaces a module that it cannot fetch by a filter that denies everything, or that allows everything with
/// FAIL_OPEN. The guard refuses also then.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn an_image_with_another_digest_lets_nothing_pass_even_with_fail_open() {
    for strategy in ["FAIL_RELOAD", "FAIL_OPEN"] {
        let (stage, mut manifests, istio) = start("digest", |_, manifests| {
            manifests.set("WasmPlugin", "keygate", "/spec/sha256", "1".repeat(64).into());
            manifests.set("WasmPlugin", "keygate", "/spec/failStrategy", strategy.into());
        })
        .await;
        for ask in [Ask::get(ORDERS), Ask::get(ORDERS).key(&stage.keys.production)] {
            let answer = eventually("an answer", STARTING, async || http::send(istio.gateway(), &ask).await).await;
            let answer = answer.unwrap().0;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "RBAC: access denied"), "{strategy}");
        }
        // With FAIL_RELOAD the agent's own filter refuses before the guard.
        let metrics = http::send(istio.admin(), &Ask::get("/stats/prometheus?filter=rbac")).await.unwrap().body;
        let counter = metrics.lines().find(|line| line.starts_with("envoy_http_rbac_keygate_guard_denied{"));
        let counter = counter.unwrap_or_else(|| panic!("the proxy does not show the guard's counter: {metrics}"));
        assert_eq!(!counter.ends_with(" 0"), strategy == "FAIL_OPEN", "{counter}");
        Istio::set_image(&mut manifests, &stage.image);
        istio.apply(&manifests);
        istio.settle(&stage).await;
        istio.stop().await;
    }
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_browser_gets_preflights_answered_and_may_read_refusals() {
    let (stage, _, istio) = start("cors", |_, manifests| {
        let policy = json!({"allowOrigins": [{"exact": "https://shop.example"}], "allowMethods": ["GET"], "allowHeaders": ["x-api-key"]});
        let routes = manifests.get("VirtualService", "apis")["spec"]["http"].as_array_mut().unwrap();
        for route in routes.iter_mut().filter(|route| route["name"] != "ready") {
            route["corsPolicy"] = policy.clone();
        }
    })
    .await;
    istio.settle(&stage).await;
    let origin = |ask: Ask| ask.header("origin", "https://shop.example");
    let preflight = origin(Ask::new("OPTIONS", ORDERS)).header("access-control-request-method", "GET");
    let answer = http::send(istio.gateway(), &preflight).await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    for (ask, status) in [(Ask::get(ORDERS), 401), (Ask::get(ORDERS).key(&stage.keys.production), 200)] {
        let answer = http::send(istio.gateway(), &origin(ask)).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{answer}");
        let values: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(values, ["https://shop.example"], "{answer}");
    }
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn the_hardened_form_tells_the_story() {
    let (stage, _, istio) = start("hardened", |stage, manifests| {
        manifests.0.retain(|document| document["kind"] != "WasmPlugin");
        manifests.0.extend(Manifests::read(&["istio/hardened"]).0);
        let remote = "/spec/configPatches/0/patch/value/typed_config/config/vm_config/code/remote";
        let uri = format!("oci://{}", stage.image.reference);
        manifests.set("EnvoyFilter", "keygate", &format!("{remote}/http_uri/uri"), uri.into());
        manifests.set("EnvoyFilter", "keygate", &format!("{remote}/sha256"), stage.image.digest.clone().into());
    })
    .await;
    istio.settle(&stage).await;
    stage.play(istio.gateway()).await;
    assert!(stat(istio.admin(), "wasm.envoy.wasm.runtime.v8.active").await > 0);
    istio.stop().await;
}

/// The cluster has the name that the file tells for `policy.cluster`, and TLS to that host. In a pod istio-proxy gives it the
/// roots; without them it only warms, so no request is sent here.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_policy_service_outside_of_the_mesh_is_the_cluster_that_the_file_names() {
    let (_, mut manifests, istio) = started("outside").await;
    let file = artifacts::root().join("envoy/istio/serviceentry.yaml");
    let text = fs::read_to_string(file).unwrap();
    let told = |field: &str| text.lines().find_map(|line| line.split_once(field)).unwrap().1.trim().to_owned();
    let (cluster, authority) = (told("policy.cluster "), told("policy.authority "));
    manifests.0.extend(Manifests::read(&["istio/serviceentry"]).0);
    istio.apply(&manifests);
    let (found, _) = eventually(format!("the cluster {cluster}"), WITHIN, async || {
        let dump =
            http::send(istio.admin(), &Ask::get("/config_dump")).await.map_err(|error| error.to_string())?.json();
        let configs = dump["configs"].as_array().cloned().unwrap_or_default();
        let lists = configs
            .iter()
            .flat_map(|config| ["dynamic_warming_clusters", "dynamic_active_clusters"].map(|list| &config[list]));
        let mut clusters = lists.filter_map(|list| list.as_array()).flatten().map(|entry| entry["cluster"].clone());
        clusters.find(|found| found["name"] == *cluster).ok_or_else(|| istio.log())
    })
    .await
    .unwrap();
    assert_eq!(found["type"], "STRICT_DNS", "{found}");
    assert_eq!(found["transport_socket"]["typed_config"]["sni"], *authority, "{found}");
    assert_eq!(found["connect_timeout"], "1s", "{found}");
    assert_eq!(istio.rejected().await, 0, "{}", istio.log());
    istio.stop().await;
}

/// A sidecar sees one application. `permitted_ips` are checked against the connection's address, whatever the client
/// writes into x-forwarded-for.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_sidecar_decides_and_believes_no_forged_address() {
    let stage = Stage::start("mesh-istio-sidecar").await;
    let port = ports::free().unwrap();
    let manifests = istio::sidecar(&stage, port);
    let istio = Istio::start_proxy(&stage, &manifests, Proxy::Sidecar, port).await;
    let production = Expected::Reaches("production");
    answers(istio.gateway(), &Ask::get(ORDERS).key(&stage.keys.production), production, STARTING).await;
    for (ask, expected) in stage.always() {
        // There is one upstream behind a sidecar, for both types of keys.
        let expected = if expected == Expected::Reaches("sandbox") { production } else { expected };
        answers(istio.gateway(), &ask, expected, WITHIN).await;
    }
    let near = json!({"type": "PRODUCTION", "permitted_ips": ["127.0.0.1"]});
    let far = json!({"type": "PRODUCTION", "permitted_ips": ["10.9.8.7"]});
    let near = keygate_e2e::story::key(&stage.policy, "shop", near).await.unwrap();
    let far = keygate_e2e::story::key(&stage.policy, "shop", far).await.unwrap();
    let forged = |key: &str| Ask::get(ORDERS).key(key).header("x-forwarded-for", "10.9.8.7");
    answers(istio.gateway(), &forged(&near), production, WITHIN).await;
    let not_permitted = Expected::Refused(403, "900908", "Resource forbidden");
    answers(istio.gateway(), &forged(&far), not_permitted, WITHIN).await;
    let blocked = json!({"name": "Orders", "version": "1.0", "match": [{"path": "/orders/1.0"}], "state": "BLOCKED"});
    let answer = stage.policy.call(Ask::new("PUT", "/v1/apis/orders-1.0").json(blocked)).await.unwrap();
    assert!(answer.status.is_success(), "{answer}");
    eventually("the API to be blocked with 403", WITHIN, async || {
        let answer = http::send(istio.gateway(), &Ask::get(ORDERS).key(&stage.keys.production))
            .await
            .map_err(|error| error.to_string())?;
        if answer.status == 403 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    assert_eq!(istio.rejected().await, 0, "{}", istio.log());
    compare("istio-sidecar", &capture(istio.admin(), &stage.words(istio.gateway())).await);
    istio.stop().await;
}
