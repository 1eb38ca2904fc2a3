//! What docs/envoy.md says about other filters, routes and proxies around the filter. Each test shows a problem and its
//! solution. The tests of the gateway show what ends an open stream.

use std::fs;

use keygate_e2e::{Options, Stack, artifacts, stack::Policy};
use serde_json::{Value, json};

use crate::{
    cases::table::Group,
    gateway::{CASE, Gateway, Listener, keygate},
    servers::{Feed, Got, Page, got},
    wire::{self, Answer},
};

const KEY: (&str, &[u8]) = ("x-api-key", b"good-key");

/// One API with an operation, a plan of ten requests and a good key. `config` is added to the minimal configuration.
fn group(config: Value) -> Group {
    serde_json::from_value(json!({"name": "around", "cases": [], "config": config, "policy": {
        "apis": [{"id": "api", "match": [{"path": "/api"}]}],
        "applications": [{"id": "app"}],
        "subscriptions": [{"application": "app", "api": "api", "plan": "ten"}],
        "plans": [{"id": "ten", "limits": [{"requests": 10, "per": "month"}],
                   "operations": [{"methods": ["GET", "POST"], "path": "/**"}]}],
        "keys": [{"key": "good-key", "application": "app"},
                 {"key": "here-key", "application": "app", "permitted_ips": ["203.0.113.7"]}],
    }}))
    .unwrap()
}

/// keygate with this configuration, as a filter.
fn filter(config: Value) -> Value {
    keygate(&group(config).configuration(&json!({"cluster": "policy", "path": "/page"})))
}

/// An Envoy with these listeners, which all use one policy.
async fn gateway(name: &str, listeners: &[Listener]) -> Gateway {
    let feed = Feed::start().await;
    feed.put("/page", Page::Always(group(json!({})).page(0).unwrap()));
    let gateway = Gateway::start(name, feed, listeners).await;
    gateway.applied(1).await;
    gateway
}

async fn send(gateway: &Gateway, at: usize, method: &str, target: &str, headers: &[(&str, &[u8])]) -> Answer {
    let all = [&[("host", &b"gateway.test"[..]), ("connection", b"close")][..], headers].concat();
    wire::send(gateway.addresses[at], &wire::head(method, target.as_bytes(), &all)).await
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or("none").to_owned()
}

fn header(got: &Got, name: &str) -> Option<String> {
    let value = got.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value);
    value.map(|value| String::from_utf8(value.clone()).unwrap())
}

/// Only requests that a keygate has marked pass.
fn guard() -> Value {
    let marked =
        json!({"filter_state": {"key": "wasm.keygate.reason", "string_match": {"safe_regex": {"regex": ".+"}}}});
    let policy = json!({"permissions": [{"any": true}], "principals": [marked]});
    json!({"name": "guard", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {"marked": policy}},
    }})
}

/// A route for `/api/moved` on which Envoy itself follows the upstream's redirects.
fn follows() -> Value {
    json!({"match": {"prefix": "/api/moved"}, "route": {"cluster": "production", "internal_redirect_policy": {}}})
}

