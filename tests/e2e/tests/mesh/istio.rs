//! Istio without Kubernetes: istiod's own code makes the configuration out of the manifests, the agent's own code fetches
//! the module, and a real Envoy takes both over ADS. `tests/e2e/mesh/istio` is the program.
//!
//! It is not istio-proxy: Envoy's own build lacks Istio's filters for telemetry, which these tests turn off. There is no
//! certificate authority, so mutual TLS is off, too.

use std::{fs, net::SocketAddr, path::PathBuf};

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
    stage::{STARTING, Stage, has_new_vms, text, vms},
};

/// The files of `kubectl apply -k envoy/istio`, without what only a cluster has.
const GATEWAY_FILES: [&str; 6] =
    ["istio/apis", "istio/wasmplugin-gateway", "istio/guard", "istio/listener", "istio/cors", "istio/telemetry"];
/// Istio's release that the program is made of.
const RELEASE: &str = "1.31.0";

pub struct Istio {
    gateway: SocketAddr,
    admin: SocketAddr,
    istiod: Process,
    envoy: Process,
    resources: PathBuf,
}

/// Which proxy asks for its configuration.
#[derive(Clone, Copy)]
pub enum Proxy {
    /// `istio-ingressgateway` in `istio-ingress`.
    Gateway,
    /// The sidecar of `upstream` in `apis`.
    Sidecar,
}

impl Proxy {
    fn node(self) -> Value {
        let (kind, name, namespace, labels) = match self {
            Self::Gateway => ("router", "istio-ingressgateway-1", "istio-ingress", json!({"istio": "ingressgateway"})),
            Self::Sidecar => ("sidecar", "upstream-1", "apis", json!({"app": "upstream"})),
        };
        json!({
            "id": format!("{kind}~127.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": name,
            "metadata": {
                "NAMESPACE": namespace, "LABELS": labels, "ISTIO_VERSION": RELEASE, "CLUSTER_ID": "Kubernetes",
                "INSTANCE_IPS": "127.0.0.1", "SERVICE_ACCOUNT": name,
            },
        })
    }
}

/// A service of the mesh on this machine.
fn service(host: &str, port: u16, name: &str, address: SocketAddr) -> Value {
    let (short, namespace) = host.strip_suffix(".svc.cluster.local").unwrap().split_once('.').unwrap();
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": short, "namespace": namespace},
        "spec": {
            "hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"number": port, "name": name, "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1", "ports": {name: address.port()}}],
        },
    })
}

fn policy_service(stage: &Stage) -> Value {
    service("policy-service.keygate.svc.cluster.local", 8085, "http-feed", stage.policy.address())
}

/// The manifests of the gateway with the addresses of `stage`.
fn gateway(stage: &Stage, port: u16) -> Manifests {
    let mut manifests = Manifests::read(&GATEWAY_FILES);
    manifests.set("Gateway", "apis", "/spec/servers/0/port/number", port.into());
    Istio::set_image(&mut manifests, &stage.image);
    manifests.push(policy_service(stage));
    manifests.push(service("upstream.apis.svc.cluster.local", 8091, "http", stage.upstream.address()));
    manifests.push(service("upstream-sandbox.apis.svc.cluster.local", 8092, "http", stage.sandbox.address()));
    manifests
}

/// The manifests of the sidecar. Its application is the production upstream.
pub fn sidecar(stage: &Stage, port: u16) -> Manifests {
    let mut manifests = Manifests::read(&["istio/wasmplugin-sidecar"]);
    Istio::set_image(&mut manifests, &stage.image);
    manifests.set("WasmPlugin", "keygate", "/spec/match/0/ports/0/number", port.into());
    for name in ["keygate-guard", "keygate-listener"] {
        let place = "/spec/configPatches/0/match/listener/filterChain/destinationPort";
        manifests.set("EnvoyFilter", name, place, port.into());
    }
    manifests.push(policy_service(stage));
    manifests.push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "upstream", "namespace": "apis"},
        "spec": {"workloadSelector": {"labels": {"app": "upstream"}}, "ingress": [{
            "port": {"number": port, "protocol": "HTTP", "name": "http"},
            "defaultEndpoint": format!("127.0.0.1:{}", stage.upstream.address().port()),
        }]},
    }));
    manifests.push(json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "without-certificates", "namespace": "apis"},
        "spec": {"mtls": {"mode": "DISABLE"}},
    }));
    // In a pod, connections to the port are redirected to the sidecar. Here the sidecar listens on the port itself.
    manifests.push(json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": "without-redirection", "namespace": "apis"},
        "spec": {"configPatches": [{
            "applyTo": "LISTENER",
            "match": {"context": "SIDECAR_INBOUND", "listener": {"name": "virtualInbound"}},
            "patch": {"operation": "MERGE", "value": {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "use_original_dst": false,
            }},
        }]},
    }));
    manifests
}

