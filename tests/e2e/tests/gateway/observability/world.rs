//! What Prometheus looks at: a healthy stack under steady traffic, an Envoy for each fault that cannot be undone, and a
//! policy service with TLS.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use keygate_e2e::{
    Options, Stack, artifacts,
    config::{EnvoyConfig, Places},
    envoy::{Envoy, Launch},
    feed::Feed,
    http::{Ask, Connection},
    policy_service::PolicyService,
    ports,
    stack::Policy,
    story::{self, Keys, ORDERS},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Between two requests of the steady traffic.
const PAUSE: Duration = Duration::from_millis(20);

/// A module that dies with every request. It has the name of keygate's plugin.
const DYING: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_delete") (param i32)))"#;

/// Envoy's default level in Istio and Envoy Gateway.
const LEVEL: [&str; 2] = ["--log-level", "warning"];

/// The shipped configuration with short times, so that a fault shows within seconds, and a log as meshes have it.
fn quick(mut options: Options) -> Options {
    options.launch.arguments = LEVEL.map(str::to_owned).to_vec();
    options
        .edit(r#""stale_after_ms": 60000"#, r#""stale_after_ms": 12000"#)
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#)
        .edit(r#""interval_ms": 60000"#, r#""interval_ms": 1000"#)
}

/// The healthy stack, with the demo's data.
pub async fn healthy() -> (Stack, Keys) {
    story::stage("observability", quick(Options::default())).await.unwrap()
}

/// An Envoy whose policy comes from a feed of the test, and that lets requests pass while there is none.
pub async fn fed(feed: &Feed) -> Stack {
    let options = quick(Options { policy: Policy::At(feed.address()), ..Options::default() })
        .edit(r#""on_policy_unavailable": "deny""#, r#""on_policy_unavailable": "allow""#)
        .edit(r#""startup_hold_ms": 1000"#, r#""startup_hold_ms": 0"#);
    Stack::start("observability-fed", options).await.unwrap()
}

/// An Envoy that skips keygate, which is in shadow mode there. The guard refuses its requests.
pub async fn skipping(service: SocketAddr) -> Stack {
    let options = quick(Options { policy: Policy::At(service), ..Options::default() })
        .edit("          - name: keygate\n", "          - name: keygate\n            disabled: true\n")
        .edit(r#""mode": "enforce""#, r#""mode": "shadow""#);
    Stack::start("observability-skipping", options).await.unwrap()
}

/// An Envoy whose VMs die, and its folder.
pub async fn dying(service: SocketAddr) -> Envoy {
    let folder = artifacts::root().join("target/stack/observability-dying");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let (module, access_log) = (folder.join("dying.wasm"), folder.join("access.log"));
    fs::write(&module, wat::parse_str(DYING).unwrap()).unwrap();
    let places = Places {
        gateway: 0,
        admin: 0,
        policy: service,
        upstream: service,
        sandbox: service,
        filter: &module,
        access_log: &access_log,
    };
    let config = EnvoyConfig::shipped().unwrap().place(&places).unwrap();
    let launch = Launch { secret: Some("none"), arguments: LEVEL.map(str::to_owned).to_vec(), ..Launch::default() };
    Envoy::start(&folder, &config, &launch, &access_log).await.unwrap()
}

/// A policy service with TLS, and the folder of its certificate.
pub async fn secure() -> (PolicyService, PathBuf) {
    let folder = artifacts::root().join("target/stack/observability-secure");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    write_certificate(&folder, 2999);
    let file = |name: &str| folder.join(name).display().to_string();
    let variables = [("POLICY_TLS_CERT", file("tls.crt")), ("POLICY_TLS_KEY", file("tls.key"))];
    let service = PolicyService::start_with(&folder, ports::free().unwrap(), &variables).await.unwrap();
    (service, folder)
}

/// Writes a certificate that ends in the year `end`, and its key.
pub fn write_certificate(folder: &Path, end: i32) {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(end, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

/// Sends good requests without end, until the task is aborted.
pub fn traffic(gateway: SocketAddr, key: &str) -> JoinHandle<()> {
    repeat(gateway, Ask::get(ORDERS).key(key))
}

/// The same without a key, so that each request is refused.
pub fn traffic_without_key(gateway: SocketAddr) -> JoinHandle<()> {
    repeat(gateway, Ask::get(ORDERS))
}

fn repeat(gateway: SocketAddr, ask: Ask) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connection = Connection::open(gateway).await.unwrap();
        loop {
            connection.send(&ask).await.unwrap();
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// A full policy with one API, at this revision. `more` is added to it.
pub fn page(revision: u64, more: &Value) -> Value {
    let mut page = json!({
        "format": 1, "epoch": "one", "revision": revision, "poll": "?since=1",
        "apis": [{"id": "orders-1.0", "match": [{"path": "/orders/1.0"}]}],
    });
    for (name, value) in more.as_object().unwrap() {
        page[name] = value.clone();
    }
    page
}
