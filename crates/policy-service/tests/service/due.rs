//! The service begins and ends blocks when their time has come, and at its start those that it has missed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::support::{Service, TOKEN, program::Program};
use management::port::{Act, Actor};
use policy_service::{clock, due};
use serde_json::{Value, json};
use testkit::deadline::eventually;

/// How long a change of a row may take after its time, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A service whose task for due rows has a clock that is ahead of the real one by a number of seconds.
async fn with_clock() -> (Service, Arc<AtomicI64>) {
    let service = Service::start().await;
    service.seed().await;
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&ahead);
    let act = move || {
        let act = clock::act(Actor::Service);
        Act { now: act.now + clock.load(Ordering::Relaxed), ..act }
    };
    tokio::spawn(due::run(service.store.clone(), act, |_, _| ()));
    (service, ahead)
}

async fn shown(service: &Service, id: &str) -> Value {
    let answer = service.get(&format!("/v1/subscriptions/{id}")).await;
    if answer.status == 404 { Value::Null } else { answer.expect(200).json() }
}

async fn becomes(service: &Service, id: &str, state: Value) -> Value {
    let what = format!("{id} is {state}");
    let reached = async || {
        let row = shown(service, id).await;
        if row["state"] == state { Ok(row) } else { Err(row) }
    };
    eventually(&what, SOON, reached).await.unwrap().0
}

#[tokio::test]
async fn a_row_follows_its_block_in_time() {
    for state in ["UNBLOCKED", "ON_HOLD", "REJECTED", "TIER_UPDATE_PENDING"] {
        let (service, ahead) = with_clock().await;
        service.put("/v1/subscriptions/s-1", json!({"state": state})).await.expect(200);
        let (from, until) = (now() + 1_000, now() + 2_000);
        let body = json!({"from": from, "until": until, "reason": "audit", "note": "n"});
        let planned = service.post("/v1/subscriptions/s-1/block", body).await.expect(200).json();
        assert_eq!(planned["state"], state);
        let revision = service.revision().await;
        ahead.store(998, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(shown(&service, "s-1").await["state"], state, "it has not begun");
        ahead.store(1_001, Ordering::Relaxed);
        let blocked = becomes(&service, "s-1", json!("BLOCKED")).await;
        assert_eq!(blocked["block"]["before"], if state == "UNBLOCKED" { Value::Null } else { json!(state) });
        assert_eq!((&blocked["block"]["until"], &blocked["block"]["by"]), (&json!(until), &json!("administrator")));
        ahead.store(2_001, Ordering::Relaxed);
        let ended = becomes(&service, "s-1", json!(state)).await;
        assert_eq!(ended.get("block"), None);
        assert_eq!(service.revision().await, revision + 2, "each is one revision");
        let entries = service.get("/v1/audit?actor=service&id=s-1").await.expect(200).json();
        let entries = entries["items"].as_array().unwrap();
        let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
        assert_eq!(actions, ["block", "end"]);
        assert_eq!(entries[0]["reason"], "audit");
        assert_eq!((&entries[1]["before"]["state"], &entries[1]["after"]["state"]), (&json!("BLOCKED"), &json!(state)));
        assert_eq!(entries[1]["role"], Value::Null);
        let page = service.feed("/v1/policy").await.expect(200).json();
        let row = json!({"application": "app-1", "api": "api-1", "state": state});
        assert_eq!(page["subscriptions"], json!([row]));
    }
}

#[tokio::test]
async fn a_block_that_was_missed_whole_only_ends_and_a_kept_one_goes() {
    let (service, ahead) = with_clock().await;
    service.post("/v1/applications", json!({"id": "app-2", "owner": "bob"})).await.expect(201);
    service.post("/v1/subscriptions", json!({"id": "s-2", "application": "app-2", "api": "api-1"})).await.expect(201);
    let (from, until) = (now() + 1_000, now() + 2_000);
    service.post("/v1/subscriptions/s-1/block", json!({"from": from, "until": until})).await.expect(200);
    service.post("/v1/subscriptions/s-2/block", json!({"until": until})).await.expect(200);
    service.delete("/v1/subscriptions/s-2").await.expect(200);
    ahead.store(3_000, Ordering::Relaxed);
    becomes(&service, "s-2", Value::Null).await;
    let gone = async || {
        let row = shown(&service, "s-1").await;
        if row.get("block").is_none() { Ok(row) } else { Err(row) }
    };
    assert_eq!(eventually("the planned block is over", SOON, gone).await.unwrap().0["state"], "UNBLOCKED");
    let entries = service.get("/v1/audit?actor=service").await.expect(200).json();
    let entries = entries["items"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| &entry["action"]).collect::<Vec<_>>(), ["end", "end"]);
    service.post("/v1/subscriptions", json!({"id": "s-3", "application": "app-2", "api": "api-1"})).await.expect(201);
}

async fn get(program: &Program, path: &str) -> Value {
    let request = program.client.get(format!("{}{path}", program.url)).bearer_auth(TOKEN);
    request.send().await.unwrap().json().await.unwrap()
}

/// As a program, by the real clock, with a poll that waits; and after a time without the service.
#[tokio::test]
async fn a_block_ends_on_time_and_after_the_service_was_away() {
    let mut program = Program::start();
    program.seed().await;
    let block = async |program: &Program, seconds: i64| {
        let until = now() + seconds;
        let (status, row) = program.post("/v1/subscriptions/s-1/block", json!({"until": until})).await;
        assert_eq!((status, &row["block"]["until"]), (200, &json!(until)), "{row}");
        until
    };
    let until = block(&program, 2).await;
    let state = async |program: &Program| get(program, "/v1/subscriptions/s-1").await["state"].clone();
    let open = async || match state(&program).await {
        state if state == "UNBLOCKED" => Ok(now()),
        state => Err(state),
    };
    let (ended, _) = eventually("the block ends", SOON, open).await.unwrap();
    assert!(ended >= until, "not before its time");

    let until = block(&program, 1).await;
    program.signal("-9");
    program.ended();
    while now() <= until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let program = program.another(&["serve"]).start();
    let open = async || match state(&program).await {
        state if state == "UNBLOCKED" => Ok(()),
        state => Err(state),
    };
    eventually("the service ends what it has missed", SOON, open).await.unwrap();
    let entries = get(&program, "/v1/audit?action=end").await;
    assert_eq!(entries["items"].as_array().unwrap().len(), 2, "{entries}");
    let metrics = program.client.get(format!("{}/metrics", program.url)).bearer_auth(TOKEN);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let ends = r#"policy_service_changes_total{action="end",kind="subscription"} 1"#;
    assert!(metrics.lines().any(|line| line == ends), "the end that this run of the service made: {metrics}");
}
