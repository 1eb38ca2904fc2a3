//! Istio's own programs over every file of `envoy/istio`: what istiod's webhook and `istioctl analyze` say. No Envoy runs.

use std::fs;

use keygate_e2e::artifacts;
use serde_json::json;
use tokio::process::Command;

use crate::manifests::Manifests;

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
