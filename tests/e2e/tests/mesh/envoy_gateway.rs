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
    mounted::Mounted,
    policy_service::GATEWAY_SECRET,
    ports,
    process::Process,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    image::Image,
    manifests::Manifests,
    plane::Plane,
    stage::{AFTERWARDS, STARTING, Stage, WITHIN, has_new_vms, stat, text, vms},
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
    gateway: SocketAddr,
    admin: SocketAddr,
    process: Process,
    resources: PathBuf,
}

/// The shipped manifests with the addresses of `stage`.
fn shipped(stage: &Stage, port: u16) -> Manifests {
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
    EnvoyGateway::set_image(&mut manifests, &stage.image);
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
fn set_policy_port(stage: &Stage, manifests: &mut Manifests) {
    let policy = format!("port_value: {} }}", stage.policy.address().port());
    manifests.replace("EnvoyProxy", "keygate", "/spec/bootstrap/value", "port_value: 8085 }", &policy);
}

impl EnvoyGateway {
    /// Applies a change of the listener, and waits until Envoy has taken it.
    pub async fn apply_to_listener(&self, manifests: &Manifests) {
        let updates = "listener_manager.lds.update_success";
        let before = stat(self.admin, updates).await;
        self.apply(manifests);
        eventually("the listener to be taken", WITHIN, async || {
            assert_eq!(self.rejected().await, 0, "{}", self.log());
            let warming = stat(self.admin, "listener_manager.total_listeners_warming").await;
            if stat(self.admin, updates).await > before && warming == 0 {
                Ok(())
            } else {
                Err(format!("{warming} warm"))
            }
        })
        .await
        .unwrap();
        tokio::time::sleep(AFTERWARDS).await;
    }
}

impl Plane for EnvoyGateway {
    const NAME: &'static str = "gateway";
    const CAPTURE: &'static str = "envoy-gateway";
    const UNCONFIGURED: u16 = 503;

    fn shipped(stage: &Stage, port: u16) -> Manifests {
        shipped(stage, port)
    }

    fn set_config(manifests: &mut Manifests, pointer: &str, value: Value) {
        manifests.set("EnvoyExtensionPolicy", "keygate", &format!("/spec/wasm/0/config{pointer}"), value);
    }

    fn set_image(manifests: &mut Manifests, Image { reference, digest }: &Image) {
        manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/code/image/url", reference.clone().into());
        manifests.set("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/code/image/sha256", digest.clone().into());
    }

    fn take_secret_from_file(stage: &Stage, manifests: &mut Manifests, secret: &Mounted) {
        let mut shipped = Manifests::read(&["gateway/secret-file"]);
        let bootstrap = shipped.get("EnvoyProxy", "keygate")["spec"]["bootstrap"]["value"].as_str().unwrap();
        manifests.set("EnvoyProxy", "keygate", "/spec/bootstrap/value", secret.placed(bootstrap).into());
        set_policy_port(stage, manifests);
        manifests.remove("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0/config/policy", "credentials");
        manifests.remove("EnvoyExtensionPolicy", "keygate", "/spec/wasm/0", "env");
    }

    fn add_second_plugin(manifests: &mut Manifests) {
        Self::set_config(manifests, "/forward/credential", true.into());
        let wasm = manifests.get("EnvoyExtensionPolicy", "keygate")["spec"]["wasm"].as_array_mut().unwrap();
        let mut second = wasm[0].clone();
        second["name"] = json!("keygate-second");
        second["config"]["forward"]["credential"] = json!(false);
        second["config"]["replies"]["realm"] = json!("second");
        second["config"]["policy"]["name"] = json!("second");
        wasm.push(second);
    }

    /// Only the patch can ask for it.
    fn replace_dead_vms(manifests: &mut Manifests) {
        manifests.0.extend(Manifests::read(&["gateway/patch"]).0);
    }

    async fn start(stage: &Stage, manifests: &Manifests, port: u16) -> Self {
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

    fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    fn admin(&self) -> SocketAddr {
        self.admin
    }

    fn apply(&self, manifests: &Manifests) {
        manifests.write(&self.resources.join("keygate.yaml"));
    }

    /// With the lines of Envoy Gateway itself.
    fn log(&self) -> String {
        self.process.log()
    }

    async fn rejected(&self) -> usize {
        usize::try_from(stat(self.admin, "listener_manager.lds.update_rejected").await).unwrap()
    }

    /// Applies the image, and then an edit, which makes Envoy take it.
    ///
    /// Envoy 1.40 names a VM by its id and its code. When it is configured with a module that it has yet to fetch, the code is
    /// empty, so all such modules of one id have the same name: while the VM of one of them lives, the next one is ignored.
    /// When the module has been fetched, the name is right.
    async fn upgrade(&self, manifests: &mut Manifests, image: &Image, realm: &str) {
        Self::set_image(manifests, image);
        self.apply_to_listener(manifests).await;
        let before = vms(self.admin).await;
        self.edit(manifests, realm).await;
        has_new_vms(self.admin, before).await;
    }

    async fn stop(mut self) {
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
