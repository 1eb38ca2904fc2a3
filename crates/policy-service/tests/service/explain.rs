//! `POST /v1/explain`: what it reads, whom it answers, and what it keeps to itself. The crate `explain` has the tests of
//! what it says.

use std::collections::HashMap;

use keygate::digest::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Service, TOKEN, digest, program::Program, send};

const KEY: &str = "kg_a-key-that-nobody-may-repeat";

/// Two APIs with an application that is subscribed to one of them, a plan and a deny policy.
async fn service() -> Service {
    let service = Service::start().await;
    for (path, body) in [
        ("plans", json!({"id": "gold", "burst": {"requests": 1, "per": "second"}})),
        ("apis", json!({"id": "api-1", "match": [{"path": "/one"}]})),
        ("apis", json!({"id": "api-2", "match": [{"path": "/two", "hosts": ["b.example"]}]})),
        ("applications", json!({"id": "app-1", "owner": "alice"})),
        ("keys", json!({"id": "k-1", "application": "app-1", "sha256": Digest::of(KEY.as_bytes()).to_hex()})),
        ("subscriptions", json!({"id": "s-1", "application": "app-1", "api": "api-1", "plan": "gold"})),
        ("deny-policies", json!({"id": "d-1", "type": "IP", "value": "203.0.113.9"})),
    ] {
        service.post(&format!("/v1/{path}"), body).await.expect(201);
    }
    service
}

