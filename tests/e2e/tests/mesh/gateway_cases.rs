//! What Envoy Gateway does in its own way: where a policy is attached, the patch, its own neighbours, shadow mode, the probe,
//! TLS by the chart. `both_cases` has what it shares with Istio.

use std::time::Duration;

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    ports,
    story::{Expected, ORDERS, PAYMENTS},
};
use serde_json::json;
use tokio::process::Command;

use crate::{
    envoy_gateway::EnvoyGateway,
    manifests::Manifests,
    plane::{self, Plane as _},
    shadow::passes_until_it_is_enforced,
    stage::{POLICY_HOST, STARTING, Stage, WITHIN, answers, stat},
};

/// A request that no rule of the shipped routes sends upstream.
const UNDECIDED: &str = "keygate did not decide about this request";

/// Starts Envoy Gateway on the shipped manifests as `edit` leaves them.
async fn start(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, EnvoyGateway) {
    plane::start(name, edit).await
}

/// Whoever attaches the policy to a part, or sends the header of the routes, reaches no upstream without a good key.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn attached_to_one_route_only_the_others_are_refused_by_the_routes() {
    let (stage, _, gateway) = start("attached", |_, manifests| {
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
    answers(gateway.gateway(), &good, Expected::Reaches("production"), STARTING).await;
    for path in [ORDERS, PAYMENTS] {
        for key in [None, Some("never-given-out")] {
            for forged in [None, Some("PRODUCTION"), Some("SANDBOX")] {
                let ask = key.map_or(Ask::get(path), |key| Ask::get(path).key(key));
                let ask = forged.map_or(ask.clone(), |forged| ask.header("x-key-type", forged));
                let answer = http::send(gateway.gateway(), &ask).await.unwrap();
                assert!(matches!(answer.status.as_u16(), 401 | 403), "{ask} {key:?} {forged:?}: {answer}");
                if path == PAYMENTS {
                    assert!(answer.body.contains(UNDECIDED), "{answer}");
                }
            }
        }
    }
    // A good key does not help on a route that keygate does not see.
    let answer = http::send(gateway.gateway(), &Ask::get(PAYMENTS).key(&stage.keys.production)).await.unwrap();
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
    let (stage, mut manifests, gateway) = start("patch", open).await;
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    answers(gateway.gateway(), &good, Expected::Reaches("production"), STARTING).await;
    let others = Ask::get("/others/list");
    assert_eq!(http::send(gateway.gateway(), &others).await.unwrap().status, 200, "nobody guards this route yet");
    for patch in Manifests::read(&["gateway/patch"]).0 {
        manifests.push(patch);
    }
    gateway.apply_to_listener(&manifests).await;
    let answer = http::send(gateway.gateway(), &others).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "RBAC: access denied"));
    stage.play(gateway.gateway()).await;
    let dump = http::send(gateway.admin(), &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains("\"FAIL_RELOAD\"") && dump.contains("keygate-guard"), "the patch is in Envoy");
    gateway.stop().await;
}

/// As the EDIT in `routes.yaml` says for shadow mode.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn in_shadow_mode_everything_passes_the_turned_route_and_is_refused_once_it_is_enforced() {
    let (stage, mut manifests, gateway) = start("shadow", |_, manifests| {
        EnvoyGateway::set_config(manifests, "/mode", "shadow".into());
        let rules = manifests.get("HTTPRoute", "apis")["spec"]["rules"].as_array_mut().unwrap();
        let production = rules.iter().find(|rule| rule["name"] == "production").unwrap()["backendRefs"].clone();
        let undecided = rules.iter_mut().find(|rule| rule["name"] == "undecided").unwrap().as_object_mut().unwrap();
        undecided.remove("filters").unwrap();
        undecided.insert("backendRefs".to_owned(), production);
    })
    .await;
    let ends = [gateway.gateway(), gateway.admin()];
    passes_until_it_is_enforced(ends, &stage.policy, &stage.keys, async || {
        EnvoyGateway::set_config(&mut manifests, "/mode", "enforce".into());
        gateway.apply(&manifests);
    })
    .await;
    gateway.stop().await;
}

/// `failOpen: true` and a module that cannot be fetched: the routes refuse.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn an_image_with_another_digest_lets_nothing_pass_even_with_fail_open() {
    for (fail_open, status) in [(false, 500), (true, 403)] {
        let (stage, _, gateway) = start("digest", |_, manifests| {
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
        let answered = eventually("an answer", STARTING, async || http::send(gateway.gateway(), &asks[0]).await).await;
        assert_ne!(answered.unwrap().0.status, 200);
        for ask in &asks {
            let answer = http::send(gateway.gateway(), ask).await.unwrap();
            assert_eq!(answer.status.as_u16(), status, "{fail_open}: {ask}: {answer}");
        }
        gateway.stop().await;
    }
}

/// Envoy Gateway's own API keys on one route, and its rate limit by keygate's header on another.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn native_api_keys_and_rate_limits_work_beside_it() {
    let (stage, _, gateway) = start("beside", |_, manifests| {
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
    gateway.settle(&stage).await;
    let native = Ask::get("/native/list");
    let status = async |ask: &Ask| http::send(gateway.gateway(), ask).await.unwrap().status.as_u16();
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

/// The path of the readiness probe turns 200 with the first policy that has it.
#[tokio::test]
#[ignore = "needs Envoy Gateway: make e2e-mesh"]
async fn the_readiness_path_waits_for_the_policy() {
    let mut stage = Stage::start("mesh-gateway-ready").await;
    let ready = json!({"id": "keygate-ready", "name": "ready", "version": "1", "security": "none", "match": [{"path": "/keygate-ready"}]});
    stage.policy.post("/v1/apis", Some(ready)).await.unwrap();
    stage.policy.kill().await;
    let port = ports::free().unwrap();
    let mut manifests = EnvoyGateway::shipped(&stage, port);
    EnvoyGateway::set_config(&mut manifests, "/policy/startup_hold_ms", 0.into());
    let gateway = EnvoyGateway::start(&stage, &manifests, port).await;
    let probe = Ask::get("/keygate-ready");
    let answer = eventually("an answer without a policy", STARTING, async || {
        let answer = http::send(gateway.gateway(), &probe).await.map_err(|error| error.to_string())?;
        if answer.code().as_deref() == Some("900424") { Ok(answer) } else { Err(answer.to_string()) }
    });
    assert_eq!(answer.await.unwrap().0.status, 503);
    stage.policy.restart().await.unwrap();
    eventually("the probe to succeed", WITHIN, async || {
        let answer = http::send(gateway.gateway(), &probe).await.map_err(|error| error.to_string())?;
        if answer.status == 200 && answer.body == "ready" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    // From then on no good request is refused.
    let (good, expected) = stage.always().remove(0);
    answers(gateway.gateway(), &good, expected, Duration::ZERO).await;
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
    let mut manifests = EnvoyGateway::shipped(&stage, port);
    manifests.set("EnvoyProxy", "keygate", "/spec/bootstrap/value", bootstrap.into());
    let gateway = EnvoyGateway::start(&stage, &manifests, port).await;
    gateway.settle(&stage).await;
    assert!(stat(gateway.admin(), "cluster.policy-service.ssl.handshake").await > 0);
    gateway.stop().await;
}

/// Runs a program that must succeed, and returns its output.
async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
