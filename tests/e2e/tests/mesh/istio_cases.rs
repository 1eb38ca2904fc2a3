//! keygate in Istio, as `envoy/istio` ships it: on a gateway and in a sidecar. The story, edits and upgrades under load,
//! faults, and what Istio does in its own way.

use std::{fs, time::Duration};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    load::Load,
    mounted::Mounted,
    policy_service::GATEWAY_SECRET,
    ports,
    story::{BLOCKED, Expected, ORDERS},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    capture::{capture, compare},
    image::{mortal, sha256, variant},
    istio::{self, Istio, Proxy, set_config, set_image},
    manifests::Manifests,
    stage::{
        AFTERWARDS, NEW_SECRET, REQUESTS, STARTING, Stage, WITHIN, answers, fetches, has_new_vms, lives_through_deaths,
        module, rotates, shows_policies, stat, vms,
    },
};

async fn start(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, Istio) {
    let stage = Stage::start(name).await;
    let port = ports::free().unwrap();
    let mut manifests = istio::gateway(&stage, port);
    edit(&stage, &mut manifests);
    let istio = Istio::start(&stage, &manifests, Proxy::Gateway, port).await;
    (stage, manifests, istio)
}

async fn started(name: &str) -> (Stage, Manifests, Istio) {
    let (stage, manifests, istio) = start(name, |_, _| ()).await;
    settle(&stage, &istio).await;
    (stage, manifests, istio)
}

async fn settle(stage: &Stage, istio: &Istio) {
    for (ask, expected) in stage.always() {
        answers(istio.gateway, &ask, expected, STARTING).await;
    }
}