#[tokio::test]
async fn an_internal_redirect_is_decided_anew() {
    let one = |config: Value| Listener { filters: vec![filter(config)], routes: vec![follows()], manager: json!({}) };
    let listeners = [one(json!({})), one(json!({"forward": {"credential": true}}))];
    let gateway = gateway("cases-internal-redirect", &listeners).await;
    // The key was removed before the first request went upstream, so the second one has none.
    let answer = send(&gateway, 0, "GET", "/api/moved", &[KEY]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "900902"));
    // Where the key stays, the redirected request counts twice for the plan.
    let before = gateway.envoy.stat("wasmcustom.keygate.allowed").await.unwrap();
    let answer = send(&gateway, 1, "GET", "/api/moved", &[KEY, (CASE, b"followed")]).await;
    assert_eq!(got(&answer).map(|got| got.target), Some(b"/api/there".to_vec()), "{answer:?}");
    assert_eq!(gateway.envoy.stat("wasmcustom.keygate.allowed").await.unwrap() - before, 2);
    let lines = gateway.log_lines(2).await;
    let told: Vec<_> = lines.iter().map(|line| (&line["details"], &line["remaining"])).collect();
    assert_eq!(told, [(&json!("internal_redirect"), &json!("8")), (&json!("via_upstream"), &json!("7"))]);
    // Without `internal_redirect_policy` the client follows the redirect, with its key.
    let answer = send(&gateway, 0, "GET", "/api/there", &[KEY]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn of_two_keygates_in_one_chain_the_second_finds_no_key() {
    let keeps = json!({"forward": {"credential": true}});
    let pair = |first: Value, second: Value| Listener {
        filters: vec![filter(first), filter(second)],
        routes: Vec::new(),
        manager: json!({}),
    };
    // The second filter is missing, as on a worker whose VM could not be created. The guard is the shipped one.
    let mut missing = pair(keeps.clone(), json!({}));
    missing.filters[1]["disabled"] = json!(true);
    missing.filters.push(guard());
    let listeners = [pair(json!({}), json!({})), pair(keeps, json!({})), missing];
    let gateway = gateway("cases-two-keygates", &listeners).await;
    let answer = send(&gateway, 0, "GET", "/api/x", &[KEY]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "900902"));
    // If the first filter keeps the key, both decide and both count.
    let answer = send(&gateway, 1, "GET", "/api/x", &[KEY, (CASE, b"both")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.log_lines(1).await[0]["remaining"], "7");
    // A guard behind both takes the first filter's mark for the second one's.
    assert_eq!(send(&gateway, 2, "GET", "/api/x", &[KEY]).await.status, 200);
}

#[tokio::test]
async fn headers_that_only_an_upstream_understands_pass_unless_they_are_removed() {
    let foreign: [(&str, &[u8]); 4] = [
        ("x.application.id", b"forged"),
        ("x-http-method-override", b"DELETE"),
        ("x-http-method", b"DELETE"),
        ("x-method-override", b"DELETE"),
    ];
    let names: Vec<_> = foreign.iter().map(|(name, _)| *name).collect();
    let plain = Listener { filters: vec![filter(json!({}))], routes: Vec::new(), manager: json!({}) };
    let removes =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "production"}, "request_headers_to_remove": names}]);
    let removing = Listener { routes: removes.as_array().unwrap().clone(), ..plain.clone() };
    let gateway = gateway("cases-foreign-headers", &[plain, removing]).await;
    for (at, passes) in [(0, true), (1, false)] {
        let answer = send(&gateway, at, "POST", "/api/x", &[&[KEY][..], &foreign].concat()).await;
        assert_eq!(answer.status, 200);
        let got = got(&answer).unwrap();
        for name in &names {
            assert_eq!(header(&got, name).is_some(), passes, "{name}");
        }
        assert_eq!(header(&got, "x-application-id").as_deref(), Some("app"));
    }
    // The operation is that of the method in the request line.
    let answer = send(&gateway, 0, "DELETE", "/api/x", &[KEY]).await;
    assert_eq!((answer.status, &*code(&answer)), (403, "900910"));
}

#[tokio::test]
async fn a_path_in_other_letters_is_another_path() {
    let of = |unknown: &str| Listener {
        filters: vec![filter(json!({"unknown_api": unknown}))],
        routes: Vec::new(),
        manager: json!({}),
    };
    let gateway = gateway("cases-letters", &[of("allow"), of("deny")]).await;
    for target in ["/API/x", "/Api", "/ap%49/x"] {
        assert_eq!(send(&gateway, 0, "GET", target, &[]).await.status, 200, "{target}");
        assert_eq!(send(&gateway, 1, "GET", target, &[KEY]).await.status, 404, "{target}");
    }
    assert_eq!(send(&gateway, 0, "GET", "/api/x", &[]).await.status, 401);
}

