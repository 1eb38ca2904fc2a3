//! Blocks with a record and with times: what is asked for, what is shown to whom, what the feed says, and what becomes of
//! a block through every other change. Whether the rows follow the time is in `due.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    import::import,
    support::{Answer, Service, TOKEN, send},
};
use reqwest::Method;
use serde_json::{Value, json};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

const BLOCK: &str = "/v1/subscriptions/s-1/block";
const UNBLOCK: &str = "/v1/subscriptions/s-1/unblock";

async fn started() -> Service {
    let service = Service::start().await;
    service.seed().await;
    service
}

async fn shown(service: &Service, id: &str) -> Value {
    service.get(&format!("/v1/subscriptions/{id}")).await.expect(200).json()
}

/// The row of `app-1` and `api-1` in the feed.
async fn fed(service: &Service) -> Value {
    let page = service.feed("/v1/policy").await.expect(200).json();
    let rows = page["subscriptions"].as_array().cloned().unwrap_or_default();
    let mut row = rows.into_iter().find(|row| row["application"] == "app-1").unwrap_or_default();
    if let Some(row) = row.as_object_mut() {
        row.remove("application");
        row.remove("api");
    }
    row
}

async fn token(service: &Service, role: &str, subject: &str) -> String {
    let made = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
    made["token"].as_str().unwrap().to_owned()
}

async fn with(service: &Service, token: &str, method: Method, path: &str, body: Value) -> Answer {
    let request = service.request(method, path).bearer_auth(token);
    send(if body.is_null() { request } else { request.json(&body) }).await
}

#[tokio::test]
async fn a_block_has_a_record_and_the_feed_its_part_of_it() {
    let service = started().await;
    let (from, until) = (now() + 1_000, now() + 2_000);
    for (body, state, feed) in [
        (Value::Null, "BLOCKED", json!({"state": "BLOCKED"})),
        (json!({"state": "PROD_ONLY_BLOCKED"}), "PROD_ONLY_BLOCKED", json!({"state": "PROD_ONLY_BLOCKED"})),
        (json!({"reason": "unpaid"}), "BLOCKED", json!({"state": "BLOCKED"})),
        (json!({"note": "call us"}), "BLOCKED", json!({"state": "BLOCKED", "block_note": "call us"})),
        (
            json!({"until": until, "note": "n"}),
            "BLOCKED",
            json!({"state": "BLOCKED", "blocked_until": until, "block_note": "n"}),
        ),
        (
            json!({"state": "PROD_ONLY_BLOCKED", "from": from, "until": until, "note": "n", "reason": "r"}),
            "UNBLOCKED",
            json!({"state": "UNBLOCKED", "blocked_from": from, "blocked_state": "PROD_ONLY_BLOCKED",
                "blocked_until": until, "block_note": "n"}),
        ),
        (
            json!({"from": from}),
            "UNBLOCKED",
            json!({"state": "UNBLOCKED", "blocked_from": from, "blocked_state": "BLOCKED"}),
        ),
    ] {
        service.post(UNBLOCK, Value::Null).await.expect(200);
        let before = now();
        let blocked = service.post(BLOCK, body.clone()).await.expect(200).json();
        let record = &blocked["block"];
        let asked = |field: &str| body.get(field).cloned().unwrap_or_default();
        assert_eq!(record["state"], body.get("state").cloned().unwrap_or(json!("BLOCKED")), "{body}");
        assert_eq!(record["by"], "administrator");
        assert!((before..=now()).contains(&record["at"].as_i64().unwrap()), "{record}");
        for field in ["reason", "note", "from", "until"] {
            assert_eq!(record[field], asked(field), "{body} {field}");
            assert!(record.as_object().unwrap().contains_key(field), "{field} is there, and null: {record}");
        }
        assert_eq!(blocked["state"], state, "{body}");
        assert_eq!(shown(&service, "s-1").await, blocked);
        assert_eq!(service.get("/v1/subscriptions").await.json()["items"][0], blocked);
        assert_eq!(fed(&service).await, feed, "{body}");
        let revision = service.revision().await;
        assert_eq!(service.post(BLOCK, body).await.expect(200).json(), blocked);
        assert_eq!(service.revision().await, revision, "what is so already makes no revision");
    }
    // It replaces the block as a whole.
    service.post(UNBLOCK, Value::Null).await.expect(200);
    service.post(BLOCK, json!({"until": until, "note": "n", "reason": "r"})).await.expect(200);
    service.post(BLOCK, json!({"state": "PROD_ONLY_BLOCKED"})).await.expect(200);
    assert_eq!(fed(&service).await, json!({"state": "PROD_ONLY_BLOCKED"}));
    service.post(UNBLOCK, json!({"reason": "paid"})).await.expect(200);
    assert_eq!(fed(&service).await, json!({"state": "UNBLOCKED"}));
    assert_eq!(shown(&service, "s-1").await.get("block"), None);
    let entries = service.get("/v1/audit?id=s-1&sort=-seq").await.expect(200).json();
    assert_eq!((&entries["items"][0]["action"], &entries["items"][0]["reason"]), (&json!("unblock"), &json!("paid")));
    let reasons: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["reason"]).collect();
    assert!(reasons.contains(&&json!("unpaid")), "{entries}");
}

