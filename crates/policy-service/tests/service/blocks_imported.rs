//! Blocks with a time in imports and restores: they travel with their rows, and no row weakens or shortens a block.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    import::import,
    support::{Service, program::Program},
};
use serde_json::{Value, json};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

async fn shown(service: &Service) -> Value {
    service.get("/v1/subscriptions/s-1").await.expect(200).json()
}

/// State, beginning and end.
fn times(row: &Value) -> [Value; 3] {
    [row["state"].clone(), row["block"]["from"].clone(), row["block"]["until"].clone()]
}

#[tokio::test]
async fn no_row_of_an_import_and_no_restore_weakens_or_shortens_a_block() {
    let (from, until) = (now() + 1_000, now() + 2_000);
    let timed = json!({"until": until});
    let planned = json!({"from": from, "until": until});
    let row = |state: &str, block: Value| {
        let mut row =
            json!({"kind": "subscription", "id": "s-1", "application": "app-1", "api": "api-1", "state": state});
        if !block.is_null() {
            row["block"] = block;
        }
        row
    };
    for (block, sent, is_taken) in [
        (&timed, row("UNBLOCKED", Value::Null), false),
        (&timed, row("PROD_ONLY_BLOCKED", Value::Null), false),
        (&timed, row("BLOCKED", Value::Null), true),
        (&timed, row("BLOCKED", json!({"until": until - 1})), false),
        (&timed, row("BLOCKED", json!({"until": until})), true),
        (&timed, row("BLOCKED", json!({"until": until + 1})), true),
        (&timed, row("UNBLOCKED", json!({"from": from})), false),
        // Its end has passed, so it is no block.
        (&timed, row("BLOCKED", json!({"until": 5})), false),
        (&planned, row("UNBLOCKED", Value::Null), true),
        (&planned, row("UNBLOCKED", json!({"from": from + 1, "until": until})), false),
        (&planned, row("UNBLOCKED", json!({"from": from, "until": until - 1})), false),
        (&planned, row("UNBLOCKED", json!({"state": "PROD_ONLY_BLOCKED", "from": from, "until": until})), false),
        (&planned, row("UNBLOCKED", json!({"from": from - 1, "until": until})), true),
        // It began while the row was on its way.
        (&planned, row("UNBLOCKED", json!({"from": 5, "until": until})), true),
        (&planned, row("PROD_ONLY_BLOCKED", Value::Null), false),
        (&planned, row("BLOCKED", Value::Null), true),
        (&planned, row("BLOCKED", json!({"until": from})), false),
    ] {
        let service = Service::start().await;
        service.seed().await;
        service.post("/v1/subscriptions/s-1/block", block.clone()).await.expect(200);
        let before = shown(&service).await;
        let told = import(&service, "", std::slice::from_ref(&sent)).await.expect(200).json();
        assert_eq!(told["refused_total"], u64::from(!is_taken), "{block} {sent} {told}");
        if !is_taken {
            assert_eq!(told["refused"][0]["kind"], "subscription");
            assert_eq!(shown(&service).await, before, "{block} {sent}");
        }
        let told = import(&service, "?lift_blocks=true", std::slice::from_ref(&sent)).await.expect(200).json();
        assert_eq!(told["refused_total"], 0, "{block} {sent} {told}");
        let after = shown(&service).await;
        if sent["block"]["until"] == 5 {
            assert_eq!(times(&after), [json!("UNBLOCKED"), Value::Null, Value::Null], "{after}");
        } else if sent.get("block").is_some() {
            assert_eq!(
                after["block"]["until"],
                sent["block"].get("until").cloned().unwrap_or_default(),
                "{sent} {after}"
            );
        }
        let begun = sent["block"]["from"] == 5;
        assert_eq!(after["state"] == "BLOCKED", begun || after["state"] == sent["state"] && sent["state"] == "BLOCKED");
    }

    // Each revision against each later block.
    let blocks = [
        Value::Null,
        timed.clone(),
        planned.clone(),
        json!({"until": until + 9}),
        json!({"state": "PROD_ONLY_BLOCKED"}),
    ];
    for then in &blocks {
        // What may be lifted does not depend on what is put back.
        let lifts: &[bool] = if then.is_null() { &[false, true] } else { &[false] };
        for (held, lift) in blocks.iter().flat_map(|block| lifts.iter().map(move |lift| (block, *lift))) {
            let service = Service::start().await;
            service.seed().await;
            let set = async |block: &Value| {
                service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
                if !block.is_null() {
                    service.post("/v1/subscriptions/s-1/block", block.clone()).await.expect(200);
                }
                shown(&service).await
            };
            let past = set(then).await;
            let revision = service.revision().await;
            service.put("/v1/subscriptions/s-1", json!({})).await.expect(200);
            let present = set(held).await;
            let body = json!({"revision": revision, "lift_blocks": lift});
            let told = service.post("/v1/restore", body).await.expect(200).json();
            let after = shown(&service).await;
            let holds = |row: &Value, time: i64| {
                let [state, from, until] = times(row);
                let is_over = until.as_i64().is_some_and(|until| until <= time);
                let has_begun = from.as_i64().is_none_or(|from| from <= time);
                let block = if has_begun { row["block"]["state"].clone() } else { state };
                match block.as_str() {
                    Some("BLOCKED") if !is_over => 2,
                    Some("PROD_ONLY_BLOCKED") if !is_over => 1,
                    _ => 0,
                }
            };
            let seconds = [now(), from - 1, from, until - 1, until, until + 8, until + 9];
            let weaker = seconds.iter().filter(|time| holds(&after, **time) < holds(&present, **time)).count();
            let context = format!("{then} {held} {lift}: {past} {present} {after}");
            assert!(lift || weaker == 0, "{context}");
            let covers = seconds.iter().all(|time| holds(&past, *time) >= holds(&present, *time));
            if lift || covers {
                assert_eq!(times(&after), times(&past), "{context}");
            } else {
                assert_eq!(told["kept_total"], 1, "{told} {context}");
            }
        }
    }
}

