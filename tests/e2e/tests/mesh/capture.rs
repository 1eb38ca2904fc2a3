//! What a control plane made of the shipped manifests, kept under `tests/e2e/mesh/captured`, and a real Envoy that runs on
//! it without the control plane.
//!
//! A capture has the listeners with keygate, their routes and filters, all clusters and their endpoints, as the proxy's
//! admin interface shows them. Ports, paths and digests of a run are replaced by names in `@`, so that two runs give
//! the same text.

use std::{collections::BTreeMap, env, fs, net::SocketAddr, path::PathBuf};

use keygate_e2e::{
    artifacts,
    http::{self, Ask},
};
use serde_json::{Map, Value, json};

/// The lists of a capture, in the order of the file.
const LISTS: [&str; 5] = ["listeners", "routes", "filters", "clusters", "endpoints"];
/// Fields of numbers that are ports, or one end of a range of ports.
const PORTS: [&str; 4] = ["port_value", "destination_port", "start", "end"];

/// The words of a run: each occurs in the configuration of the proxy, and has a name in the capture.
pub struct Words {
    /// From the value to the name, such as `15004` to `@upstream@`.
    names: BTreeMap<String, String>,
}

impl Words {
    pub fn new(gateway: u16, words: &[(&str, String)]) -> Self {
        let name = |(name, value): &(&str, String)| (value.clone(), format!("@{name}@"));
        // A range of this port alone ends before the next.
        let ports = [("gateway", gateway.to_string()), ("gateway+1", (gateway + 1).to_string())];
        Self { names: ports.iter().chain(words).map(name).collect() }
    }

    /// Replaces the values by their names.
    fn capture(&self, value: &mut Value) {
        self.walk(value, &|text| {
            self.names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
        });
    }

    /// Replaces the names by their values.
    fn replay(&self, value: &mut Value) {
        self.walk(value, &|text| {
            self.names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(name, value))
        });
    }

    fn walk(&self, value: &mut Value, replace: &dyn Fn(&str) -> String) {
        match value {
            Value::String(text) => *text = replace(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.walk(value, replace)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.walk(value, replace);
                    if PORTS.contains(&name.as_str()) {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        let text = replace(&text);
                        *value = text.parse::<u16>().map_or_else(|_| json!(text), |port| json!(port));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The configuration of the proxy, with the names of `words`.
pub async fn capture(admin: SocketAddr, words: &Words) -> Value {
    let dump = http::send(admin, &Ask::get("/config_dump?include_eds")).await.unwrap().json();
    let mut lists: BTreeMap<&str, Vec<Value>> = LISTS.iter().map(|list| (*list, Vec::new())).collect();
    let mut add = |list: &'static str, value: &Value| lists.get_mut(list).unwrap().push(value.clone());
    for config in dump["configs"].as_array().unwrap() {
        let all = |field: &str| config[field].as_array().cloned().unwrap_or_default();
        for listener in all("dynamic_listeners") {
            let listener = &listener["active_state"]["listener"];
            if listener.to_string().contains("keygate-guard") || listener.to_string().contains("http.wasm/") {
                add("listeners", listener);
            }
        }
        all("dynamic_route_configs").iter().for_each(|route| add("routes", &route["route_config"]));
        all("ecds_filters").iter().for_each(|filter| add("filters", &filter["ecds_filter"]));
        all("dynamic_active_clusters").iter().for_each(|cluster| add("clusters", &cluster["cluster"]));
        // The one of the bootstrap.
        for cluster in all("static_clusters").iter().filter(|cluster| cluster["cluster"]["name"] == "policy-service") {
            add("clusters", &cluster["cluster"]);
        }
        all("dynamic_endpoint_configs").iter().for_each(|endpoint| add("endpoints", &endpoint["endpoint_config"]));
    }
    let mut captured = Map::new();
    for (list, mut values) in lists {
        for value in &mut values {
            words.capture(value);
            name_module(value);
        }
        values.sort_by_cached_key(|value| value["name"].as_str().or(value["cluster_name"].as_str()).map(str::to_owned));
        captured.insert(list.to_owned(), values.into());
    }
    captured.into()
}

/// Where the module is, and its digest, differ with each build.
fn name_module(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(name_module),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "code" if value.get("remote").is_some() => {
                        value["remote"]["http_uri"]["uri"] = json!("@module@");
                        value["remote"]["sha256"] = json!("@sha256@");
                    }
                    "code" if value.get("local").is_some() => *value = json!({"local": {"filename": "@module@"}}),
                    _ => name_module(value),
                }
            }
        }
        _ => {}
    }
}

