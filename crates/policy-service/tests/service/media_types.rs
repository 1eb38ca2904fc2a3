//! What headers say about bodies, in both directions: `content-encoding`, `content-type`, `accept`; and byte order marks.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Service, TOKEN, send};

/// Sends `body` with these headers.
async fn ask(service: &Service, method: &Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = service.request(method.clone(), path);
    request = match path {
        "/v1/usage" => request.basic_auth("gw", Some("secret")),
        _ => request.bearer_auth(TOKEN),
    };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(body.to_owned())).await
}

/// All routes that may have a body: method and path.
async fn routes(service: &Service) -> Vec<(Method, String)> {
    let document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).json();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "get") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            found.push((method, path.replace("{id}", "none")));
        }
    }
    found
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_as_it_stands_is_refused_on_each_route() {
    let service = Service::start().await;
    let all = routes(&service).await;
    assert!(all.len() > 30, "{}", all.len());
    for (method, path) in &all {
        for header in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity, br"),
            ("content-type", "application/json; charset=utf-16"),
            ("content-type", "application/x-ndjson;a=b; Charset=\"ISO-8859-1\""),
            ("content-type", "text/plain; charset="),
        ] {
            let answer = ask(&service, method, path, &[header], "{}").await.expect_problem(415, None);
            assert!(answer.text.contains(header.0), "{method} {path}: {}", answer.text);
        }
        for headers in [
            &[][..],
            &[("content-encoding", "identity")],
            &[("content-encoding", "")],
            &[("content-type", "application/json; charset=UTF-8")],
            &[("content-type", "text/plain;charset=\"utf-8\"")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("content-type", "no media type; charset")],
        ] {
            let answer = ask(&service, method, path, headers, "{}").await;
            assert!(answer.status != 415 && answer.status < 500, "{method} {path} {headers:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_named() {
    let service = Service::start().await;
    let words = "begins with a byte order mark";
    let answer =
        ask(&service, &Method::POST, "/v1/plans", &[], "\u{feff}{\"id\":\"p\"}").await.expect_problem(400, None);
    assert!(answer.text.contains(words), "{}", answer.text);
    let rows = "\u{feff}{\"kind\":\"plan\",\"id\":\"p\"}\n{\"kind\":\"plan\",\"id\":\"q\"}\n";
    let answer = ask(&service, &Method::POST, "/v1/import", &[], rows).await.expect(200).json();
    assert_eq!((&answer["refused_total"], &answer["refused"][0]["line"]), (&json!(1), &json!(1)), "{answer}");
    assert!(answer["refused"][0]["detail"].as_str().unwrap().contains(words), "{answer}");
    // Within a text it is a character like others.
    service.post("/v1/plans", json!({"id": "a\u{feff}b"})).await.expect(201);
}

/// Rows are written by kind. They are told by line.
#[tokio::test]
async fn refused_rows_are_told_in_the_order_of_their_lines() {
    let service = Service::start().await;
    let rows = [
        json!({"kind": "deny_policy", "id": "d", "type": "IP", "value": "x"}),
        json!({"kind": "subscription", "id": "s", "application": "none", "api": "none"}),
        json!({"kind": "plan", "id": "p", "limits": [{"requests": 0, "per": "day"}]}),
        json!({"kind": "nothing"}),
        json!({"kind": "key", "id": "k", "application": "none", "sha256": "x"}),
        json!({"kind": "application", "id": ""}),
        json!({"kind": "api", "id": "a", "match": [{"path": "x"}]}),
    ];
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let answer = ask(&service, &Method::POST, "/v1/import", &[], &lines).await.expect(200).json();
    let told: Vec<&Value> = answer["refused"].as_array().unwrap().iter().map(|row| &row["line"]).collect();
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7], "{answer}");
}

#[tokio::test]
async fn the_audit_log_has_the_form_that_the_client_prefers() {
    let service = Service::start().await;
    service.post("/v1/plans", json!({"id": "p"})).await.expect(201);
    let (lines, json) = ("application/x-ndjson", "application/json");
    for (accept, expected) in [
        ("application/x-ndjson", lines),
        ("application/x-ndjson, */*;q=0.1", lines),
        ("application/json;q=0.5, application/x-ndjson;q=0.6", lines),
        ("application/x-ndjson, application/json", lines),
        ("Application/X-NDJSON; Q=1", lines),
        ("application/x-ndjson;q=0", json),
        ("application/x-ndjson;q=0.000", json),
        ("application/x-ndjson;q=0, */*", json),
        ("application/x-ndjson;q=0.1, application/json", json),
        ("application/x-ndjson;q=0.1, */*", json),
        ("application/x-ndjson;q=0.1, application/*;q=0.2", json),
        ("application/x-ndjson-not", json),
        ("*/*", json),
        ("application/*", json),
        ("application/json", json),
        ("text/html", json),
        ("", json),
    ] {
        let answer = ask(&service, &Method::GET, "/v1/audit", &[("accept", accept)], "").await.expect(200);
        assert_eq!(answer.header("content-type"), expected, "{accept}");
    }
}