#[tokio::test]
async fn what_a_block_cannot_be_is_refused_and_says_where() {
    let service = started().await;
    let (past, from, until) = (now() - 10, now() + 1_000, now() + 2_000);
    let revision = service.revision().await;
    for (query, body, status, field) in [
        ("?state=BLOCKED", json!({"state": "PROD_ONLY_BLOCKED"}), 422, "state"),
        ("", json!({"state": "UNBLOCKED"}), 422, "state"),
        ("", json!({"State": "BLOCKED"}), 422, "State"),
        ("", json!({"by": "me"}), 422, "by"),
        ("?until=5", json!({}), 400, "until"),
        ("", json!({"until": past}), 422, "until"),
        ("", json!({"until": now()}), 422, "until"),
        ("", json!({"from": past}), 422, "from"),
        ("", json!({"from": from, "until": from}), 422, "until"),
        ("", json!({"from": until, "until": from}), 422, "until"),
        ("", json!({"until": 253_402_300_800_i64}), 422, "until"),
        ("", json!({"until": 1_000_000_000_000_000_000_i64}), 422, "until"),
        ("", json!({"until": -1}), 422, "until"),
        ("", json!({"until": 1.5}), 422, "until"),
        ("", json!({"until": "tomorrow"}), 422, "until"),
        ("", json!({"until": "2099-02-30T00:00:00Z"}), 422, "until"),
        ("", json!({"until": "2099-01-01 00:00:00Z"}), 422, "until"),
        ("", json!({"until": "2099-01-01T00:00:00"}), 422, "until"),
        ("", json!({"until": "2001-01-01T00:00:00Z"}), 422, "until"),
        ("", json!({"note": ""}), 422, "note"),
        ("", json!({"note": "x".repeat(257)}), 422, "note"),
        ("", json!({"note": "a\nb"}), 422, "note"),
        ("", json!({"reason": "x".repeat(257)}), 422, "reason"),
    ] {
        let answer = service.post(&format!("{BLOCK}{query}"), body.clone()).await;
        assert_eq!(answer.status, status, "{query} {body}: {}", answer.text);
        assert_eq!(answer.json()["field"], field, "{query} {body}: {}", answer.text);
    }
    service.post(UNBLOCK, json!({"reason": ""})).await.expect_problem(422, Some("reason"));
    service.post(UNBLOCK, json!({"state": "BLOCKED"})).await.expect_problem(422, Some("state"));
    assert_eq!(service.revision().await, revision);
    assert_eq!(fed(&service).await, json!({"state": "UNBLOCKED"}));
}

#[tokio::test]
async fn a_time_is_unix_seconds_or_rfc_3339() {
    let service = started().await;
    for (sent, stored) in [
        (json!(4_102_444_800_i64), 4_102_444_800_i64),
        (json!("2100-01-01T00:00:00Z"), 4_102_444_800),
        (json!("2100-01-01t00:00:00z"), 4_102_444_800),
        (json!("2100-01-01T02:00:00+02:00"), 4_102_444_800),
        (json!("2099-12-31T23:59:59.5Z"), 4_102_444_800),
    ] {
        let blocked = service.post(BLOCK, json!({"until": sent})).await.expect(200).json();
        assert_eq!(blocked["block"]["until"], stored, "{sent}");
    }
    let planned = service.post(BLOCK, json!({"from": "2099-12-31T23:59:59.5Z"})).await.expect(200).json();
    assert_eq!(planned["block"]["from"], 4_102_444_799_i64, "a block begins no later than asked for");
    // The same second counts as now.
    service.post(UNBLOCK, Value::Null).await.expect(200);
    for _ in 0..20 {
        let answer = service.post(BLOCK, json!({"from": now()})).await;
        if answer.status == 200 {
            assert_eq!(answer.json()["state"], "BLOCKED");
            return;
        }
    }
    panic!("the second was over each time");
}

