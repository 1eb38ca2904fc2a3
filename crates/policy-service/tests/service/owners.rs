//! Owners: what publishers and subscribers may do with their own rows, and what they cannot do with those of others.
//! Each test is a table of calls that a client might try.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Service, TOKEN, digest, send};

async fn ask(service: &Service, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = service.request(Method::from_bytes(method.as_bytes()).unwrap(), path).bearer_auth(token);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// A service with the tokens of two publishers, two subscribers and an operator.
struct Cast {
    service: Service,
    tokens: HashMap<&'static str, String>,
}

impl Cast {
    async fn start() -> Self {
        let service = Service::start().await;
        let mut tokens = HashMap::new();
        for (subject, role) in [
            ("pat", "publisher"),
            ("pia", "publisher"),
            ("sam", "subscriber"),
            ("sue", "subscriber"),
            ("ola", "operator"),
        ] {
            let made = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
            tokens.insert(subject, made["token"].as_str().unwrap().to_owned());
        }
        tokens.insert("admin", TOKEN.to_owned());
        Self { service, tokens }
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Answer {
        ask(&self.service, &self.tokens[who], method, path, &body).await
    }
}

/// A call and its answer: caller, method, path, body, status, field, and words that the text must not contain.
type Case = (&'static str, &'static str, &'static str, Value, u16, Option<&'static str>, &'static [&'static str]);

async fn run(cast: &Cast, cases: Vec<Case>) {
    for (who, method, path, body, status, field, hidden) in cases {
        let answer = cast.ask(who, method, path, body.clone()).await;
        assert_eq!(answer.status, status, "{who} {method} {path} {body}: {}", answer.text);
        if status >= 400 {
            assert_eq!(
                answer.whole().get("field").and_then(Value::as_str),
                field,
                "{who} {method} {path}: {}",
                answer.text
            );
        }
        for word in hidden {
            assert!(!answer.text.contains(word), "{who} {method} {path} tells of {word}: {}", answer.text);
        }
    }
}

const NOTHING: &[&str] = &[];

#[tokio::test]
async fn who_makes_something_owns_it_and_only_an_administrator_gives_it_away() {
    let cast = Cast::start().await;
    let name = |owner: &str| json!({"owner": owner});
    run(
        &cast,
        vec![
            ("pat", "POST", "/v1/apis", json!({"id": "a", "match": [{"path": "/a"}]}), 201, None, NOTHING),
            ("pat", "POST", "/v1/plans", json!({"id": "p"}), 201, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "app"}), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", json!({"id": "b", "owner": "pia"}), 403, Some("owner"), NOTHING),
            ("pat", "POST", "/v1/plans", json!({"id": "q", "owner": "pia"}), 403, Some("owner"), NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "owner": "sue"}), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/apis/a", name("pia"), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/plans/p", name("pia"), 403, Some("owner"), NOTHING),
            ("sam", "PUT", "/v1/applications/app", name("sue"), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}], "owner": "pat"}), 200, None, NOTHING),
            ("sam", "PUT", "/v1/applications/app", json!({"name": "x"}), 200, None, NOTHING),
            ("admin", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}]}), 200, None, NOTHING),
        ],
    )
    .await;
    for (path, owner) in [("apis/a", "pat"), ("plans/p", "pat"), ("applications/app", "sam")] {
        assert_eq!(cast.service.get(&format!("/v1/{path}")).await.json()["owner"], owner, "{path}");
    }
    run(
        &cast,
        vec![
            ("admin", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}], "owner": "pia"}), 200, None, NOTHING),
            ("admin", "PUT", "/v1/applications/app", name("sue"), 200, None, NOTHING),
            ("pat", "DELETE", "/v1/apis/a", Value::Null, 403, None, NOTHING),
            ("sam", "GET", "/v1/applications/app", Value::Null, 404, None, &["sue"]),
            ("sue", "DELETE", "/v1/applications/app", Value::Null, 204, None, NOTHING),
            ("pia", "DELETE", "/v1/apis/a", Value::Null, 204, None, NOTHING),
        ],
    )
    .await;
    // Gateways do not get the owners of APIs and plans.
    let page = cast.service.feed("/v1/policy").await.expect(200);
    assert!(!page.text.contains("pat") && !page.text.contains("pia"), "{}", page.text);
}

