//! keygate in Envoy Gateway, as `envoy/gateway` ships it: the story, edits and upgrades under load, faults, and the
//! mistakes that people make with attachments.

use std::time::Duration;

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    load::Load,
    mounted::Mounted,
    policy_service::GATEWAY_SECRET,
    ports,
    story::{BLOCKED, Expected, ORDERS, PAYMENTS},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    capture::{capture, compare},
    envoy_gateway::{EnvoyGateway, set_config, set_image, set_policy_port, shipped},
    image::{Image, mortal, variant},
    manifests::Manifests,
    stage::{
        AFTERWARDS, NEW_SECRET, POLICY_HOST, REQUESTS, STARTING, Stage, WITHIN, answers, fetches, has_new_vms,
        lives_through_deaths, module, rotates, shows_policies, stat, vms,
    },
};

/// A request that no rule of the shipped routes sends upstream.
const UNDECIDED: &str = "keygate did not decide about this request";

/// Starts Envoy Gateway on the shipped manifests as `edit` leaves them.
async fn start(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, EnvoyGateway) {
    let stage = Stage::start(name).await;
    let port = ports::free().unwrap();
    let mut manifests = shipped(&stage, port);
    edit(&stage, &mut manifests);
    let gateway = EnvoyGateway::start(&stage, &manifests, port).await;
    (stage, manifests, gateway)
}

/// The same, and waits until every kind of request has its answer.
async fn started(name: &str) -> (Stage, Manifests, EnvoyGateway) {
    let (stage, manifests, gateway) = start(name, |_, _| ()).await;
    settle(&stage, &gateway).await;
    (stage, manifests, gateway)
}

async fn settle(stage: &Stage, gateway: &EnvoyGateway) {
    for (ask, expected) in stage.always() {
        answers(gateway.gateway, &ask, expected, STARTING).await;
    }
}

/// Applies a change of the listener, and waits until Envoy has taken it.
async fn apply(gateway: &EnvoyGateway, manifests: &Manifests) {
    let updates = "listener_manager.lds.update_success";
    let before = stat(gateway.admin, updates).await;
    gateway.apply(manifests);
    eventually("the listener to be taken", WITHIN, async || {
        let rejected = stat(gateway.admin, "listener_manager.lds.update_rejected").await;
        assert_eq!(rejected, 0, "{}", gateway.log());
        let warming = stat(gateway.admin, "listener_manager.total_listeners_warming").await;
        if stat(gateway.admin, updates).await > before && warming == 0 {
            Ok(())
        } else {
            Err(format!("{warming} warm"))
        }
    })
    .await
    .unwrap();
    tokio::time::sleep(AFTERWARDS).await;
}

