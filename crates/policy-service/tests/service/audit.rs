//! The audit log over HTTP: what each operation leaves in it, who may find it how, and what never stands in it.

use crate::support::{Answer, Service, TOKEN, digest, program::Program, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn entries(service: &Service, query: &str) -> Vec<Value> {
    service.get(&format!("/v1/audit?limit=1000&{query}")).await.expect(200).whole()["items"].as_array().unwrap().clone()
}

fn things(entry: &Value) -> Vec<String> {
    let also = entry["also"].as_array().unwrap().iter();
    also.map(|also| format!("{} {}", also["kind"].as_str().unwrap(), also["id"].as_str().unwrap())).collect()
}

/// Each operation: its words, the states before and after, and what came along.
#[tokio::test]
async fn each_operation_leaves_one_entry() {
    let service = Service::start().await;
    let key = json!({"id": "k-1", "application": "app-1", "sha256": digest(1)});
    let none = || Value::Null;
    let states = |before: Value, after: Value| (before, after);
    let made = |state: &str| states(none(), json!(state));
    for (method, path, body, status, what, (before, after), also) in [
        (Method::POST, "/v1/apis", json!({"id": "api-1"}), 201, "create api api-1", made("PUBLISHED"), vec![]),
        (Method::POST, "/v1/plans", json!({"id": "gold"}), 201, "create plan gold", states(none(), none()), vec![]),
        (
            Method::POST,
            "/v1/applications",
            json!({"id": "app-1"}),
            201,
            "create application app-1",
            made("ACTIVE"),
            vec![],
        ),
        (Method::POST, "/v1/keys", key.clone(), 201, "create key k-1", made("ACTIVE"), vec![]),
        (
            Method::POST,
            "/v1/applications/app-1/keys",
            json!({"id": "k-2"}),
            201,
            "issue key k-2",
            made("ACTIVE"),
            vec![],
        ),
        (
            Method::POST,
            "/v1/keys/k-2/regenerate",
            json!({"id": "k-3"}),
            201,
            "regenerate key k-2",
            states(json!("ACTIVE"), json!("REVOKED")),
            vec!["key k-3"],
        ),
        (
            Method::POST,
            "/v1/keys/k-3/revoke",
            none(),
            200,
            "revoke key k-3",
            states(json!("ACTIVE"), json!("REVOKED")),
            vec![],
        ),
        (
            Method::POST,
            "/v1/subscriptions",
            json!({"id": "s-1", "application": "app-1", "api": "api-1"}),
            201,
            "create subscription s-1",
            made("UNBLOCKED"),
            vec![],
        ),
        (
            Method::PUT,
            "/v1/subscriptions/s-1",
            json!({"plan": "gold"}),
            200,
            "replace subscription s-1",
            states(json!("UNBLOCKED"), json!("UNBLOCKED")),
            vec![],
        ),
        (
            Method::POST,
            "/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED",
            none(),
            200,
            "block subscription s-1",
            states(json!("UNBLOCKED"), json!("PROD_ONLY_BLOCKED")),
            vec![],
        ),
        (
            Method::POST,
            "/v1/subscriptions/s-1/unblock",
            none(),
            200,
            "unblock subscription s-1",
            states(json!("PROD_ONLY_BLOCKED"), json!("UNBLOCKED")),
            vec![],
        ),
        (
            Method::POST,
            "/v1/applications/app-1/block",
            none(),
            200,
            "block application app-1",
            states(json!("ACTIVE"), json!("BLOCKED")),
            vec![],
        ),
        (
            Method::DELETE,
            "/v1/applications/app-1",
            none(),
            200,
            "delete application app-1",
            states(json!("BLOCKED"), json!("BLOCKED")),
            vec!["key k-1", "key k-2", "key k-3", "subscription s-1"],
        ),
        (
            Method::POST,
            "/v1/applications/app-1/unblock",
            none(),
            200,
            "unblock application app-1",
            states(json!("BLOCKED"), none()),
            vec![],
        ),
        (
            Method::POST,
            "/v1/deny-policies",
            json!({"id": "d", "type": "IP", "value": "::1"}),
            201,
            "create deny_policy d",
            states(none(), none()),
            vec![],
        ),
        (Method::DELETE, "/v1/deny-policies/d", none(), 204, "delete deny_policy d", states(none(), none()), vec![]),
        (Method::DELETE, "/v1/apis/api-1", none(), 204, "delete api api-1", states(json!("PUBLISHED"), none()), vec![]),
    ] {
        let before_it = entries(&service, "").await.len();
        let request = service.request(method.clone(), path).bearer_auth(TOKEN).header("x-request-id", "req.1");
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await.expect(status);
        let all = entries(&service, "").await;
        assert_eq!(all.len(), before_it + 1, "{method} {path}");
        let entry = all.last().unwrap();
        let words = ["action", "kind", "id"].map(|name| entry[name].as_str().unwrap()).join(" ");
        assert_eq!(words, what, "{entry}");
        let found = states(entry["before"]["state"].clone(), entry["after"]["state"].clone());
        assert_eq!(found, states(before, after), "{entry}");
        let mut found = things(entry);
        found.sort();
        assert_eq!(found, also, "{entry}");
        assert_eq!(entry["revision"].to_string(), answer.header("x-policy-revision"), "{entry}");
        let who = ["actor", "role", "address", "request_id", "reason"].map(|name| entry[name].clone());
        let expected = [json!("administrator"), json!("administrator"), json!("127.0.0.1"), json!("req.1"), none()];
        assert_eq!(who, expected, "{entry}");
    }
}

#[tokio::test]
async fn what_changes_nothing_leaves_nothing() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    let before = entries(&service, "").await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    service.post("/v1/apis", json!({"id": "api-1", "match": [{"path": "/one"}]})).await.expect(200);
    service.post("/v1/apis", json!({"id": "api-1"})).await.expect(409);
    service.put("/v1/keys/k-1", json!({"expires_at": 5, "not_before": 6})).await.expect(422);
    service.delete("/v1/keys/none").await.expect(404);
    let unauthorised = send(service.request(Method::DELETE, "/v1/keys/k-1").bearer_auth("wrong")).await;
    assert_eq!(unauthorised.status, 401);
    assert_eq!(entries(&service, "").await, before);
}

