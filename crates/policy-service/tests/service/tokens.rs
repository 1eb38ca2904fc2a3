//! Tokens: created, shown once, and refused at once after they were revoked or expired, on each service of a database.

use std::time::{Duration, Instant};

use crate::support::{Answer, Service, TOKEN, program::Program, send};
use keygate::digest::Digest;
use reqwest::Method;
use serde_json::{Value, json};

async fn with(service: &Service, token: &str, method: Method, path: &str) -> Answer {
    send(service.request(method, path).bearer_auth(token)).await
}

async fn make(service: &Service, role: &str, subject: &str) -> Value {
    service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json()
}

#[tokio::test]
async fn a_token_says_who_asks_until_it_is_revoked() {
    let service = Service::start().await;
    let me = service.get("/v1/me").await.expect(200).json();
    assert_eq!(me, json!({"subject": "administrator", "role": "administrator", "expires_at": null}));
    for role in ["administrator", "operator", "auditor", "publisher", "subscriber"] {
        let made = make(&service, role, "team é").await;
        let token = made["token"].as_str().unwrap();
        let me = with(&service, token, Method::GET, "/v1/me").await.expect(200).json();
        assert_eq!(me, json!({"subject": "team é", "role": role, "expires_at": null}));
        let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
        assert!(!service.delete(&path).await.expect(204).header("x-policy-revision").is_empty());
        let refused = with(&service, token, Method::GET, "/v1/me").await.expect_problem(401, None);
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"policy-service management\"");
        service.delete(&path).await.expect_problem(404, None);
    }
    assert_eq!(service.revision().await, 0, "tokens are no part of the policy");
}

#[tokio::test]
async fn a_token_ends_when_it_says() {
    let service = Service::start().await;
    let made = service.post("/v1/tokens", json!({"role": "auditor", "subject": "a", "expires_in": 2})).await;
    let made = made.expect(201).json();
    let token = made["token"].as_str().unwrap();
    let me = with(&service, token, Method::GET, "/v1/me").await.expect(200).json();
    assert_eq!(me["expires_at"], made["expires_at"]);
    assert_eq!(made["expires_at"].as_i64().unwrap() - made["created_at"].as_i64().unwrap(), 2);
    let deadline = Instant::now() + Duration::from_secs(10);
    while with(&service, token, Method::GET, "/v1/me").await.status == 200 {
        assert!(Instant::now() < deadline, "it does not end");
    }
    with(&service, token, Method::GET, "/v1/me").await.expect_problem(401, None);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_nowhere() {
    let service = Service::start().await;
    let answer = service.post("/v1/tokens", json!({"role": "operator", "subject": "night"})).await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), format!("/v1/tokens/{id}"));
    assert!(token.len() >= 40 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{token}");
    let list = service.get("/v1/tokens").await.expect(200);
    let audit = service.get("/v1/audit?kind=token").await.expect(200);
    assert_eq!(list.json()["items"][0]["subject"], "night");
    assert_eq!(audit.json()["items"][0]["after"]["subject"], "night");
    for text in [&list.text, &audit.text] {
        assert!(!text.contains(token) && !text.contains(&Digest::of(token.as_bytes()).to_hex()), "{text}");
    }
    let stored: Vec<(String, String)> =
        sqlx::query_as("SELECT id, secret FROM token").fetch_all(&mut service.connection().await).await.unwrap();
    assert_eq!(stored, [(id.to_owned(), Digest::of(token.as_bytes()).to_hex())]);
}

#[tokio::test]
async fn a_list_of_tokens_is_read_in_pages() {
    let service = Service::start().await;
    let mut made: Vec<String> = Vec::new();
    for number in 0..5 {
        made.push(make(&service, "auditor", &format!("a{number}")).await["id"].as_str().unwrap().to_owned());
    }
    made.sort();
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/tokens?limit=2{cursor}")).await.expect(200).json();
        assert_eq!(page["total"], 5);
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, made);
    service.get("/v1/tokens?cursor=%20").await.expect_problem(400, Some("cursor"));
    service.get("/v1/tokens?limit=0").await.expect_problem(400, Some("limit"));
    service.get("/v1/tokens?role=auditor").await.expect_problem(400, Some("role"));
}

#[tokio::test]
async fn what_cannot_be_a_token_is_refused_by_its_field() {
    let service = Service::start().await;
    let long = "s".repeat(257);
    for (body, field) in [
        (json!({"subject": "a"}), "role"),
        (json!({"role": "root", "subject": "a"}), "role"),
        (json!({"role": "auditor"}), "subject"),
        (json!({"role": "auditor", "subject": ""}), "subject"),
        (json!({"role": "auditor", "subject": " a"}), "subject"),
        (json!({"role": "auditor", "subject": "a\u{7}"}), "subject"),
        (json!({"role": "auditor", "subject": long}), "subject"),
        (json!({"role": "auditor", "subject": "service"}), "subject"),
        (json!({"role": "auditor", "subject": "a", "expires_in": 0}), "expires_in"),
        (json!({"role": "auditor", "subject": "a", "expires_in": i64::MAX}), "expires_in"),
        (json!({"role": "auditor", "subject": "a", "expires_in": "1h"}), "expires_in"),
        (json!({"role": "auditor", "subject": "a", "token": "mine"}), "token"),
    ] {
        service.post("/v1/tokens", body.clone()).await.expect_problem(422, Some(field));
    }
    assert_eq!(service.get("/v1/tokens").await.json()["total"], 0);
}

/// A token that one service revokes is refused by another service on the same database with the next request.
#[tokio::test]
async fn a_token_is_revoked_on_each_service_at_once() {
    let one = Program::start();
    let other = one.another(&["serve"]).start();
    let (status, made) = one.post("/v1/tokens", json!({"role": "operator", "subject": "o"})).await;
    assert_eq!(status, 201, "{made}");
    let ask = || async {
        let request = other.client.get(format!("{}/v1/me", other.url)).bearer_auth(made["token"].as_str().unwrap());
        send(request).await.status
    };
    assert_eq!(ask().await, 200);
    let path = format!("{}/v1/tokens/{}", one.url, made["id"].as_str().unwrap());
    send(one.client.delete(path).bearer_auth(TOKEN)).await.expect(204);
    assert_eq!(ask().await, 401);
    let line = one.logs("action=\"delete\"").await;
    assert!(line.contains("kind=\"token\"") && line.contains("actor=\"administrator\""), "{line}");
}
