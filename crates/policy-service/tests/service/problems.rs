//! Malformed requests. Each gets a problem that says what is expected, and the service continues.

use crate::support::{Service, TOKEN, send};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[tokio::test]
async fn management_is_for_the_administrator_alone() {
    let service = Service::start().await;
    service.seed().await;
    let described: Value =
        service.client.get(format!("{}/openapi.json", service.url)).send().await.unwrap().json().await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        if ["/v1/policy", "/metrics"].contains(&path.as_str()) || path.starts_with("/healthz") {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            if (path.as_str(), &method) == ("/v1/usage", &Method::POST) {
                continue;
            }
            let path = path.replace("{id}", "k-1");
            for authorization in [
                None,
                Some("Bearer wrong"),
                Some("Bearer secret"),
                Some("Basic Z3c6c2VjcmV0"),
                Some("Bearer"),
                Some(TOKEN),
            ] {
                let mut request = service.request(method.clone(), &path).json(&json!({}));
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization);
                }
                // Send all at once, because each wrong credential from the 11th on waits a second.
                let name = format!("{method} {path} {authorization:?}");
                asked.spawn(async move { (name, send(request).await) });
            }
        }
    }
    let answers = asked.join_all().await;
    let tried = answers.len();
    for (name, answer) in answers {
        assert!(answer.header("www-authenticate").starts_with("Bearer "), "{name}");
        assert!(!answer.text.contains(TOKEN));
        answer.expect_problem(401, None);
    }
    assert!(tried > 6 * 30, "{tried}");
    assert_eq!(service.revision().await, 4);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_problems() {
    let service = Service::start().await;
    for (body, status, field) in [
        ("", 400, None),
        ("{", 400, None),
        ("{\"id\": \"x\"} {}", 400, None),
        ("{'id': 'x'}", 400, None),
        ("{\"id\": \"\\ud800\"}", 400, None),
        ("null", 422, None),
        ("[]", 422, None),
        ("[\"x\"]", 422, None),
        ("{\"id\": \"x\", \"id\": \"y\"}", 422, Some("id")),
        ("{\"unknown\": 1}", 422, Some("unknown")),
    ] {
        let request = service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN).body(body);
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        answer.expect_problem(status, field);
    }
    let mut not_text = b"{\"id\": \"".to_vec();
    not_text.extend([0xff, b'"', b'}']);
    send(service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN).body(not_text)).await.expect_problem(400, None);
    let nested = "[".repeat(100_000);
    send(service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN).body(nested)).await;
    let large = format!("{{\"id\": \"{}\"}}", "x".repeat(1 << 20));
    send(service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN).body(large)).await.expect_problem(413, None);
    assert_eq!(service.revision().await, 0);
    // The service reads JSON whatever the content type says, for example that of `curl -d`.
    let form = service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN);
    send(form.header("content-type", "application/x-www-form-urlencoded").body("{\"id\": \"x\"}")).await.expect(201);
}

#[tokio::test]
async fn paths_methods_and_parameters_that_are_not_there_are_problems() {
    let service = Service::start().await;
    service.seed().await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/apis/", "/v1/apis/a/b", "/v2/policy", "/v1/subscriptions/s-1/explode"]
    {
        service.get(path).await.expect_problem(404, None);
    }
    for (method, path, allow) in [
        (Method::PATCH, "/v1/apis", "GET,HEAD,POST"),
        (Method::DELETE, "/v1/policy", "GET,HEAD"),
        (Method::GET, "/v1/subscriptions/s-1/block", "POST"),
        (Method::PUT, "/v1/usage", "POST,GET,HEAD"),
        (Method::POST, "/v1/apis/api-1", "GET,HEAD,PUT,DELETE"),
    ] {
        let answer = service.admin(method, path, Value::Null).await.expect_problem(405, None);
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    for (query, field) in [
        ("limit=0", Some("limit")),
        ("limit=1001", Some("limit")),
        ("limit=many", Some("limit")),
        ("cursor=%21", Some("cursor")),
        ("offset=5", Some("offset")),
    ] {
        service.get(&format!("/v1/apis?{query}")).await.expect_problem(400, field);
        service.get(&format!("/v1/usage?{query}")).await.expect_problem(400, field);
    }
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=-1", "to"),
        ("from=2025-06-01T00:00:00Z", "from"),
        ("to=99999999999999", "to"),
        ("cursor=W10", "cursor"),
    ] {
        service.get(&format!("/v1/usage?{query}")).await.expect_problem(400, Some(field));
    }
    service.get("/v1/apis/%ff").await.expect_problem(400, Some("id"));
}