/// The subscriber sees state, note, beginning and end, wherever the subscription is shown.
#[tokio::test]
async fn a_subscriber_does_not_see_who_blocked_and_why() {
    let service = started().await;
    service.post("/v1/applications/app-1/block", json!({"reason": "secret-why", "note": "told"})).await.expect(200);
    let alice = token(&service, "subscriber", "alice").await;
    let until = now() + 1_000;
    service.post(BLOCK, json!({"reason": "secret-why", "note": "told", "until": until})).await.expect(200);
    for path in ["/v1/subscriptions/s-1", "/v1/subscriptions", "/v1/applications/app-1", "/v1/applications"] {
        let answer = with(&service, &alice, Method::GET, path, Value::Null).await.expect(200);
        let row = if path.ends_with('1') { answer.json() } else { answer.json()["items"][0].clone() };
        let record = row["block"].as_object().unwrap_or_else(|| panic!("{path}: {row}"));
        assert!(!answer.text.contains("secret-why") && !answer.text.contains("administrator"), "{path} {row}");
        assert!(!record.contains_key("reason") && !record.contains_key("by"), "{path} {row}");
        assert_eq!(record["note"], "told", "{path}");
        if path.contains("subscriptions") {
            assert_eq!((&record["until"], &record["state"]), (&json!(until), &json!("BLOCKED")));
        }
        assert!(service.get(path).await.text.contains("secret-why"), "{path}");
    }
    let found =
        with(&service, &alice, Method::POST, "/v1/keys/lookup", json!({"sha256": crate::support::digest(1)})).await;
    assert!(!found.expect(200).text.contains("secret-why"));
    // Rows that the subscriber changes or deletes.
    let row = with(&service, &alice, Method::GET, "/v1/subscriptions/s-1", Value::Null).await.json();
    let put = with(&service, &alice, Method::PUT, "/v1/subscriptions/s-1", row.clone()).await.expect(200);
    assert_eq!(put.json(), row);
    for (field, value) in [("note", json!("other")), ("until", json!(now() + 5)), ("reason", json!("guess"))] {
        let mut forged = row.clone();
        forged["block"][field] = value;
        with(&service, &alice, Method::PUT, "/v1/subscriptions/s-1", forged).await.expect_problem(403, Some("block"));
    }
    let other = json!({"application": "app-1", "api": "api-1", "block": {"from": until}});
    with(&service, &alice, Method::POST, "/v1/subscriptions", other).await.expect_problem(403, Some("block"));
    let kept = with(&service, &alice, Method::DELETE, "/v1/subscriptions/s-1", Value::Null).await.expect(200);
    assert!(!kept.text.contains("secret-why") && kept.text.contains("told"), "{}", kept.text);
    assert!(shown(&service, "s-1").await["block"]["reason"] == "secret-why");
}

/// A block on what denies by itself gives gateways no end: they would make it UNBLOCKED.
#[tokio::test]
async fn gateways_get_an_end_only_if_requests_pass_then() {
    for (state, has_end) in [
        ("UNBLOCKED", true),
        ("TIER_UPDATE_PENDING", true),
        ("DELETE_PENDING", true),
        ("ON_HOLD", false),
        ("REJECTED", false),
    ] {
        let service = started().await;
        service.put("/v1/subscriptions/s-1", json!({"state": state})).await.expect(200);
        let until = now() + 1_000;
        let blocked = service.post(BLOCK, json!({"until": until})).await.expect(200).json();
        assert_eq!(blocked["block"]["until"], until);
        assert_eq!(blocked["block"].get("before").cloned().unwrap_or(json!("UNBLOCKED")), state);
        assert_eq!(fed(&service).await.get("blocked_until").is_some(), has_end, "{state}");
        if state == "ON_HOLD" {
            service.post("/v1/subscriptions/s-1/approve", Value::Null).await.expect(200);
            assert_eq!(fed(&service).await["blocked_until"], until, "approved, it passes requests after the block");
        }
        // What was deleted is no subscription after the block.
        service.delete("/v1/subscriptions/s-1").await.expect(200);
        assert_eq!(fed(&service).await, json!({"state": "BLOCKED"}), "{state}");
        assert_eq!(shown(&service, "s-1").await["block"]["until"], until);
    }
}

