//! One Envoy with a listener for each of several plugin configurations.

use std::{fs, net::SocketAddr, time::Duration};

use keygate_e2e::{
    artifacts,
    config::EnvoyConfig,
    deadline::eventually,
    envoy::{Envoy, Launch},
    http::{self, Ask},
};
use serde_json::{Value, json};

use crate::servers::{Feed, Upstream};

/// How long policies and logs may take.
pub const WITHIN: Duration = Duration::from_secs(60);
/// The facts in the access log.
#[rustfmt::skip]
pub const FACTS: [&str; 13] = [
    "reason", "application_id", "application_name", "owner", "key_id", "api_id", "key_type", "plan", "revision",
    "limit", "remaining", "reset", "blocked_until",
];
/// The header with the number of the case, for the access log.
pub const CASE: &str = "x-case";

/// The parts of one listener that differ.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// HTTP filters before the router.
    pub filters: Vec<Value>,
    /// Routes before the two that every listener has.
    pub routes: Vec<Value>,
    /// More fields of the connection manager.
    pub manager: Value,
}

/// A running Envoy with its servers. Everything that it started ends with it.
pub struct Gateway {
    pub envoy: Envoy,
    pub feed: Feed,
    pub addresses: Vec<SocketAddr>,
    _upstreams: [Upstream; 2],
}

impl Gateway {
    /// Starts an Envoy with these listeners, with all files in `target/stack/<name>`.
    pub async fn start(name: &str, feed: Feed, listeners: &[Listener]) -> Self {
        let folder = artifacts::root().join("target/stack").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let upstreams = [Upstream::start("production").await, Upstream::start("sandbox").await];
        let log = folder.join("access.log");
        let cluster = |name: &str, address: SocketAddr| {
            let endpoint = json!({"endpoint": {"address": socket(address.port())}});
            json!({"name": name, "type": "STATIC", "connect_timeout": "5s",
                   "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}})
        };
        let listeners_json: Vec<_> = listeners
            .iter()
            .enumerate()
            .map(|(number, one)| listener(number, one, &log.display().to_string()))
            .collect();
        let config = json!({
            "admin": {"address": socket(0)},
            "static_resources": {
                "listeners": listeners_json,
                "clusters": [cluster("policy", feed.address), cluster("production", upstreams[0].address),
                             cluster("sandbox", upstreams[1].address)],
            },
        });
        let config = EnvoyConfig::new(serde_json::to_string_pretty(&config).unwrap());
        let envoy = Envoy::start(&folder, &config, &Launch::default(), &log).await.unwrap();
        let listening = http::send(envoy.admin(), &Ask::get("/listeners?format=json")).await.unwrap().json();
        let port = |number: usize| {
            let all = listening["listener_statuses"].as_array().unwrap();
            let one = all.iter().find(|one| one["name"] == format!("listener-{number}")).unwrap();
            one["local_address"]["socket_address"]["port_value"].as_u64().unwrap()
        };
        let address = |number| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port(number)).unwrap()));
        let addresses = (0..listeners.len()).map(address).collect();
        Self { envoy, feed, addresses, _upstreams: upstreams }
    }

    /// Waits until that many policies were applied.
    pub async fn applied(&self, policies: u64) {
        eventually("the policies", WITHIN, async || {
            let applied =
                self.envoy.stat("wasmcustom.keygate.refresh.applied").await.map_err(|error| error.to_string())?;
            if applied >= policies { Ok(()) } else { Err(format!("{applied} of {policies}")) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", self.envoy.log()));
    }

    /// The access log's line of each case, once there are `count` of them.
    pub async fn log_lines(&self, count: usize) -> Vec<Value> {
        let found = eventually("the access log", WITHIN, async || {
            let lines: Vec<_> = self.envoy.access_log().into_iter().filter(|line| line["case"].is_string()).collect();
            if lines.len() >= count { Ok(lines) } else { Err(format!("{} of {count} lines", lines.len())) }
        });
        found.await.unwrap().0
    }
}

/// keygate with this configuration, in VMs that all listeners of this Envoy share.
pub fn keygate(configuration: &Value) -> Value {
    json!({
        "name": "keygate",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "keygate",
                "vm_config": {"vm_id": "cases", "runtime": "envoy.wasm.runtime.v8",
                              "code": {"local": {"filename": artifacts::filter().unwrap()}}},
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue",
                                  "value": configuration.to_string()},
            },
        },
    })
}

fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn listener(number: usize, listener: &Listener, log: &str) -> Value {
    let mut log_format = json!({"case": "%REQ(X-CASE)%", "status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%",
        "path": "%REQ(:PATH)%", "x_api_key": "%REQ(X-API-KEY)%", "apikey": "%REQ(APIKEY)%", "cookie": "%REQ(COOKIE)%",
        "authorization": "%REQ(AUTHORIZATION)%", "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "grpc": "%GRPC_STATUS_NUMBER%"});
    for fact in FACTS {
        log_format[fact] = json!(format!("%FILTER_STATE(wasm.keygate.{fact}:PLAIN)%"));
    }
    let sandbox = json!({"prefix": "/", "headers": [{"name": "x-key-type", "string_match": {"exact": "SANDBOX"}}]});
    let mut routes = listener.routes.clone();
    // CONNECT and OPTIONS * have no path that a prefix could match.
    routes.push(json!({"match": sandbox, "route": {"cluster": "sandbox"}}));
    routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "production"}}));
    let mut filters = listener.filters.clone();
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config":
        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": format!("listener-{number}"),
        "use_remote_address": true,
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": log, "log_format": {"json_format": log_format}}}],
    });
    for (field, value) in listener.manager.as_object().into_iter().flatten() {
        manager[field] = value.clone();
    }
    json!({
        "name": format!("listener-{number}"),
        "address": socket(0),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    })
}
