//! Requests beyond a plain request and answer: upgrades to WebSocket, CONNECT, gRPC over HTTP/2.

use http_body_util::Empty;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    cases::table::Group,
    gateway::{CASE, Gateway, Listener, keygate},
    servers::{Feed, Got, Page, got},
    wire::{self, Answer},
};

const WEBSOCKET: [(&str, &[u8]); 6] = [
    ("host", b"gateway.test"),
    ("connection", b"upgrade"),
    ("upgrade", b"websocket"),
    ("sec-websocket-version", b"13"),
    ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ("x-key-type", b"SANDBOX"),
];

/// An Envoy that passes WebSockets and tunnels, in front of one API with a good, a blocked and a sandbox key.
async fn gateway(name: &str, config: Value) -> Gateway {
    let group: Group = serde_json::from_value(json!({"name": name, "cases": [], "config": config, "policy": {
        "apis": [{"id": "api", "match": [{"path": "/api"}]}, {"id": "open", "match": [{"path": "/open"}], "security": "none"},
                 {"id": "shut", "match": [{"path": "/shut"}], "state": "BLOCKED"}],
        "applications": [{"id": "app"}, {"id": "paused"}],
        "subscriptions": [{"application": "app", "api": "api"}, {"application": "paused", "api": "api", "state": "BLOCKED"}],
        "keys": [{"key": "good-key", "id": "good", "application": "app"}, {"key": "sandbox-key", "id": "sand", "application": "app", "type": "SANDBOX"},
                 {"key": "paused-key", "application": "paused"}],
    }})).unwrap();
    let feed = Feed::start().await;
    feed.put("/page", Page::Always(group.page(0).unwrap()));
    let listener = Listener {
        filters: vec![keygate(&group.configuration(&json!({"cluster": "policy", "path": "/page"})))],
        routes: vec![
            json!({"match": {"connect_matcher": {}}, "route": {"cluster": "production", "upgrade_configs": [{"upgrade_type": "CONNECT"}]}}),
        ],
        manager: json!({"upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
                        "http2_protocol_options": {"allow_connect": true}}),
    };
    let gateway = Gateway::start(name, feed, &[listener]).await;
    gateway.applied(1).await;
    gateway
}