/// What happens to a planned and to a timed block through each other change: the answer's status, and then the state and
/// the times of the block in the feed.
#[tokio::test]
async fn only_block_and_unblock_change_a_block() {
    let (from, until) = (now() + 1_000, now() + 2_000);
    let planned = json!({"from": from, "until": until});
    let timed = json!({"until": until});
    let prod = json!({"state": "PROD_ONLY_BLOCKED", "until": until});
    let pair = json!({"application": "app-1", "api": "api-1"});
    let put = |body: Value| (Method::PUT, "/v1/subscriptions/s-1", body);
    let post = |path, body| (Method::POST, path, body);
    let delete = |path| (Method::DELETE, path, Value::Null);
    for (block, (method, path, body), status, state, times) in [
        // A PUT without a block keeps it, with another state too.
        (&planned, put(json!({})), 200, "UNBLOCKED", [Some(from), Some(until)]),
        (&planned, put(json!({"state": "UNBLOCKED"})), 200, "UNBLOCKED", [Some(from), Some(until)]),
        (&planned, put(json!({"state": "ON_HOLD"})), 200, "ON_HOLD", [Some(from), Some(until)]),
        (&timed, put(json!({})), 200, "BLOCKED", [None, Some(until)]),
        (&timed, put(json!({"state": "BLOCKED"})), 200, "BLOCKED", [None, Some(until)]),
        (&timed, put(json!({"state": "UNBLOCKED"})), 409, "BLOCKED", [None, Some(until)]),
        (&timed, put(json!({"state": "PROD_ONLY_BLOCKED"})), 409, "BLOCKED", [None, Some(until)]),
        (&timed, put(json!({"state": "ON_HOLD"})), 409, "BLOCKED", [None, Some(until)]),
        // A stronger block takes the place of a weaker one, and is never shorter.
        (&prod, put(json!({"state": "BLOCKED"})), 200, "BLOCKED", [None, None]),
        (&planned, put(json!({"state": "BLOCKED"})), 200, "BLOCKED", [None, None]),
        (&planned, put(json!({"state": "PROD_ONLY_BLOCKED"})), 409, "UNBLOCKED", [Some(from), Some(until)]),
        // Another block with times must hold whenever the one that is there does.
        (&timed, put(json!({"state": "BLOCKED", "block": {"until": until - 1}})), 409, "BLOCKED", [None, Some(until)]),
        (
            &timed,
            put(json!({"state": "BLOCKED", "block": {"until": until + 1}})),
            200,
            "BLOCKED",
            [None, Some(until + 1)],
        ),
        (&timed, put(json!({"state": "BLOCKED", "block": {}})), 200, "BLOCKED", [None, None]),
        (
            &planned,
            put(json!({"block": {"from": from + 1, "until": until}})),
            409,
            "UNBLOCKED",
            [Some(from), Some(until)],
        ),
        (
            &planned,
            put(json!({"block": {"from": from - 1, "until": until}})),
            200,
            "UNBLOCKED",
            [Some(from - 1), Some(until)],
        ),
        (
            &planned,
            put(json!({"block": {"state": "PROD_ONLY_BLOCKED", "from": from, "until": until}})),
            409,
            "UNBLOCKED",
            [Some(from), Some(until)],
        ),
        (&planned, put(json!({"block": {}})), 422, "UNBLOCKED", [Some(from), Some(until)]),
        // Block and unblock may do anything.
        (&planned, post(UNBLOCK, Value::Null), 200, "UNBLOCKED", [None, None]),
        (&timed, post(UNBLOCK, Value::Null), 200, "UNBLOCKED", [None, None]),
        (&planned, post(BLOCK, Value::Null), 200, "BLOCKED", [None, None]),
        (&timed, post(BLOCK, json!({"until": until - 1})), 200, "BLOCKED", [None, Some(until - 1)]),
        (&planned, post(BLOCK, json!({"until": until})), 200, "BLOCKED", [None, Some(until)]),
        // A planned block on a blocked subscription leaves it blocked until then.
        (&timed, post(BLOCK, json!({"from": from})), 200, "BLOCKED", [None, None]),
        (&prod, post(BLOCK, json!({"from": from})), 200, "PROD_ONLY_BLOCKED", [Some(from), None]),
        // Deleted, it is a block without a subscription.
        (&planned, delete("/v1/subscriptions/s-1"), 200, "BLOCKED", [None, None]),
        (&timed, delete("/v1/subscriptions/s-1"), 200, "BLOCKED", [None, None]),
        (&planned, delete("/v1/applications/app-1"), 204, "BLOCKED", [None, None]),
        (&planned, delete("/v1/apis/api-1"), 204, "BLOCKED", [None, None]),
        // Subscribing again.
        (&planned, post("/v1/subscriptions", pair.clone()), 200, "UNBLOCKED", [Some(from), Some(until)]),
        (&timed, post("/v1/subscriptions", pair.clone()), 409, "BLOCKED", [None, Some(until)]),
        (&planned, post("/v1/subscriptions/s-1/approve", Value::Null), 200, "UNBLOCKED", [Some(from), Some(until)]),
    ] {
        let service = started().await;
        service.post(BLOCK, block.clone()).await.expect(200);
        let answer = service.admin(method.clone(), path, body.clone()).await;
        assert_eq!(answer.status, status, "{block} {method} {path} {body}: {}", answer.text);
        let row = fed(&service).await;
        let expected = times.map(|time| time.map_or(Value::Null, |time| json!(time)));
        let found = [row["blocked_from"].clone(), row["blocked_until"].clone()];
        assert_eq!((&row["state"], found), (&json!(state), expected), "{block} {method} {path} {body}");
        if method == Method::DELETE {
            let kept = shown(&service, "s-1").await;
            assert_eq!((&kept["deleted"], &kept["state"]), (&json!(true), &json!("BLOCKED")), "{block} {path}");
            assert_eq!(kept["block"]["until"], until);
            if path == "/v1/subscriptions/s-1" {
                service.post("/v1/subscriptions", pair.clone()).await.expect_problem(409, None);
                service.post(UNBLOCK, Value::Null).await.expect(200);
                service.post("/v1/subscriptions", pair.clone()).await.expect(201);
                assert_eq!(fed(&service).await, json!({"state": "UNBLOCKED"}));
            }
        }
    }
}