#[tokio::test]
async fn a_publisher_takes_no_requests_from_another_owner() {
    let cast = Cast::start().await;
    let api = |id: &str, hosts: Value, path: &str| json!({"id": id, "match": [{"hosts": hosts, "path": path}]});
    let any = Value::Null;
    let mut hidden = api("secret-plans", json!(["*.example.com"]), "/pay");
    hidden["state"] = json!("CREATED");
    for (who, body) in [
        ("pia", hidden),
        ("pia", api("shop", any.clone(), "/shop")),
        ("pat", api("mine", any.clone(), "/mine")),
        ("admin", api("nobodys", any.clone(), "/none")),
    ] {
        cast.ask(who, "POST", "/v1/apis", body).await.expect(201);
    }
    let other: &[&str] = &["secret-plans", "pia"];
    let any_other: &[&str] = &["nobodys"];
    run(
        &cast,
        vec![
            // The same match, one inside another, or a more specific host beside it.
            (
                "pat",
                "POST",
                "/v1/apis",
                api("x", json!(["*.example.com"]), "/pay"),
                409,
                Some("match"),
                &["secret-plans", "pia"],
            ),
            ("pat", "POST", "/v1/apis", api("x", json!(["*.example.com"]), "/pay/in"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["a.example.com"]), "/pay/in"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["a.example.com"]), "/"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["*.a.example.com"]), "/pay"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", any.clone(), "/shop/in"), 409, Some("match"), NOTHING),
            ("pat", "POST", "/v1/apis", api("x", json!(["h.example"]), "/shop"), 409, Some("match"), NOTHING),
            ("pat", "POST", "/v1/apis", api("x", any.clone(), "/none/in"), 409, Some("match"), any_other),
            ("pat", "PUT", "/v1/apis/mine", api("mine", any.clone(), "/shop/in"), 409, Some("match"), NOTHING),
            // These matches take no requests from another API.
            ("pat", "POST", "/v1/apis", api("y1", json!(["*.example.com"]), "/payments"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y2", json!(["example.com"]), "/pay"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y3", any.clone(), "/pay"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y4", any.clone(), "/"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y5", any.clone(), "/mine/in"), 201, None, NOTHING),
            (
                "pat",
                "PUT",
                "/v1/apis/mine",
                json!({"state": "RETIRED", "match": [{"path": "/mine"}]}),
                200,
                None,
                NOTHING,
            ),
            ("admin", "POST", "/v1/apis", api("z", json!(["a.example.com"]), "/pay/in"), 201, None, NOTHING),
        ],
    )
    .await;
    // A caller who may see the other API gets its id.
    let told = cast.ask("pat", "POST", "/v1/apis", api("x", any, "/shop/in")).await;
    assert!(told.text.contains("shop"), "{}", told.text);
}

