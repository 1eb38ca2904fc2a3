//! Envoy Gateway without Kubernetes: it reads resources from a folder and runs Envoy on this machine.
//!
//! Envoy asks it for modules under the name that it has in a cluster. That name is resolved in a mount namespace of its
//! own, so the machine's /etc/hosts stays as it is.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    policy_service::GATEWAY_SECRET,
    ports,
    process::Process,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    manifests::Manifests,
    stage::{STARTING, Stage, text},
};

/// The version of Envoy in whose place the tested Envoy is put. Without a version Envoy Gateway 1.9.1 asks the network for
/// the newest.
const DEFAULT_ENVOY: &str = "1.39.1";
/// The names that Envoy resolves.
const NAMES: [&str; 2] =
    ["envoy-gateway.envoy-gateway-system.svc.cluster.local", "policy-service.keygate.svc.cluster.local"];
/// The files of `kubectl apply -k envoy/gateway`, without the policy service, which runs on this machine.
const FILES: [&str; 5] =
    ["gateway/gateway", "gateway/envoyproxy", "gateway/extension-policy", "gateway/client-traffic", "gateway/routes"];

pub struct EnvoyGateway {
    pub gateway: SocketAddr,
    pub admin: SocketAddr,
    process: Process,
    resources: PathBuf,
}

/// The shipped manifests with the addresses of `stage`.
pub fn shipped(stage: &Stage, port: u16) -> Manifests {
    let mut manifests = Manifests::read(&FILES);
    manifests.set("Gateway", "apis", "/spec/listeners/0/port", port.into());
    set_policy_port(stage, &mut manifests);
    // In place of the Deployment: Envoy as a process of this machine. It inherits the variable with the secret.
    let host = json!({"type": "Host", "host": {"envoyVersion": DEFAULT_ENVOY}});
    manifests.set("EnvoyProxy", "keygate", "/spec/provider", host);
    let arguments = ["--admin-address-path", &stage.folder.join("admin").display().to_string()];
    manifests.add("EnvoyProxy", "keygate", "/spec", "extraArgs", json!(arguments));
    manifests.add("EnvoyProxy", "keygate", "/spec", "concurrency", json!(2));
    let log = json!([{"type": "File", "file": {"path": stage.folder.join("access.log")}}]);
    manifests.set("EnvoyProxy", "keygate", "/spec/telemetry/accessLog/settings/0/sinks", log);
    // In a pod the certificates of the way to Envoy Gateway's modules are in /certs.
    let certificates = stage.folder.join("eg/config/certs/envoy/ca.crt");
    manifests.push(json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "without-pod", "namespace": "apis"},
        "spec": {
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "apis"}, "type": "JSONPatch",
            "jsonPatches": [{
                "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "wasm_cluster",
                "operation": {"op": "replace", "jsonPath": "..trusted_ca", "path": "filename", "value": certificates},
            }],
        },
    }));
    set_image(&mut manifests, &stage.image.reference, &stage.image.digest);
    for (name, upstream, rule) in [("upstream-sandbox", &stage.sandbox, 0), ("upstream", &stage.upstream, 1)] {
        let backend = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}]);
        manifests.set("HTTPRoute", "apis", &format!("/spec/rules/{rule}/backendRefs"), backend);
        manifests.push(json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend",
            "metadata": {"name": name, "namespace": "apis"},
            "spec": {"endpoints": [{"ip": {"address": "127.0.0.1", "port": upstream.address().port()}}]},
        }));
    }
    manifests
}

/// Sets the port of the policy service in the bootstrap.
pub fn set_policy_port(stage: &Stage, manifests: &mut Manifests) {
    let policy = format!("port_value: {} }}", stage.policy.address().port());
    manifests.replace("EnvoyProxy", "keygate", "/spec/bootstrap/value", "port_value: 8085 }", &policy);
}

pub fn set_image(manifests: &mut Manifests, reference: &str, digest: &str) {
    manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/code/image/url", reference.into());
    manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/code/image/sha256", digest.into());
}