/// The subscriber sees a planned block, so a second application that is made before it begins would be a way round.
#[tokio::test]
async fn a_second_application_is_no_way_round_a_planned_block() {
    let until = now() + 2_000;
    for (block, held_back) in [
        (json!({"from": until - 1_000, "until": until}), true),
        (json!({"until": until}), true),
        (json!({"state": "PROD_ONLY_BLOCKED", "from": until - 1_000}), true),
    ] {
        for by_import in [false, true] {
            let service = started().await;
            service.post("/v1/applications", json!({"id": "app-2", "owner": "alice"})).await.expect(201);
            service.post(BLOCK, block.clone()).await.expect(200);
            let second = json!({"id": "s-2", "application": "app-2", "api": "api-1"});
            if by_import {
                let mut row = second;
                row["kind"] = json!("subscription");
                import(&service, "", &[row]).await.expect(200);
            } else {
                service.post("/v1/subscriptions", second).await.expect(201);
            }
            let state = if held_back { "ON_HOLD" } else { "UNBLOCKED" };
            assert_eq!(shown(&service, "s-2").await["state"], state, "{block} {by_import}");
            // After the block it is as for others.
            service.post(UNBLOCK, Value::Null).await.expect(200);
            service.post("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}]})).await.expect(201);
            let third = json!({"id": "s-3", "application": "app-2", "api": "api-2"});
            assert_eq!(service.post("/v1/subscriptions", third).await.expect(201).json()["state"], "UNBLOCKED");
        }
    }
}

/// An application's block has a record as well, and no times.
#[tokio::test]
async fn an_applications_block_has_a_record() {
    let service = started().await;
    let path = "/v1/applications/app-1";
    for field in ["from", "until", "state"] {
        let body = json!({field: now() + 1_000});
        service.post(&format!("{path}/block"), body).await.expect_problem(422, Some(field));
    }
    let body = json!({"reason": "unpaid", "note": "call us"});
    let blocked = service.post(&format!("{path}/block"), body.clone()).await.expect(200).json();
    assert_eq!((&blocked["state"], &blocked["block"]["reason"]), (&json!("BLOCKED"), &json!("unpaid")));
    assert_eq!((&blocked["block"]["note"], &blocked["block"]["by"]), (&json!("call us"), &json!("administrator")));
    let revision = service.revision().await;
    service.post(&format!("{path}/block"), body).await.expect(200);
    assert_eq!(service.put(path, json!({"name": "n"})).await.expect(200).json()["block"], blocked["block"]);
    assert_eq!(service.revision().await, revision + 1);
    service.put(path, json!({"state": "ACTIVE"})).await.expect_problem(409, None);
    assert!(!service.feed("/v1/policy").await.text.contains("unpaid"));
    let kept = service.delete(path).await.expect(200).json();
    assert_eq!((&kept["deleted"], &kept["block"]), (&json!(true), &blocked["block"]));
    service.post(&format!("{path}/unblock"), json!({"reason": "paid"})).await.expect(200);
    let entries = service.get("/v1/audit?id=app-1&sort=-seq").await.expect(200).json();
    assert_eq!(entries["items"][0]["reason"], "paid");
    assert!(entries["items"].as_array().unwrap().iter().any(|entry| entry["reason"] == "unpaid"));
    assert!(TOKEN.len() > 5);
}