/// Changes the realm, and waits until a refusal shows it.
async fn edit(istio: &Istio, manifests: &mut Manifests, realm: &str) {
    set_config(manifests, "/replies/realm", realm.into());
    istio.apply(manifests);
    let expected = format!("API-Key realm=\"{realm}\"");
    eventually(format!("the realm {realm}"), WITHIN, async || {
        let refused = http::send(istio.gateway, &Ask::get(ORDERS)).await.map_err(|error| error.to_string())?;
        if refused.header("www-authenticate") == Some(&expected) { Ok(()) } else { Err(refused.to_string()) }
    })
    .await
    .unwrap();
    tokio::time::sleep(AFTERWARDS).await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn the_shipped_manifests_tell_the_story_on_a_gateway() {
    let (stage, _, istio) = started("mesh-istio-story").await;
    stage.play(istio.gateway).await;
    let answer = http::send(istio.gateway, &Ask::get(ORDERS).key(&stage.keys.production)).await.unwrap();
    let upstream = &answer.json()["headers"];
    assert_eq!(upstream["x-application-id"], json!(["shop"]), "{answer}");
    assert_eq!(upstream["x-api-key"], Value::Null, "{answer}");
    let ambiguous = http::send(istio.gateway, &Ask::get("/orders%2f1.0/list")).await.unwrap();
    assert_eq!(ambiguous.status, 400, "{ambiguous}");
    assert_eq!(istio.rejected(), Vec::<String>::new());
    compare("istio-gateway", &capture(istio.admin, &stage.words(istio.gateway)).await);
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn edits_and_an_upgrade_under_load_lose_no_request_and_fetch_no_policy_in_istio() {
    let (stage, mut manifests, istio) = started("mesh-istio-edits").await;
    let fetched = fetches(istio.admin).await;
    let load = Load::start(istio.gateway.port(), stage.always());
    for realm in ["first", "second", "third"] {
        edit(&istio, &mut manifests, realm).await;
    }
    for name in ["second build", "third build"] {
        let tag = name.split(' ').next().unwrap();
        let image = stage.registry.push(&stage.folder, tag, &variant(&module(), name)).await;
        set_image(&mut manifests, &image.reference, &image.digest);
        let before = vms(istio.admin).await;
        edit(&istio, &mut manifests, tag).await;
        has_new_vms(istio.admin, before).await;
    }
    let asked = load.end().await.unwrap();
    assert!(asked > 500, "{asked}");
    assert_eq!(fetches(istio.admin).await, fetched, "full policies");
    assert_eq!(istio.rejected(), Vec::<String>::new());
    println!("{asked} requests during three edits and two upgrades, all as expected");
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_rotated_secret_keeps_the_policy_in_istio() {
    let (mut stage, mut manifests, istio) = started("mesh-istio-rotation").await;
    rotates(&mut stage, istio.gateway, istio.admin, async |new| {
        set_config(&mut manifests, "/policy/credentials/client_secret", new.into());
        edit(&istio, &mut manifests, "rotated").await;
    })
    .await;
    istio.stop().await;
}

/// The secret comes from a variable of the VM, whose value is edited. Before Envoy 1.39 such an edit has no effect.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_rotated_secret_in_a_variable_keeps_the_policy_in_istio() {
    let (mut stage, mut manifests, istio) = started("mesh-istio-variable").await;
    rotates(&mut stage, istio.gateway, istio.admin, async |new| {
        let variable = json!([{"name": "POLICY_CLIENT_SECRET", "valueFrom": "INLINE", "value": new}]);
        manifests.set("WasmPlugin", "keygate", "/spec/vmConfig/env", variable);
        edit(&istio, &mut manifests, "rotated").await;
    })
    .await;
    istio.stop().await;
}

/// The secret is in a file, which is replaced. No manifest changes.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_rotated_secret_in_a_file_keeps_the_policy_in_istio() {
    let mut mounted = None;
    let (mut stage, _, istio) = start("mesh-istio-file", |stage, manifests| {
        let secret = Mounted::new(stage.folder.join("mounted"), GATEWAY_SECRET).unwrap();
        let filter = Manifests::read(&["istio/secret-file"]).0.remove(0);
        manifests.push(serde_json::from_str(&secret.placed(&filter.to_string())).unwrap());
        manifests.remove("WasmPlugin", "keygate", "/spec/pluginConfig/policy", "credentials");
        manifests.remove("WasmPlugin", "keygate", "/spec", "vmConfig");
        mounted = Some(secret);
    })
    .await;
    settle(&stage, &istio).await;
    let mut secret = mounted.unwrap();
    rotates(&mut stage, istio.gateway, istio.admin, async |new| secret.replace(new).unwrap()).await;
    let dump = http::send(istio.admin, &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains("keygate-secret") && !dump.contains(NEW_SECRET), "the secret is in Envoy's configuration");
    assert_eq!(istio.rejected(), Vec::<String>::new());
    istio.stop().await;
}

/// Every edit gives the policy another name, and so another store in the same VMs. keygate empties those that no plugin uses.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn twenty_names_of_the_policy_leave_the_memory_of_two_in_istio() {
    const KEYS: u64 = 50_000;
    /// keygate empties a store that no plugin has used for two minutes, and one in 20 s.
    const EMPTIED_WITHIN: Duration = Duration::from_secs(120 + 20 * 20 + 80);
    let (stage, mut manifests, istio) = started("mesh-istio-names").await;
    let row = |number| json!({"sha256": sha256(format!("{number}").as_bytes()), "id": format!("many-{number}"), "application": "shop"});
    let keys: Vec<_> = (0..KEYS).map(row).collect();
    let page = stage.folder.join("keys.json");
    fs::write(&page, json!({"format": 1, "revision": 1, "keys": keys}).to_string()).unwrap();
    stage.policy.import(&page).await.unwrap();
    let loaded = async |name: &str| {
        eventually(format!("the policy {name}"), STARTING, async || {
            match stat(istio.admin, &format!("wasmcustom.keygate.policy.{name}.keys")).await {
                keys if keys >= KEYS => Ok(()),
                keys => Err(format!("{keys} keys")),
            }
        })
        .await
        .unwrap();
    };
    loaded("edge").await;
    let allocated = async || stat(istio.admin, "server.memory_allocated").await;
    let before = allocated().await;
    let mut most = 0;
    for number in 0..20 {
        let name = format!("name-{number}");
        set_config(&mut manifests, "/policy/name", name.clone().into());
        edit(&istio, &mut manifests, &name).await;
        loaded(&name).await;
        settle(&stage, &istio).await;
        most = most.max(allocated().await);
    }
    let store = stat(istio.admin, "wasmcustom.keygate.policy.name-19.bytes").await;
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
    settle(&stage, &istio).await;
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_vm_that_dies_is_replaced_in_istio() {
    let (stage, mut manifests, istio) = started("mesh-istio-dies").await;
    let image = stage.registry.push(&stage.folder, "mortal", &mortal(&module(), REQUESTS)).await;
    set_image(&mut manifests, &image.reference, &image.digest);
    edit(&istio, &mut manifests, "mortal").await;
    lives_through_deaths(&stage, istio.gateway, istio.admin).await;
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn without_the_policy_service_the_last_policy_decides_also_after_an_edit_in_istio() {
    let (mut stage, mut manifests, istio) = started("mesh-istio-away").await;
    let load = Load::start(istio.gateway.port(), stage.always());
    stage.policy.kill().await;
    tokio::time::sleep(AFTERWARDS).await;
    edit(&istio, &mut manifests, "edited").await;
    stage.policy.restart().await.unwrap();
    load.end().await.unwrap();
    stage.policy.post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
    answers(istio.gateway, &Ask::get(ORDERS).key(&stage.keys.production), BLOCKED, WITHIN).await;
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_configuration_that_is_refused_at_first_lets_nothing_pass_and_works_when_it_is_mended_in_istio() {
    let (stage, mut manifests, istio) = start("mesh-istio-refused", |_, manifests| {
        set_config(manifests, "/mode", "enforced".into());
    })
    .await;
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    let answer = eventually("an answer", STARTING, async || http::send(istio.gateway, &good).await).await.unwrap().0;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (500, ""), "{answer}");
    assert!(istio.log().contains("keygate's configuration is refused: mode"), "{}", istio.log());
    assert!(!istio.rejected().is_empty());
    set_config(&mut manifests, "/mode", "enforce".into());
    istio.apply(&manifests);
    settle(&stage, &istio).await;
    // A later bad edit changes nothing.
    let load = Load::start(istio.gateway.port(), stage.always());
    let before = istio.rejected().len();
    set_config(&mut manifests, "/mode", "enforced".into());
    istio.apply(&manifests);
    eventually("the bad edit to be rejected", WITHIN, async || {
        if istio.rejected().len() > before { Ok(()) } else { Err("not yet") }
    })
    .await
    .unwrap();
    tokio::time::sleep(AFTERWARDS).await;
    load.end().await.unwrap();
    istio.stop().await;
}

/// The agent replaces a module that it cannot fetch by a filter that denies everything, or that allows everything with
/// FAIL_OPEN. The guard refuses also then.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn an_image_with_another_digest_lets_nothing_pass_even_with_fail_open_in_istio() {
    for strategy in ["FAIL_RELOAD", "FAIL_OPEN"] {
        let (stage, mut manifests, istio) = start("mesh-istio-digest", |_, manifests| {
            manifests.set("WasmPlugin", "keygate", "/spec/sha256", "1".repeat(64).into());
            manifests.set("WasmPlugin", "keygate", "/spec/failStrategy", strategy.into());
        })
        .await;
        for ask in [Ask::get(ORDERS), Ask::get(ORDERS).key(&stage.keys.production)] {
            let answer = eventually("an answer", STARTING, async || http::send(istio.gateway, &ask).await).await;
            let answer = answer.unwrap().0;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "RBAC: access denied"), "{strategy}");
        }
        // With FAIL_RELOAD the agent's own filter refuses before the guard.
        let metrics = http::send(istio.admin, &Ask::get("/stats/prometheus?filter=rbac")).await.unwrap().body;
        let counter = metrics.lines().find(|line| line.starts_with("envoy_http_rbac_keygate_guard_denied{"));
        let counter = counter.unwrap_or_else(|| panic!("the proxy does not show the guard's counter: {metrics}"));
        assert_eq!(!counter.ends_with(" 0"), strategy == "FAIL_OPEN", "{counter}");
        let image = stage.image.clone();
        set_image(&mut manifests, &image.reference, &image.digest);
        istio.apply(&manifests);
        settle(&stage, &istio).await;
        istio.stop().await;
    }
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn a_browser_gets_preflights_answered_and_may_read_refusals() {
    let (stage, _, istio) = start("mesh-istio-cors", |_, manifests| {
        let policy = json!({"allowOrigins": [{"exact": "https://shop.example"}], "allowMethods": ["GET"], "allowHeaders": ["x-api-key"]});
        let routes = manifests.get("VirtualService", "apis")["spec"]["http"].as_array_mut().unwrap();
        for route in routes.iter_mut().filter(|route| route["name"] != "ready") {
            route["corsPolicy"] = policy.clone();
        }
    })
    .await;
    settle(&stage, &istio).await;
    let origin = |ask: Ask| ask.header("origin", "https://shop.example");
    let preflight = origin(Ask::new("OPTIONS", ORDERS)).header("access-control-request-method", "GET");
    let answer = http::send(istio.gateway, &preflight).await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    for (ask, status) in [(Ask::get(ORDERS), 401), (Ask::get(ORDERS).key(&stage.keys.production), 200)] {
        let answer = http::send(istio.gateway, &origin(ask)).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{answer}");
        let values: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(values, ["https://shop.example"], "{answer}");
    }
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn two_plugins_on_one_gateway_each_decide_in_istio() {
    let (stage, _, istio) = start("mesh-istio-two", |_, manifests| {
        let mut second = manifests.get("WasmPlugin", "keygate").clone();
        second["metadata"]["name"] = json!("keygate-second");
        second["spec"]["phase"] = json!("AUTHZ");
        second["spec"]["pluginConfig"]["replies"]["realm"] = json!("second");
        second["spec"]["pluginConfig"]["policy"]["name"] = json!("second");
        manifests.push(second);
        set_config(manifests, "/forward/credential", true.into());
    })
    .await;
    settle(&stage, &istio).await;
    shows_policies(istio.admin, ["edge", "second"]).await;
    stage.play(istio.gateway).await;
    istio.stop().await;
}

#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn the_hardened_form_tells_the_story() {
    let (stage, _, istio) = start("mesh-istio-hardened", |stage, manifests| {
        manifests.0.retain(|document| document["kind"] != "WasmPlugin");
        manifests.0.extend(Manifests::read(&["istio/hardened"]).0);
        let remote = "/spec/configPatches/0/patch/value/typed_config/config/vm_config/code/remote";
        let uri = format!("oci://{}", stage.image.reference);
        manifests.set("EnvoyFilter", "keygate", &format!("{remote}/http_uri/uri"), uri.into());
        manifests.set("EnvoyFilter", "keygate", &format!("{remote}/sha256"), stage.image.digest.clone().into());
    })
    .await;
    settle(&stage, &istio).await;
    stage.play(istio.gateway).await;
    assert!(stat(istio.admin, "wasm.envoy.wasm.runtime.v8.active").await > 0);
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
    let istio = Istio::start(&stage, &manifests, Proxy::Sidecar, port).await;
    let production = Expected::Reaches("production");
    answers(istio.gateway, &Ask::get(ORDERS).key(&stage.keys.production), production, STARTING).await;
    for (ask, expected) in stage.always() {
        // There is one upstream behind a sidecar, for both types of keys.
        let expected = if expected == Expected::Reaches("sandbox") { production } else { expected };
        answers(istio.gateway, &ask, expected, WITHIN).await;
    }
    let near = json!({"type": "PRODUCTION", "permitted_ips": ["127.0.0.1"]});
    let far = json!({"type": "PRODUCTION", "permitted_ips": ["10.9.8.7"]});
    let near = keygate_e2e::story::key(&stage.policy, "shop", near).await.unwrap();
    let far = keygate_e2e::story::key(&stage.policy, "shop", far).await.unwrap();
    let forged = |key: &str| Ask::get(ORDERS).key(key).header("x-forwarded-for", "10.9.8.7");
    answers(istio.gateway, &forged(&near), production, WITHIN).await;
    let not_permitted = Expected::Refused(403, "900908", "Resource forbidden");
    answers(istio.gateway, &forged(&far), not_permitted, WITHIN).await;
    let blocked = json!({"name": "Orders", "version": "1.0", "match": [{"path": "/orders/1.0"}], "state": "BLOCKED"});
    let answer = stage.policy.call(Ask::new("PUT", "/v1/apis/orders-1.0").json(blocked)).await.unwrap();
    assert!(answer.status.is_success(), "{answer}");
    eventually("the API to be blocked with 403", WITHIN, async || {
        let answer = http::send(istio.gateway, &Ask::get(ORDERS).key(&stage.keys.production))
            .await
            .map_err(|error| error.to_string())?;
        if answer.status == 403 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    assert_eq!(istio.rejected(), Vec::<String>::new());
    compare("istio-sidecar", &capture(istio.admin, &stage.words(istio.gateway)).await);
    istio.stop().await;
}

/// What istiod's webhook says about every file. It warns of each EnvoyFilter, whatever it contains.
#[tokio::test]
#[ignore = "needs Istio: make e2e-mesh"]
async fn istiods_validation_accepts_every_file_and_refuses_mistakes() {
    let folder = artifacts::root().join("target/stack/mesh-istio-validate");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("resources")).unwrap();
    let file = folder.join("resources/keygate.yaml");
    let validate = async |manifests: &Manifests| -> (bool, String) {
        manifests.write(&file);
        let mut command = Command::new(artifacts::root().join(".tools/bin/istio"));
        let output = command.arg("-validate").arg(folder.join("resources")).output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), said.concat())
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(artifacts::root().join("envoy/istio")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".yaml").unwrap();
        if !name.starts_with("values-") && name != "kustomization" {
            names.push(format!("istio/{name}"));
        }
    }
    let all = || Manifests::read(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (is_accepted, said) = validate(&all()).await;
    assert!(is_accepted && said.contains("validated 17 manifests"), "{said}");
    let warned: Vec<_> =
        said.lines().filter(|line| line.contains("warned of") && !line.contains("/EnvoyFilter/")).collect();
    assert!(warned.is_empty(), "{warned:?}");
    for (kind, name, pointer, value) in [
        ("WasmPlugin", "keygate", "/spec/sha256", json!("sha256:0")),
        ("WasmPlugin", "keygate", "/spec/url", json!("ftp://registry.example.com/keygate")),
        ("Gateway", "apis", "/spec/servers/0/port/number", json!(70_000)),
        ("VirtualService", "apis", "/spec/http/1/route/0/destination/host", json!("")),
        ("DestinationRule", "policy-service", "/spec/host", json!("")),
        ("ServiceEntry", "policy-service", "/spec/hosts", json!([])),
    ] {
        let mut changed = all();
        changed.set(kind, name, pointer, value);
        let (is_accepted, said) = validate(&changed).await;
        assert!(!is_accepted && said.contains("configuration is invalid: "), "{kind} {pointer}: {said}");
    }
}