#[tokio::test]
async fn a_subscriber_escapes_nothing() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/plans", json!({"id": "gold"})),
        ("pat", "/v1/plans", json!({"id": "silver"})),
        ("admin", "/v1/plans", json!({"id": "iron"})),
        ("admin", "/v1/plans", json!({"id": "offered-iron"})),
        ("pat", "/v1/apis", json!({"id": "free", "match": [{"path": "/free"}]})),
        ("pat", "/v1/apis", json!({"id": "paid", "match": [{"path": "/paid"}], "plans": ["gold"]})),
        ("pat", "/v1/apis", json!({"id": "draft", "state": "CREATED"})),
        ("admin", "/v1/apis", json!({"id": "mixed", "owner": "pat", "plans": ["offered-iron"]})),
        ("sam", "/v1/applications", json!({"id": "mine"})),
        ("sue", "/v1/applications", json!({"id": "sues"})),
        ("sue", "/v1/applications/sues/keys", json!({"id": "sues-key"})),
        ("sue", "/v1/subscriptions", json!({"id": "sues-sub", "application": "sues", "api": "free"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    let subscribe = |application: &str, api: &str, plan: Value| {
        let mut body = json!({"application": application, "api": api});
        if !plan.is_null() {
            body["plan"] = plan;
        }
        body
    };
    let with = |mut body: Value, name: &str, value: &str| {
        body[name] = json!(value);
        body
    };
    let sues: &[&str] = &["sues-sub", "sues-key", "\"sue\""];
    run(
        &cast,
        vec![
            // Another owner's application, and an invisible API, count as missing.
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                subscribe("sues", "free", Value::Null),
                404,
                Some("application"),
                sues,
            ),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                subscribe("nobodys", "free", Value::Null),
                404,
                Some("application"),
                NOTHING,
            ),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "draft", Value::Null), 404, Some("api"), &["pat"]),
            ("sam", "POST", "/v1/applications/sues/keys", json!({}), 404, None, sues),
            (
                "sam",
                "POST",
                "/v1/keys",
                json!({"application": "sues", "sha256": digest(1)}),
                404,
                Some("application"),
                sues,
            ),
            ("sam", "GET", "/v1/subscriptions/sues-sub", Value::Null, 404, None, NOTHING),
            // Ids of other owners' objects are taken; nothing else is revealed.
            ("sam", "POST", "/v1/applications", json!({"id": "sues"}), 409, None, &["\"sue\"", "PUT"]),
            ("sam", "POST", "/v1/applications/mine/keys", json!({"id": "sues-key"}), 409, None, &["\"sues\""]),
            // Plans: one that the API offers, or none if it offers none.
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "free", json!("gold")), 403, Some("plan"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                subscribe("mine", "paid", json!("silver")),
                403,
                Some("plan"),
                NOTHING,
            ),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", json!("iron")), 404, Some("plan"), NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", json!("none")), 404, Some("plan"), NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", Value::Null), 422, Some("plan"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "paid", json!("gold")), "id", "s-paid"),
                201,
                None,
                NOTHING,
            ),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "mixed", json!("offered-iron")), "id", "m"),
                201,
                None,
                NOTHING,
            ),
            ("sam", "PUT", "/v1/subscriptions/s-paid", json!({"plan": "silver"}), 403, Some("plan"), NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-paid", json!({}), 200, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "plan": "gold"}), 403, Some("plan"), NOTHING),
            ("sam", "PUT", "/v1/applications/mine", json!({"plan": "gold"}), 403, Some("plan"), NOTHING),
            // A subscriber sets no state.
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "free", Value::Null), "state", "UNBLOCKED"),
                403,
                Some("state"),
                NOTHING,
            ),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "state": "ACTIVE"}), 403, Some("state"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "free", Value::Null), "id", "s-free"),
                201,
                None,
                NOTHING,
            ),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "ON_HOLD"}), 403, Some("state"), NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "UNBLOCKED"}), 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions/s-free/block", Value::Null, 403, None, NOTHING),
            ("pat", "POST", "/v1/subscriptions/s-free/block", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions/s-free/unblock", Value::Null, 403, None, NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "UNBLOCKED"}), 403, Some("state"), NOTHING),
            // Neither a deletion nor another application escapes a block.
            ("sam", "DELETE", "/v1/subscriptions/s-free", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "free", Value::Null), 409, None, NOTHING),
            ("sam", "GET", "/v1/subscriptions/s-free", Value::Null, 200, None, NOTHING),
            ("ola", "POST", "/v1/applications/mine/block", Value::Null, 200, None, NOTHING),
            ("sam", "PUT", "/v1/applications/mine", json!({"state": "ACTIVE"}), 403, Some("state"), NOTHING),
            ("sam", "DELETE", "/v1/applications/mine", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "mine"}), 409, None, NOTHING),
            ("sue", "POST", "/v1/applications", json!({"id": "mine"}), 409, None, &["block"]),
        ],
    )
    .await;
    let other = cast.ask("sam", "POST", "/v1/applications", json!({"id": "mine-2"})).await.expect(201).json();
    assert_eq!(other["state"], "BLOCKED");
}

