//! Readers during changes. While a reader fetches pages, other changes are made. At every revision that it reaches, the
//! reader must hold exactly the policy of that revision.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use support::{
    Options, Service, digest,
    follower::{Follower, Policy, identity},
};

/// Random numbers from a seed, so that a failure can be repeated (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

const STATES: &[&str] = &["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED", "DELETE_PENDING"];

/// A random act of an administrator. Many of them fail or change nothing.
fn operation(dice: &mut Dice) -> (Method, String, Value) {
    let (api, app, key) = (dice.roll(4), dice.roll(6), dice.roll(12));
    let subscription = format!("/v1/subscriptions/s-{}-{}", dice.roll(6), dice.roll(4));
    let plan = if dice.roll(3) == 0 { json!("gold") } else { Value::Null };
    match dice.roll(19) {
        0 => (Method::POST, "/v1/apis".into(), json!({"id": format!("api-{api}")})),
        1 => {
            let body = json!({"name": format!("name {}", dice.roll(3)), "subscription_required": dice.roll(8) != 0});
            (Method::PUT, format!("/v1/apis/api-{api}"), body)
        }
        2 if dice.roll(3) == 0 => (Method::DELETE, format!("/v1/apis/api-{api}"), Value::Null),
        3 | 4 => (Method::POST, "/v1/applications".into(), json!({"id": format!("app-{app}"), "plan": plan})),
        5 => {
            let body = json!({"owner": format!("owner {}", dice.roll(3)), "state": dice.pick(&["ACTIVE", "BLOCKED"])});
            (Method::PUT, format!("/v1/applications/app-{app}"), body)
        }
        6 if dice.roll(2) == 0 => (Method::DELETE, format!("/v1/applications/app-{app}"), Value::Null),
        7 | 8 => {
            let apis = if dice.roll(3) == 0 { json!([format!("api-{api}")]) } else { Value::Null };
            let body = json!({"id": format!("k-{key}"), "sha256": digest(dice.roll(12)),
                "application": format!("app-{app}"), "apis": apis});
            (Method::POST, "/v1/keys".into(), body)
        }
        9 => {
            let apis = if dice.roll(2) == 0 { json!([format!("api-{api}")]) } else { Value::Null };
            (
                Method::PUT,
                format!("/v1/keys/k-{key}"),
                json!({"apis": apis, "type": dice.pick(&["SANDBOX", "PRODUCTION"])}),
            )
        }
        10 => (Method::DELETE, format!("/v1/keys/k-{key}"), Value::Null),
        11 => (Method::POST, format!("/v1/keys/k-{key}/revoke"), Value::Null),
        12 | 13 => {
            let body = json!({"id": format!("s-{app}-{api}"), "application": format!("app-{app}"),
                "api": format!("api-{api}"), "plan": plan, "state": dice.pick(STATES)});
            (Method::POST, "/v1/subscriptions".into(), body)
        }
        14 => (Method::PUT, subscription, json!({"state": dice.pick(STATES)})),
        15 => {
            let state = dice.pick(&["BLOCKED", "PROD_ONLY_BLOCKED"]);
            (Method::POST, format!("{subscription}/block?state={state}"), Value::Null)
        }
        16 => (Method::POST, format!("{subscription}/unblock"), Value::Null),
        17 => (Method::DELETE, subscription, Value::Null),
        _ => match dice.roll(4) {
            0 => (Method::POST, "/v1/plans".into(), json!({"id": "gold", "limits": [{"requests": 5, "per": "day"}]})),
            1 => (Method::DELETE, "/v1/plans/gold".into(), Value::Null),
            2 => {
                let body = json!({"id": "d", "type": "USER", "value": format!("owner {}", dice.roll(3))});
                (Method::POST, "/v1/deny-policies".into(), body)
            }
            _ => (Method::DELETE, "/v1/deny-policies/d".into(), Value::Null),
        },
    }
}

