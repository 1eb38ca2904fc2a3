//! What every configuration in `envoy/` must have wherever it uses keygate: only marked requests pass, the client's
//! address cannot be forged, the module has no more capabilities than it uses, and a poll may be held for as long as
//! the filter asks. `configurations` shows that Envoy accepts them.

use std::{collections::BTreeSet, fs, time::Duration};

use keygate_e2e::{Options, Stack, artifacts, deadline::eventually, envoy::Envoy, ports, stack::Policy};
use serde_json::{Value, json};

const CONNECTION_MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
/// This service serves no requests, so it needs no guard behind it.
const SERVICE: &str = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService";
/// After how many idle seconds the policy service closes a connection.
const SERVICE_CLOSES_IDLE: u64 = 60;
/// How many seconds a stream may outlive a block: an hour at most, after which a policy expires by default.
const LONGEST_STREAM: u64 = 3_600;
/// How long it may take until the first poll is held.
const WITHIN: Duration = Duration::from_secs(10);
const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

/// All YAML documents in `envoy/` that load the module, with the names of their files.
fn documents() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut folders = vec![artifacts::root().join("envoy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                assert!(!text.contains("keygate.wasm"), "{}: not looked at, since it is no .yaml", path.display());
                continue;
            }
            for document in serde_norway::Deserializer::from_str(&text) {
                let document: Value = serde::Deserialize::deserialize(document).unwrap();
                if document.to_string().contains("keygate.wasm") {
                    found.push((path.display().to_string(), document));
                }
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Every value in `document` with this `@type`.
fn of_type<'a>(document: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    if document["@type"] == name {
        found.push(document);
    }
    match document {
        Value::Object(fields) => fields.values().for_each(|value| of_type(value, name, found)),
        Value::Array(values) => values.iter().for_each(|value| of_type(value, name, found)),
        _ => {}
    }
}

fn is_keygate(filter: &Value) -> bool {
    filter["typed_config"]["@type"] == WASM && filter["typed_config"].to_string().contains("keygate.wasm")
}

/// The guard: only requests that keygate has marked pass.
fn guard() -> Value {
    json!({
        "@type": RBAC,
        "rules_stat_prefix": "keygate_guard",
        "rules": {"action": "ALLOW", "policies": {"keygate-has-decided": {
            "permissions": [{"any": true}],
            "principals": [{"filter_state": {
                "key": "wasm.keygate.reason", "string_match": {"safe_regex": {"regex": ".+"}}
            }}],
        }}},
    })
}

#[test]
fn the_guard_stands_behind_every_keygate_and_the_clients_address_is_that_of_its_connection() {
    for (file, document) in documents() {
        let (mut managers, mut services) = (Vec::new(), Vec::new());
        of_type(&document, CONNECTION_MANAGER, &mut managers);
        of_type(&document, SERVICE, &mut services);
        managers.retain(|manager| manager["http_filters"].as_array().unwrap().iter().any(is_keygate));
        let modules = document.to_string().matches("keygate.wasm").count();
        assert_eq!(managers.len() + services.len(), modules, "{file}: keygate stands where this test does not look");
        for manager in managers {
            let filters = manager["http_filters"].as_array().unwrap();
            let at = filters.iter().position(is_keygate).unwrap();
            assert_eq!(filters[at + 1]["typed_config"], guard(), "{file}: what stands behind keygate");
            assert_ne!(filters[at + 1]["disabled"], true, "{file}");
            assert_eq!(manager["use_remote_address"], true, "{file}: use_remote_address");
        }
    }
}

#[test]
fn before_every_keygate_request_trailers_are_dropped_and_its_streams_have_an_end() {
    let dropped = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {"request_trailers_mutations": [
            {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": ".*"}}}}
        ]},
    });
    let mut looked_at = 0;
    for (file, document) in documents() {
        let mut managers = Vec::new();
        of_type(&document, CONNECTION_MANAGER, &mut managers);
        for manager in managers {
            let filters = manager["http_filters"].as_array().unwrap();
            let Some(at) = filters.iter().position(is_keygate) else { continue };
            assert!(filters[..at].iter().any(|filter| filter["typed_config"] == dropped), "{file}: trailers");
            assert_ne!(manager["http_protocol_options"]["enable_trailers"], true, "{file}: trailers over HTTP/1");
            let bound = seconds(&manager["common_http_protocol_options"]["max_stream_duration"]);
            assert!((1..=LONGEST_STREAM).contains(&bound), "{file}: a stream may last {bound} s");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 2, "{looked_at} connection managers");
}

/// A protobuf duration in whole seconds, as YAML has it.
fn seconds(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        panic!("{value} is no number of seconds");
    })
}

