//! Envoy's configuration: a listener for each variant. The listeners differ only in the filter before the router.
//!
//! The route itself answers requests, so that no upstream's time is in the figures. For the host [`PROBE_HOST`] the
//! answer shows what the filter has done with the request. No measured request goes there.

use std::{net::SocketAddr, path::Path};

use keygate_e2e::policy_service::{GATEWAY_ID, GATEWAY_SECRET};
use serde_json::{Value, json};

/// The host of requests whose answers show what an upstream would have received.
pub const PROBE_HOST: &str = "probe.bench";
/// Answer header: the application id that an upstream would have received.
pub const SEEN_APPLICATION: &str = "x-seen-application";
/// Answer header: the credential that an upstream would have received.
pub const SEEN_CREDENTIAL: &str = "x-seen-credential";
/// Answer header: the reason in filter state.
pub const SEEN_REASON: &str = "x-seen-reason";
/// Facts about limits, and the answer headers that show them to clients.
const LIMITS: [(&str, &str); 3] =
    [("limit", "ratelimit-limit"), ("remaining", SEEN_REMAINING), ("reset", "ratelimit-reset")];
/// Answer header: the rest of a limit.
pub const SEEN_REMAINING: &str = "ratelimit-remaining";

/// Keys for the native filter. Its cost does not depend on their number, but it takes long to read a file of 100,000.
const API_KEY_AUTH_KEYS: usize = 10_000;

/// Pause between two polls without long polls.
pub const POLLING_INTERVAL_MS: u64 = 1000;

/// A listener: its name, and the filter before the router.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The name, also of its VMs.
    pub name: String,
    /// `None`: only the router.
    pub filter: Option<Value>,
    /// Whether its answers show the rest of a limit.
    pub shows_limits: bool,
}

/// The servers that the listeners' filters call.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The feed of the policy.
    pub policy: SocketAddr,
    /// The server for ext_authz.
    pub authz: SocketAddr,
}

/// The whole configuration. The system chooses every port.
pub fn bootstrap(listeners: &[Listener], places: Places) -> Value {
    json!({
        "admin": {"address": address(SocketAddr::from(([127, 0, 0, 1], 0)))},
        "static_resources": {
            "listeners": listeners.iter().map(listener).collect::<Vec<_>>(),
            "clusters": [cluster("policy", places.policy), cluster("authz", places.authz)],
        },
    })
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn cluster(name: &str, at: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at)}}]}],
        },
    })
}

fn listener(listener: &Listener) -> Value {
    let router = filter("envoy.filters.http.router", "http.router.v3.Router", json!({}));
    let filters: Vec<_> = listener.filter.iter().cloned().chain([router]).collect();
    let seen = |name: &str, value: &str| json!({"header": {"key": name, "value": value}});
    let limits = LIMITS.map(|(fact, header)| {
        json!({"header": {"key": header, "value": format!("%FILTER_STATE(wasm.keygate.{fact}:PLAIN)%")},
               "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener.name,
        "http_filters": filters,
        "route_config": {
            "response_headers_to_add": if listener.shows_limits { &limits[..] } else { &[] },
            "virtual_hosts": [
                {
                    "name": "probe",
                    "domains": [PROBE_HOST],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "direct_response": {"status": 200},
                        "response_headers_to_add": [
                            seen(SEEN_APPLICATION, "%REQ(x-application-id)%"),
                            seen(SEEN_CREDENTIAL, "%REQ(x-api-key)%"),
                            seen(SEEN_REASON, "%FILTER_STATE(wasm.keygate.reason:PLAIN)%"),
                        ],
                    }],
                },
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                },
            ],
        },
    });
    json!({
        "name": listener.name,
        "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
        }],
    })
}

/// A filter of Envoy's own. `type_name` is the part of its type after `envoy.extensions.filters.`.
fn filter(name: &str, type_name: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.filters.{type_name}").into();
    json!({"name": name, "typed_config": config})
}

/// A Wasm filter. `name` is also the name of the VM, so that no two listeners share one.
pub fn wasm(name: &str, module: &Path, configuration: &str) -> Value {
    let config = json!({
        "name": name,
        "failure_policy": "FAIL_CLOSED",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        },
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
    });
    filter(name, "http.wasm.v3.Wasm", json!({"config": config}))
}