/// Applies another image, and then an edit, which makes Envoy take it.
///
/// Envoy 1.40 names a VM by its id and its code. When it is configured with a module that it has yet to fetch, the code is
/// empty, so all such modules of one id have the same name: while the VM of one of them lives, the next one is ignored. When
/// the module has been fetched, the name is right.
async fn upgrade(gateway: &EnvoyGateway, manifests: &mut Manifests, image: &Image, realm: &str) {
    set_image(manifests, &image.reference, &image.digest);
    apply(gateway, manifests).await;
    let before = vms(gateway.admin).await;
    set_config(manifests, "/replies/realm", realm.into());
    apply(gateway, manifests).await;
    has_new_vms(gateway.admin, before).await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn the_shipped_manifests_tell_the_story() {
    let (stage, _, gateway) = started("mesh-gateway-story").await;
    stage.play(gateway.gateway).await;
    let answer = http::send(gateway.gateway, &Ask::get(ORDERS).key(&stage.keys.production)).await.unwrap();
    let upstream = &answer.json()["headers"];
    assert_eq!(upstream["x-application-id"], json!(["shop"]), "{answer}");
    assert_eq!(upstream["x-api-key"], Value::Null, "{answer}");
    compare("envoy-gateway", &capture(gateway.admin, &stage.words(gateway.gateway)).await);
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn edits_and_an_upgrade_under_load_lose_no_request_and_fetch_no_policy() {
    let (stage, mut manifests, gateway) = started("mesh-gateway-edits").await;
    let fetched = fetches(gateway.admin).await;
    let load = Load::start(gateway.gateway.port(), stage.always());
    for realm in ["first", "second", "third"] {
        set_config(&mut manifests, "/replies/realm", realm.into());
        apply(&gateway, &manifests).await;
        let refused = http::send(gateway.gateway, &Ask::get(ORDERS)).await.unwrap();
        assert_eq!(refused.header("www-authenticate"), Some(&*format!("API-Key realm=\"{realm}\"")));
    }
    for name in ["second build", "third build"] {
        let tag = name.split(' ').next().unwrap();
        let image = stage.registry.push(&stage.folder, tag, &variant(&module(), name)).await;
        upgrade(&gateway, &mut manifests, &image, tag).await;
    }
    let asked = load.end().await.unwrap();
    assert!(asked > 500, "{asked}");
    assert_eq!(fetches(gateway.admin).await, fetched, "full policies");
    println!("{asked} requests during three edits and two upgrades, all as expected");
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn a_rotated_secret_keeps_the_policy() {
    let (mut stage, mut manifests, gateway) = started("mesh-gateway-rotation").await;
    rotates(&mut stage, gateway.gateway, gateway.admin, async |new| {
        set_config(&mut manifests, "/policy/credentials/client_secret", new.into());
        apply(&gateway, &manifests).await;
    })
    .await;
    gateway.stop().await;
}

/// The secret is in a file, which is replaced. No manifest changes.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn a_rotated_secret_in_a_file_keeps_the_policy() {
    let mut mounted = None;
    let (mut stage, _, gateway) = start("mesh-gateway-file", |stage, manifests| {
        let secret = Mounted::new(stage.folder.join("mounted"), GATEWAY_SECRET).unwrap();
        let mut shipped = Manifests::read(&["gateway/secret-file"]);
        let bootstrap = shipped.get("EnvoyProxy", "keygate")["spec"]["bootstrap"]["value"].as_str().unwrap();
        manifests.set("EnvoyProxy", "keygate", "/spec/bootstrap/value", secret.placed(bootstrap).into());
        set_policy_port(stage, manifests);
        manifests.remove("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/config/policy", "credentials");
        manifests.remove("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0", "env");
        mounted = Some(secret);
    })
    .await;
    settle(&stage, &gateway).await;
    let mut secret = mounted.unwrap();
    rotates(&mut stage, gateway.gateway, gateway.admin, async |new| secret.replace(new).unwrap()).await;
    let dump = http::send(gateway.admin, &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains("keygate-secret") && !dump.contains(NEW_SECRET), "the secret is in Envoy's configuration");
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn without_the_policy_service_the_last_policy_decides_also_after_an_edit() {
    let (mut stage, mut manifests, gateway) = started("mesh-gateway-away").await;
    let load = Load::start(gateway.gateway.port(), stage.always());
    stage.policy.kill().await;
    tokio::time::sleep(AFTERWARDS).await;
    set_config(&mut manifests, "/replies/realm", "edited".into());
    apply(&gateway, &manifests).await;
    let image = stage.registry.push(&stage.folder, "v2", &variant(&module(), "second build")).await;
    upgrade(&gateway, &mut manifests, &image, "upgraded").await;
    stage.policy.restart().await.unwrap();
    load.end().await.unwrap();
    stage.policy.post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
    answers(gateway.gateway, &Ask::get(ORDERS).key(&stage.keys.production), BLOCKED, WITHIN).await;
    gateway.stop().await;
}

/// Whoever attaches the policy to a part, or sends the header of the routes, reaches no upstream without a good key.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn attached_to_one_route_only_the_others_are_refused_by_the_routes() {
    let (stage, _, gateway) = start("mesh-gateway-attached", |_, manifests| {
        // A second HTTPRoute like the first, for the path of one API. The policy is attached to the first alone.
        let mut other = manifests.get("HTTPRoute", "apis").clone();
        other["metadata"]["name"] = json!("other");
        for rule in other["spec"]["rules"].as_array_mut().unwrap() {
            rule["matches"][0]["path"]["value"] = json!("/payments");
        }
        other["spec"]["rules"].as_array_mut().unwrap().truncate(3);
        manifests.push(other);
        let target = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "apis"}]);
        manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/targetRefs", target);
    })
    .await;
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    answers(gateway.gateway, &good, Expected::Reaches("production"), STARTING).await;
    for path in [ORDERS, PAYMENTS] {
        for key in [None, Some("never-given-out")] {
            for forged in [None, Some("PRODUCTION"), Some("SANDBOX")] {
                let ask = key.map_or(Ask::get(path), |key| Ask::get(path).key(key));
                let ask = forged.map_or(ask.clone(), |forged| ask.header("x-key-type", forged));
                let answer = http::send(gateway.gateway, &ask).await.unwrap();
                assert!(matches!(answer.status.as_u16(), 401 | 403), "{ask} {key:?} {forged:?}: {answer}");
                if path == PAYMENTS {
                    assert!(answer.body.contains(UNDECIDED), "{answer}");
                }
            }
        }
    }
    // A good key does not help on a route that keygate does not see.
    let answer = http::send(gateway.gateway, &Ask::get(PAYMENTS).key(&stage.keys.production)).await.unwrap();
    assert!(answer.body.contains(UNDECIDED), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn the_patch_refuses_also_on_the_routes_of_others() {
    let open = |stage: &Stage, manifests: &mut Manifests| {
        let mut other = manifests.get("HTTPRoute", "apis").clone();
        other["metadata"]["name"] = json!("other");
        let backend = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "upstream"}]);
        other["spec"]["rules"] =
            json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/others"}}], "backendRefs": backend}]);
        manifests.push(other);
        let target = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "apis"}]);
        manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/targetRefs", target);
        let _ = stage;
    };
    let (stage, mut manifests, gateway) = start("mesh-gateway-patch", open).await;
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    answers(gateway.gateway, &good, Expected::Reaches("production"), STARTING).await;
    let others = Ask::get("/others/list");
    assert_eq!(http::send(gateway.gateway, &others).await.unwrap().status, 200, "nobody guards this route yet");
    for patch in Manifests::read(&["gateway/patch"]).0 {
        manifests.push(patch);
    }
    apply(&gateway, &manifests).await;
    let answer = http::send(gateway.gateway, &others).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "RBAC: access denied"));
    stage.play(gateway.gateway).await;
    let dump = http::send(gateway.admin, &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains("\"FAIL_RELOAD\"") && dump.contains("keygate-guard"), "the patch is in Envoy");
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn with_the_patch_a_vm_that_dies_is_replaced() {
    let (stage, mut manifests, gateway) = start("mesh-gateway-dies", |_, manifests| {
        manifests.0.extend(Manifests::read(&["gateway/patch"]).0);
    })
    .await;
    settle(&stage, &gateway).await;
    let image = stage.registry.push(&stage.folder, "mortal", &mortal(&module(), REQUESTS)).await;
    upgrade(&gateway, &mut manifests, &image, "mortal").await;
    lives_through_deaths(&stage, gateway.gateway, gateway.admin).await;
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn a_configuration_that_is_refused_at_first_lets_nothing_pass_and_works_when_it_is_mended() {
    let (stage, mut manifests, gateway) = start("mesh-gateway-refused", |_, manifests| {
        set_config(manifests, "/mode", "enforced".into());
    })
    .await;
    eventually("keygate's line about the configuration", STARTING, async || {
        let log = gateway.log();
        if log.contains("keygate's configuration is refused: mode") { Ok(()) } else { Err("not in the log") }
    })
    .await
    .unwrap();
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    let answer = http::send(gateway.gateway, &good).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (503, ""), "{answer}");
    set_config(&mut manifests, "/mode", "enforce".into());
    gateway.apply(&manifests);
    settle(&stage, &gateway).await;
    // A later bad edit changes nothing.
    let load = Load::start(gateway.gateway.port(), stage.always());
    set_config(&mut manifests, "/mode", "enforced".into());
    let before = stat(gateway.admin, "listener_manager.lds.update_rejected").await;
    gateway.apply(&manifests);
    eventually("the bad edit to be rejected", WITHIN, async || {
        let rejected = stat(gateway.admin, "listener_manager.lds.update_rejected").await;
        if rejected > before { Ok(()) } else { Err("not yet") }
    })
    .await
    .unwrap();
    tokio::time::sleep(AFTERWARDS).await;
    load.end().await.unwrap();
    gateway.stop().await;
}

