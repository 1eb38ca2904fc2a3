//! Tokens and credentials of gateways, with two services on one database.

use std::time::{Duration, Instant};

use serde_json::json;

use super::service::{database, serve};
use crate::support::{TOKEN, browser::Browser, program::Program, send};

async fn revoke(service: &Program, path: &str) {
    send(service.client.delete(format!("{}{path}", service.url)).bearer_auth(TOKEN)).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_service_revokes_the_other_refuses_at_once() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    let (_, token) = one.post("/v1/tokens", json!({"role": "operator", "subject": "o"})).await;
    let me = || send(other.client.get(format!("{}/v1/me", other.url)).bearer_auth(token["token"].as_str().unwrap()));
    assert_eq!(me().await.expect(200).json()["subject"], "o");
    revoke(&one, &format!("/v1/tokens/{}", token["id"].as_str().unwrap())).await;
    me().await.expect_problem(401, None);

    let (_, made) = one.post("/v1/gateways/credentials", json!({"client_id": "edge"})).await;
    let ask = |query: &str| {
        let request = other.client.get(format!("{}/v1/policy{query}", other.url));
        send(request.basic_auth("edge", made["client_secret"].as_str()).header("prefer", "wait=30"))
    };
    let page = ask("").await.expect(200).whole();
    let query = page["poll"].as_str().unwrap().trim_start_matches("/v1/policy").to_owned();
    let begun = Instant::now();
    let revoked = async {
        // It is held by then, or refused as soon as it comes.
        tokio::time::sleep(Duration::from_millis(500)).await;
        revoke(&one, &format!("/v1/gateways/credentials/{}", made["id"].as_str().unwrap())).await;
        Instant::now()
    };
    let (held, revoked) = tokio::join!(ask(&query), revoked);
    held.expect_problem(401, None);
    assert!(revoked.elapsed() < Duration::from_secs(5) && begun.elapsed() < Duration::from_secs(20));
}

/// A session is a row, so every service knows it, and knows at once that it ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_service_is_known_to_the_other_until_it_ends() {
    let url = database();
    let (one, other) = (serve(&url), serve(&url));
    let (_, token) = one.post("/v1/tokens", json!({"role": "auditor", "subject": "ä"})).await;
    let mut browsers = Vec::new();
    for _ in 0..17 {
        let mut browser = Browser::new();
        let request =
            browser.client.post(format!("{}/console/sign-in", one.url)).json(&json!({"token": token["token"]}));
        let csrf = browser.send(request).await.expect(200).json()["csrf_token"].as_str().unwrap().to_owned();
        browsers.push((browser, csrf));
    }
    let mut known = 0;
    for (browser, _) in &mut browsers {
        known += usize::from(browser.get(&format!("{}/v1/me", other.url)).await.status == 200);
    }
    assert_eq!(known, 16, "the oldest one went");
    for end in ["sign-out", "revocation"] {
        let mut signed_in = browsers.iter_mut().rev();
        let (browser, csrf) = signed_in.next().unwrap();
        let cookies = browser.cookies.clone();
        match end {
            "sign-out" => {
                let request = browser.client.post(format!("{}/console/sign-out", other.url));
                browser.send(request.header("x-csrf-token", csrf.as_str())).await.expect(204);
            }
            _ => revoke(&other, &format!("/v1/tokens/{}", token["id"].as_str().unwrap())).await,
        }
        browser.cookies = cookies;
        for service in [&one, &other] {
            browser.get(&format!("{}/v1/me", service.url)).await.expect_problem(401, None);
        }
        browsers.pop();
    }
}

/// The statements of owners are others than SQLite's: what a limited role sees, through the whole service.
#[tokio::test(flavor = "multi_thread")]
async fn roles_see_their_own() {
    let service = serve(&database());
    let mut tokens = Vec::new();
    for (role, subject) in [("publisher", "pat"), ("publisher", "pia"), ("subscriber", "sam"), ("subscriber", "sue")] {
        let (_, made) = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await;
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let ask = |who: usize, method: &str, path: &str, body: serde_json::Value| {
        let request = service.client.request(method.parse().unwrap(), format!("{}{path}", service.url));
        let request = request.bearer_auth(&tokens[who]);
        send(if body.is_null() { request } else { request.json(&body) })
    };
    let (pat, pia, sam, sue) = (0, 1, 2, 3);
    ask(pat, "POST", "/v1/apis", json!({"id": "a", "match": [{"path": "/a"}], "approval": "manual"})).await.expect(201);
    ask(pia, "POST", "/v1/apis", json!({"id": "b", "state": "CREATED", "match": [{"path": "/b"}]})).await.expect(201);
    ask(pia, "POST", "/v1/apis", json!({"id": "c", "match": [{"path": "/a/c"}]}))
        .await
        .expect_problem(409, Some("match"));
    ask(sam, "POST", "/v1/applications", json!({"id": "app"})).await.expect(201);
    let subscription = json!({"id": "s", "application": "app", "api": "a"});
    assert_eq!(ask(sam, "POST", "/v1/subscriptions", subscription).await.expect(201).json()["state"], "ON_HOLD");
    ask(sue, "GET", "/v1/subscriptions/s", json!(null)).await.expect_problem(404, None);
    ask(pia, "POST", "/v1/subscriptions/s/approve", json!(null)).await.expect_problem(404, None);
    ask(pat, "POST", "/v1/subscriptions/s/approve", json!(null)).await.expect(200);
    for (who, path, total) in [
        (pat, "apis", 1),
        (pia, "apis", 2),
        (sam, "apis", 1),
        (sam, "subscriptions", 1),
        (sue, "subscriptions", 0),
        (pat, "subscriptions", 1),
        (pia, "subscriptions", 0),
        (sam, "applications", 1),
        (sue, "applications", 0),
    ] {
        let list = ask(who, "GET", &format!("/v1/{path}"), json!(null)).await.expect(200).json();
        assert_eq!(list["total"], total, "{who} {path}: {list}");
    }
}