/// What usage brings about is done by the service, and an import from a file by nobody who has asked over HTTP.
#[tokio::test]
async fn the_service_and_imports_are_actors_of_their_own() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/plans", json!({"id": "p", "limits": [{"requests": 1, "per": "month"}]})).await.expect(201);
    service.put("/v1/subscriptions/s-1", json!({"plan": "p"})).await.expect(200);
    let hour = crate::support::act().now / 3_600 * 3_600;
    let counts = json!([{"hour": hour, "application": "app-1", "api": "api-1", "outcome": "allowed", "requests": 5}]);
    let report = json!({"format": 1, "batch": "b", "counts": counts});
    send(service.request(Method::POST, "/v1/usage").bearer_auth("secret").json(&report)).await.expect(200);
    let marked = entries(&service, "actor=service").await;
    assert_eq!(marked.len(), 1, "{marked:?}");
    assert_eq!((&marked[0]["kind"], &marked[0]["id"]), (&json!("subscription"), &json!("s-1")));
    assert_eq!((&marked[0]["role"], &marked[0]["address"]), (&Value::Null, &Value::Null));
    assert!(marked[0]["after"]["used_up_until"].is_i64(), "{}", marked[0]);

    service.store.renew_epoch(&policy_service::clock::act_of_service()).await.unwrap();
    let renewed = entries(&service, "kind=policy&action=renew_epoch").await;
    assert_eq!((renewed.len(), &renewed[0]["revision"], &renewed[0]["actor"]), (1, &Value::Null, &json!("service")));

    let program = Program::start();
    let page = program.directory().join("page.json");
    std::fs::write(
        &page,
        json!({"apis": [{"id": "a"}, {"id": "b"}], "applications": [{"id": "app"}],
        "keys": [{"id": "k", "sha256": digest(7), "application": "app"}]})
        .to_string(),
    )
    .unwrap();
    let (good, said) = program.another(&["import", page.to_str().unwrap()]).run();
    assert!(good, "{said}");
    let request = program.client.get(format!("{}/v1/audit", program.url)).bearer_auth(TOKEN);
    let audit: Value = request.send().await.unwrap().json().await.unwrap();
    let entry = &audit["items"][0];
    let words = ["actor", "action", "kind"].map(|name| entry[name].as_str().unwrap());
    assert_eq!((words, &entry["revision"]), (["import", "import", "policy"], &json!(1)), "{audit}");
    assert_eq!(entry["counts"]["apis"], json!({"made": 2, "changed": 0, "removed": 0}), "{audit}");
}