impl Istio {
    /// Starts istiod and this proxy, which listens on `port`, and waits until it is live.
    pub async fn start_proxy(stage: &Stage, manifests: &Manifests, proxy: Proxy, port: u16) -> Self {
        let folder = &stage.folder;
        let resources = folder.join("resources/keygate.yaml");
        manifests.write(&resources);
        let istiod = start_istiod(stage).await;
        let admin_file = folder.join("admin");
        let bootstrap = json!({
            "node": proxy.node(),
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "stats_config": statistics(),
            "dynamic_resources": {
                "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
                "ads_config": {
                    "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
            },
            // In a pod istio-proxy itself gives certificates. Nothing answers here.
            "static_resources": {"clusters": [grpc("xds-grpc", istiod.1), grpc("sds-grpc", 1)]},
        });
        let file = folder.join("bootstrap.json");
        fs::write(&file, bootstrap.to_string()).unwrap();
        let mut command = Command::new(artifacts::envoy().unwrap());
        command.arg("-c").arg(&file).arg("--admin-address-path").arg(&admin_file);
        command.args(["--disable-hot-restart", "--concurrency", "2", "--file-flush-interval-msec", "50"]);
        command.args(["--log-level", "warning", "--component-log-level", "wasm:info"]);
        command.env("POLICY_CLIENT_SECRET", GATEWAY_SECRET);
        let mut envoy = Process::start("envoy", command, folder.join("envoy.log")).unwrap();
        let (admin, _) = eventually("Envoy to be live", STARTING, async || {
            envoy.check().map_err(|ended| ended.to_string()).unwrap();
            let admin: SocketAddr = text(&admin_file).trim().parse().map_err(|_| "no admin address")?;
            let ready = http::send(admin, &Ask::get("/ready")).await.map_err(|_| "no answer")?;
            if ready.body.trim() == "LIVE" { Ok(admin) } else { Err("not live") }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", istiod.0.log(), envoy.log()));
        let gateway = SocketAddr::from(([127, 0, 0, 1], port));
        Self { gateway, admin, istiod: istiod.0, envoy, resources }
    }
}

impl Plane for Istio {
    const NAME: &'static str = "istio";
    const CAPTURE: &'static str = "istio-gateway";
    const UNCONFIGURED: u16 = 500;

    fn shipped(stage: &Stage, port: u16) -> Manifests {
        gateway(stage, port)
    }

    fn set_config(manifests: &mut Manifests, pointer: &str, value: Value) {
        manifests.set("WasmPlugin", "keygate", &format!("/spec/pluginConfig{pointer}"), value);
    }

    fn set_image(manifests: &mut Manifests, Image { reference, digest }: &Image) {
        manifests.set("WasmPlugin", "keygate", "/spec/url", format!("oci://{reference}").into());
        manifests.set("WasmPlugin", "keygate", "/spec/sha256", digest.clone().into());
    }

    fn take_secret_from_file(_: &Stage, manifests: &mut Manifests, secret: &Mounted) {
        let filter = Manifests::read(&["istio/secret-file"]).0.remove(0);
        manifests.push(serde_json::from_str(&secret.placed(&filter.to_string())).unwrap());
        manifests.remove("WasmPlugin", "keygate", "/spec/pluginConfig/policy", "credentials");
        manifests.remove("WasmPlugin", "keygate", "/spec", "vmConfig");
    }

    fn add_second_plugin(manifests: &mut Manifests) {
        let mut second = manifests.get("WasmPlugin", "keygate").clone();
        second["metadata"]["name"] = json!("keygate-second");
        second["spec"]["phase"] = json!("AUTHZ");
        second["spec"]["pluginConfig"]["replies"]["realm"] = json!("second");
        second["spec"]["pluginConfig"]["policy"]["name"] = json!("second");
        manifests.push(second);
        Self::set_config(manifests, "/forward/credential", true.into());
    }

    fn replace_dead_vms(_: &mut Manifests) {}

    async fn start(stage: &Stage, manifests: &Manifests, port: u16) -> Self {
        Self::start_proxy(stage, manifests, Proxy::Gateway, port).await
    }

    fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    fn admin(&self) -> SocketAddr {
        self.admin
    }

    fn apply(&self, manifests: &Manifests) {
        manifests.write(&self.resources);
    }

    fn log(&self) -> String {
        self.envoy.log()
    }

    /// istiod says what the proxy rejected.
    async fn rejected(&self) -> usize {
        self.istiod.log().lines().filter(|line| line.starts_with("rejected by the proxy")).count()
    }

    async fn upgrade(&self, manifests: &mut Manifests, image: &Image, realm: &str) {
        Self::set_image(manifests, image);
        let before = vms(self.admin).await;
        self.edit(manifests, realm).await;
        has_new_vms(self.admin, before).await;
    }

    async fn stop(mut self) {
        self.envoy.stop().await;
        self.istiod.kill().await;
    }
}

/// A cluster of the bootstrap.
fn grpc(name: &str, port: u16) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        }}]}]},
    })
}

