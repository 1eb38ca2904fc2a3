//! Checks the manifests for Kubernetes, Istio and Envoy Gateway without running any of them: that their schemas accept
//! every field, and that files which must say the same do. `tests/filter` gives their configurations to the filter, and
//! `make e2e-mesh` gives the manifests to the real control planes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code: a panic is how it reports"
)]

#[path = "manifests/mod.rs"]
mod manifests;
#[path = "manifests/prometheus.rs"]
mod prometheus;
#[path = "manifests/strict.rs"]
mod strict;
#[path = "manifests/used.rs"]
mod used;

use std::{collections::BTreeSet, fs, path::Path};

use keygate::config::{self, FIELDS};
use manifests::{FOLDERS, Manifest, all, files, one, plugins, read, with_field};
use serde_json::{Value, json};

const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const CONNECTION_MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
/// The service of the policy service, as the cluster's DNS names it.
const HOST: &str = "policy-service.keygate.svc.cluster.local";
/// The name of the listener that `patch.yaml` changes: namespace, Gateway, listener.
const LISTENER: &str = "apis/apis/http";

#[test]
fn every_manifest_keeps_its_schema() {
    let resources: Vec<_> = all().into_iter().filter(Manifest::is_resource).collect();
    assert!(resources.len() >= 25, "{}", resources.len());
    let wrong: Vec<_> = resources.iter().flat_map(strict::faults).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schemas_refuse_what_an_api_server_would() {
    let plugin = "envoy/istio/wasmplugin-gateway.yaml";
    let policy = "envoy/gateway/extension-policy.yaml";
    let service = "envoy/kubernetes/policy-service.yaml";
    let secret = json!({"secretKeyRef": {"name": "keygate-gateway", "key": "client-secret"}});
    for (file, name, pointer, field, value) in [
        (plugin, "WasmPlugin/keygate", "/spec", "failStrategy", json!("FAIL_MAYBE")),
        (plugin, "WasmPlugin/keygate", "/spec", "phase", json!("FIRST")),
        (plugin, "WasmPlugin/keygate", "/spec", "vmId", json!("keygate")),
        (plugin, "WasmPlugin/keygate", "/spec", "url", Value::Null),
        (plugin, "WasmPlugin/keygate", "/spec/vmConfig/env/0", "valueFrom", secret),
        (policy, "EnvoyExtensionPolicy/keygate", "/spec", "backends", json!([])),
        (policy, "EnvoyExtensionPolicy/keygate", "/spec/wasm/0", "failurePolicy", json!("FAIL_RELOAD")),
        (policy, "EnvoyExtensionPolicy/keygate", "/spec/wasm/0/code/image", "digest", json!("0")),
        (
            "envoy/gateway/client-traffic.yaml",
            "ClientTrafficPolicy/keygate",
            "/spec/path",
            "escapedSlashesAction",
            json!("REJECT_REQUEST"),
        ),
        ("envoy/gateway/routes.yaml", "HTTPRoute/apis", "/spec/rules/0/matches/0/headers/0", "type", json!("Prefix")),
        ("envoy/gateway/envoyproxy.yaml", "EnvoyProxy/keygate", "/spec", "env", json!([])),
        (
            "envoy/istio/guard.yaml",
            "EnvoyFilter/keygate-guard",
            "/spec/configPatches/0",
            "applyTo",
            json!("HTTPFILTER"),
        ),
        (
            "envoy/istio/policy-service.yaml",
            "AuthorizationPolicy/policy-service",
            "/spec/rules/0/to/0/operation",
            "port",
            json!("8085"),
        ),
        (service, "Deployment/policy-service", "/spec/template/spec/containers/0", "readynessProbe", json!({})),
        (service, "Deployment/policy-service", "/spec", "replicas", json!("one")),
        (service, "NetworkPolicy/policy-service", "/spec/ingress/0/ports/0", "name", json!("http-feed")),
    ] {
        let mut manifest = one(file, name);
        assert_eq!(strict::faults(&manifest), Vec::<String>::new(), "{file}");
        let object = manifest.content.pointer_mut(pointer).and_then(Value::as_object_mut);
        let object = object.unwrap_or_else(|| panic!("{file}: no object {pointer}"));
        match value {
            Value::Null => object.remove(field).map(drop).unwrap(),
            value => object.insert(field.to_owned(), value).map_or((), drop),
        }
        assert!(!strict::faults(&manifest).is_empty(), "{file}: {pointer}/{field} is accepted");
    }
}

#[test]
fn every_file_is_applied_by_a_kustomization_or_says_that_it_is_not() {
    for folder in FOLDERS {
        let kustomization = format!("{folder}/kustomization.yaml");
        let document = read(&kustomization).remove(0).content;
        let listed: Vec<_> =
            document["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&kustomization)).unwrap();
        for name in &listed {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
            assert!(path.exists(), "{kustomization}: {name}");
        }
        for path in files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_mentioned = listed.contains(&name) || text.contains(name) || name == "kustomization.yaml";
            assert!(is_mentioned, "{kustomization} does not mention {name}");
        }
    }
}

#[test]
fn no_resource_is_applied_twice() {
    for folder in FOLDERS {
        let document = read(&format!("{folder}/kustomization.yaml")).remove(0).content;
        let mut seen = BTreeSet::new();
        for name in document["resources"].as_array().unwrap().iter().filter_map(Value::as_str) {
            let file = if name == "../kubernetes" {
                "envoy/kubernetes/policy-service.yaml".to_owned()
            } else {
                format!("{folder}/{name}")
            };
            for manifest in read(&file) {
                let group = manifest.text("/apiVersion").split('/').next().unwrap().to_owned();
                let id = (group, manifest.name(), manifest.text("/metadata/namespace").to_owned());
                assert!(seen.insert(id.clone()), "{file}: {id:?}");
            }
        }
    }
}

/// Every configuration names one policy, of one service, by the names that the manifests around it make.
#[test]
fn every_plugin_asks_the_policy_service_that_the_manifests_make() {
    let service = one("envoy/kubernetes/policy-service.yaml", "Service/policy-service");
    let host = format!("{}.{}.svc.cluster.local", service.text("/metadata/name"), service.text("/metadata/namespace"));
    assert_eq!(host, HOST);
    let feed = &service.content["spec"]["ports"][0];
    assert_eq!(feed["name"], "http-feed", "Istio reads the protocol from the name");
    let port = &feed["port"];
    let found = plugins(&all());
    assert_eq!(found.len(), 4, "one of Envoy Gateway, three of Istio");
    for plugin in &found {
        let place = &plugin.place;
        let fields = plugin.configuration.fields();
        let policy = &fields["policy"];
        assert_eq!(policy["authority"], format!("{host}:{port}"), "{place}");
        assert_eq!(policy["name"], "edge", "{place}: with one name a new secret keeps policy, counts and usage");
        let cluster = policy["cluster"].as_str().unwrap();
        if place.starts_with("envoy/istio") {
            assert_eq!(cluster, format!("outbound|{port}||{host}"), "{place}");
        } else {
            let proxy = one("envoy/gateway/envoyproxy.yaml", "EnvoyProxy/keygate");
            let bootstrap: Value = serde_norway::from_str(proxy.text("/spec/bootstrap/value")).unwrap();
            let made = &bootstrap["static_resources"]["clusters"][0];
            assert_eq!(made["name"], cluster, "{place}");
            assert_eq!(made["load_assignment"]["cluster_name"], cluster);
            let address =
                &made["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"];
            assert_eq!(address, &json!({"address": host, "port_value": port}), "{place}");
        }
        let secret = policy["credentials"]["client_secret"]["env"].as_str().unwrap();
        assert_eq!(plugin.environment, [secret], "{place}");
        assert_eq!(plugin.image, found[0].image, "{place}");
        assert_eq!(plugin.digest, found[0].digest, "{place}");
        assert_eq!(fields["forward"]["key_type"], "x-key-type", "{place}: routes and guards go by it");
    }
}

#[test]
fn the_secret_reaches_the_filter_by_one_name() {
    let proxy = one("envoy/gateway/envoyproxy.yaml", "EnvoyProxy/keygate");
    let values = read("envoy/istio/values-gateway.yaml").remove(0);
    let of_gateway = &proxy.content["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"][0];
    assert_eq!(of_gateway, &values.content["envVarFrom"][0], "both meshes take the same secret");
    for plugin in plugins(&all()) {
        assert_eq!(of_gateway["name"], *plugin.environment[0], "{}", plugin.place);
    }
}

/// The files that put the secret into a file are the same for both meshes, and change nothing else.
#[test]
fn a_secret_in_a_file_comes_in_place_of_the_variable() {
    let cluster = |file: &str| -> Value {
        let proxy = one(file, "EnvoyProxy/keygate");
        let bootstrap: Value = serde_norway::from_str(proxy.text("/spec/bootstrap/value")).unwrap();
        bootstrap["static_resources"].clone()
    };
    let protocol = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut with = cluster("envoy/gateway/secret-file.yaml");
    let options = with.pointer_mut(&format!("/clusters/0{protocol}")).unwrap();
    let filter = one("envoy/istio/secret-file.yaml", "EnvoyFilter/keygate-secret");
    let patch = &filter.content["spec"]["configPatches"][0];
    assert_eq!(*options, patch["patch"]["value"].pointer(protocol).unwrap().clone(), "both meshes");
    assert!(options.as_object_mut().unwrap().remove("http_filters").is_some());
    assert_eq!(with, cluster("envoy/gateway/envoyproxy.yaml"));
    assert_eq!(patch["match"]["cluster"], json!({"service": HOST, "portNumber": 8085}));
    let plugin = one("envoy/istio/wasmplugin-gateway.yaml", "WasmPlugin/keygate");
    assert_eq!(filter.content["spec"]["workloadSelector"]["labels"], plugin.content["spec"]["selector"]["matchLabels"]);
    assert_eq!(filter.text("/metadata/namespace"), plugin.text("/metadata/namespace"));
    let proxy = one("envoy/gateway/secret-file.yaml", "EnvoyProxy/keygate");
    let container = &proxy.content["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"];
    assert_eq!(container["env"], json!([]));
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    for file in ["envoy/gateway/secret-file.yaml", "envoy/istio/secret-file.yaml"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        for place in [format!("path: {mount}/sds.yaml\n"), format!("watched_directory: {{ path: {mount} }}\n")] {
            assert!(text.contains(&place), "{file}: {place}");
        }
    }
}

/// The guard: only requests that keygate has marked pass.
fn guard() -> Value {
    json!({"action": "ALLOW", "policies": {"keygate-has-decided": {
        "permissions": [{"any": true}],
        "principals": [{"filter_state": {
            "key": "wasm.keygate.reason", "string_match": {"safe_regex": {"regex": ".+"}}
        }}],
    }}})
}

#[test]
fn each_guard_is_the_same_and_stands_before_the_router() {
    let manifests = all();
    let mut looked_at = 0;
    for manifest in &manifests {
        let mut found = Vec::new();
        with_field(&manifest.content, "@type", RBAC, &mut found);
        for filter in &found {
            assert_eq!(filter["rules"], guard(), "{}", manifest.file);
            assert_eq!(filter["rules_stat_prefix"], "keygate_guard", "{}: the alert's counter", manifest.file);
            looked_at += 1;
        }
        let (patches, router) = (&manifest.content["spec"]["configPatches"], "envoy.filters.http.router");
        for patch in patches.as_array().into_iter().flatten().filter(|patch| patch.to_string().contains(RBAC)) {
            assert_eq!(patch["patch"]["operation"], "INSERT_BEFORE", "{}", manifest.file);
            assert_eq!(
                patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"], router,
                "{}",
                manifest.file
            );
        }
    }
    assert_eq!(looked_at, 3, "gateway and sidecar of Istio, the patch for Envoy Gateway");
    // A guard belongs to the same pods as its plugin.
    let sidecar = "envoy/istio/wasmplugin-sidecar.yaml";
    for (plugin, guard) in [
        (
            one("envoy/istio/wasmplugin-gateway.yaml", "WasmPlugin/keygate"),
            one("envoy/istio/guard.yaml", "EnvoyFilter/keygate-guard"),
        ),
        (one(sidecar, "WasmPlugin/keygate"), one(sidecar, "EnvoyFilter/keygate-guard")),
        (
            one("envoy/istio/hardened.yaml", "EnvoyFilter/keygate"),
            one("envoy/istio/guard.yaml", "EnvoyFilter/keygate-guard"),
        ),
    ] {
        assert_eq!(plugin.text("/metadata/namespace"), guard.text("/metadata/namespace"), "{}", plugin.file);
        let labels = plugin.content.pointer("/spec/selector/matchLabels");
        let labels = labels.or_else(|| plugin.content.pointer("/spec/workloadSelector/labels")).unwrap();
        assert_eq!(labels, &guard.content["spec"]["workloadSelector"]["labels"], "{}", plugin.file);
    }
    let port = one(sidecar, "WasmPlugin/keygate").content["spec"]["match"][0]["ports"][0]["number"].clone();
    for name in ["EnvoyFilter/keygate-guard", "EnvoyFilter/keygate-listener"] {
        let filter = one(sidecar, name);
        for patch in filter.content["spec"]["configPatches"].as_array().unwrap() {
            assert_eq!(patch["match"]["listener"]["filterChain"]["destinationPort"], port, "{name}");
        }
    }
}

/// Without the header that keygate sets, no route of Envoy Gateway's leads upstream, and no client can send it.
#[test]
fn the_routes_are_a_guard() {
    let traffic = one("envoy/gateway/client-traffic.yaml", "ClientTrafficPolicy/keygate");
    assert_eq!(traffic.content["spec"]["headers"]["earlyRequestHeaders"]["remove"], json!(["x-key-type"]));
    let route = one("envoy/gateway/routes.yaml", "HTTPRoute/apis");
    let mut types = BTreeSet::new();
    for rule in route.content["spec"]["rules"].as_array().unwrap() {
        if rule["backendRefs"].is_null() {
            let filter = rule["filters"][0]["extensionRef"]["name"].as_str().unwrap();
            let filter = one("envoy/gateway/routes.yaml", &format!("HTTPRouteFilter/{filter}"));
            assert!(filter.content["spec"]["directResponse"]["statusCode"].is_u64());
            continue;
        }
        for matched in rule["matches"].as_array().unwrap() {
            let header = &matched["headers"][0];
            assert_eq!(header["name"], "x-key-type", "{rule}");
            types.insert(header["value"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(types, ["PRODUCTION", "SANDBOX"].map(str::to_owned).into());
    // For shadow mode, in which keygate marks only what it would allow, the file says how the last rule leads to production.
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/gateway/routes.yaml")).unwrap();
    let edit =
        text.lines().find_map(|line| line.trim().strip_prefix("#   backendRefs: ")).expect("the EDIT for shadow");
    let edit: Value = serde_norway::from_str(edit).unwrap();
    let production =
        route.content["spec"]["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "production");
    assert_eq!(edit, production.unwrap()["backendRefs"]);
    // Everything is attached to the Gateway, not to a route.
    let gateway = one("envoy/gateway/gateway.yaml", "Gateway/apis");
    for (file, name) in [
        ("envoy/gateway/client-traffic.yaml", "ClientTrafficPolicy/keygate"),
        ("envoy/gateway/extension-policy.yaml", "EnvoyExtensionPolicy/keygate"),
    ] {
        let policy = one(file, name);
        let target =
            json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.text("/metadata/name")}]);
        assert_eq!(policy.content["spec"]["targetRefs"], target, "{file}");
        assert_eq!(policy.text("/metadata/namespace"), gateway.text("/metadata/namespace"), "{file}");
    }
    let proxy = one("envoy/gateway/envoyproxy.yaml", "EnvoyProxy/keygate");
    assert_eq!(gateway.text("/spec/infrastructure/parametersRef/name"), proxy.text("/metadata/name"));
}

/// `patch.yaml` names a filter and a listener by the names that Envoy Gateway makes of other files.
#[test]
fn the_patch_names_the_filter_and_the_listener() {
    let policy = one("envoy/gateway/extension-policy.yaml", "EnvoyExtensionPolicy/keygate");
    let plugin = policy.text("/spec/wasm/0/name");
    let gateway = one("envoy/gateway/gateway.yaml", "Gateway/apis");
    let listener = gateway.text("/spec/listeners/0/name");
    let expected = format!("{}/{}/{listener}", gateway.text("/metadata/namespace"), gateway.text("/metadata/name"));
    assert_eq!(expected, LISTENER);
    let patch = one("envoy/gateway/patch.yaml", "EnvoyPatchPolicy/keygate");
    let path = patch.text("/spec/jsonPatches/0/operation/jsonPath");
    assert!(path.contains(&format!("@.typed_config.config.name==\"{plugin}\"")), "{path}");
    for patch in patch.content["spec"]["jsonPatches"].as_array().unwrap() {
        assert_eq!(patch["name"], *expected);
    }
}

/// The settings of the listener that keygate depends on, as `envoy/standalone/envoy.yaml` has them.
#[test]
fn the_listeners_read_requests_as_the_standalone_one_does() {
    for (file, name) in [
        ("envoy/istio/listener.yaml", "EnvoyFilter/keygate-listener"),
        ("envoy/istio/wasmplugin-sidecar.yaml", "EnvoyFilter/keygate-listener"),
    ] {
        let filter = one(file, name);
        let mut found = Vec::new();
        with_field(&filter.content, "@type", CONNECTION_MANAGER, &mut found);
        let [manager] = found[..] else { panic!("{file}: {} connection managers", found.len()) };
        assert_eq!(manager["path_with_escaped_slashes_action"], "REJECT_REQUEST", "{file}");
        assert_eq!(manager["stream_idle_timeout"], "60s", "{file}");
        assert_eq!(
            manager["common_http_protocol_options"]["headers_with_underscores_action"], "REJECT_REQUEST",
            "{file}"
        );
        assert_eq!(manager["common_http_protocol_options"]["max_stream_duration"], "600s", "{file}");
    }
    let spec = one("envoy/gateway/client-traffic.yaml", "ClientTrafficPolicy/keygate").content["spec"].clone();
    assert_eq!(spec["path"]["escapedSlashesAction"], "RejectRequest");
    assert_eq!(spec["headers"]["withUnderscoresAction"], "RejectRequest");
    assert_eq!(spec["timeout"]["http"]["streamIdleTimeout"], "60s");
    assert_eq!(spec["connection"]["connectionLimit"]["maxStreamDuration"], "600s");
}

#[test]
fn the_hardened_form_differs_from_the_plugin_only_in_what_it_is_for() {
    let standalone =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/standalone/envoy.yaml")).unwrap();
    let standalone: Value = serde_norway::from_str(&standalone).unwrap();
    let hardened = one("envoy/istio/hardened.yaml", "EnvoyFilter/keygate");
    let capabilities = |document: &Value| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(document, "allowed_capabilities", &mut found);
        found
    };
    assert_eq!(capabilities(&hardened.content), capabilities(&standalone));
    let [plugin, hardened] = ["wasmplugin-gateway", "hardened"]
        .map(|name| plugins(&read(&format!("envoy/istio/{name}.yaml"))).remove(0).configuration.fields());
    assert_eq!(plugin, hardened);
}

/// The keys of the objects in fields of this name.
fn collect(document: &Value, name: &str, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(fields) => {
            for (field, value) in fields {
                if field == name {
                    found.extend(value.as_object().unwrap().keys().cloned());
                }
                collect(value, name, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, found)),
        _ => {}
    }
}

#[test]
fn all_access_logs_have_the_fields_of_the_standalone_one() {
    let standalone =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/standalone/envoy.yaml")).unwrap();
    let standalone: Value = serde_norway::from_str(&standalone).unwrap();
    let mut found = Vec::new();
    with_field(
        &standalone,
        "@type",
        "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &mut found,
    );
    let expected = &found[0]["log_format"]["json_format"];
    let istiod = read("envoy/istio/values-istiod.yaml").remove(0).content;
    let provider = &istiod["meshConfig"]["extensionProviders"][0];
    assert_eq!(&provider["envoyFileAccessLog"]["logFormat"]["labels"], expected);
    let telemetry = one("envoy/istio/telemetry.yaml", "Telemetry/keygate");
    assert_eq!(telemetry.content["spec"]["accessLogging"][0]["providers"][0]["name"], provider["name"]);
    let proxy = one("envoy/gateway/envoyproxy.yaml", "EnvoyProxy/keygate");
    assert_eq!(&proxy.content["spec"]["telemetry"]["accessLog"]["settings"][0]["format"]["json"], expected);
}

/// The probe of a gateway asks for the path that the routes answer.
#[test]
fn the_readiness_probes_ask_for_a_path_that_has_a_route() {
    let path = "/keygate-ready";
    let probe = one("envoy/gateway/readiness.yaml", "EnvoyProxy/keygate");
    let deployment = &probe.content["spec"]["provider"]["kubernetes"]["envoyDeployment"]["patch"]["value"];
    let probe = &deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"];
    assert_eq!(probe["path"], path);
    let values = read("envoy/istio/values-gateway.yaml").remove(0).content;
    assert_eq!(values["readinessProbe"]["httpGet"]["path"], path);
    for (file, name) in
        [("envoy/gateway/routes.yaml", "HTTPRoute/apis"), ("envoy/istio/apis.yaml", "VirtualService/apis")]
    {
        assert!(one(file, name).content.to_string().contains(&format!("\"{path}\"")), "{file}");
    }
}

/// The chart renders copies of the manifests, with values set in them.
#[test]
fn the_chart_has_the_manifests_themselves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compared = 0;
    for folder in FOLDERS {
        let name = folder.strip_prefix("envoy/").unwrap();
        for entry in fs::read_dir(root.join("charts/keygate/files").join(name)).unwrap() {
            let copy = entry.unwrap().path();
            let original = root.join(folder).join(copy.file_name().unwrap());
            let is_same = fs::read(&copy).unwrap() == fs::read(&original).unwrap();
            assert!(is_same, "cp {} {}", original.display(), copy.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 14, "files of the chart");
}

#[test]
fn the_charts_values_keep_their_schema_and_its_version_is_the_projects() {
    let chart = read("charts/keygate/Chart.yaml").remove(0).content;
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
    let text = read_text("charts/keygate/values.schema.json");
    let validator = jsonschema::options().build(&serde_json::from_str(&text).unwrap()).unwrap();
    let values = read("charts/keygate/values.yaml").remove(0).content;
    let errors = |values: &Value| -> Vec<_> { validator.iter_errors(values).map(|error| error.to_string()).collect() };
    assert_eq!(errors(&values), Vec::<String>::new());
    for (pointer, field, value) in [
        ("", "mesh", json!("linkerd")),
        ("", "meshes", json!("istio")),
        ("/policyService/image", "digest", json!("sha256:0")),
        ("/policyService/image", "repository", json!("policy-service@sha256:0")),
        ("/policyService/database", "type", json!("mysql")),
        ("/policyService/networkPolicy", "gatewayNamespaces", json!([])),
        ("/policyService/networkPolicy", "prometheusLabels", json!({})),
        ("/istio", "revision", json!("1.31")),
        ("/policyService", "replica", json!(2)),
        ("/module", "digest", json!("latest")),
        ("/envoyGateway/routes/0", "path", json!("orders")),
        ("/istio", "selector", json!({})),
        ("/config", "mode", json!("Shadow")),
        ("/config", "modes", json!("shadow")),
        ("/config", "unknown_api", json!("reject")),
        ("/config", "policy", json!({"refresh_interval": 5000})),
        ("/config", "replies", json!({"format": "json"})),
    ] {
        let mut changed = values.clone();
        let object = changed.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        object.insert(field.to_owned(), value);
        assert!(!errors(&changed).is_empty(), "{pointer}/{field} is accepted");
    }
}

/// The chart's schema has the fields of the plugin's configuration, and the words that the filter takes. So a mistake ends the
/// installation, and not every request.
#[test]
fn the_charts_schema_has_every_field_of_the_configuration() {
    let text = read_text("charts/keygate/values.schema.json");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let config = &schema["properties"]["config"];
    let mut found = BTreeSet::new();
    let mut words = Vec::new();
    for (name, field) in config["properties"].as_object().unwrap() {
        let inner = field["properties"].as_object();
        let paths = inner.map_or(vec![(name.clone(), field)], |inner| {
            inner.iter().map(|(inner, field)| (format!("{name}.{inner}"), field)).collect()
        });
        for (path, field) in paths {
            words.extend(field["enum"].as_array().into_iter().flatten().map(|word| (path.clone(), word.clone())));
            found.insert(path);
        }
    }
    let expected: BTreeSet<_> = FIELDS.iter().map(|field| field.path.to_owned()).collect();
    assert_eq!(found, expected);
    assert!(words.len() > 10, "{words:?}");
    for (path, word) in words {
        let taken = |word: &Value| {
            let mut text = word.to_string();
            for name in path.rsplit('.') {
                text = format!("{{\"{name}\": {text}}}");
            }
            let text = text.replacen('{', "{\"policy\": {\"cluster\": \"policy-service\"}, ", 1);
            config::parse(text.as_bytes(), &|_| None).is_ok()
        };
        assert!(taken(&word), "{path}: {word}");
        assert!(!taken(&json!("no-such-word")), "{path}");
    }
}

fn read_text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
