//! The audit log is the policy's own story: after a thousand random calls, with SIGKILLs of the program in between, each
//! revision has exactly one entry, and the entries replayed give the stored rows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{TOKEN, dice::Dice, program::Program};
use reqwest::Method;
use serde_json::{Value, json};

const CALLS: usize = 1_000;
/// The program is killed after each of so many parts of the calls.
const PARTS: usize = 8;
/// Calls under way at once.
const CALLERS: usize = 4;
const SEED: u64 = 0x5eed_2024;

/// Makes calls until so many were made in all, or until the program is gone.
async fn call(url: String, client: reqwest::Client, seed: u64, made: Arc<AtomicUsize>, until: usize) {
    let mut dice = Dice::new(seed);
    while made.fetch_add(1, Ordering::Relaxed) < until {
        let (method, path, body) = match dice.throw(40) {
            0 => (Method::POST, "/v1/restore".into(), json!({"revision": dice.throw(100)})),
            _ => dice.call(),
        };
        let request = client.request(method, format!("{url}{path}")).bearer_auth(TOKEN);
        let request = if body.is_null() { request } else { request.json(&body) };
        let Ok(answer) = request.send().await else { return };
        // A restore may ask for a revision that was not made yet. On a busy disk the database may be busy for seconds, and a
        // change that is refused so was not made.
        let status = answer.status().as_u16();
        assert!(status < 500 || status == 503, "{path}: {status}");
    }
}

async fn all(program: &Program, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let url = format!("{}{path}?limit=1000{cursor}", program.url);
        let answer = program.client.get(url).bearer_auth(TOKEN).send().await.unwrap();
        let page: Value = answer.json().await.unwrap();
        items.extend(page["items"].as_array().unwrap_or_else(|| panic!("{path}: {page}")).clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Rows past the service: an import of the program, as one change.
fn import(program: &Program, dice: &mut Dice) {
    let api = dice.id("api", 4);
    let page = json!({"plans": [{"id": dice.id("plan", 3)}], "apis": [{"id": api, "match": [{"path": format!("/{api}")}]}],
        "applications": [{"id": dice.id("app", 4), "name": dice.id("imported", 9)}]});
    let file = program.directory().join("page.json");
    std::fs::write(&file, page.to_string()).unwrap();
    // A row may be refused: its application is blocked.
    program.another(&["import", "page.json"]).run();
}

/// What a change of the policy as a whole did: its rows, from history.
async fn changes_of(program: &Program, revision: i64) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let url = format!("{}/v1/diff?from={}&to={revision}{cursor}", program.url, revision - 1);
        let answer = program.client.get(url).bearer_auth(TOKEN).send().await.unwrap();
        let page: Value = answer.json().await.unwrap();
        for list in ["made", "changed", "removed"] {
            rows.extend(page[list].as_array().unwrap_or_else(|| panic!("{page}")).clone());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

type Rows = BTreeMap<(String, String), Value>;

fn put(rows: &mut Rows, kind: &Value, id: &Value, after: &Value) {
    let name = (kind.as_str().unwrap().to_owned(), id.as_str().unwrap().to_owned());
    match after {
        Value::Null => rows.remove(&name),
        after => rows.insert(name, after.clone()),
    };
}

#[tokio::test]
async fn the_entries_replayed_give_the_stored_rows() {
    let mut program = Program::start();
    let made = Arc::new(AtomicUsize::new(0));
    let mut dice = Dice::new(SEED);
    for part in 1..=PARTS {
        let until = CALLS * part / PARTS;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let seed = dice.throw(u64::MAX - 1) + 1;
                tokio::spawn(call(program.url.clone(), program.client.clone(), seed, Arc::clone(&made), until))
            })
            .collect();
        // A caller that failed has ended before that.
        while made.load(Ordering::Relaxed) < until && callers.iter().any(|caller| !caller.is_finished()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Calls are under way.
        program.signal("-9");
        program.ended();
        for caller in callers {
            caller.await.unwrap();
        }
        program = program.another(&["serve"]).start();
        import(&program, &mut dice);
    }

    let entries = all(&program, "/v1/audit").await;
    let mut revisions: Vec<i64> = entries.iter().filter_map(|entry| entry["revision"].as_i64()).collect();
    revisions.sort_unstable();
    let latest = program.policy("/v1/policy").await["revision"].as_i64().unwrap();
    assert_eq!(revisions, (1..=latest).collect::<Vec<i64>>(), "each revision has exactly one entry");
    assert!(latest > 200, "{latest}: most calls were refused");

    let mut replayed = Rows::new();
    for entry in &entries {
        if entry["kind"] == "policy" {
            assert!(entry["counts"].is_object(), "{entry}");
            for row in changes_of(&program, entry["revision"].as_i64().unwrap()).await {
                put(&mut replayed, &row["kind"], &row["id"], &row["after"]);
            }
            continue;
        }
        put(&mut replayed, &entry["kind"], &entry["id"], &entry["after"]);
        for also in entry["also"].as_array().unwrap() {
            put(&mut replayed, &also["kind"], &also["id"], &also["after"]);
        }
    }
    let mut stored = Rows::new();
    for (kind, path) in [
        ("api", "/v1/apis"),
        ("application", "/v1/applications"),
        ("key", "/v1/keys"),
        ("subscription", "/v1/subscriptions"),
        ("plan", "/v1/plans"),
        ("deny_policy", "/v1/deny-policies"),
    ] {
        for mut row in all(&program, path).await {
            // What is found out anew each time is no part of the row.
            for name in ["etag", "applies"] {
                row.as_object_mut().unwrap().remove(name);
            }
            put(&mut stored, &json!(kind), &row["id"].clone(), &row);
        }
    }
    for action in ["import", "restore"] {
        assert!(entries.iter().any(|entry| entry["action"] == action), "there was no {action}");
    }
    assert!(stored.len() > 3, "{stored:?}");
    assert!(replayed == stored, "{replayed:#?} {stored:#?}");
}