/// The policy as the management API shows it, and all rows that the API shows, which are more.
async fn managed(service: &Service) -> (Policy, Vec<Value>) {
    let (mut policy, mut shown) = (Policy::new(), Vec::new());
    for (list, path) in [
        ("apis", "apis"),
        ("applications", "applications"),
        ("keys", "keys"),
        ("subscriptions", "subscriptions"),
        ("plans", "plans"),
        ("deny_policies", "deny-policies"),
    ] {
        let mut cursor = String::new();
        loop {
            let page = service.get(&format!("/v1/{path}?limit=7{cursor}")).await.expect(200).json();
            for row in page["items"].as_array().unwrap() {
                shown.push(row.clone());
                let mut row = row.clone();
                // These fields are not part of the policy.
                let beside = [
                    ("applications", "deleted"),
                    ("applications", "block"),
                    ("subscriptions", "block"),
                    ("subscriptions", "owner"),
                    ("deny_policies", "applies"),
                ];
                for (of, name) in beside {
                    row.as_object_mut().filter(|_| list == of).map(|fields| fields.remove(name));
                }
                if list == "subscriptions" {
                    let fields = row.as_object_mut().unwrap();
                    fields.remove("id");
                    if fields.remove("deleted").is_some() {
                        fields["state"] = json!("BLOCKED");
                    }
                }
                assert!(policy.insert((list, identity(list, &row)), row).is_none());
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    (policy, shown)
}

/// What a gateway with the scope `apis` sees, computed differently than in the service.
fn limited(policy: &Policy, apis: &[&str]) -> Policy {
    let is_seen = |id: &Value| apis.contains(&id.as_str().unwrap());
    let rows = |list: &'static str| policy.iter().filter(move |((of, _), _)| *of == list).map(|(_, row)| row);
    let open = rows("apis").any(|api| is_seen(&api["id"]) && api["subscription_required"] == false);
    let subscribed: BTreeSet<&str> = rows("subscriptions")
        .filter(|row| is_seen(&row["api"]))
        .map(|row| row["application"].as_str().unwrap())
        .collect();
    let reaches = |application: &Value| open || subscribed.contains(application.as_str().unwrap());
    let mut seen = policy.clone();
    seen.retain(|(list, _), row| match *list {
        "apis" => is_seen(&row["id"]),
        "applications" => reaches(&row["id"]),
        "keys" => reaches(&row["application"]) && row["apis"].as_array().is_none_or(|bound| bound.iter().any(is_seen)),
        "subscriptions" => is_seen(&row["api"]),
        _ => true,
    });
    seen
}

async fn run(seed: u64, history_rows: i64) -> usize {
    let options = Options {
        page_rows: 3,
        history_rows,
        gateways: "all:a,slow:b,late:c,edge:d,edge-2:e",
        gone_after: std::time::Duration::from_secs(3_600),
        gateway_apis: Some(r#"{"edge": ["api-1", "api-nowhere"], "edge-2": ["api-2", "api-0"]}"#),
        sign_in: None,
    };
    let service = Service::with(options).await;
    let mut dice = Dice(seed);
    let mut models = BTreeMap::from([(0, managed(&service).await)]);
    let mut followers = [("all", "a", 1), ("slow", "b", 4), ("late", "c", 30), ("edge", "d", 1), ("edge-2", "e", 5)]
        .map(|(id, secret, pace)| (Follower::new(id, secret), pace));
    let (mut changes, mut checks) = (0, 0);
    while changes < 150 {
        let before = service.revision().await;
        let (method, path, body) = operation(&mut dice);
        let answer = service.admin(method.clone(), &path, body.clone()).await;
        assert!(answer.status < 500, "{method} {path} {body}: {}", answer.text);
        let revision = service.revision().await;
        let model = managed(&service).await;
        if revision == before {
            assert!(
                model == models[&revision],
                "seed {seed}: {method} {path} changed something under the old revision"
            );
        } else {
            assert_eq!(revision, before + 1, "seed {seed}: {method} {path} is one change");
            assert!((200..300).contains(&answer.status), "seed {seed}: a refusal changed something: {}", answer.text);
            assert!(model != models[&before], "seed {seed}: {method} {path} {body}: a revision for nothing");
            changes += 1;
        }
        models.insert(revision, model);
        for (follower, pace) in &mut followers {
            if dice.roll(*pace) == 0 && follower.step(&service).await {
                compare(seed, &models, follower);
                checks += 1;
            }
        }
    }
    for (follower, _) in &mut followers {
        // The first call may finish a policy that was being loaded.
        follower.follow(&service).await;
        follower.follow(&service).await;
        assert_eq!(follower.held.as_ref().unwrap().0, service.revision().await);
        compare(seed, &models, follower);
    }
    assert!(checks > 100, "readers saw only {checks} revisions");
    followers.iter().map(|(follower, _)| follower.restarts).sum()
}

fn compare(seed: u64, models: &BTreeMap<i64, (Policy, Vec<Value>)>, follower: &Follower) {
    let (revision, held) = follower.held.as_ref().unwrap();
    let expected = match follower.client_id {
        "edge" => limited(&models[revision].0, &["api-1", "api-nowhere"]),
        "edge-2" => limited(&models[revision].0, &["api-2", "api-0"]),
        _ => models[revision].0.clone(),
    };
    let only_in = |a: &Policy, b: &Policy| -> Vec<Value> {
        a.iter().filter(|(name, row)| b.get(*name) != Some(*row)).map(|(_, row)| row.clone()).collect()
    };
    let (surplus, lacking) = (only_in(held, &expected), only_in(&expected, held));
    let reader = follower.client_id;
    assert!(*held == expected, "seed {seed}: {reader} at {revision} holds {surplus:?} instead of {lacking:?}");
}

#[tokio::test]
async fn what_a_reader_holds_is_the_policy_of_its_revision() {
    for seed in 0..4 {
        run(seed, 100_000).await;
    }
}

/// With almost no past, readers must often start over, and still never hold a wrong policy.
#[tokio::test]
async fn a_reader_that_comes_too_late_begins_anew_and_is_right_again() {
    let restarts = run(99, 8).await;
    assert!(restarts > 0, "nobody came too late, so nothing was tested");
}