#[tokio::test]
async fn a_look_up_and_usage_show_no_others() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/apis", json!({"id": "pats", "match": [{"path": "/pats"}]})),
        ("pia", "/v1/apis", json!({"id": "pias", "match": [{"path": "/pias"}]})),
        ("sam", "/v1/applications", json!({"id": "sams"})),
        ("sam", "/v1/keys", json!({"id": "k", "application": "sams", "sha256": digest(1), "apis": ["pats", "pias"]})),
        ("sam", "/v1/subscriptions", json!({"application": "sams", "api": "pats"})),
        ("sam", "/v1/subscriptions", json!({"application": "sams", "api": "pias"})),
        ("sue", "/v1/applications", json!({"id": "sues"})),
        ("sue", "/v1/keys", json!({"id": "l", "application": "sues", "sha256": digest(2)})),
        ("sue", "/v1/subscriptions", json!({"application": "sues", "api": "pias"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    for (who, key, subscriptions) in [
        ("sam", 1, Some(2)),
        ("sam", 2, None),
        ("sue", 2, Some(1)),
        ("pat", 1, Some(1)),
        ("pat", 2, None),
        ("pia", 2, Some(1)),
        ("ola", 1, Some(2)),
    ] {
        let answer = cast.ask(who, "POST", "/v1/keys/lookup", json!({"sha256": digest(key)})).await;
        let Some(subscriptions) = subscriptions else {
            answer.expect_problem(404, None);
            continue;
        };
        let found = answer.expect(200).json();
        assert_eq!(found["subscriptions"].as_array().unwrap().len(), subscriptions, "{who} {key}: {found}");
        if who == "pat" {
            assert_eq!(found["key"]["apis"], json!(["pats", "pias"]), "both are published");
        }
    }
    // When the API is not published any more, its id counts as missing for other publishers.
    cast.ask("pia", "PUT", "/v1/apis/pias", json!({"state": "CREATED", "match": [{"path": "/pias"}]}))
        .await
        .expect(200);
    let found = cast.ask("pat", "POST", "/v1/keys/lookup", json!({"sha256": digest(1)})).await.expect(200);
    assert!(!found.text.contains("pias"), "{}", found.text);

    let hour = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let count = |application: &str, api: &str| json!({"hour": hour, "application": application, "api": api, "outcome": "allowed", "requests": 1});
    let counts = json!([count("sams", "pats"), count("sams", "pias"), count("sues", "pias")]);
    let report = json!({"format": 1, "batch": "b", "counts": counts});
    send(cast.service.request(Method::POST, "/v1/usage").bearer_auth("secret").json(&report)).await.expect(200);
    for (who, rows) in [("sam", 2), ("sue", 1), ("pat", 1), ("pia", 2), ("ola", 3), ("admin", 3)] {
        let usage = cast.ask(who, "GET", "/v1/usage", Value::Null).await.expect(200).json();
        assert_eq!(usage["items"].as_array().unwrap().len(), rows, "{who}: {usage}");
    }
    let none = cast.ask("sue", "GET", "/v1/usage?application=sams", Value::Null).await.expect(200).json();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_subscription_waits_until_its_publisher_decides() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/apis", json!({"id": "a", "match": [{"path": "/a"}], "approval": "manual"})),
        ("sam", "/v1/applications", json!({"id": "app"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    let state = async |id: &str| cast.service.get(&format!("/v1/subscriptions/{id}")).await.json()["state"].clone();
    for (who, id) in [("sam", "s"), ("admin", "t")] {
        let application = if who == "admin" { "other" } else { "app" };
        cast.service.post("/v1/applications", json!({"id": application, "owner": "sam"})).await;
        let body = json!({"id": id, "application": application, "api": "a"});
        assert_eq!(
            cast.ask(who, "POST", "/v1/subscriptions", body.clone()).await.expect(201).json()["state"],
            "ON_HOLD"
        );
        cast.ask(who, "POST", "/v1/subscriptions", body).await.expect(200);
    }
    let (approve, reject) = ("/v1/subscriptions/s/approve", "/v1/subscriptions/s/reject");
    run(
        &cast,
        vec![
            ("sam", "POST", approve, Value::Null, 403, None, NOTHING),
            ("sue", "POST", approve, Value::Null, 404, None, NOTHING),
            ("pia", "POST", approve, Value::Null, 404, None, NOTHING),
            ("ola", "POST", approve, Value::Null, 403, None, NOTHING),
            ("pat", "POST", reject, json!({"reason": ""}), 422, Some("reason"), NOTHING),
            ("pat", "POST", reject, json!({"why": "x"}), 422, Some("why"), NOTHING),
            ("pat", "POST", reject, json!({"reason": "no contract"}), 200, None, NOTHING),
            ("pat", "POST", reject, Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", json!({"application": "app", "api": "a"}), 409, None, NOTHING),
        ],
    )
    .await;
    assert_eq!(state("s").await, "REJECTED");
    let entries = cast.service.get("/v1/audit?kind=subscription&action=reject").await.json();
    assert_eq!(entries["items"][0]["reason"], "no contract");
    assert_eq!(entries["items"][0]["actor"], "pat");
    // A rejected or waiting subscription is so again after a block.
    for id in ["s", "t"] {
        let before = state(id).await;
        cast.ask("pat", "POST", &format!("/v1/subscriptions/{id}/block"), Value::Null).await.expect(200);
        assert_eq!(state(id).await, "BLOCKED");
        cast.ask("pat", "POST", &format!("/v1/subscriptions/{id}/unblock"), Value::Null).await.expect(200);
        assert_eq!(state(id).await, before);
    }
    // A subscription that is approved while it is blocked stays blocked, and lets requests pass when the block ends.
    cast.ask("pat", "POST", "/v1/subscriptions/s/block", Value::Null).await.expect(200);
    cast.ask("pat", "POST", approve, Value::Null).await.expect(200);
    assert_eq!(state("s").await, "BLOCKED");
    cast.ask("pat", "POST", "/v1/subscriptions/s/unblock", Value::Null).await.expect(200);
    assert_eq!(state("s").await, "UNBLOCKED");
    let revision = cast.service.revision().await;
    cast.ask("pat", "POST", approve, Value::Null).await.expect(200);
    assert_eq!(cast.service.revision().await, revision, "it is so already");
    cast.ask("pat", "POST", reject, Value::Null).await.expect_problem(409, None);
    cast.ask("pat", "POST", "/v1/subscriptions/t/approve", Value::Null).await.expect(200);
    assert_eq!(state("t").await, "UNBLOCKED");
}
