//! Compares Envoy's native `api_key_auth` with keygate after `convert`: the native configuration is converted, the rows
//! are the policy, and the plugin has the configuration that the converter prints. The same requests go through both.
//! Every difference is listed here with its reason, and `docs/from-envoy-api-key-auth.md` tells of it. The test fails if
//! there is one more or one less.

use convert::{Converted, Input, Kind, Options, convert};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Listener, keygate},
    servers::{Feed, Page, got},
    wire,
};

const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3";

/// The routes with the clients that they allow, by how a path is matched.
fn routes(prefix: &str) -> Value {
    let allowed = |clients: &[&str], forwarding: Value| {
        json!({"api_key_auth": {"@type": format!("{TYPES}.ApiKeyAuthPerRoute"), "allowed_clients": clients,
            "forwarding": forwarding}})
    };
    let off =
        json!({"api_key_auth": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}});
    let partners = json!({"api_key_auth": {"@type": format!("{TYPES}.ApiKeyAuthPerRoute"),
        "credentials": [{"key": "partner-key", "client": "partner"}], "forwarding": forwarding()}});
    let route = |path: &str, config: &Value| {
        json!({"match": {prefix: path}, "route": {"cluster": "production"},
        "typed_per_filter_config": config})
    };
    json!([
        route("/open", &off),
        route("/admin/users", &allowed(&["root", "alice"], Value::Null)),
        route("/admin", &allowed(&["root"], forwarding())),
        route("/partners", &partners),
        {"match": {"prefix": "/"}, "route": {"cluster": "production"}},
    ])
}

fn native() -> Value {
    json!({"name": "api_key_auth", "typed_config": {
        "@type": format!("{TYPES}.ApiKeyAuth"),
        "credentials": [{"key": "root-key", "client": "root"}, {"key": "alice-key", "client": "alice"},
                        {"key": "alice-second-key", "client": "alice"}],
        "key_sources": [{"header": "X-API-Key"}, {"header": "authorization"}, {"query": "apikey"}, {"cookie": "api_key"}],
        "forwarding": forwarding()}})
}

fn forwarding() -> Value {
    json!({"header": "X-Client", "hide_credentials": true})
}

fn route_config(routes: &Value) -> Value {
    json!({"name": "edge", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]})
}

/// Converts a connection manager, as its file says it.
fn converted(routes: &Value) -> Converted {
    let manager = json!({"http_filters": [native()], "route_config": route_config(routes)});
    let text = serde_json::to_string_pretty(&manager).unwrap();
    let input = Input { name: "envoy.json".to_owned(), bytes: text.into_bytes() };
    convert(Kind::Envoy, &[input], &Options::default()).unwrap()
}

/// The rows as a page.
fn page(converted: &Converted) -> Value {
    let mut page = json!({"format": 1, "revision": 1});
    for row in &converted.rows {
        let mut fields = row.document().unwrap();
        if row.word() == "subscription" {
            fields.remove("id");
        }
        let list = page.as_object_mut().unwrap().entry(row.kind().list()).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(fields.into());
    }
    page
}

/// The printed configuration, with the test's feed, in place of the native filter.
fn plugin(converted: &Converted, path: &str) -> Value {
    let (_, text) = converted.notes[0].split_once('\n').unwrap();
    let mut configuration: Value = serde_json::from_str(text).unwrap();
    assert_eq!(configuration["mode"], "shadow");
    configuration["mode"] = json!("enforce");
    configuration["policy"] = json!({"cluster": "policy", "path": path});
    configuration
}

/// The routes without the native filter's overrides, and with the metadata that the converter prints.
fn routes_beside(routes: &Value, converted: &Converted) -> Value {
    let mut routes = routes.clone();
    let printed = converted.notes.get(1).into_iter().flat_map(|note| note.lines().skip(1));
    let metadata: Vec<Value> = printed
        .map(|line| {
            let (_, yaml) = line.split_once(" metadata: ").unwrap();
            serde_norway::from_str(yaml).unwrap()
        })
        .collect();
    for (number, route) in routes.as_array_mut().unwrap().iter_mut().enumerate() {
        route.as_object_mut().unwrap().remove("typed_per_filter_config");
        if let Some(metadata) = metadata.get(number) {
            route["metadata"] = metadata.clone();
        }
    }
    routes
}

/// The result of a request as one line: the request that the upstream received, or the status of the refusal.
fn seen(answer: &wire::Answer) -> String {
    let Some(got) = got(answer) else { return answer.status.to_string() };
    let shown = ["x-api-key", "authorization", "cookie", "x-client"];
    let mut headers = got.headers.iter().filter(|(name, _)| shown.contains(&&**name)).collect::<Vec<_>>();
    headers.sort();
    let headers = headers.iter().map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)));
    format!("{}{}", String::from_utf8_lossy(&got.target), headers.collect::<String>())
}

