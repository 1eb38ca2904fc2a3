//! Renders the chart with Helm and checks the result: against the schemas, and against the manifests in `envoy/`. Builds the
//! kustomizations. Run by `make e2e-mesh`, because both programs are built for it. `tests/manifests.rs` checks what needs
//! neither.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code: a panic is how it reports"
)]

#[path = "manifests/mod.rs"]
mod manifests;
#[path = "manifests/strict.rs"]
mod strict;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use manifests::{Manifest, parse, read};
use serde_json::{Value, json};

/// The digests that `envoy/` has as placeholders.
const DIGESTS: [&str; 2] = [
    "policyService.image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "module.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
];
/// Helm as `go install` builds it believes in an old Kubernetes.
const KUBERNETES: &str = "1.33.0";

fn helm(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join(".tools/bin/helm"));
    command.current_dir(root).args(arguments).output().expect("tools/need helm builds it")
}

fn template(mesh: &str, values: &[&str]) -> Output {
    let mesh = format!("mesh={mesh}");
    let mut arguments =
        vec!["template", "keygate", "charts/keygate", "--namespace", "keygate", "--kube-version", KUBERNETES];
    for value in [mesh.as_str()].iter().chain(&DIGESTS).chain(values) {
        arguments.extend(["--set", value]);
    }
    helm(&arguments)
}

fn rendered(mesh: &str, values: &[&str]) -> Vec<Manifest> {
    let output = template(mesh, values);
    assert!(output.status.success(), "{mesh} {values:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    parse(&format!("mesh {mesh}"), &text).into_iter().filter(|manifest| !manifest.content.is_null()).collect()
}

/// Every choice that the chart has, with every kind of policy service.
const CHOICES: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("none", &["policyService.database.type=postgres"]),
    ("none", &["policyService.database.type=postgres", "policyService.replicas=1"]),
    ("none", &["policyService.tls.secretName=policy-tls"]),
    ("none", &["policyService.networkPolicy.enabled=false", "policyService.database.storageClassName=fast"]),
    ("none", &["policyService.image.pullSecrets={one,two}", "policyService.env.RUST_LOG=warn"]),
    ("none", &["policyService.networkPolicy.prometheusNamespaces=null"]),
    ("envoy-gateway", &[]),
    ("envoy-gateway", &["envoyGateway.patch=true", "envoyGateway.namespace=edge", "envoyGateway.gateway=main"]),
    ("envoy-gateway", &["envoyGateway.createGateway=false", "module.pullSecret=registry", "config.mode=shadow"]),
    ("envoy-gateway", &["policyService.tls.secretName=policy-tls", "policyService.tls.ca=PEM"]),
    ("istio", &[]),
    (
        "istio",
        &["istio.createRoutes=false", "istio.accessLog=false", "istio.namespace=edge", "module.pullSecret=registry"],
    ),
    ("istio", &["policyService.database.type=postgres", "config.mode=shadow"]),
];

#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn every_choice_renders_resources_that_keep_their_schemas() {
    let lint = helm(&["lint", "--strict", "charts/keygate", "--set", DIGESTS[0], "--set", DIGESTS[1]]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    for (mesh, values) in CHOICES {
        let found = rendered(mesh, values);
        assert!(found.len() >= 4, "{mesh} {values:?}: {}", found.len());
        let wrong: Vec<_> = found.iter().flat_map(strict::faults).collect();
        assert!(wrong.is_empty(), "{mesh} {values:?}:\n{}", wrong.join("\n"));
    }
}

