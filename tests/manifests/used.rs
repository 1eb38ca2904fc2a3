//! Says which test uses each file of `envoy/`, so that no file is shipped that nothing runs or reads. It does not say what
//! those tests check.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each file, the test that uses it, and the words by which that test names it.
const USED: &[(&str, &str, &str)] = &[
    ("gateway/client-traffic.yaml", MESH, "\"gateway/client-traffic\""),
    ("gateway/envoyproxy.yaml", MESH, "\"gateway/envoyproxy\""),
    ("gateway/extension-policy.yaml", MESH, "\"gateway/extension-policy\""),
    ("gateway/gateway.yaml", MESH, "\"gateway/gateway\""),
    ("gateway/kustomization.yaml", CHART, "(\"envoy/gateway\", "),
    ("gateway/patch.yaml", MESH, "\"gateway/patch\""),
    ("gateway/readiness.yaml", MANIFESTS, "\"envoy/gateway/readiness.yaml\""),
    ("gateway/routes.yaml", MESH, "\"gateway/routes\""),
    ("gateway/secret-file.yaml", MESH, "\"gateway/secret-file\""),
    ("global-ratelimit/envoy.yaml", "tests/e2e/tests/gateway", "global-ratelimit/envoy.yaml"),
    ("istio/apis.yaml", MESH, "\"istio/apis\""),
    ("istio/cors.yaml", MESH, "\"istio/cors\""),
    ("istio/guard.yaml", MESH, "\"istio/guard\""),
    ("istio/hardened.yaml", MESH, "\"istio/hardened\""),
    ("istio/kustomization.yaml", CHART, "(\"envoy/istio\", "),
    ("istio/listener.yaml", MESH, "\"istio/listener\""),
    ("istio/policy-service.yaml", CHART, "\"istio/policy-service\""),
    ("istio/secret-file.yaml", MESH, "\"istio/secret-file\""),
    ("istio/serviceentry.yaml", MESH, "\"istio/serviceentry\""),
    ("istio/telemetry.yaml", MESH, "\"istio/telemetry\""),
    ("istio/values-gateway.yaml", MANIFESTS, "\"envoy/istio/values-gateway.yaml\""),
    ("istio/values-istiod.yaml", MESH, "envoy/istio/values-istiod.yaml"),
    ("istio/wasmplugin-gateway.yaml", MESH, "\"istio/wasmplugin-gateway\""),
    ("istio/wasmplugin-sidecar.yaml", MESH, "\"istio/wasmplugin-sidecar\""),
    ("kubernetes/kustomization.yaml", CHART, "(\"envoy/kubernetes\", "),
    ("kubernetes/policy-service.yaml", CHART, "\"kubernetes/policy-service\""),
    ("observability/alerts.yaml", OBSERVABILITY, "\"alerts.yaml\""),
    ("observability/alerts_test.yaml", OBSERVABILITY, "\"alerts_test.yaml\""),
    ("observability/dashboard.json", OBSERVABILITY, "\"dashboard.json\""),
    ("observability/prometheus.yaml", OBSERVABILITY, "\"prometheus.yaml\""),
    ("observability/stats-tags.yaml", OBSERVABILITY, "\"stats-tags.yaml\""),
    ("standalone/envoy.yaml", "tests/e2e/src", "envoy/standalone/envoy.yaml"),
    ("standalone/wasm-service.yaml", "tests/e2e/tests/gateway", "standalone/wasm-service.yaml"),
];

/// The tests in the control planes.
const MESH: &str = "tests/e2e/tests/mesh";
/// The chart rendered by Helm, and the kustomizations built.
const CHART: &str = "tests/chart.rs";
/// What needs no other program.
const MANIFESTS: &str = "tests/manifests.rs";
/// Prometheus, alerts and the dashboard.
const OBSERVABILITY: &str = "tests/e2e/tests/gateway/observability";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder, or the file itself.
fn below(path: PathBuf, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        return found.push(path);
    }
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        below(entry.unwrap().path(), found);
    }
}

/// The sources of a test, without their comments.
fn source(path: &str) -> String {
    let mut found = Vec::new();
    below(root().join(path), &mut found);
    let texts = found.iter().map(|path| fs::read_to_string(path).unwrap());
    let code = |text: String| text.lines().filter(|line| !line.trim().starts_with("//")).collect::<Vec<_>>().join("\n");
    texts.map(code).collect()
}

#[test]
fn a_test_uses_every_file() {
    let mut files = Vec::new();
    below(root().join("envoy"), &mut files);
    let shipped =
        files.iter().map(|path| path.strip_prefix(root().join("envoy")).unwrap().to_str().unwrap().to_owned());
    let shipped: BTreeSet<_> = shipped.collect();
    let used: BTreeSet<_> = USED.iter().map(|(file, ..)| (*file).to_owned()).collect();
    assert_eq!(shipped, used, "add a test that uses the file, and name it here");
    for (file, test, words) in USED {
        assert!(source(test).contains(words), "{file}: {test} does not contain {words}");
    }
}
