//! The gateway's secret in a file that Envoy watches and adds to keygate's calls, by the filter that
//! `envoy/gateway/secret-file.yaml` and `envoy/istio/secret-file.yaml` put into the cluster of the policy service. The
//! service, too, reads its secrets from a file, as `envoy/kubernetes/policy-service.yaml` has it. `make e2e-mesh` does the
//! same in the control planes.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    http::{self, Ask},
    load::Load,
    mounted::Mounted,
    policy_service::GATEWAY_ID,
    story::{self, BLOCKED, Expected, ORDERS, PAYMENTS},
};
use serde_json::Value;

const OLD: &str = "secret-of-a-file-old-4811";
const NEW: &str = "secret-of-a-file-new-4812";
const UNKNOWN: &str = "secret-of-a-file-unknown-4813";
const REACHES: Expected = Expected::Reaches("production");
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const PROTOCOL: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// The end of the cluster's settings of HTTP in the shipped configuration. The filters come before it.
const PLACE: &str = "\n    load_assignment:\n      cluster_name: policy-service\n";

/// The filters, as the manifest of Istio has them. `tests/manifests.rs` compares that of Envoy Gateway with it.
fn filters() -> Value {
    let text = fs::read_to_string(artifacts::root().join("envoy/istio/secret-file.yaml")).unwrap();
    let document: Value = serde_norway::from_str(&text).unwrap();
    let value = &document["spec"]["configPatches"][0]["patch"]["value"];
    value["typed_extension_protocol_options"][PROTOCOL]["http_filters"].clone()
}

#[tokio::test]
async fn a_secret_in_a_file_is_replaced_while_the_gateway_runs() {
    let name = "secret-file";
    let folder = artifacts::root().join("target/stack").join(format!("{name}-mounted"));
    let _ = fs::remove_dir_all(&folder);
    let mut secret = Mounted::new(folder.join("gateway"), OLD).unwrap();
    // The service has its secrets in a file, too.
    let gateways = folder.join("gateways");
    let known = |secrets: &[&str]| {
        let pairs: Vec<_> = secrets.iter().map(|secret| format!("{GATEWAY_ID}:{secret}")).collect();
        fs::write(&gateways, pairs.join(",") + "\n").unwrap();
    };
    known(&[OLD, NEW]);
    let filters = format!("\n        http_filters: {}{PLACE}", secret.placed(&filters().to_string()));
    let credentials = r#""credentials": {"client_id": "gateway-1", "client_secret": {"env": "POLICY_CLIENT_SECRET"}},"#;
    let mut options = Options::default()
        .secret(None)
        .variable("POLICY_GATEWAYS_FILE", gateways.display().to_string())
        .edit(credentials, r#""name": "edge","#)
        .edit(
            "                  environment_variables:\n                    host_env_keys: [POLICY_CLIENT_SECRET]\n",
            "",
        )
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#)
        .edit(PLACE, filters);
    // Envoy asks for secrets only in the name of a node.
    options.launch.arguments =
        ["--service-node", "gateway-1", "--service-cluster", "gateway"].map(str::to_owned).to_vec();
    let (mut stack, keys) = story::stage(name, options).await.unwrap();
    let gateway = stack.envoy().unwrap().gateway();
    let orders = Ask::get(ORDERS).key(&keys.production);
    let payments = Ask::get(PAYMENTS).key(&keys.production);
    answers(gateway, &orders, REACHES).await;

    // Envoy takes the new secret while requests go on. Then the service forgets the old one. No policy is fetched.
    let fetched = stat(&stack, "wasmcustom.keygate.refresh.applied").await;
    let load = Load::start(gateway.port(), vec![(payments.clone(), REACHES)]);
    secret.replace(NEW).unwrap();
    known(&[NEW]);
    stack.policy_mut().unwrap().stop().await;
    let restarted = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    stack.policy_mut().unwrap().restart().await.unwrap();
    eventually("the policy to be confirmed with the new secret", SEEN_WITHIN, async || {
        match stat(&stack, "wasmcustom.keygate.policy.edge.confirmed_at").await {
            at if at > restarted => Ok(()),
            at => Err(format!("last at {at}, and the service was restarted at {restarted}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(stat(&stack, "wasmcustom.keygate.refresh.applied").await, fetched, "full policies");
    change(&stack, "block").await;
    answers(gateway, &orders, BLOCKED).await;
    change(&stack, "unblock").await;
    answers(gateway, &orders, REACHES).await;

    // A secret that the service does not know: the log says so, and the policy goes on to decide.
    secret.replace(UNKNOWN).unwrap();
    eventually("the refusal in the log", SEEN_WITHIN, async || {
        let log = stack.envoy().unwrap().log();
        let said = log.lines().any(|line| line.contains("401") && line.contains("policy.credentials"));
        if said { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
    answers(gateway, &orders, REACHES).await;
    secret.replace(NEW).unwrap();
    change(&stack, "block").await;
    answers(gateway, &orders, BLOCKED).await;
    println!("{} answers through it all", load.end().await.unwrap());

    // Nobody but the service learns it.
    let envoy = stack.envoy().unwrap();
    for path in ["/config_dump", "/stats", "/clusters", "/server_info"] {
        let shown = http::send(envoy.admin(), &Ask::get(path)).await.unwrap().body;
        assert!(!shown.contains("secret-of-a-file"), "{path} shows the secret");
    }
    assert!(!envoy.log().contains("secret-of-a-file") && !stack.policy().unwrap().log().contains("secret-of-a-file"));
    let upstream = http::send(gateway, &payments).await.unwrap();
    assert_eq!(upstream.json()["headers"]["authorization"], Value::Null, "{upstream}");
    stack.stop().await;
}

async fn change(stack: &Stack, what: &str) {
    stack.policy().unwrap().post(&format!("/v1/subscriptions/shop-orders/{what}"), None).await.unwrap();
}

async fn answers(gateway: SocketAddr, ask: &Ask, expected: Expected) {
    eventually(format!("{ask}: {expected}"), SEEN_WITHIN, async || {
        let answer = http::send(gateway, ask).await.map_err(|error| error.to_string())?;
        if expected.is(answer.status.as_u16(), &answer.json()) { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
}

async fn stat(stack: &Stack, name: &str) -> u64 {
    stack.envoy().unwrap().stat(name).await.unwrap()
}