#[test]
fn the_policys_cluster_notices_a_dead_connection_before_a_poll_times_out() {
    let mut looked_at = 0;
    for (file, document) in documents() {
        let mut filters = Vec::new();
        of_type(&document, WASM, &mut filters);
        for filter in filters {
            let text = filter["config"]["configuration"]["value"].as_str().unwrap();
            let policy = serde_json::from_str::<Value>(text).unwrap()["policy"].clone();
            let clusters = document["static_resources"]["clusters"].as_array().unwrap();
            let cluster = clusters.iter().find(|cluster| cluster["name"] == policy["cluster"]).unwrap();
            let keepalive = &cluster["upstream_connection_options"]["tcp_keepalive"];
            let number = |name: &str| keepalive[name].as_u64().unwrap_or_else(|| panic!("{file}: {name}"));
            let noticed = number("keepalive_time") + number("keepalive_interval") * number("keepalive_probes");
            let wait = policy["long_poll_ms"].as_u64().unwrap() / 1_000;
            let limit = wait + policy["timeout_ms"].as_u64().unwrap() / 1_000;
            assert!(number("keepalive_time") < wait, "{file}: a poll of {wait} s passes without a probe");
            assert!(
                noticed < limit,
                "{file}: a dead connection is noticed after {noticed} s, a poll ends after {limit} s"
            );
            let options =
                &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            let idle = seconds(&options["common_http_protocol_options"]["idle_timeout"]);
            assert!(idle < SERVICE_CLOSES_IDLE, "{file}: an idle connection is closed after {idle} s");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 2, "{looked_at} configurations");
}

/// Whether the kernel will send a keepalive probe on an established connection to this port of loopback.
fn is_probed(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // Local address, remote address, state (01: established), queues, timer (02: keepalive).
        fields[2].ends_with(&remote) && fields[3] == "01" && fields[5].starts_with("02:")
    })
}

#[tokio::test]
async fn the_connection_of_a_poll_that_is_held_is_probed() {
    let stack = Stack::start("shipped-keepalive", Options::default()).await.unwrap();
    let port = stack.policy().unwrap().address().port();
    eventually("a probed connection to the policy service", WITHIN, async || {
        if is_probed(port) { Ok(()) } else { Err(stack.envoy().unwrap().log()) }
    })
    .await
    .unwrap();
    stack.stop().await;
}

/// The functions that Envoy calls in the module, and those that the module can call. Functions that the whole-filter
/// tests prove it never calls are left out, although the SDK links them.
fn capabilities() -> BTreeSet<String> {
    let module = walrus::Module::from_file(artifacts::filter().unwrap()).unwrap();
    let calls = module.imports.iter().map(|import| import.name.clone());
    let callbacks =
        module.exports.iter().map(|export| export.name.clone()).filter(|name| name.starts_with("proxy_on_"));
    let unused = fs::read_to_string(artifacts::root().join("tests/filter/host/imports_unused.rs")).unwrap();
    let (_, unused) = unused.split_once("unimplemented_calls! {").unwrap();
    let unused: BTreeSet<_> = unused.split([',', '}']).map(str::trim).filter(|name| !name.is_empty()).collect();
    assert!(unused.contains("proxy_call_foreign_function"), "{unused:?}");
    calls.chain(callbacks).filter(|name| !unused.contains(name.as_str())).collect()
}

#[test]
fn the_module_is_given_exactly_the_capabilities_that_it_uses() {
    let expected = capabilities();
    for (file, document) in documents() {
        let mut filters = Vec::new();
        of_type(&document, WASM, &mut filters);
        of_type(&document, SERVICE, &mut filters);
        for filter in filters {
            let allowed = &filter["config"]["capability_restriction_config"]["allowed_capabilities"];
            let allowed: BTreeSet<_> =
                allowed.as_object().unwrap_or_else(|| panic!("{file}: none")).keys().cloned().collect();
            let missing: Vec<_> = expected.difference(&allowed).collect();
            let needless: Vec<_> = allowed.difference(&expected).collect();
            assert!(missing.is_empty() && needless.is_empty(), "{file}: missing {missing:?}, needless {needless:?}");
        }
    }
}

#[tokio::test]
async fn a_capability_that_is_not_allowed_cannot_be_used() {
    let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let options =
        Options { policy: Policy::At(nobody), ..Options::default() }.edit("                    environ_get: {}\n", "");
    let stack = Stack::prepare("capabilities", options).await.unwrap();
    let (status, log) = Envoy::refuse(stack.folder(), &stack.config().unwrap(), &["--mode", "validate"]).await.unwrap();
    assert!(!status.success(), "the secret was read all the same");
    assert!(log.contains("policy.credentials.client_secret.env") && log.contains("not set"), "{log}");
}