fn values_of_istiod() -> Value {
    let values = fs::read_to_string(artifacts::root().join("envoy/istio/values-istiod.yaml")).unwrap();
    serde_norway::from_str(&values).unwrap()
}

/// Which HTTP statistics a proxy shows, and with which labels, as the agent writes it into the bootstrap. What tests ask for
/// besides is shown, too.
fn statistics() -> Value {
    let values = values_of_istiod();
    let shipped = values["meshConfig"]["defaultConfig"]["proxyStatsMatcher"]["inclusionSuffixes"].as_array().unwrap();
    let suffixes = shipped.iter().map(|suffix| suffix.as_str().unwrap());
    let suffixes = suffixes.chain(["rbac.allowed", "rbac.denied"]).map(|suffix| json!({"suffix": suffix}));
    let prefixes = ["cluster_manager", "listener_manager", "server", "wasm"].map(|prefix| json!({"prefix": prefix}));
    json!({
        "use_all_default_tags": false,
        "stats_tags": [
            {"tag_name": "http_conn_manager_prefix", "regex": r"^http\.((.+?);\.)"},
            {"tag_name": "authz_enforce_result", "regex": r"rbac(\.(allowed|denied))"},
        ],
        "stats_matcher": {"inclusion_list": {"patterns": suffixes.chain(prefixes).collect::<Vec<_>>()}},
    })
}

/// istiod with the agent before it, and the port on which it serves.
async fn start_istiod(stage: &Stage) -> (Process, u16) {
    let folder = &stage.folder;
    let mut settings = values_of_istiod()["meshConfig"].clone();
    settings["enableAutoMtls"] = json!(false);
    settings["extensionProviders"][0]["envoyFileAccessLog"]["path"] = json!(folder.join("access.log"));
    let file = folder.join("mesh.yaml");
    fs::write(&file, settings.to_string()).unwrap();
    fs::create_dir_all(folder.join("modules")).unwrap();
    let port = ports::free().unwrap();
    let mut command = Command::new(artifacts::root().join(".tools/bin/istio"));
    command.arg("-configs").arg(folder.join("resources")).arg("-mesh").arg(&file);
    command.arg("-listen").arg(format!("127.0.0.1:{port}")).arg("-modules").arg(folder.join("modules"));
    command.arg("-insecure").arg(stage.image.reference.split('/').next().unwrap());
    command.env("HOME", folder);
    for feature in ["PILOT_ENABLE_METADATA_EXCHANGE", "PILOT_ENABLE_ALPN_FILTER", "PILOT_ENABLE_GATEWAY_API"] {
        command.env(feature, "false");
    }
    let mut process = Process::start("istio", command, folder.join("istio.log")).unwrap();
    eventually("istiod to serve", STARTING, async || {
        process.check().map_err(|ended| ended.to_string()).unwrap();
        if process.log().contains("\nserving ") || process.log().starts_with("serving ") {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await
    .unwrap();
    (process, port)
}