/// `failOpen: true` and a module that cannot be fetched: the routes refuse.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn an_image_with_another_digest_lets_nothing_pass_even_with_fail_open() {
    for (fail_open, status) in [(false, 500), (true, 403)] {
        let (stage, _, gateway) = start("mesh-gateway-digest", |_, manifests| {
            let digest = "1".repeat(64);
            manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/code/image/sha256", digest.into());
            manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/failOpen", fail_open.into());
        })
        .await;
        let asks = [
            Ask::get(ORDERS),
            Ask::get(ORDERS).key(&stage.keys.production),
            Ask::get(ORDERS).header("x-key-type", "PRODUCTION"),
        ];
        let answered = eventually("an answer", STARTING, async || http::send(gateway.gateway, &asks[0]).await).await;
        assert_ne!(answered.unwrap().0.status, 200);
        for ask in &asks {
            let answer = http::send(gateway.gateway, ask).await.unwrap();
            assert_eq!(answer.status.as_u16(), status, "{fail_open}: {ask}: {answer}");
        }
        gateway.stop().await;
    }
}

/// Envoy Gateway's own API keys on one route, and its rate limit by keygate's header on another.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn native_api_keys_and_rate_limits_work_beside_it() {
    let (stage, _, gateway) = start("mesh-gateway-beside", |_, manifests| {
        let target = |name: &str| json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}]);
        manifests.push(json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "BackendTrafficPolicy",
            "metadata": {"name": "limits", "namespace": "apis"},
            "spec": {"targetRefs": target("apis"), "rateLimit": {"type": "Local", "local": {"rules": [{
                "clientSelectors": [{"headers": [{"name": "x-application-id", "value": "partner"}]}],
                "limit": {"requests": 3, "unit": "Hour"},
            }]}}},
        }));
        let mut native = manifests.get("HTTPRoute", "apis").clone();
        native["metadata"]["name"] = json!("native");
        let backend = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "upstream"}]);
        native["spec"]["rules"] =
            json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/native"}}], "backendRefs": backend}]);
        manifests.push(native);
        manifests.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "native", "namespace": "apis"},
            "data": {"client": "bmF0aXZlLWtleQ=="},
        }));
        manifests.push(json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy",
            "metadata": {"name": "native", "namespace": "apis"},
            "spec": {"targetRefs": target("native"), "apiKeyAuth": {
                "credentialRefs": [{"group": "", "kind": "Secret", "name": "native"}],
                "extractFrom": [{"headers": ["x-native-key"]}],
            }},
        }));
        // keygate on its own route alone, so that the other one is left to the native keys.
        manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/targetRefs", target("apis"));
    })
    .await;
    settle(&stage, &gateway).await;
    let native = Ask::get("/native/list");
    let status = async |ask: &Ask| http::send(gateway.gateway, ask).await.unwrap().status.as_u16();
    assert_eq!(status(&native).await, 401);
    assert_eq!(status(&native.clone().header("x-native-key", "native-key")).await, 200);
    let partner = Ask::get(ORDERS).key(&stage.keys.partner);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(status(&partner).await);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429], "the limit of the application that keygate named");
    let forged = Ask::get(ORDERS).key(&stage.keys.production).header("x-application-id", "partner");
    assert_eq!(status(&forged).await, 200, "a client cannot use up another application's limit");
    gateway.stop().await;
}

