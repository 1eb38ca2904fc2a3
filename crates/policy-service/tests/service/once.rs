//! Requests with an `idempotency-key`: done once, and answered the same.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Service, TOKEN, digest, program::Program, send};

async fn once(service: &Service, path: &str, key: &str, body: &Value) -> Answer {
    let request = service.request(Method::POST, path).bearer_auth(TOKEN).header("idempotency-key", key);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// What a client sees of an answer, but for the name of the request.
fn seen(answer: &Answer) -> (u16, String, Vec<String>) {
    let headers = ["content-type", "location", "etag", "x-policy-revision"];
    (answer.status, answer.text.clone(), headers.map(|name| answer.header(name).to_owned()).to_vec())
}

#[tokio::test]
async fn the_same_again_makes_nothing_twice_and_gets_the_same_answer() {
    for (path, body, status) in [
        ("/v1/apis", json!({"name": "no id"}), 201),
        ("/v1/plans", json!({}), 201),
        ("/v1/applications", json!({"owner": "bob"}), 201),
        ("/v1/keys", json!({"application": "app-1", "sha256": digest(9)}), 201),
        ("/v1/deny-policies", json!({"type": "IP", "value": "::1"}), 201),
        // It is there just so: no revision, and an answer all the same.
        ("/v1/applications", json!({"id": "app-1", "owner": "alice"}), 200),
        ("/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED", Value::Null, 200),
        ("/v1/subscriptions/s-1/unblock", Value::Null, 200),
        ("/v1/applications/app-1/block", json!({}), 200),
        ("/v1/keys/k-1/revoke", Value::Null, 200),
        ("/v1/restore", json!({"revision": 1}), 200),
    ] {
        let service = Service::start().await;
        service.seed().await;
        let first = once(&service, path, "one", &body).await.expect(status);
        let revision = service.revision().await;
        // Whatever happened meanwhile.
        service.post("/v1/plans", json!({"id": "meanwhile"})).await.expect(201);
        for _ in 0..3 {
            let again = once(&service, path, "one", &body).await;
            assert_eq!(seen(&again), seen(&first), "{path} {body}");
        }
        assert_eq!(service.revision().await, revision + 1, "{path} {body}");
        if status == 201 {
            let other = once(&service, path, "two", &body).await;
            assert!(seen(&other) != seen(&first), "another key is another request: {path} {body}");
        }
    }
}

/// A key is shown once: the same request gets its id, and no second key.
#[tokio::test]
async fn an_issued_key_is_not_shown_again() {
    let service = Service::start().await;
    service.seed().await;
    for (path, body) in [
        ("/v1/applications/app-1/keys", Value::Null),
        ("/v1/applications/app-1/keys", json!({"id": "mine", "expires_in": 60})),
        ("/v1/keys/k-1/regenerate", json!({"overlap_seconds": 60})),
    ] {
        let key = format!("{path} {body}").replace(' ', "");
        let first = once(&service, path, &key, &body).await.expect(201);
        let issued = first.json();
        let keys = service.get("/v1/keys").await.json()["total"].clone();
        for _ in 0..2 {
            let again = once(&service, path, &key, &body).await.expect_problem(409, None);
            assert_eq!(again.json()["id"], issued["id"], "{}", again.text);
            assert_eq!(again.header("location"), first.header("location"));
            assert!(!again.text.contains(issued["key"].as_str().unwrap()), "{}", again.text);
        }
        assert_eq!(service.get("/v1/keys").await.json()["total"], keys);
    }
    let stored: Vec<Option<String>> =
        sqlx::query_scalar("SELECT body FROM answer").fetch_all(&mut service.connection().await).await.unwrap();
    assert_eq!(stored, [None, None, None]);
}

#[tokio::test]
async fn a_credential_of_a_gateway_is_not_shown_again() {
    let service = Service::start().await;
    let (path, body) = ("/v1/gateways/credentials", json!({"client_id": "edge"}));
    let issued = once(&service, path, "one", &body).await.expect(201).json();
    let again = once(&service, path, "one", &body).await.expect_problem(409, None);
    assert_eq!(again.json()["id"], issued["id"]);
    assert!(!again.text.contains(issued["client_secret"].as_str().unwrap()), "{}", again.text);
    assert_eq!(service.get(path).await.json()["total"], 1);
}

#[tokio::test]
async fn a_token_is_not_shown_again() {
    let service = Service::start().await;
    let body = json!({"role": "auditor", "subject": "eve"});
    let first = once(&service, "/v1/tokens", "one", &body).await.expect(201);
    let issued = first.json();
    let again = once(&service, "/v1/tokens", "one", &body).await.expect_problem(409, None);
    assert_eq!((&again.json()["id"], again.header("location")), (&issued["id"], first.header("location")));
    assert!(!again.text.contains(issued["token"].as_str().unwrap()), "{}", again.text);
    assert_eq!(service.get("/v1/tokens").await.json()["items"].as_array().unwrap().len(), 1);
    // Another caller's key is another key.
    let other = service.post("/v1/tokens", json!({"role": "administrator", "subject": "bob"})).await.expect(201).json();
    let request = service.request(Method::POST, "/v1/tokens").bearer_auth(other["token"].as_str().unwrap());
    send(request.header("idempotency-key", "one").json(&body)).await.expect(201);
}

#[tokio::test]
async fn a_key_names_one_request_alone() {
    let service = Service::start().await;
    service.seed().await;
    once(&service, "/v1/subscriptions/s-1/block", "one", &Value::Null).await.expect(200);
    let revision = service.revision().await;
    for (path, body) in [
        ("/v1/subscriptions/s-1/block?state=BLOCKED", Value::Null),
        ("/v1/subscriptions/s-1/block", json!({})),
        ("/v1/subscriptions/s-1/unblock", Value::Null),
        ("/v1/plans", json!({})),
    ] {
        once(&service, path, "one", &body).await.expect_problem(422, Some("idempotency-key"));
    }
    assert_eq!(service.revision().await, revision);
    // Other methods have none: what they do twice is the same.
    let put = service.request(Method::PUT, "/v1/plans/p").bearer_auth(TOKEN).header("idempotency-key", "one");
    send(put.json(&json!({}))).await.expect(404);
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let service = Service::start().await;
    service.seed().await;
    let body = json!({"id": "s-2", "application": "app-1", "api": "api-2"});
    once(&service, "/v1/subscriptions", "one", &body).await.expect_problem(422, Some("api"));
    service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
    once(&service, "/v1/subscriptions", "one", &body).await.expect(201);
    once(&service, "/v1/subscriptions", "one", &body).await.expect(201);
    let preview = json!({"revision": 1, "dry_run": true});
    once(&service, "/v1/restore", "two", &preview).await.expect(200);
    once(&service, "/v1/plans", "two", &json!({})).await.expect(201);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused() {
    let service = Service::start().await;
    for key in ["", " ", "a b", "ä", &"k".repeat(256)] {
        once(&service, "/v1/plans", key, &json!({})).await.expect_problem(400, Some("idempotency-key"));
    }
    let twice = service.request(Method::POST, "/v1/plans").bearer_auth(TOKEN);
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b").json(&json!({}));
    send(twice).await.expect_problem(400, Some("idempotency-key"));
    once(&service, "/v1/plans", &"k".repeat(255), &json!({})).await.expect(201);
    // Nobody learns of a key without a token.
    let nobody = service.request(Method::POST, "/v1/plans").header("idempotency-key", "k".repeat(255));
    assert_eq!(send(nobody.json(&json!({}))).await.status, 401);
    assert_eq!(service.get("/v1/plans").await.json()["total"], 1);
}

#[tokio::test]
async fn an_answer_is_forgotten_after_a_day() {
    let service = Service::start().await;
    let first = once(&service, "/v1/plans", "one", &json!({})).await.expect(201);
    let mut connection = service.connection().await;
    for (age, is_same) in [(86_390, true), (86_401, false)] {
        sqlx::query("UPDATE answer SET at = unixepoch() - ?").bind(age).execute(&mut connection).await.unwrap();
        let again = once(&service, "/v1/plans", "one", &json!({})).await.expect(201);
        assert_eq!(seen(&again) == seen(&first), is_same, "{age}");
    }
    // What is over is deleted by the next one.
    sqlx::query("UPDATE answer SET at = unixepoch() - 90000").execute(&mut connection).await.unwrap();
    once(&service, "/v1/plans", "two", &json!({})).await.expect(201);
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM answer").fetch_all(&mut connection).await.unwrap();
    assert_eq!(left, ["two"]);
}

/// Too many keys of one actor are refused. Without a key the same request passes.
#[tokio::test]
async fn an_actor_has_so_many_keys_a_day_and_no_more() {
    let service = Service::start().await;
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                INSERT INTO answer (actor, key, at, fingerprint, status, revision) \
                SELECT 'administrator administrator', 'many-' || i, unixepoch(), x'00', 200, 0 FROM n";
    sqlx::query(many).execute(&mut service.connection().await).await.unwrap();
    once(&service, "/v1/plans", "one", &json!({})).await.expect_problem(429, Some("idempotency-key"));
    assert_eq!(service.revision().await, 0);
    service.post("/v1/plans", json!({})).await.expect(201);
}

/// Of requests that come at once, to two programs on one database, one makes a row and the others get its answer.
#[tokio::test]
async fn racing_requests_with_one_key_are_one_request() {
    let first = Program::start();
    let second = first.another(&["serve"]).start();
    for round in 0..5 {
        for (path, body) in [("/v1/plans", json!({})), ("/v1/plans", json!({"id": format!("given-{round}")}))] {
            let key = format!("{round}{body}");
            let calls: Vec<_> = (0..12)
                .map(|number| {
                    let program = if number % 2 == 0 { &first } else { &second };
                    let request = program.client.post(format!("{}{path}", program.url)).bearer_auth(TOKEN);
                    let request = request.header("idempotency-key", &key).json(&body);
                    tokio::spawn(async move { send(request).await })
                })
                .collect();
            let mut answers = BTreeSet::new();
            for call in calls {
                answers.insert(format!("{:?}", seen(&call.await.unwrap().expect(201))));
            }
            assert_eq!(answers.len(), 1, "{answers:?}");
        }
    }
    let request = first.client.get(format!("{}/v1/plans", first.url)).bearer_auth(TOKEN);
    let plans: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(plans["total"], 10, "{plans}");
}

/// Of keys that are issued at once, one is shown, and one is there.
#[tokio::test]
async fn racing_requests_issue_one_key() {
    let service = Service::start().await;
    service.seed().await;
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let request = service.request(Method::POST, "/v1/applications/app-1/keys").bearer_auth(TOKEN);
            tokio::spawn(send(request.header("idempotency-key", "one").json(&json!({"id": "mine"}))))
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.json()["id"], "mine", "{}", answer.text);
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[409; 11][..]));
    assert_eq!(service.get("/v1/keys").await.json()["total"], 2);
}