/// The files of `envoy/` that the chart renders for a mesh.
fn shipped(mesh: &str) -> Vec<Manifest> {
    let files: &[&str] = match mesh {
        "envoy-gateway" => &[
            "gateway/gateway",
            "gateway/envoyproxy",
            "gateway/extension-policy",
            "gateway/client-traffic",
            "gateway/routes",
            "gateway/patch",
        ],
        "istio" => &[
            "istio/policy-service",
            "istio/apis",
            "istio/wasmplugin-gateway",
            "istio/guard",
            "istio/listener",
            "istio/cors",
            "istio/telemetry",
        ],
        _ => &[],
    };
    let files = ["kubernetes/policy-service"].iter().chain(files);
    let mut found: Vec<_> = files
        .flat_map(|file| read(&format!("envoy/{file}.yaml")))
        .filter(|manifest| manifest.text("/kind") != "Namespace")
        .collect();
    // The kustomization labels the namespace, and the chart makes none. So it labels the pod.
    for deployment in found.iter_mut().filter(|manifest| mesh == "istio" && manifest.text("/kind") == "Deployment") {
        deployment.content["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("true");
    }
    found
}

/// By kind, namespace and name, without the labels and annotations that Helm's users expect.
fn by_name(manifests: Vec<Manifest>) -> BTreeMap<String, Value> {
    let named = manifests.into_iter().map(|mut manifest| {
        let name =
            format!("{} {} in {}", manifest.text("/apiVersion"), manifest.name(), manifest.text("/metadata/namespace"));
        for field in ["labels", "annotations"] {
            manifest.content["metadata"].as_object_mut().unwrap().remove(field);
        }
        (name, manifest.content)
    });
    named.collect()
}

#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn the_chart_renders_the_shipped_manifests() {
    for mesh in ["none", "envoy-gateway", "istio"] {
        let (found, expected) = (by_name(rendered(mesh, &["envoyGateway.patch=true"])), by_name(shipped(mesh)));
        let names = |manifests: &BTreeMap<String, Value>| manifests.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{mesh}");
        for (name, content) in &expected {
            assert_eq!(&found[name], content, "{mesh}: {name}");
        }
    }
}

fn one<'m>(manifests: &'m [Manifest], name: &str) -> &'m Manifest {
    manifests.iter().find(|manifest| manifest.name() == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn values_reach_the_places_that_they_name() {
    let gateway = rendered(
        "envoy-gateway",
        &["config.mode=shadow", "config.policy.credentials.client_id=gateway-2", "envoyGateway.namespace=edge"],
    );
    let policy = one(&gateway, "EnvoyExtensionPolicy/keygate");
    let config = &policy.content["spec"]["wasm"][0]["config"];
    assert_eq!(config["mode"], "shadow");
    assert_eq!(
        config["policy"]["credentials"],
        json!({"client_id": "gateway-2", "client_secret": {"env": "POLICY_CLIENT_SECRET"}})
    );
    assert_eq!(policy.text("/metadata/namespace"), "edge");
    let tls = rendered("envoy-gateway", &["policyService.tls.secretName=policy-tls", "policyService.tls.ca=PEM"]);
    let bootstrap = one(&tls, "EnvoyProxy/keygate").text("/spec/bootstrap/value").to_owned();
    let bootstrap: Value = serde_norway::from_str(&bootstrap).unwrap();
    let socket = &bootstrap["static_resources"]["clusters"][0]["transport_socket"]["typed_config"];
    assert_eq!(socket["common_tls_context"]["validation_context"]["trusted_ca"]["inline_string"], "PEM");
    let deployment = one(&tls, "Deployment/policy-service").content.clone();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["scheme"], "HTTPS");
    let postgres = rendered("none", &["policyService.database.type=postgres"]);
    assert_eq!(one(&postgres, "PodDisruptionBudget/policy-service").content["spec"]["minAvailable"], 1);
    assert_eq!(one(&postgres, "Deployment/policy-service").content["spec"]["replicas"], 2);
    assert!(!postgres.iter().any(|manifest| manifest.text("/kind") == "PersistentVolumeClaim"));
}

/// In shadow mode everything passes. Of Envoy Gateway's routes the last one refuses what keygate has not marked, so it leads to
/// production there.
#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn in_shadow_mode_no_route_refuses() {
    let rules = |values: &[&str]| -> BTreeMap<String, Value> {
        let found = rendered("envoy-gateway", values);
        let rules = one(&found, "HTTPRoute/apis").content["spec"]["rules"].as_array().unwrap().clone();
        rules.into_iter().map(|rule| (rule["name"].as_str().unwrap().to_owned(), rule)).collect()
    };
    let backend = "envoyGateway.routes[0].production.name=shop,envoyGateway.routes[0].production.port=80";
    let rest = "envoyGateway.routes[0].name=apis,envoyGateway.routes[0].path=/shop,\
                envoyGateway.routes[0].sandbox.name=box,envoyGateway.routes[0].sandbox.port=81";
    for (mode, refuses) in
        [("config.mode=enforce", true), ("config.unknown_api=deny", true), ("config.mode=shadow", false)]
    {
        let rules = rules(&[mode, backend, rest]);
        let undecided = &rules["undecided"];
        assert_eq!(undecided["filters"].is_null(), !refuses, "{mode}: {undecided}");
        let expected = if refuses { &Value::Null } else { &rules["production"]["backendRefs"] };
        assert_eq!(&undecided["backendRefs"], expected, "{mode}");
        assert_eq!(rules["production"]["backendRefs"], json!([{"name": "shop", "port": 80}]));
        assert_eq!(undecided["matches"][0]["path"]["value"], "/shop", "{mode}");
    }
}