fn asked(more: Value) -> Value {
    let mut body = json!({"method": "GET", "url": "https://a.example/one/x?y=z"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn told(service: &Service, more: Value) -> Value {
    let answer = service.post("/v1/explain", asked(more)).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text.contains(KEY), "{}", answer.text);
    answer.whole()
}

fn last(told: &Value) -> &Value {
    told["steps"].as_array().unwrap().last().unwrap()
}

#[tokio::test]
async fn an_allowed_request_names_what_it_belongs_to() {
    let service = service().await;
    let sha256 = Digest::of(KEY.as_bytes()).to_hex();
    for credential in [
        json!({"key": KEY}),
        json!({"sha256": sha256}),
        json!({"key_id": "k-1"}),
        json!({"headers": {"X-Api-Key": KEY}}),
        json!({"headers": {"apikey": [KEY, KEY]}, "key_id": "k-1"}),
        json!({"url": format!("/one?apikey={KEY}")}),
    ] {
        let told = told(&service, credential.clone()).await;
        let found = ["verdict", "reason", "status", "reply", "api", "application", "key_id", "subscription", "plan"];
        let found = found.map(|name| told[name].clone());
        let expected = ["allow", "allowed", "", "", "api-1", "app-1", "k-1", "s-1", "gold"];
        let expected = expected.map(|value| if value.is_empty() { Value::Null } else { json!(value) });
        assert_eq!(found, expected, "{credential}");
        assert_eq!((&last(&told)["rule"], &told["revision"]), (&json!("allowed"), &json!(service.revision().await)));
    }
}

#[tokio::test]
async fn a_refusal_names_its_rule_and_its_reply() {
    let service = service().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    for (more, reason, status, code) in [
        (json!({"key": KEY}), "subscription_blocked", 401, "900907"),
        (json!({}), "credential_missing", 401, "900902"),
        (json!({"key": "another"}), "key_unknown", 401, "900901"),
        (json!({"key": KEY, "address": "203.0.113.9"}), "denied_by_policy", 403, "900805"),
        (json!({"key": KEY, "url": "https://b.example/two"}), "subscription_missing", 403, "900908"),
        (json!({"key": KEY, "url": "https://a.example/two"}), "api_not_found", 404, "404"),
        (json!({"key": KEY, "url": "/two", "headers": {"Host": "b.example"}}), "subscription_missing", 403, "900908"),
        (json!({"key": KEY, "url": "/one//x"}), "path_ambiguous", 400, "400"),
        (json!({"key": KEY, "headers": {"apikey": "another"}}), "credential_ambiguous", 401, "900901"),
        (json!({"key": KEY, "method": "CONNECT", "url": "https://a.example:443"}), "path_ambiguous", 400, "400"),
    ] {
        let told = told(&service, more.clone()).await;
        assert_eq!(told["verdict"], "deny", "{more}");
        assert_eq!(
            (&told["reason"], &told["status"], &told["reply"]["code"]),
            (&json!(reason), &json!(status), &json!(code)),
            "{more}"
        );
        assert_eq!((&last(&told)["rule"], &last(&told)["outcome"]), (&json!(reason), &json!("refused")), "{more}");
    }
    let missing = told(&service, json!({})).await;
    assert!(last(&missing)["because"].as_str().unwrap().contains("the header x-api-key"), "{missing}");
}

#[tokio::test]
async fn the_configuration_of_the_gateway_decides_with_it() {
    let service = service().await;
    let config = json!({"policy": {"cluster": "c", "credentials": {"client_id": "g", "client_secret": {"env": "HOME"}}},
        "credential_sources": [{"header": "authorization", "scheme": "Bearer"}], "api": {"fixed": "api-2"},
        "replies": {"format": "problem"}});
    for configuration in [config.clone(), json!(config.to_string())] {
        let told = told(&service, json!({"key": KEY, "configuration": configuration})).await;
        assert_eq!((&told["reason"], &told["api"]), (&json!("subscription_missing"), &json!("api-2")));
        assert_eq!(told["reply"]["reason"], "subscription_missing");
        let home = std::env::var("HOME").unwrap();
        assert!(!told.to_string().contains(&format!("\"{home}\"")), "{told}");
    }
    let emergency = json!({"emergency": {"deny_keys": [Digest::of(KEY.as_bytes()).to_hex()]}});
    assert_eq!(told(&service, json!({"key_id": "k-1", "configuration": emergency})).await["reason"], "key_denied");
    let shadow = told(&service, json!({"configuration": {"mode": "shadow"}})).await;
    assert_eq!(shadow["verdict"], "deny");
    assert!(shadow["notes"][0].as_str().unwrap().contains("shadow"), "{shadow}");
    for (configuration, field, says) in [
        (json!({"mode": "shadows"}), "configuration.mode", "shadow"),
        (json!({"modes": "shadow"}), "configuration", "mode"),
        (json!("{\n \"mode\": 5}"), "configuration.mode", "line 2, column 10"),
        (
            json!({"policy": {"cluster": "c", "credentials": {"client_id": "g", "client_secret": [KEY]}}}),
            "configuration.policy.credentials.client_secret",
            "list",
        ),
        (json!({"api": {"route_metadata": ["keygate", "api"]}}), "configuration.api.route_metadata", "fixed"),
        (json!(5), "configuration", "object"),
    ] {
        let answer = service.post("/v1/explain", asked(json!({"configuration": configuration}))).await;
        let answer = answer.expect(422);
        let problem = answer.whole();
        assert!(problem["field"].as_str().unwrap().starts_with(field), "{configuration}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{configuration}: {problem}");
        assert!(!answer.text.contains(KEY));
    }
}

#[tokio::test]
async fn any_kept_revision_and_any_time_can_be_asked_about() {
    let service = service().await;
    let before = service.revision().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    let blocked = service.revision().await;
    service.delete("/v1/keys/k-1").await.expect(204);
    for (revision, reason) in
        [(0, "api_not_found"), (before, "allowed"), (blocked, "subscription_blocked"), (blocked + 1, "key_unknown")]
    {
        let told = told(&service, json!({"key": KEY, "at_revision": revision})).await;
        assert_eq!((&told["reason"], &told["revision"]), (&json!(reason), &json!(revision)));
    }
    let problem = |more: Value| service.post("/v1/explain", asked(more));
    problem(json!({"at_revision": blocked + 2})).await.expect_problem(410, Some("at_revision"));
    problem(json!({"at_revision": blocked + 2, "key_id": "k-1"})).await.expect_problem(410, Some("at_revision"));
    problem(json!({"at_revision": -1})).await.expect_problem(422, Some("at_revision"));
    problem(json!({"key_id": "k-1"})).await.expect_problem(404, Some("key_id"));
    assert_eq!(told(&service, json!({"key_id": "k-1", "at_revision": before})).await["reason"], "allowed");

    let until = json!({"id": "k-2", "application": "app-1", "sha256": digest(2), "not_before": 100, "expires_at": 200});
    service.post("/v1/keys", until).await.expect(201);
    service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
    for (now, reason) in [(99, "key_not_yet_valid"), (100, "allowed"), (199, "allowed"), (200, "key_expired")] {
        let told = told(&service, json!({"key_id": "k-2", "now": now})).await;
        assert_eq!((&told["reason"], &told["now"]), (&json!(reason), &json!(now)));
    }
}

#[tokio::test]
async fn each_field_that_cannot_be_used_is_named() {
    let service = service().await;
    for (more, field) in [
        (json!({"key": KEY, "sha256": digest(1)}), "key"),
        (json!({"sha256": digest(1), "key_id": "k-1"}), "sha256"),
        (json!({"key": ""}), "key"),
        (json!({"key": [KEY]}), "key"),
        (json!({"key": "k".repeat(4_097)}), "key"),
        (json!({"sha256": "ab"}), "sha256"),
        (json!({"method": "GET /"}), "method"),
        (json!({"url": format!("ftp://{KEY}")}), "url"),
        (json!({"url": format!("/ {KEY}")}), "url"),
        (json!({"url": format!("https://user:{KEY}@a.example/")}), "url"),
        (json!({"url": [KEY]}), "url"),
        (json!({"address": "a.example"}), "address"),
        (json!({"referer": "a\nb"}), "referer"),
        (json!({"referer": "a", "headers": {"Referer": "b"}}), "referer"),
        (json!({"headers": {":path": KEY}}), "headers"),
        (json!({"headers": {"x-api-key": [[KEY]]}}), "headers.x-api-key"),
        (json!({"headers": {"x-api-key": format!("{KEY}\n")}}), "headers.x-api-key"),
        (json!({"headers": {"a": vec!["b"; 101]}}), "headers"),
        (json!({"headers": {"a": "b".repeat(61_440)}}), "headers"),
        (json!({"now": -1}), "now"),
        (json!({"now": 253_402_300_800_i64}), "now"),
        (json!({"nowadays": 1}), "nowadays"),
        (json!({"configuration": {"credential_sources": [{"header": "x"}]}, "key": "a\nb"}), "key"),
    ] {
        let answer = service.post("/v1/explain", asked(more.clone())).await.expect_problem(422, Some(field));
        assert!(!answer.text.contains(KEY), "{more}: {}", answer.text);
    }
    service.post("/v1/explain", json!({"url": "/one"})).await.expect_problem(422, Some("method"));
    service.post("/v1/explain", json!({"method": "GET"})).await.expect_problem(422, Some("url"));
    service.post("/v1/explain?x=1", asked(json!({}))).await.expect_problem(400, Some("x"));
}

#[tokio::test]
async fn a_publisher_explains_requests_to_own_apis_by_keys_that_use_them() {
    let service = Service::start().await;
    let mut tokens = HashMap::new();
    for (subject, role) in
        [("pat", "publisher"), ("pia", "publisher"), ("sam", "subscriber"), ("ola", "operator"), ("amy", "auditor")]
    {
        let made = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
        tokens.insert(subject, made["token"].as_str().unwrap().to_owned());
    }
    tokens.insert("admin", TOKEN.to_owned());
    for (path, body) in [
        ("apis", json!({"id": "pats", "owner": "pat", "match": [{"path": "/pats"}]})),
        ("apis", json!({"id": "pias", "owner": "pia", "match": [{"path": "/pias"}]})),
        ("applications", json!({"id": "sams", "owner": "sam"})),
        ("applications", json!({"id": "sues", "owner": "sue"})),
        ("keys", json!({"id": "k", "application": "sams", "sha256": digest(1)})),
        ("keys", json!({"id": "l", "application": "sues", "sha256": digest(2)})),
        ("subscriptions", json!({"id": "s", "application": "sams", "api": "pats"})),
        ("deny-policies", json!({"id": "secret-policy", "type": "IP", "value": "203.0.113.9"})),
    ] {
        service.post(&format!("/v1/{path}"), body).await.expect(201);
    }
    let latest = service.revision().await;
    let ask = async |who: &str, body: &Value| -> Answer {
        send(service.request(Method::POST, "/v1/explain").bearer_auth(&tokens[who]).json(body)).await
    };
    let request =
        |url: &str, key: u64| json!({"method": "GET", "url": url, "sha256": digest(key), "address": "203.0.113.9"});
    for (url, key, sees) in [
        ("/pats", 1, &["pat", "ola", "amy", "admin"][..]),
        ("/pats", 2, &["ola", "amy", "admin"]),
        ("/pats", 3, &["ola", "amy", "admin"]),
        ("/pias", 1, &["ola", "amy", "admin"]),
        ("/nowhere", 1, &["ola", "amy", "admin"]),
    ] {
        for who in tokens.keys() {
            let answer = ask(who, &request(url, key)).await;
            if sees.contains(who) {
                answer.expect(200);
                continue;
            }
            let answer = answer.expect(404);
            assert!(!["sues", "pias", "sams"].iter().any(|id| answer.text.contains(id)), "{who}: {}", answer.text);
        }
    }
    // An unknown key is answered like one that the publisher does not see.
    let detail = async |key: u64| ask("pat", &request("/pats", key)).await.whole()["detail"].clone();
    assert_eq!(detail(3).await, detail(2).await);
    let denied = ask("pat", &request("/pats", 1)).await.expect(200);
    assert_eq!(denied.whole()["reason"], "denied_by_policy");
    assert!(!denied.text.contains("secret-policy"), "{}", denied.text);
    assert!(ask("ola", &request("/pats", 1)).await.text.contains("secret-policy"));
    let mut body = json!({"method": "GET", "url": "/pats"});
    ask("pat", &body).await.expect(200);
    body["at_revision"] = json!(latest);
    ask("pat", &body).await.expect(200);
    body["at_revision"] = json!(latest - 1);
    ask("pat", &body).await.expect_problem(404, Some("at_revision"));
}

/// A publisher's API and key, and those of others: `pats` with `k`, and `pias` with `l`.
async fn two_publishers() -> (Service, String) {
    let service = Service::start().await;
    let pat = service.post("/v1/tokens", json!({"role": "publisher", "subject": "pat"})).await.expect(201).json();
    for (path, body) in [
        ("apis", json!({"id": "pats", "owner": "pat", "match": [{"path": "/pats"}]})),
        ("apis", json!({"id": "pias", "owner": "pia", "match": [{"path": "/pias"}]})),
        ("applications", json!({"id": "sams", "owner": "sam"})),
        ("applications", json!({"id": "sues", "owner": "sue"})),
        ("keys", json!({"id": "k", "application": "sams", "sha256": digest(1)})),
        ("keys", json!({"id": "l", "application": "sues", "sha256": Digest::of(KEY.as_bytes()).to_hex()})),
        ("subscriptions", json!({"id": "s", "application": "sams", "api": "pats"})),
        ("subscriptions", json!({"id": "t", "application": "sues", "api": "pias"})),
    ] {
        service.post(&format!("/v1/{path}"), body).await.expect(201);
    }
    (service, pat["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_a_publisher_does_not_see_is_answered_as_if_it_were_not_there() {
    let (service, pat) = two_publishers().await;
    let ask = async |url: &str, more: &Value| -> Answer {
        let mut body = json!({"method": "GET", "url": url, "now": 1_764_576_000});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        if let Some(query) = body.as_object_mut().unwrap().remove("query") {
            body["url"] = json!(format!("{url}?{}", query.as_str().unwrap()));
        }
        send(service.request(Method::POST, "/v1/explain").bearer_auth(&pat).json(&body)).await
    };
    let (digest_of_l, other) = (Digest::of(KEY.as_bytes()).to_hex(), Digest::of(b"another-key").to_hex());
    let id = |id: &str, configuration: Value| json!({"key_id": id, "configuration": configuration});
    let denies = json!({"emergency": {"deny_keys": [digest_of_l]}});
    let allows = json!({"emergency": {"allow_keys": [digest_of_l]}});
    let denied = |digest: &str| json!({"sha256": digest, "configuration": {"emergency": {"deny_keys": [digest]}}});
    let fixed = |api: &str| json!({"sha256": digest(1), "configuration": {"api": {"fixed": api}}});
    let no_source =
        json!({"credential_sources": [{"header": "x-api-key"}, {"query": "q"}], "ambiguous_credentials": "first"});
    // What is there and what is not; the field that holds the key, if the answer at an own address names it.
    let pairs = [
        (id("l", Value::Null), id("nobody", Value::Null), "key_id"),
        (id("sues", Value::Null), id("nobody", Value::Null), "key_id"),
        (id("t", Value::Null), id("nobody", Value::Null), "key_id"),
        (id("pias", Value::Null), id("nobody", Value::Null), "key_id"),
        (id("l", denies.clone()), id("nobody", denies), "key_id"),
        (id("l", allows.clone()), id("nobody", allows), "key_id"),
        (id("l", no_source.clone()), id("nobody", no_source), "key_id"),
        (
            json!({"key_id": "l", "headers": {"apikey": KEY}}),
            json!({"key_id": "nobody", "headers": {"apikey": KEY}}),
            "key_id",
        ),
        (json!({"sha256": digest_of_l}), json!({"sha256": other}), "sha256"),
        (json!({"key": KEY}), json!({"key": "another-key"}), "key"),
        (json!({"headers": {"x-api-key": KEY}}), json!({"headers": {"x-api-key": "another-key"}}), "headers"),
        (json!({"query": format!("apikey={KEY}")}), json!({"query": "apikey=another-key"}), "url"),
        (denied(&digest_of_l), denied(&other), ""),
        (fixed("pias"), fixed("nowhere"), ""),
    ];
    for url in ["/pats", "/pias", "/nowhere", "/pats//x", "/pias//x"] {
        for (there, missing, field) in &pairs {
            let mut answers = Vec::new();
            for body in [there, missing] {
                let mut answer = ask(url, body).await.whole();
                answer.as_object_mut().unwrap().remove("request_id");
                assert!(!answer.to_string().contains("sues"), "{url} {body}: {answer}");
                answers.push(answer);
            }
            assert_eq!(answers[0], answers[1], "{url} {there}");
            if url == "/pats" && !field.is_empty() {
                assert_eq!((&answers[0]["status"], &answers[0]["field"]), (&json!(404), &json!(field)), "{there}");
            }
        }
    }
    for own in [json!({"key_id": "k"}), json!({"sha256": digest(1)})] {
        assert_eq!(ask("/pats", &own).await.expect(200).whole()["reason"], "allowed", "{own}");
        assert_eq!(ask("/pats//x", &own).await.expect(200).whole()["reason"], "path_ambiguous", "{own}");
    }
}

#[tokio::test]
async fn nothing_is_changed_logged_or_noted() {
    let service = Program::start();
    service.seed().await;
    let before = service.policy("/v1/policy").await["revision"].clone();
    let audit = async || {
        send(service.client.get(format!("{}/v1/audit", service.url)).bearer_auth(TOKEN)).await.expect(200).text
    };
    let entries = audit().await;
    let body = asked(json!({"key": KEY, "headers": {"cookie": format!("api_key={KEY}")}, "configuration":
        {"policy": {"cluster": "c", "headers": {"x-secret": KEY}}}}));
    for body in [body.clone(), json!({"method": "GET", "url": KEY, "key": [KEY]})] {
        let request = service.client.post(format!("{}/v1/explain", service.url)).bearer_auth(TOKEN);
        let answer = send(request.header("idempotency-key", "once").json(&body)).await;
        assert!(!answer.text.contains(KEY), "{}", answer.text);
        assert!(answer.headers.get("x-policy-revision").is_none());
    }
    assert_eq!(service.policy("/v1/policy").await["revision"], before);
    assert_eq!(audit().await, entries);
    let log = service.log();
    assert!(!log.contains(KEY), "{log}");
}