fn file(name: &str) -> PathBuf {
    artifacts::root().join("tests/e2e/mesh/captured").join(format!("{name}.json"))
}

/// Compares a capture with the one that is kept. With `GOLDEN=write` it is written instead.
pub fn compare(name: &str, captured: &Value) {
    let text = format!("{captured:#}\n");
    if env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        fs::write(file(name), text).unwrap();
        return;
    }
    let kept = fs::read_to_string(file(name)).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).enumerate().find(|(_, (kept, now))| kept != now);
    assert!(
        kept == text,
        "{}: the control plane makes something else now: {differs:?}; read the difference, and write it with GOLDEN=write",
        file(name).display()
    );
}

/// The configuration of an Envoy that runs on a capture. `folder` gets the files that it reads.
pub fn replay(name: &str, words: &Words, folder: &std::path::Path) -> Value {
    let mut captured: Value = serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap();
    words.replay(&mut captured);
    // Each list is a file that Envoy watches, in place of a stream.
    let path = |list: &str| folder.join(format!("{list}.json"));
    let source = |list: &str| json!({"path_config_source": {"path": path(list)}, "resource_api_version": "V3"});
    redirect(&mut captured["listeners"], "rds", &source("routes"));
    redirect(&mut captured["listeners"], "config_discovery", &source("filters"));
    // It leads to the control plane, for modules.
    captured["clusters"].as_array_mut().unwrap().retain(|cluster| cluster["name"] != "wasm_cluster");
    // Envoy reads the endpoints of one cluster from a file.
    let endpoints = captured["endpoints"].as_array().unwrap().clone();
    for (number, cluster) in captured["clusters"].as_array_mut().unwrap().iter_mut().enumerate() {
        let name = if cluster["eds_cluster_config"]["service_name"].is_string() {
            &cluster["eds_cluster_config"]["service_name"]
        } else {
            &cluster["name"]
        };
        if cluster["type"] == "EDS" {
            let found = endpoints.iter().find(|endpoints| endpoints["cluster_name"] == *name).unwrap();
            let list = format!("endpoints-{number}");
            fs::write(path(&list), json!({"resources": [found]}).to_string()).unwrap();
            cluster["eds_cluster_config"]["eds_config"] = source(&list);
        }
    }
    local_module(&mut captured);
    // The dump has their types already.
    for list in ["listeners", "routes", "filters", "clusters"] {
        fs::write(path(list), json!({"resources": captured[list]}).to_string()).unwrap();
    }
    json!({
        "node": {"id": "captured", "cluster": "captured"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {"lds_config": source("listeners"), "cds_config": source("clusters")},
    })
}

/// Sets the source of every field of this name.
fn redirect(value: &mut Value, field: &str, source: &Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| redirect(value, field, source)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == field {
                    value["config_source"] = source.clone();
                }
                redirect(value, field, source);
            }
        }
        _ => {}
    }
}

/// The module comes from a file, whoever served it when the capture was made.
fn local_module(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(local_module),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "code" && (value.get("remote").is_some() || value.get("local").is_some()) {
                    *value = json!({"local": {"filename": artifacts::filter().unwrap()}});
                }
                local_module(value);
            }
        }
        _ => {}
    }
}