async fn send(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &[u8])]) -> Answer {
    let mut stream = TcpStream::connect(gateway.addresses[0]).await.unwrap();
    stream.write_all(&wire::head(method, target.as_bytes(), headers)).await.unwrap();
    wire::answer(&mut stream, false).await
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn an_upgrade_to_websocket_is_decided_like_any_request() {
    let gateway = gateway("cases-websocket", json!({})).await;
    let with = |headers: &[(&'static str, &'static [u8])]| [&WEBSOCKET[..], headers].concat();
    for (name, target, headers, code_expected, status) in [
        ("no key", "/api", with(&[]), "900902", 401),
        ("an unknown key", "/api", with(&[("x-api-key", b"nobodys")]), "900901", 401),
        ("a blocked key", "/api?apikey=paused-key", with(&[]), "900907", 401),
        ("a blocked API", "/shut", with(&[("x-api-key", b"good-key")]), "700700", 503),
        ("no API", "/nowhere", with(&[("x-api-key", b"good-key")]), "404", 404),
    ] {
        let answer = send(&gateway, "GET", target, &headers).await;
        assert_eq!((answer.status, code(&answer)), (status, code_expected.to_owned()), "{name}");
    }
    for (name, target, headers, endpoint) in [
        ("a good key", "/api?x=1", with(&[("x-api-key", b"good-key")]), "production"),
        ("a good key in the query", "/api?apikey=good-key&x=1", with(&[]), "production"),
        ("a sandbox key", "/api?x=1", with(&[("x-api-key", b"sandbox-key")]), "sandbox"),
    ] {
        let answer = send(&gateway, "GET", target, &headers).await;
        assert_eq!(answer.status, 101, "{name}: {answer:?}");
        let Got { endpoint: reached, target, headers } = got(&answer).unwrap();
        assert_eq!((&*reached, &*target), (endpoint, &b"/api?x=1"[..]), "{name}");
        let value =
            |header| headers.iter().filter(|(given, _)| given == header).map(|(_, value)| &**value).collect::<Vec<_>>();
        assert_eq!(value("x-api-key"), Vec::<&[u8]>::new(), "{name}");
        assert_eq!(value("x-application-id"), [b"app"], "{name}");
        let key_type: &[u8] = if endpoint == "sandbox" { b"SANDBOX" } else { b"PRODUCTION" };
        assert_eq!(value("x-key-type"), [key_type], "{name}");
    }
}

#[tokio::test]
async fn an_upgrade_over_http2_is_decided_like_any_request() {
    let gateway = gateway("cases-websocket-http2", json!({})).await;
    for (name, target, key, expected) in [
        ("no key", "/api", "", Err((401, "900902"))),
        ("a blocked key", "/api", "paused-key", Err((401, "900907"))),
        ("an ambiguous path", "/api//x", "good-key", Err((400, "400"))),
        ("a good key", "/api?x=1", "good-key", Ok("production")),
        ("a sandbox key", "/api?x=1", "sandbox-key", Ok("sandbox")),
    ] {
        let request = hyper::Request::builder().method("CONNECT").uri(format!("http://gateway.test{target}"));
        let request =
            request.header("sec-websocket-version", "13").header("x-api-key", key).header("x-key-type", "SANDBOX");
        let request = request.extension(hyper::ext::Protocol::from_static("websocket"));
        let answer = wire::exchange_http2(gateway.addresses[0], request.body(Empty::new()).unwrap()).await;
        match expected {
            Err((status, expected)) => {
                assert_eq!((answer.status, &*code(&answer)), (status, expected), "{name}: {answer:?}");
            }
            Ok(endpoint) => {
                assert_eq!(answer.status, 200, "{name}: {answer:?}");
                let got = got(&answer).unwrap();
                assert_eq!((&*got.endpoint, &*got.target), (endpoint, &b"/api?x=1"[..]), "{name}");
                assert!(!got.headers.iter().any(|(header, _)| header == "x-api-key"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn connect_and_requests_without_a_path_are_refused_and_do_no_harm() {
    // A request without a path is refused, even if the configuration lets requests pass that belong to no API.
    for (number, config) in
        [json!({}), json!({"unknown_api": "allow"}), json!({"allow_preflight": true})].into_iter().enumerate()
    {
        let gateway = gateway(&format!("cases-connect{number}"), config).await;
        let before = gateway.envoy.vms().await.unwrap();
        let mut asked = 0;
        for target in ["gateway.test:443", "127.0.0.1:22", "api:80"] {
            for key in [None, Some("good-key"), Some("nobodys")] {
                let mut headers: Vec<(&str, &[u8])> = vec![("host", target.as_bytes()), (CASE, b"connect")];
                headers.extend(key.map(|key| ("x-api-key", key.as_bytes())));
                let answer = send(&gateway, "CONNECT", target, &headers).await;
                assert_eq!((answer.status, &*code(&answer)), (400, "400"), "CONNECT {target}: {answer:?}");
                asked += 1;
            }
        }
        let lines = gateway.log_lines(asked).await;
        for line in lines {
            assert_eq!(
                (&line["reason"], &line["details"]),
                (&json!("path_ambiguous"), &json!("keygate_path_ambiguous"))
            );
        }
        let headers: [(&str, &[u8]); 3] =
            [("host", b"gateway.test"), ("connection", b"close"), ("x-api-key", b"good-key")];
        for _ in 0..16 {
            let answer = wire::send(gateway.addresses[0], &wire::head("GET", b"/api", &headers)).await;
            assert_eq!(answer.status, 200, "a request afterwards");
        }
        assert_eq!(gateway.envoy.vms().await.unwrap(), before, "a VM died:\n{}", gateway.envoy.log());
    }
}

#[tokio::test]
async fn a_refused_grpc_call_over_http2_has_trailers_only() {
    let gateway = gateway("cases-grpc", json!({})).await;
    let grpc: [(&str, &[u8]); 2] = [("content-type", b"application/grpc"), ("te", b"trailers")];
    for (name, target, key, status, message) in [
        ("400", "/api//Service/Method", "good-key", "3", "Bad Request"),
        ("401", "/api/Service/Method", "", "16", "Missing Credentials"),
        ("401, blocked", "/api/Service/Method", "paused-key", "16", "The requested API is temporarily blocked"),
        ("404", "/nowhere/Method", "good-key", "12", "Not Found"),
        ("503", "/shut/Service/Method", "good-key", "14", "API blocked"),
    ] {
        let headers = [&grpc[..], &[("x-api-key", key.as_bytes())]].concat();
        let answer =
            wire::send_http2(gateway.addresses[0], "POST", "gateway.test", target.as_bytes(), &headers).await.unwrap();
        let text = |name| answer.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(text("content-type").as_deref(), Some("application/grpc"), "{name}");
        assert_eq!(text("grpc-status").as_deref(), Some(status), "{name}");
        assert_eq!(text("grpc-message").as_deref(), Some(message), "{name}");
        assert!(answer.body.is_empty(), "{name}: {:?}", answer.body);
    }
    let headers = [&grpc[..], &[("x-api-key", b"sandbox-key")]].concat();
    let answer =
        wire::send_http2(gateway.addresses[0], "POST", "gateway.test", b"/api/Service/Method", &headers).await.unwrap();
    assert_eq!(got(&answer).unwrap().endpoint, "sandbox", "an allowed call goes on");
}