/// The target and headers of a request. Where the two differ, also the result of keygate, that of the native filter, and
/// the reason.
struct Pair {
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    differs: Option<[&'static str; 3]>,
}

const fn pair(target: &'static str, headers: &'static [(&'static str, &'static str)]) -> Pair {
    Pair { target, headers, differs: None }
}

impl Pair {
    const fn differs(self, keygate: &'static str, native: &'static str, why: &'static str) -> Self {
        Self { differs: Some([keygate, native, why]), ..self }
    }
}

#[rustfmt::skip]
const PAIRS: &[Pair] = &[
    // Who may call what.
    pair("/", &[]),
    pair("/", &[("x-api-key", "root-key")]),
    pair("/", &[("x-api-key", "alice-key")]),
    pair("/", &[("x-api-key", "alice-second-key")]),
    pair("/", &[("x-api-key", "nobodys-key")]),
    pair("/", &[("x-api-key", "partner-key")])
        .differs("403", "401", "keygate knows the key, and says that it is not for this API"),
    pair("/admin", &[]),
    pair("/admin", &[("x-api-key", "root-key")]),
    pair("/admin", &[("x-api-key", "alice-key")]),
    pair("/admin/", &[("x-api-key", "alice-key")]),
    pair("/admin/x", &[("x-api-key", "alice-key")]),
    pair("/admin/x", &[("x-api-key", "root-key")]),
    pair("/admin/users", &[("x-api-key", "root-key")])
        .differs("/admin/users x-client=root", "/admin/users x-api-key=root-key", "an override without forwarding forwards nothing in Envoy"),
    pair("/admin/users/1", &[("x-api-key", "alice-key")])
        .differs("/admin/users/1 x-client=alice", "/admin/users/1 x-api-key=alice-key", "the same"),
    pair("/admin/users/1", &[("x-api-key", "nobodys-key")]),
    pair("/admin.html", &[("x-api-key", "alice-key")]),
    pair("/admin.html", &[("x-api-key", "root-key")]),
    pair("/ADMIN", &[("x-api-key", "alice-key")]),
    pair("/partners/x", &[("x-api-key", "partner-key")]),
    pair("/partners/x", &[("x-api-key", "root-key")])
        .differs("403", "401", "keygate knows the key, and says that it is not for this API"),
    pair("/partners/x", &[("x-api-key", "nobodys-key")]),
    pair("/open", &[]),
    pair("/open/x", &[("x-api-key", "nobodys-key")]),
    // Where a key may be.
    pair("/?apikey=alice-key", &[]),
    pair("/?ApiKey=alice-key", &[]),
    pair("/?apikey=alice%2Dkey", &[]),
    pair("/", &[("cookie", "a=1; api_key=alice-key; b=2")]),
    pair("/", &[("cookie", "api_key=\"alice-key\"")]),
    pair("/", &[("authorization", "Bearer alice-key")]),
    pair("/", &[("authorization", "alice-key")]),
    pair("/", &[("x-api-key", "Bearer alice-key")]),
    pair("/", &[("authorization", "bearer alice-key")])
        .differs("/ x-client=alice", "401", "schemes ignore case (RFC 9110, 11.1)"),
    pair("/", &[("authorization", "Basic dTpw"), ("x-api-key", "alice-key")]),
    pair("/", &[("x-api-key", "  alice-key  ")]),
    // Several keys: the first decides.
    pair("/?apikey=nobodys-key", &[("x-api-key", "alice-key")]),
    pair("/?apikey=alice-key", &[("x-api-key", "nobodys-key")]),
    pair("/?apikey=alice-key", &[("x-api-key", "")]),
    pair("/", &[("x-api-key", "alice-key"), ("x-api-key", "root-key")]),
    pair("/", &[("authorization", "root-key"), ("x-api-key", "alice-key")]),
    // What the upstream gets.
    pair("/", &[("x-api-key", "alice-key"), ("x-client", "forged")]),
    pair("/open", &[("x-client", "forged")])
        .differs("/open", "/open x-client=forged", "keygate removes forged identity headers on open routes too"),
    pair("/?b=2&apikey=alice-key&a=1", &[])
        .differs("/?b=2&a=1 x-client=alice", "/?a=1&b=2 x-client=alice", "the native filter sorts the arguments; keygate keeps their order"),
    // Paths that can be read in two ways.
    pair("//admin", &[("x-api-key", "alice-key")])
        .differs("400", "//admin x-client=alice", "an upstream may read it as /admin"),
    pair("/x/../admin", &[("x-api-key", "alice-key")])
        .differs("400", "/x/../admin x-client=alice", "an upstream may read it as /admin"),
];

#[tokio::test]
async fn a_converted_configuration_decides_like_the_native_one() {
    let feed = Feed::start().await;
    let mut listeners = Vec::new();
    // By matches, and by metadata.
    for (number, prefix) in ["path_separated_prefix", "prefix"].into_iter().enumerate() {
        let native_routes = routes(prefix);
        let made = converted(&native_routes);
        assert_eq!(made.errors, []);
        assert_eq!(made.notes.len(), number + 1, "{:?}", made.notes);
        let path = format!("/page-{number}");
        feed.put(&path, Page::Always(page(&made)));
        let manager = |routes: &Value| json!({"route_config": route_config(routes)});
        let ours = keygate(&plugin(&made, &path));
        let beside = routes_beside(&native_routes, &made);
        listeners.push(Listener { filters: vec![ours], manager: manager(&beside), ..Listener::default() });
        listeners.push(Listener { filters: vec![native()], manager: manager(&native_routes), ..Listener::default() });
    }
    let gateway = Gateway::start("cases-converted", feed, &listeners).await;
    gateway.applied(2).await;

    let mut wrong = Vec::new();
    for pair in PAIRS {
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"gateway.test"), ("connection", b"close")];
        headers.extend(pair.headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let request = wire::head("GET", pair.target.as_bytes(), &headers);
        for (way, addresses) in ["matches", "metadata"].into_iter().zip(gateway.addresses.chunks(2)) {
            let keygate = seen(&wire::send(addresses[0], &request).await);
            let native = seen(&wire::send(addresses[1], &request).await);
            let right = match pair.differs {
                None => keygate == native,
                Some([ours, theirs, _]) => keygate == ours && native == theirs && ours != theirs,
            };
            if !right {
                wrong.push(format!(
                    "{} {:?} by {way}:\n  keygate: {keygate}\n  native:  {native}",
                    pair.target, pair.headers
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