#[tokio::test]
async fn an_address_with_a_port_in_x_forwarded_for_is_not_read() {
    let manager = json!({"use_remote_address": true, "xff_num_trusted_hops": 1});
    let listener = Listener { filters: vec![filter(json!({}))], routes: Vec::new(), manager };
    let gateway = gateway("cases-forwarded-port", &[listener]).await;
    let cases = [
        ("203.0.113.7", true, "203.0.113.7"),
        ("203.0.113.7:5678", false, "127.0.0.1"),
        ("[2001:db8::7]:5678", false, "127.0.0.1"),
        ("203.0.113.7:5678, 203.0.113.7", true, "203.0.113.7"),
    ];
    for (told, permitted, _) in cases {
        let headers = [("x-api-key", &b"here-key"[..]), ("x-forwarded-for", told.as_bytes()), (CASE, told.as_bytes())];
        let answer = send(&gateway, 0, "GET", "/api/x", &headers).await;
        assert_eq!(answer.status, if permitted { 200 } else { 403 }, "{told}: {answer:?}");
    }
    let lines = gateway.log_lines(cases.len()).await;
    for (told, _, client) in cases {
        assert_eq!(lines.iter().find(|line| line["case"] == told).unwrap()["client"], client, "{told}");
    }
}

#[tokio::test]
async fn a_cors_filter_behind_keygate_sees_no_refused_request() {
    let cors = json!({"name": "envoy.filters.http.cors", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}});
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "production"}, "typed_per_filter_config": {
        "envoy.filters.http.cors": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [{"exact": "https://shop.example"}], "allow_methods": "GET"}}});
    let of =
        |filters: [Value; 2]| Listener { filters: filters.into(), routes: vec![route.clone()], manager: json!({}) };
    let preflights = filter(json!({"allow_preflight": true}));
    let listeners =
        [of([filter(json!({})), cors.clone()]), of([preflights, cors.clone()]), of([cors, filter(json!({}))])];
    let gateway = gateway("cases-cors-behind", &listeners).await;
    let origin = ("origin", &b"https://shop.example"[..]);
    let preflight = [origin, ("access-control-request-method", b"GET")];
    // The CORS filter is behind keygate, behind it with `allow_preflight`, and before it.
    for (at, status, readable) in [(0, 401, false), (1, 200, false), (2, 200, true)] {
        assert_eq!(send(&gateway, at, "OPTIONS", "/api/x", &preflight).await.status, status, "{at}");
        let refused = send(&gateway, at, "GET", "/api/x", &[origin]).await;
        assert_eq!(refused.status, 401, "{at}");
        assert_eq!(refused.header("access-control-allow-origin").is_some(), readable, "{at}");
    }
}

#[tokio::test]
async fn what_envoy_answers_before_keygate_keeps_its_key_and_only_a_path_without_query_hides_it() {
    let redirects = json!({"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT", "normalize_path": true});
    let refuses = json!({"path_with_escaped_slashes_action": "REJECT_REQUEST"});
    let of = |manager: Value| Listener { filters: vec![filter(json!({}))], routes: Vec::new(), manager };
    let gateway = gateway("cases-before", &[of(redirects), of(refuses)]).await;
    for (at, status) in [(0, 307), (1, 400)] {
        let answer = send(&gateway, at, "GET", "/api%2Fx?apikey=good-key", &[(CASE, b"before")]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let location = answer.header("location").map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(location.is_some_and(|location| location.contains("apikey=good-key")), at == 0);
    }
    // This log has the whole path. keygate never saw the request.
    for line in gateway.log_lines(2).await {
        assert!(line["path"].as_str().unwrap().contains("apikey=good-key"), "{line}");
        assert_eq!(line["reason"], Value::Null, "{line}");
    }
    // The shipped log does not.
    let feed = Feed::start().await;
    let stack =
        Stack::start("cases-before-shipped", Options { policy: Policy::At(feed.address), ..Options::default() })
            .await
            .unwrap();
    let request =
        wire::head("GET", b"/api%2Fx?apikey=good-key", &[("host", b"gateway.test"), ("connection", b"close")]);
    assert_eq!(wire::send(stack.envoy().unwrap().gateway(), &request).await.status, 400);
    let log = artifacts::root().join("target/stack/cases-before-shipped/access.log");
    keygate_e2e::deadline::eventually("the access log", crate::gateway::WITHIN, async || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.contains("gateway.test") { Ok(()) } else { Err(text) }
    })
    .await
    .unwrap();
    assert!(!fs::read_to_string(&log).unwrap().contains("good-key"));
    stack.stop().await;
}