/// A field of the plugin's configuration.
pub fn set_config(manifests: &mut Manifests, pointer: &str, value: Value) {
    manifests.set("EnvoyExtensionPolicy", "keygate", &format!("/spec/wasm/0/config{pointer}"), value);
}

impl EnvoyGateway {
    /// Starts it on `manifests`, with the gateway at `port`, and waits until Envoy is live.
    pub async fn start(stage: &Stage, manifests: &Manifests, port: u16) -> Self {
        for port in [8_081, 18_000, 18_001, 18_002, 19_001] {
            ports::check(port, "a port of Envoy Gateway").unwrap();
        }
        let folder = &stage.folder;
        let resources = folder.join("resources");
        manifests.write(&resources.join("keygate.yaml"));
        let config = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyGateway",
            "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
            "provider": {"type": "Custom", "custom": {
                "resource": {"type": "File", "file": {"paths": [resources]}},
                "infrastructure": {"type": "Host", "host": {
                    "configHome": folder.join("eg/config"), "dataHome": folder.join("eg/data"),
                    "stateHome": folder.join("eg/state"), "runtimeDir": folder.join("eg/run"),
                }},
            }},
            "logging": {"level": {"default": "info"}},
            "extensionApis": {"enableBackend": true, "enableEnvoyPatchPolicy": true},
        });
        let file = folder.join("envoy-gateway.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let binary = folder.join("eg/data/envoy-versions").join(DEFAULT_ENVOY).join("bin");
        fs::create_dir_all(&binary).unwrap();
        symlink(artifacts::envoy().unwrap(), binary.join("envoy")).unwrap();
        let program = artifacts::root().join(".tools/bin/envoy-gateway");
        // Its own certificates, for the proxy's streams and for modules.
        let mut command = Command::new(&program);
        command.args(["certgen", "--local", "--config-home"]).arg(folder.join("eg/config"));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // The proxy's certificate. Without this secret Envoy Gateway 1.9.1 makes one of another root in this mode, and
        // refuses it itself.
        let encoded = |file: &str| STANDARD.encode(fs::read(folder.join("eg/config/certs/envoy").join(file)).unwrap());
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "envoy", "namespace": "envoy-gateway-system"},
            "type": "kubernetes.io/tls",
            "data": {"ca.crt": encoded("ca.crt"), "tls.crt": encoded("tls.crt"), "tls.key": encoded("tls.key")},
        });
        Manifests(vec![secret]).write(&resources.join("certificate.yaml"));
        let mut command = in_namespace(&stage.write_hosts(&NAMES), &program);
        command.arg("server").arg("--config-path").arg(&file);
        command.env("HOME", folder).env("POLICY_CLIENT_SECRET", GATEWAY_SECRET);
        let mut process = Process::start("envoy-gateway", command, folder.join("envoy-gateway.log")).unwrap();
        let (admin, _) = eventually("Envoy to be live", STARTING, async || {
            process.check().map_err(|ended| ended.to_string()).unwrap();
            let admin: SocketAddr = text(&folder.join("admin")).trim().parse().map_err(|_| "no admin address")?;
            let ready = http::send(admin, &Ask::get("/ready")).await.map_err(|_| "no answer")?;
            if ready.body.trim() == "LIVE" { Ok(admin) } else { Err("not live") }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", tail(&process.log())));
        Self { gateway: SocketAddr::from(([127, 0, 0, 1], port)), admin, process, resources }
    }

    /// Replaces the resources, as `kubectl apply` does.
    pub fn apply(&self, manifests: &Manifests) {
        manifests.write(&self.resources.join("keygate.yaml"));
    }

    /// The log of Envoy Gateway and of its Envoy.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

/// A command in which `hosts` is /etc/hosts.
pub fn in_namespace(hosts: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/hosts && exec "$@""#]).arg(hosts).arg(program);
    command
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