#[tokio::test]
async fn no_key_stands_in_the_log() {
    let service = Service::start().await;
    service.seed().await;
    let mut keys = Vec::new();
    let issued = service.post("/v1/applications/app-1/keys", json!({"id": "k-2"})).await.expect(201).json();
    keys.push(issued["key"].as_str().unwrap().to_owned());
    let next = json!({"id": "k-3", "overlap_seconds": 60});
    let issued = service.post("/v1/keys/k-2/regenerate", next).await.expect(201).json();
    keys.push(issued["key"].as_str().unwrap().to_owned());
    let text = service.get("/v1/audit?limit=1000").await.expect(200).text;
    assert!(text.contains(issued["sha256"].as_str().unwrap()), "a digest is none");
    for secret in keys.iter().map(String::as_str).chain([TOKEN, "secret"]) {
        assert!(!text.contains(&format!("\"{secret}")) && !text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn entries_are_read_in_pages_and_as_lines() {
    let service = Service::start().await;
    service.seed().await;
    let all = entries(&service, "").await;
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/audit?limit=3{next}")).await.expect(200).whole();
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    let reversed = service.get("/v1/audit?sort=-seq").await.expect(200).whole()["items"].clone();
    assert_eq!(reversed, all.iter().rev().cloned().collect::<Value>());

    let lines = async |path: &str| -> Answer {
        let request = service.request(Method::GET, path).bearer_auth(TOKEN);
        let answer = send(request.header("accept", "application/json;q=0.5, application/x-ndjson")).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        answer
    };
    let (mut read, mut path) = (Vec::new(), "/v1/audit?limit=3&actor=administrator".to_owned());
    loop {
        let answer = lines(&path).await;
        read.extend(answer.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        let link = answer.header("link");
        match link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(read, all);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named() {
    let service = Service::start().await;
    for (query, field) in [
        ("kind=subscriptions", "kind"),
        ("action=lift", "action"),
        ("from=yesterday", "from"),
        ("to=-1", "to"),
        ("limit=0", "limit"),
        ("sort=at", "sort"),
        ("cursor=x", "cursor"),
        (&format!("id={}", "a".repeat(257)), "id"),
        (&format!("actor={}", "a".repeat(257)), "actor"),
    ] {
        service.get(&format!("/v1/audit?{query}")).await.expect_problem(400, Some(field));
    }
    service.get("/v1/audit?who=me").await.expect_problem(400, Some("who"));
    let nobody = send(service.request(Method::GET, "/v1/audit")).await;
    assert_eq!(nobody.status, 401);
}

/// Entries go by their age alone, and only if that is asked for.
#[tokio::test]
async fn old_entries_go_when_days_are_given() {
    const DAY: i64 = 86_400;
    for (audit_days, left) in [(0, 3), (2, 2), (1, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("policy.db").display());
        let settings = store::Settings { audit_days, ..store::Settings::default() };
        let store = store::SqliteStore::open(&url, settings).await.unwrap();
        let store: management::port::Store = std::sync::Arc::new(store);
        for (age, id) in [(3, "a"), (1, "b"), (0, "c")] {
            let act = crate::support::act();
            let act = management::port::Act { now: act.now - age * DAY - age, ..act };
            let mut change = store.begin(act).await.unwrap();
            let sent: management::plans::Plan = serde_json::from_value(json!({"id": id})).unwrap();
            management::pipeline::create(&mut *change, sent, management::pipeline::Origin::Client).await.unwrap();
            change.commit().await.unwrap();
        }
        let page = store.entries(&Default::default(), None, false, 10).await.unwrap();
        assert_eq!(page.entries.len(), left, "{audit_days}");
    }
}

/// The log is only added to, also by a backup that takes the place of everything else.
#[tokio::test]
async fn restoring_a_backup_keeps_what_was_done_since() {
    let service = Service::start().await;
    service.seed().await;
    let backup = service.directory.path().join("backup.db");
    service.back_up(&backup).await;
    service.post("/v1/applications/app-1/block", Value::Null).await.expect(200);
    let before = entries(&service, "").await;
    service.sqlite.restore(&backup, &crate::support::act()).await.unwrap();
    assert_eq!(service.get("/v1/applications/app-1").await.json()["state"], "ACTIVE");
    let after = entries(&service, "").await;
    assert_eq!(after[..before.len()], before);
    let words: Vec<_> = after[before.len()..].iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(words, ["renew_epoch", "restore"]);

    // Another database takes over what the backup's log has.
    let other = Service::start().await;
    other.post("/v1/plans", json!({"id": "p"})).await.expect(201);
    other.sqlite.restore(&backup, &crate::support::act()).await.unwrap();
    let words: Vec<Value> = entries(&other, "").await.iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(
        words,
        [json!("p"), json!("api-1"), json!("app-1"), json!("k-1"), json!("s-1"), json!(null), json!(null)]
    );
}

/// What is decided about a subscription says why; a token is no part of the policy, so it has no revision.
#[tokio::test]
async fn decisions_and_tokens_are_in_the_log_with_their_reason_and_without_a_secret() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2", "approval": "manual"})).await.expect(201);
    for id in ["s-2", "s-3"] {
        service.delete("/v1/subscriptions/s-2").await;
        service.post("/v1/subscriptions", json!({"id": id, "application": "app-1", "api": "api-2"})).await.expect(201);
        let action = if id == "s-2" { "approve" } else { "reject" };
        let path = format!("/v1/subscriptions/{id}/{action}");
        service.post(&path, json!({"reason": "as agreed"})).await.expect(200);
        let entry = entries(&service, &format!("kind=subscription&id={id}&action={action}")).await[0].clone();
        assert_eq!((&entry["reason"], &entry["before"]["state"]), (&json!("as agreed"), &json!("ON_HOLD")), "{entry}");
    }
    let revision = service.revision().await;
    let made = service.post("/v1/tokens", json!({"role": "publisher", "subject": "bob"})).await.expect(201).json();
    let token = made["token"].as_str().unwrap();
    let request = service.request(Method::POST, "/v1/plans").bearer_auth(token).json(&json!({"id": "bobs"}));
    send(request).await.expect(201);
    service.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).await.expect(204);
    let told: Vec<_> = entries(&service, "kind=token")
        .await
        .iter()
        .map(|entry| (entry["action"].clone(), entry["id"].clone(), entry["revision"].clone()))
        .collect();
    let of = |action: &str| (json!(action), made["id"].clone(), Value::Null);
    assert_eq!(told, [of("create"), of("delete")]);
    let by_bob = entries(&service, "actor=bob").await;
    assert_eq!((&by_bob[0]["role"], &by_bob[0]["revision"]), (&json!("publisher"), &json!(revision + 1)));
    assert!(!service.get("/v1/audit?limit=1000").await.text.contains(token));
}