/// keygate with the required settings and all defaults.
pub fn keygate(name: &str, module: &Path) -> Value {
    wasm(name, module, &json!({"policy": policy()}).to_string())
}

/// keygate that polls every second, without long polls.
pub fn keygate_polling(name: &str, module: &Path) -> Value {
    let mut policy = policy();
    policy["long_poll_ms"] = 0.into();
    policy["refresh_interval_ms"] = POLLING_INTERVAL_MS.into();
    wasm(name, module, &json!({"policy": policy}).to_string())
}

/// keygate that closes open streams, so it remembers each request until it ends.
pub fn keygate_closing_streams(name: &str, module: &Path) -> Value {
    let mut policy = policy();
    policy["close_streams"] = true.into();
    wasm(name, module, &json!({"policy": policy}).to_string())
}

/// keygate with the policy at this path.
pub fn keygate_of(name: &str, module: &Path, path: &str) -> Value {
    let mut policy = policy();
    policy["path"] = path.into();
    wasm(name, module, &json!({"policy": policy}).to_string())
}

fn policy() -> Value {
    json!({"cluster": "policy", "credentials": {"client_id": GATEWAY_ID, "client_secret": GATEWAY_SECRET}})
}

/// keygate that only decides: the credential stays, and nothing is forwarded.
pub fn keygate_alone(name: &str, module: &Path) -> Value {
    let forward = json!({"credential": true, "application_id": null, "key_id": null, "key_type": null});
    wasm(name, module, &json!({"policy": policy(), "forward": forward}).to_string())
}

/// keygate that annotates the rest of a limit.
pub fn keygate_annotating_limits(name: &str, module: &Path) -> Value {
    let facts: Vec<_> = ["reason"].into_iter().chain(LIMITS.map(|(fact, _)| fact)).collect();
    wasm(name, module, &json!({"policy": policy(), "annotate": facts}).to_string())
}

/// Envoy's own filter for API keys.
pub fn api_key_auth(key: impl Fn(usize) -> String, client: impl Fn(usize) -> String) -> Value {
    let credential = |number| json!({"key": key(number), "client": client(number)});
    let config = json!({
        "credentials": (0..API_KEY_AUTH_KEYS).map(credential).collect::<Vec<_>>(),
        "key_sources": [{"header": "x-api-key"}],
    });
    filter("envoy.filters.http.api_key_auth", "http.api_key_auth.v3.ApiKeyAuth", config)
}

/// A Lua table of this many keys, made by the population's rule. The filter removes the key and sets the application.
pub fn lua(keys: usize) -> Value {
    let last = keys.saturating_sub(1);
    let code = format!(
        r#"
local applications = {{}}
for number = 0, {last} do
  applications[string.format("bench-key-%012d", number)] = string.format("app-%07d", math.floor(number / 2))
end
function envoy_on_request(handle)
  local headers = handle:headers()
  local key = headers:get("x-api-key")
  local application = key and applications[key]
  if application == nil then
    handle:respond({{[":status"] = "401"}}, "refused")
    return
  end
  headers:remove("x-api-key")
  headers:replace("x-application-id", application)
end
"#
    );
    filter("envoy.filters.http.lua", "http.lua.v3.Lua", json!({"default_source_code": {"inline_string": code}}))
}

/// A check over HTTP for every request.
pub fn ext_authz(at: SocketAddr) -> Value {
    let config = json!({
        "http_service": {"server_uri": {"uri": format!("http://{at}"), "cluster": "authz", "timeout": "5s"}},
        "allowed_headers": {"patterns": [{"exact": "x-api-key"}]},
    });
    filter("envoy.filters.http.ext_authz", "http.ext_authz.v3.ExtAuthz", config)
}

/// Envoy's own refusal of every request.
pub fn rbac_refusal() -> Value {
    let everyone = json!({"permissions": [{"any": true}], "principals": [{"any": true}]});
    let config = json!({"rules": {"action": "DENY", "policies": {"everyone": everyone}}});
    filter("envoy.filters.http.rbac", "http.rbac.v3.RBAC", config)
}