/// A cluster in which the manifests make sense: the APIs, and a pod and a Service of the ingress gateway.
fn cluster() -> Manifests {
    let service = |name: &str, namespace: &str, port: u16| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"istio": "ingressgateway"}, "ports": [{"name": "http", "port": port}]},
        })
    };
    let labels = json!({"istio": "ingressgateway"});
    Manifests(vec![
        service("upstream", "apis", 8091),
        service("upstream-sandbox", "apis", 8092),
        service("istio-ingressgateway", "istio-ingress", 80),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "istio-ingressgateway-1", "namespace": "istio-ingress", "labels": labels},
            "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
        }),
    ])
}

#[tokio::test]
#[ignore = "needs istioctl and kustomize: make e2e-mesh"]
async fn istioctl_finds_no_fault_in_what_kustomize_builds() {
    let folder = artifacts::root().join("target/stack/mesh-istio-analyze");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("resources")).unwrap();
    let tool = |name: &str| Command::new(artifacts::root().join(".tools/bin").join(name));
    let built = tool("kustomize").arg("build").arg(artifacts::root().join("envoy/istio")).output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = String::from_utf8(built.stdout).unwrap();
    let (around, manifests) = (folder.join("resources/cluster.yaml"), folder.join("keygate.yaml"));
    cluster().write(&around);
    for (text, is_right) in [(built.clone(), true), (built.replace("  priority: 10\n", ""), false)] {
        fs::write(&manifests, text).unwrap();
        let mut analyze = tool("istioctl");
        analyze.args(["analyze", "--all-namespaces", "--use-kube=false"]).arg(&around).arg(&manifests);
        let output = analyze.env("HOME", &folder).output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        // IST0133 is the warning of every EnvoyFilter.
        let found: Vec<_> = said.lines().filter(|line| line.contains("[IST") && !line.contains("[IST0133]")).collect();
        assert!(said.contains("[IST0133]"), "{said}");
        assert_eq!(found.is_empty(), is_right, "{found:#?}");
    }
}