/// The program imports what somebody saved of a feed. There the times stand beside the state.
#[tokio::test]
async fn a_saved_page_is_imported_with_its_blocks() {
    let program = Program::start();
    let until = now() + 2_000;
    let page = json!({"apis": [{"id": "api-1", "match": [{"path": "/one"}]}],
    "applications": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}],
    "subscriptions": [
        {"application": "a", "api": "api-1", "state": "BLOCKED", "blocked_until": until, "block_note": "n"},
        {"application": "b", "api": "api-1", "blocked_from": until - 5, "blocked_state": "PROD_ONLY_BLOCKED"},
        {"application": "c", "api": "api-1", "state": "UNBLOCKED", "blocked_until": until},
        {"application": "d", "api": "api-1", "state": "BLOCKED", "blocked_until": -1},
    ]});
    std::fs::write(program.directory().join("page.json"), page.to_string()).unwrap();
    let (is_done, told) = program.another(&["import", "page.json"]).run();
    assert!(!is_done && told.contains("block.until"), "{told}");
    let fed = program.policy("/v1/policy").await;
    let mut rows = fed["subscriptions"].as_array().unwrap().clone();
    rows.sort_by_key(ToString::to_string);
    let row = |application: &str, more: Value| {
        let mut row = json!({"application": application, "api": "api-1"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let expected = [
        row("a", json!({"state": "BLOCKED", "blocked_until": until, "block_note": "n"})),
        row("b", json!({"state": "UNBLOCKED", "blocked_from": until - 5, "blocked_state": "PROD_ONLY_BLOCKED"})),
        row("c", json!({"state": "UNBLOCKED"})),
    ];
    assert_eq!(rows.len(), 3, "{rows:?}");
    for one in expected {
        assert!(rows.contains(&one), "{one} {rows:?}");
    }
}

/// A blocked subscription whose application was deleted: the block alone is in lists, and nothing else names the application.
#[tokio::test]
async fn the_block_of_a_subscription_whose_application_is_gone_travels() {
    let service = Service::start().await;
    let gone = json!({"kind": "subscription", "id": "s-1", "application": "gone", "api": "gone-too", "state": "PROD_ONLY_BLOCKED",
        "deleted": true, "block": {"state": "PROD_ONLY_BLOCKED", "by": "alice", "at": 5, "reason": "fraud"}});
    for expected in ["made", "unchanged"] {
        let told = import(&service, "", std::slice::from_ref(&gone)).await.expect(200).json();
        assert_eq!((&told["refused_total"], &told["counts"]["subscriptions"][expected]), (&json!(0), &json!(1)), "{told}");
    }
    let shown = shown(&service).await;
    for field in ["application", "api", "state", "deleted"] {
        assert_eq!(shown[field], gone[field], "{shown}");
    }
    assert_eq!((&shown["block"]["by"], &shown["block"]["reason"]), (&json!("alice"), &json!("fraud")), "{shown}");
    // It holds: who makes the application again does not escape it.
    service.post("/v1/applications", json!({"id": "gone"})).await.expect(201);
    service.post("/v1/apis", json!({"id": "gone-too", "match": [{"path": "/x"}]})).await.expect(201);
    service.post("/v1/subscriptions", json!({"application": "gone", "api": "gone-too"})).await.expect(409);
    // Only a kept block may name what is not there.
    let open = json!({"kind": "subscription", "id": "s-2", "application": "nobody", "api": "gone-too", "state": "BLOCKED"});
    let told = import(&service, "", &[open]).await.expect(200).json();
    assert_eq!(told["refused_total"], 1, "{told}");
}
