//! The program's log: one line for each accepted change, none if nothing changed, and no secret.

use crate::support::{TOKEN, digest, program::Program};
use reqwest::Method;
use serde_json::{Value, json};

const LINE: &str = "a change was accepted";

#[tokio::test]
async fn each_accepted_change_is_one_line_of_the_log() {
    let service = Program::start();
    let (sha256, mut keys) = (digest(1), Vec::new());
    let api = json!({"id": "api/1", "match": [{"path": "/one"}]});
    for (method, path, body, status, says) in [
        (Method::POST, "/v1/apis", api.clone(), 201, "action=\"create\" kind=\"api\" id=\"api/1\""),
        (Method::POST, "/v1/apis", api, 200, ""),
        (
            Method::POST,
            "/v1/applications",
            json!({"id": "app-1"}),
            201,
            "action=\"create\" kind=\"application\" id=\"app-1\"",
        ),
        (
            Method::POST,
            "/v1/keys",
            json!({"id": "k-1", "application": "app-1", "sha256": sha256}),
            201,
            "action=\"create\" kind=\"key\" id=\"k-1\"",
        ),
        (
            Method::POST,
            "/v1/applications/app-1/keys",
            json!({"id": "k-2"}),
            201,
            "action=\"issue\" kind=\"key\" id=\"k-2\" state=\"ACTIVE\"",
        ),
        (
            Method::POST,
            "/v1/keys/k-2/regenerate",
            json!({"id": "k-3"}),
            201,
            "action=\"regenerate\" kind=\"key\" id=\"k-3\"",
        ),
        (
            Method::POST,
            "/v1/subscriptions",
            json!({"id": "s-1", "application": "app-1", "api": "api/1"}),
            201,
            "action=\"create\" kind=\"subscription\" id=\"s-1\"",
        ),
        (
            Method::POST,
            "/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED",
            Value::Null,
            200,
            "action=\"block\" kind=\"subscription\" id=\"s-1\" state=\"PROD_ONLY_BLOCKED\"",
        ),
        (Method::POST, "/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED", Value::Null, 200, ""),
        (Method::PUT, "/v1/subscriptions/s-1", json!({"state": "UNBLOCKED"}), 409, ""),
        (
            Method::POST,
            "/v1/subscriptions/s-1/unblock",
            Value::Null,
            200,
            "action=\"unblock\" kind=\"subscription\" id=\"s-1\" state=\"UNBLOCKED\"",
        ),
        (Method::POST, "/v1/keys/k-1/revoke", Value::Null, 200, "action=\"revoke\" kind=\"key\" id=\"k-1\""),
        (Method::PUT, "/v1/applications/app-1", json!({"name": "A"}), 200, "action=\"replace\" kind=\"application\""),
        (Method::DELETE, "/v1/apis/api%2F1", Value::Null, 204, "action=\"delete\" kind=\"api\" id=\"api/1\""),
        (Method::DELETE, "/v1/apis/api%2F1", Value::Null, 404, ""),
        (Method::GET, "/v1/keys", Value::Null, 200, ""),
    ] {
        let before = service.log().matches(LINE).count();
        let request = service.client.request(method.clone(), format!("{}{path}", service.url)).bearer_auth(TOKEN);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        let revision = response.headers().get("x-policy-revision").map(|value| value.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        if let Some(key) = serde_json::from_str::<Value>(&text).unwrap_or_default()["key"].as_str() {
            keys.push(key.to_owned());
        }
        let log = service.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(LINE)).skip(before).collect();
        if says.is_empty() {
            assert!(lines.is_empty(), "{method} {path}: {lines:?}");
            continue;
        }
        let [line] = lines[..] else { panic!("{method} {path}: {lines:?}") };
        let revision = format!("revision={}", revision.unwrap());
        for says in ["actor=\"administrator\" role=\"administrator\"", "address=127.0.0.1", says, &revision] {
            assert!(line.contains(says), "{says}: {line}");
        }
    }
    assert_eq!(keys.len(), 2);
    let log = service.log();
    for secret in keys.iter().map(String::as_str).chain([sha256.as_str(), TOKEN, "secret"]) {
        assert!(!log.contains(secret), "{secret}");
    }
}

/// Shell commands that make the log unwritable, with the error that results.
const NO_LOG: [(&str, &str); 4] = [
    ("its disk is full", "exec 2>/dev/full"),
    ("it is closed", "exec 2>&-"),
    ("nobody reads it any more", "rm -f pipe && mkfifo pipe && { : <pipe & } && exec 2>pipe"),
    // 8 MiB is more than the database needs here.
    ("its file has reached the limit of its size", "truncate -s 9M full && ulimit -f 16384 && exec 2>>full"),
];

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_nothing() {
    for (why, before) in NO_LOG {
        let mut command = Program::command(&["serve"]);
        let mut service = command.before(before).start();
        service.seed().await;
        for number in 0..12 {
            let request = service.client.get(format!("{}/v1/apis", service.url)).bearer_auth("wrong");
            assert_eq!(request.send().await.unwrap().status(), 401, "{why}: {number}");
        }
        // An internal error of the service is logged as well.
        let file = service.directory().join("policy.db");
        let away = service.directory().join("away");
        std::fs::rename(&file, &away).unwrap();
        assert_eq!(service.post("/v1/plans", json!({"id": "p"})).await.0, 503, "{why}");
        std::fs::rename(&away, &file).unwrap();
        assert_eq!(service.post("/v1/plans", json!({"id": "p"})).await.0, 201, "{why}");
        service.signal("-TERM");
        assert!(service.ended().success(), "{why}: it ended badly");
    }
}

#[tokio::test]
async fn a_command_whose_words_cannot_be_written_is_done_all_the_same() {
    for (why, before) in NO_LOG {
        let service = Program::start();
        std::fs::write(service.directory().join("page"), "{\"plans\":[{\"id\":\"imported\"}]}").unwrap();
        for arguments in [&["import", "page"][..], &["backup", "copy"], &["restore", "copy"], &["renew-epoch"]] {
            let (success, said) = service.another(arguments).before(before).run();
            assert!(success, "{why}: {arguments:?}: {said}");
        }
        assert_eq!(service.policy("/v1/policy").await["plans"][0]["id"], "imported", "{why}");
        std::fs::write(service.directory().join("page"), "{\"plans\":[{\"id\":\"\"}]}").unwrap();
        let mut refused = service.another(&["import", "page"]);
        let status = refused.before(before).build().status().unwrap();
        assert_eq!(status.code(), Some(1), "{why}: a refused row is still an error, and no panic");
    }
}
