//! Credentials of gateways: rotated under load, revoked at once, given another scope, without a restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::deadline::eventually;
use tokio::{sync::watch, task::JoinHandle};

use crate::support::{Answer, Service, TOKEN, program::Program, send};

const PATH: &str = "/v1/gateways/credentials";

async fn make(service: &Service, body: Value) -> (String, String) {
    let made = service.post(PATH, body).await.expect(201).json();
    (made["id"].as_str().unwrap().to_owned(), made["client_secret"].as_str().unwrap().to_owned())
}

async fn poll(service: &Service, client_id: &str, secret: &str, query: &str, wait: u32) -> Answer {
    let request = service.request(Method::GET, &format!("/v1/policy{query}")).basic_auth(client_id, Some(secret));
    send(request.header("prefer", format!("wait={wait}"))).await
}

fn apis(page: &Value) -> Vec<&str> {
    page["apis"].as_array().into_iter().flatten().map(|api| api["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_credential_works_for_its_gateway_and_nobody_else() {
    let service = Service::start().await;
    service.seed().await;
    let answer = service.post(PATH, json!({"client_id": "edge", "expires_in": 600})).await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    assert_eq!((&made["client_id"], &made["apis"]), (&json!("edge"), &Value::Null));
    poll(&service, "edge", secret, "", 0).await.expect(200);
    poll(&service, "other", secret, "", 0).await.expect_problem(401, None);
    let bearer = |method, path: &str| service.request(method, path).bearer_auth(secret);
    send(bearer(Method::GET, "/v1/policy")).await.expect(200);
    send(bearer(Method::GET, "/v1/apis")).await.expect_problem(401, None);
    send(bearer(Method::GET, "/v1/me")).await.expect_problem(401, None);
    let report = json!({"format": 1, "batch": "b"});
    send(bearer(Method::POST, "/v1/usage").json(&report)).await.expect(200);
    // The credentials of the configuration go on to work.
    poll(&service, "gw", "secret", "", 0).await.expect(200);
    for path in [PATH, "/v1/audit?kind=gateway_credential"] {
        let shown = service.get(path).await.expect(200);
        assert!(shown.text.contains(id) && !shown.text.contains(secret), "{}", shown.text);
    }
    for (body, field) in [
        (json!({}), "client_id"),
        (json!({"client_id": ""}), "client_id"),
        (json!({"client_id": "a:b"}), "client_id"),
        (json!({"client_id": "a", "apis": [""]}), "apis[0]"),
        (json!({"client_id": "a", "apis": "all"}), "apis"),
        (json!({"client_id": "a", "expires_in": -1}), "expires_in"),
        (json!({"client_id": "a", "client_secret": "mine"}), "client_secret"),
    ] {
        service.post(PATH, body).await.expect_problem(422, Some(field));
    }
    service.put(&format!("{PATH}/{id}"), json!({"client_id": "b"})).await.expect_problem(422, Some("client_id"));
}

/// Gateways that poll without a pause go from one credential to the next, and the first is revoked behind them.
#[tokio::test]
async fn a_credential_is_rotated_under_load_without_a_refusal() {
    let service = Arc::new(Service::start().await);
    service.seed().await;
    let (mut id, secret) = make(&service, json!({"client_id": "edge"})).await;
    let (current, _) = watch::channel(secret);
    let (is_over, polls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let gateways: Vec<_> = (0..8)
        .map(|number| {
            let (service, secrets) = (Arc::clone(&service), current.subscribe());
            let (is_over, polls) = (Arc::clone(&is_over), Arc::clone(&polls));
            tokio::spawn(async move {
                let mut query = String::new();
                while !is_over.load(Ordering::Relaxed) {
                    let secret = secrets.borrow().clone();
                    let answer = poll(&service, "edge", &secret, &query, number % 2).await;
                    assert!([200, 304].contains(&answer.status), "{}: {}", answer.status, answer.text);
                    if answer.status == 200 {
                        let page = answer.whole();
                        query = page["poll"].as_str().unwrap_or_default().trim_start_matches("/v1/policy").to_owned();
                    }
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..3 {
        let (next, secret) = make(&service, json!({"client_id": "edge"})).await;
        current.send_replace(secret);
        // A gateway that asked with the old secret has its answer within the second for which it waits.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        service.delete(&format!("{PATH}/{id}")).await.expect(204);
        id = next;
        service
            .put("/v1/apis/api-1", json!({"name": format!("{round}"), "match": [{"path": "/one"}]}))
            .await
            .expect(200);
    }
    is_over.store(true, Ordering::Relaxed);
    for gateway in gateways {
        gateway.await.unwrap();
    }
    assert!(polls.load(Ordering::Relaxed) > 100, "{polls:?}");
}

/// Waits until a poll waits for a change, or has its answer: on a busy machine a credential ends before that.
async fn is_waiting(service: &Service, poll: &JoinHandle<Answer>) {
    while service.store.waiting() == 0 && !poll.is_finished() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_held_poll_ends_when_its_credential_does() {
    let service = Arc::new(Service::start().await);
    service.seed().await;
    for by_itself in [false, true] {
        let life = if by_itself { json!(5) } else { Value::Null };
        let (id, secret) = make(&service, json!({"client_id": "edge", "expires_in": life})).await;
        let page = poll(&service, "edge", &secret, "", 0).await.expect(200).whole();
        let query = page["poll"].as_str().unwrap().trim_start_matches("/v1/policy").to_owned();
        let begun = Instant::now();
        let held = tokio::spawn({
            let (service, secret) = (Arc::clone(&service), secret.clone());
            async move { poll(&service, "edge", &secret, &query, 30).await }
        });
        is_waiting(&service, &held).await;
        if !by_itself {
            // Another one's credential ends nothing.
            let (other, _) = make(&service, json!({"client_id": "edge"})).await;
            service.delete(&format!("{PATH}/{other}")).await.expect(204);
            service.delete(&format!("{PATH}/{id}")).await.expect(204);
        }
        held.await.unwrap().expect_problem(401, None);
        assert!(begun.elapsed() < Duration::from_secs(20), "{by_itself} {:?}", begun.elapsed());
        poll(&service, "edge", &secret, "", 0).await.expect_problem(401, None);
    }
}

#[tokio::test]
async fn a_scope_changes_while_the_service_runs() {
    let service = Arc::new(Service::start().await);
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}]})).await.expect(201);
    let (id, secret) = make(&service, json!({"client_id": "edge", "apis": ["api-1"]})).await;
    let path = format!("{PATH}/{id}");
    let page = poll(&service, "edge", &secret, "", 0).await.expect(200).whole();
    assert_eq!(apis(&page), ["api-1"]);
    let query = page["poll"].as_str().unwrap().trim_start_matches("/v1/policy").to_owned();
    let held = tokio::spawn({
        let (service, secret) = (Arc::clone(&service), secret.clone());
        async move { poll(&service, "edge", &secret, &query, 30).await }
    });
    is_waiting(&service, &held).await;
    let changed = service.put(&path, json!({"apis": ["api-2"]})).await.expect(200).json();
    assert_eq!(changed["apis"], json!(["api-2"]));
    // What the gateway holds is of another scope: it begins anew.
    held.await.unwrap().expect(410);
    assert_eq!(apis(&poll(&service, "edge", &secret, "", 0).await.expect(200).whole()), ["api-2"]);
    service.put(&path, json!({})).await.expect(200);
    assert_eq!(apis(&poll(&service, "edge", &secret, "", 0).await.expect(200).whole()), ["api-1", "api-2"]);
    service.put(&path, json!({"apis": []})).await.expect(200);
    assert!(apis(&poll(&service, "edge", &secret, "", 0).await.expect(200).whole()).is_empty());
    service.put(&format!("{PATH}/none"), json!({})).await.expect_problem(404, None);
}

/// What one service revokes ends the polls that another one holds. That poll is no guess at a credential. No gateway has
/// to be configured.
#[tokio::test]
async fn a_credential_is_revoked_on_each_service() {
    let one = Program::start();
    let other = one.another(&["serve"]).variable("POLICY_GATEWAYS", None).start();
    let (status, made) = one.post(PATH, json!({"client_id": "edge"})).await;
    assert_eq!(status, 201, "{made}");
    let ask = |query: &str| {
        let request = other.client.get(format!("{}/v1/policy{query}", other.url));
        let request = request.basic_auth("edge", made["client_secret"].as_str());
        send(request.header("prefer", "wait=30"))
    };
    let page = ask("").await.expect(200).whole();
    let query = page["poll"].as_str().unwrap().trim_start_matches("/v1/policy").to_owned();
    let revoke = async {
        let held = async || {
            let (_, metrics) = other.get("/metrics").await;
            if metrics.contains("policy_service_polls_held 1\n") { Ok(()) } else { Err(metrics) }
        };
        eventually("a held poll", Duration::from_secs(10), held).await.unwrap();
        let path = format!("{}{PATH}/{}", one.url, made["id"].as_str().unwrap());
        send(one.client.delete(path).bearer_auth(TOKEN)).await.expect(204);
    };
    let begun = Instant::now();
    let (held, ()) = tokio::join!(ask(&query), revoke);
    held.expect_problem(401, None);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let refused = "policy_service_refused_credentials_total";
    let (_, metrics) = other.get("/metrics").await;
    assert!(metrics.contains(&format!("{refused} 0\n")), "{metrics}");
    ask(&query).await.expect_problem(401, None);
    let (_, metrics) = other.get("/metrics").await;
    assert!(metrics.contains(&format!("{refused} 1\n")), "{metrics}");
}