#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn two_plugins_on_one_gateway_each_decide() {
    let (stage, _, gateway) = start("mesh-gateway-two", |_, manifests| {
        set_config(manifests, "/forward/credential", true.into());
        let wasm = manifests.get("EnvoyExtensionPolicy", "keygate")["spec"]["wasm"].as_array_mut().unwrap();
        let mut second = wasm[0].clone();
        second["name"] = json!("keygate-second");
        second["config"]["forward"]["credential"] = json!(false);
        second["config"]["replies"]["realm"] = json!("second");
        second["config"]["policy"]["name"] = json!("second");
        wasm.push(second);
    })
    .await;
    settle(&stage, &gateway).await;
    shows_policies(gateway.admin, ["edge", "second"]).await;
    stage.play(gateway.gateway).await;
    gateway.stop().await;
}

/// The path of the readiness probe turns 200 with the first policy that has it.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn the_readiness_path_waits_for_the_policy() {
    let mut stage = Stage::start("mesh-gateway-ready").await;
    let ready = json!({"id": "keygate-ready", "name": "ready", "version": "1", "security": "none", "match": [{"path": "/keygate-ready"}]});
    stage.policy.post("/v1/apis", Some(ready)).await.unwrap();
    stage.policy.kill().await;
    let port = ports::free().unwrap();
    let mut manifests = shipped(&stage, port);
    set_config(&mut manifests, "/policy/startup_hold_ms", 0.into());
    let gateway = EnvoyGateway::start(&stage, &manifests, port).await;
    let probe = Ask::get("/keygate-ready");
    let answer = eventually("an answer without a policy", STARTING, async || {
        let answer = http::send(gateway.gateway, &probe).await.map_err(|error| error.to_string())?;
        if answer.code().as_deref() == Some("900424") { Ok(answer) } else { Err(answer.to_string()) }
    });
    assert_eq!(answer.await.unwrap().0.status, 503);
    stage.policy.restart().await.unwrap();
    eventually("the probe to succeed", WITHIN, async || {
        let answer = http::send(gateway.gateway, &probe).await.map_err(|error| error.to_string())?;
        if answer.status == 200 && answer.body == "ready" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    // From then on no good request is refused.
    let (good, expected) = stage.always().remove(0);
    answers(gateway.gateway, &good, expected, Duration::ZERO).await;
    gateway.stop().await;
}

/// The policy service with TLS, and the EnvoyProxy that the chart renders for it.
#[tokio::test]
#[ignore = "needs Envoy Gateway and Helm: make e2e-mesh"]
async fn the_chart_leads_to_a_policy_service_with_tls() {
    let mut stage = Stage::start("mesh-gateway-tls").await;
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| stage.folder.join(name).display().to_string());
    let names = format!("subjectAltName=DNS:{POLICY_HOST}");
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=policy-service",
            "-addext",
            &names,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    )
    .await;
    stage.policy.set("POLICY_TLS_CERT", &certificate);
    stage.policy.set("POLICY_TLS_KEY", &key);
    stage.policy.restart().await.unwrap();
    let ca = format!("policyService.tls.ca={certificate}");
    let digest = format!("sha256:{}", "0".repeat(64));
    let digests = format!("policyService.image.digest={digest},module.digest={digest}");
    let root = artifacts::root();
    let [helm, chart] = [".tools/bin/helm", "charts/keygate"].map(|path| root.join(path).display().to_string());
    let rendered = run(
        &helm,
        &[
            "template",
            "keygate",
            &chart,
            "--namespace",
            "keygate",
            "--kube-version",
            "1.33.0",
            "--set",
            &digests,
            "--set",
            "mesh=envoy-gateway,policyService.tls.secretName=policy-tls",
            "--set-file",
            &ca,
        ],
    )
    .await;
    let mut rendered = Manifests::parse(&rendered);
    let bootstrap = rendered.get("EnvoyProxy", "keygate")["spec"]["bootstrap"]["value"].as_str().unwrap();
    assert_eq!(bootstrap.matches("port_value: 8085").count(), 1, "{bootstrap}");
    let to = format!("port_value: {}", stage.policy.address().port());
    let bootstrap = bootstrap.replace("port_value: 8085", &to);
    let port = ports::free().unwrap();
    let mut manifests = shipped(&stage, port);
    manifests.set("EnvoyProxy", "keygate", "/spec/bootstrap/value", bootstrap.into());
    let gateway = EnvoyGateway::start(&stage, &manifests, port).await;
    settle(&stage, &gateway).await;
    assert!(stat(gateway.admin, "cluster.policy-service.ssl.handshake").await > 0);
    gateway.stop().await;
}

/// Runs a program that must succeed, and returns its output.
async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