#[tokio::test]
async fn health_and_description_need_no_credentials() {
    let service = Service::start().await;
    for path in ["/healthz", "/healthz/write"] {
        assert_eq!(send(service.request(Method::GET, path)).await.expect(200).text, "ok\n", "{path}");
    }
    // A rejected change must not leave the writer blocked.
    service.post("/v1/plans", json!({"id": ""})).await.expect(422);
    send(service.request(Method::GET, "/healthz/write")).await.expect(200);
    let answer = send(service.request(Method::GET, "/openapi.json")).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let described = answer.json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3."));
    for path in [
        "/healthz",
        "/healthz/write",
        "/v1/policy",
        "/v1/apis",
        "/v1/applications",
        "/v1/applications/{id}/keys",
        "/v1/keys/{id}/revoke",
        "/v1/keys/{id}/regenerate",
        "/v1/subscriptions/{id}/block",
        "/v1/subscriptions/{id}/unblock",
        "/v1/plans",
        "/v1/deny-policies/{id}",
        "/v1/usage",
    ] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
    // Every reference has a target.
    let text = answer.text;
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(described.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_end_their_connection_only() {
    let service = Service::start().await;
    let address = service.url.trim_start_matches("http://").to_owned();
    for bytes in
        [format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)), "\0\0\0".repeat(9_000), "GET\r\n\r\n".into()]
    {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // The service may close the connection before it has read everything.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    send(service.request(Method::GET, "/healthz")).await.expect(200);
}

#[tokio::test]
async fn a_database_that_is_locked_is_503_and_the_feed_goes_on() {
    let service = Service::start().await;
    service.seed().await;
    let change = service.store.begin(crate::support::act()).await.unwrap();
    let answer = service.post("/v1/plans", json!({})).await.expect_problem(503, None);
    assert_eq!(answer.header("retry-after"), "1");
    service.feed("/v1/policy").await.expect(200);
    service.get("/v1/apis").await.expect(200);
    drop(change);
    service.post("/v1/plans", json!({})).await.expect(201);
}

#[tokio::test]
async fn a_list_is_not_filtered_by_what_it_does_not_know() {
    let service = Service::start().await;
    for path in ["apis", "applications", "plans", "deny-policies"] {
        service.get(&format!("/v1/{path}?application=a")).await.expect_problem(400, Some("application"));
        service.get(&format!("/v1/{path}?api=a")).await.expect_problem(400, Some("api"));
    }
    service.get("/v1/keys?api=a").await.expect_problem(400, Some("api"));
    for path in ["keys?application=a", "subscriptions?application=a&api=b"] {
        service.get(&format!("/v1/{path}")).await.expect(200);
    }
}

#[tokio::test]
async fn a_full_disk_is_507_and_changes_nothing() {
    let service = Service::start().await;
    service.seed().await;
    service.sqlite.limit_pages(40).await.unwrap();
    let text = "x".repeat(256);
    let mut answer = None;
    for number in 0..2_000 {
        let made =
            service.post("/v1/applications", json!({"id": number.to_string(), "name": text, "owner": text})).await;
        if made.status != 201 {
            answer = Some(made);
            break;
        }
    }
    answer.expect("the disk is never full").expect_problem(507, None);
    let revision = service.revision().await;
    let page = service.feed("/v1/policy").await.expect(200).json();
    assert_eq!(page["revision"], revision);
    assert_eq!(page["applications"].as_array().unwrap().len(), usize::try_from(revision).unwrap() - 3);
}
