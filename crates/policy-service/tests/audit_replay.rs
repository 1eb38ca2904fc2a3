//! The audit log is the policy's own story: after a thousand random calls, with SIGKILLs of the program in between, each
//! revision has exactly one entry, and the entries replayed give the stored rows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use support::{TOKEN, digest, program::Program};

const CALLS: usize = 1_000;
/// The program is killed after each of so many parts of the calls.
const PARTS: usize = 8;
/// Calls under way at once.
const CALLERS: usize = 4;
const SEED: u64 = 0x5eed_2024;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn id(&mut self, prefix: &str, below: u64) -> String {
        format!("{prefix}-{}", self.throw(below))
    }

    fn one<'w>(&mut self, of: &[&'w str]) -> &'w str {
        of[usize::try_from(self.throw(of.len() as u64)).unwrap()]
    }

    /// A call that may do something, may change nothing, or may be refused.
    fn call(&mut self) -> (Method, String, Value) {
        let (api, application) = (self.id("api", 4), self.id("app", 4));
        let (key, subscription, plan) = (self.id("k", 8), self.id("s", 8), self.id("plan", 3));
        let state = self.one(&["UNBLOCKED", "ON_HOLD", "REJECTED"]);
        match self.throw(22) {
            0 => (Method::POST, "/v1/apis".into(), json!({"id": api, "match": [{"path": format!("/{api}")}]})),
            1 => (Method::PUT, format!("/v1/apis/{api}"), json!({"state": self.one(&["PUBLISHED", "BLOCKED"])})),
            2 => (Method::DELETE, format!("/v1/apis/{api}"), Value::Null),
            3 | 4 => (Method::POST, "/v1/applications".into(), json!({"id": application, "owner": self.id("o", 2)})),
            5 => (Method::PUT, format!("/v1/applications/{application}"), json!({"name": self.id("n", 9)})),
            6 => (Method::DELETE, format!("/v1/applications/{application}"), Value::Null),
            7 => {
                let action = self.one(&["block", "unblock"]);
                (Method::POST, format!("/v1/applications/{application}/{action}"), Value::Null)
            }
            8 => {
                let sha256 = digest(self.throw(20));
                (Method::POST, "/v1/keys".into(), json!({"id": key, "application": application, "sha256": sha256}))
            }
            9 | 10 => (Method::POST, format!("/v1/applications/{application}/keys"), json!({"id": key})),
            11 => {
                let asked = json!({"overlap_seconds": self.throw(2) * 60});
                (Method::POST, format!("/v1/keys/{key}/regenerate"), asked)
            }
            12 => (Method::POST, format!("/v1/keys/{key}/revoke"), Value::Null),
            13 => (Method::DELETE, format!("/v1/keys/{key}"), Value::Null),
            14 | 15 => (
                Method::POST,
                "/v1/subscriptions".into(),
                json!({"id": subscription, "application": application, "api": api, "state": state}),
            ),
            16 => (Method::PUT, format!("/v1/subscriptions/{subscription}"), json!({"plan": plan})),
            17 => {
                let state = self.one(&["BLOCKED", "PROD_ONLY_BLOCKED"]);
                (Method::POST, format!("/v1/subscriptions/{subscription}/block?state={state}"), Value::Null)
            }
            18 => (Method::POST, format!("/v1/subscriptions/{subscription}/unblock"), Value::Null),
            19 => (Method::DELETE, format!("/v1/subscriptions/{subscription}"), Value::Null),
            20 => (
                Method::PUT,
                format!("/v1/plans/{plan}"),
                json!({"limits": [{"requests": 1 + self.throw(9), "per": "day"}]}),
            ),
            _ => (Method::POST, "/v1/plans".into(), json!({"id": plan})),
        }
    }
}

/// Makes calls until so many were made in all, or until the program is gone.
async fn call(url: String, client: reqwest::Client, seed: u64, made: Arc<AtomicUsize>, until: usize) {
    let mut dice = Dice(seed);
    while made.fetch_add(1, Ordering::Relaxed) < until {
        let (method, path, body) = dice.call();
        let request = client.request(method, format!("{url}{path}")).bearer_auth(TOKEN);
        let request = if body.is_null() { request } else { request.json(&body) };
        let Ok(answer) = request.send().await else { return };
        assert!(answer.status().as_u16() < 500, "{path}: {}", answer.status());
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
    let mut dice = Dice(SEED);
    for part in 1..=PARTS {
        let until = CALLS * part / PARTS;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let seed = dice.throw(u64::MAX - 1) + 1;
                tokio::spawn(call(program.url.clone(), program.client.clone(), seed, Arc::clone(&made), until))
            })
            .collect();
        while made.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Calls are under way.
        program.signal("-9");
        program.ended();
        for caller in callers {
            caller.await.unwrap();
        }
        program = program.another(&["serve"]).start();
    }

    let entries = all(&program, "/v1/audit").await;
    let mut revisions: Vec<i64> = entries.iter().filter_map(|entry| entry["revision"].as_i64()).collect();
    revisions.sort_unstable();
    let latest = program.policy("/v1/policy").await["revision"].as_i64().unwrap();
    assert_eq!(revisions, (1..=latest).collect::<Vec<i64>>(), "each revision has exactly one entry");
    assert!(latest > 200, "{latest}: most calls were refused");

    let mut replayed = Rows::new();
    for entry in &entries {
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
            row.as_object_mut().unwrap().remove("etag");
            put(&mut stored, &json!(kind), &row["id"].clone(), &row);
        }
    }
    assert!(stored.len() > 8, "{stored:?}");
    assert_eq!(replayed, stored);
}