/// Without a sidecar the rules of `envoy/istio/policy-service.yaml` would do nothing.
#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn in_istio_the_policy_service_has_a_sidecar() {
    for (mesh, values, inject, revision) in [
        ("none", &[][..], Value::Null, Value::Null),
        ("envoy-gateway", &[], Value::Null, Value::Null),
        ("istio", &[], json!("true"), Value::Null),
        ("istio", &["istio.revision=canary", "policyService.database.type=postgres"], json!("true"), json!("canary")),
    ] {
        let found = rendered(mesh, values);
        let labels = &one(&found, "Deployment/policy-service").content["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["app"], "policy-service");
        assert_eq!(
            (&labels["sidecar.istio.io/inject"], &labels["istio.io/rev"]),
            (&inject, &revision),
            "{mesh} {values:?}"
        );
    }
}

#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn prometheus_reaches_the_service_from_the_namespaces_of_the_values() {
    let prometheus = |values: &[&str]| {
        let found = rendered("none", values);
        let ingress =
            one(&found, "NetworkPolicy/policy-service").content["spec"]["ingress"].as_array().unwrap().clone();
        (ingress.len(), ingress.get(2).map(|rule| rule["from"][0].clone()))
    };
    let from = |namespace: &str, label: &str| {
        let chosen = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]});
        json!({"namespaceSelector": {"matchExpressions": [chosen]}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": label}}})
    };
    assert_eq!(prometheus(&[]), (3, Some(from("monitoring", "prometheus"))));
    let values = [
        "policyService.networkPolicy.prometheusNamespaces={observability}",
        "policyService.networkPolicy.prometheusLabels.app\\.kubernetes\\.io/name=agent",
    ];
    assert_eq!(prometheus(&values), (3, Some(from("observability", "agent"))));
    assert_eq!(prometheus(&["policyService.networkPolicy.prometheusNamespaces=null"]), (2, None));
    let tls = rendered("none", &["policyService.tls.secretName=policy-tls"]);
    let pod = &one(&tls, "Deployment/policy-service").content["spec"]["template"];
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/scheme"], "https");
}

#[test]
#[ignore = "needs Helm: make e2e-mesh"]
fn a_wrong_value_ends_in_a_message_that_names_it() {
    for (mesh, values, said) in [
        ("linkerd", &[][..], "/mesh"),
        ("none", &["policyService.image.digest="], "policyService.image.digest is required"),
        ("istio", &["module.digest="], "module.digest is required"),
        ("istio", &["policyService.tls.secretName=policy-tls"], "policyService.tls.secretName"),
        ("envoy-gateway", &["policyService.tls.secretName=policy-tls"], "policyService.tls.ca is required"),
        ("none", &["policyService.replicas=two"], "/policyService/replicas"),
        ("istio", &["config.mode=Shadow"], "/config/mode"),
        ("envoy-gateway", &["config.policy.refresh_interval=5"], "/config/policy"),
    ] {
        let output = template(mesh, values);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(said), "{mesh} {values:?}: {errors}");
    }
}

/// The resources of `kubectl apply -k`.
fn built(folder: &str) -> Vec<Manifest> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join(".tools/bin/kustomize"));
    let output = command.current_dir(root).args(["build", folder]).output().expect("tools/need kustomize builds it");
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    parse(folder, &String::from_utf8(output.stdout).unwrap())
}

#[test]
#[ignore = "needs kustomize: make e2e-mesh"]
fn every_kustomization_builds_the_resources_of_its_files() {
    for (folder, count) in [("envoy/kubernetes", 6), ("envoy/gateway", 15), ("envoy/istio", 17)] {
        let found = built(folder);
        assert_eq!(found.len(), count, "{folder}");
        let wrong: Vec<_> = found.iter().flat_map(strict::faults).collect();
        assert!(wrong.is_empty(), "{folder}:\n{}", wrong.join("\n"));
    }
    let namespace = |folder: &str| one(&built(folder), "Namespace/keygate").content["metadata"]["labels"].clone();
    let enforce = "pod-security.kubernetes.io/enforce";
    assert_eq!(namespace("envoy/gateway"), json!({enforce: "restricted"}));
    assert_eq!(namespace("envoy/istio"), json!({enforce: "privileged", "istio-injection": "enabled"}));
}
