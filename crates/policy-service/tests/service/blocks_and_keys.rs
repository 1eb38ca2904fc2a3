//! Blocks outlive the objects that they block. The service shows a key only once.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Service, digest};
use keygate::digest::Digest;
use serde_json::{Value, json};

/// The state that the feed gives the subscription of `app-1` to `api-1`.
async fn fed(service: &Service) -> Value {
    let page = service.feed("/v1/policy").await.expect(200).json();
    page["subscriptions"].as_array().unwrap().first().map_or(Value::Null, |row| row["state"].clone())
}

#[tokio::test]
async fn a_block_is_in_the_feed_when_the_answer_is_there_and_unblocking_gives_back_what_was() {
    for start in
        ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED", "TIER_UPDATE_PENDING", "DELETE_PENDING"]
    {
        let service = Service::start().await;
        service.seed().await;
        service.put("/v1/subscriptions/s-1", json!({"state": start})).await.expect(200);
        assert_eq!(fed(&service).await, start);
        for block in ["BLOCKED", "PROD_ONLY_BLOCKED"] {
            let path = format!("/v1/subscriptions/s-1/block?state={block}");
            let blocked = service.post(&path, Value::Null).await.expect(200);
            assert_eq!((blocked.json()["state"].clone(), fed(&service).await), (json!(block), json!(block)));
            let revision = service.revision().await;
            service.post(&path, Value::Null).await.expect(200);
            assert_eq!(service.revision().await, revision, "it was so already");
        }
        for _ in 0..2 {
            let unblocked = service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
            let before = if start.ends_with("BLOCKED") { "UNBLOCKED" } else { start };
            assert_eq!((unblocked.json()["state"].clone(), fed(&service).await), (json!(before), json!(before)));
        }
        service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
        assert_eq!(fed(&service).await, "BLOCKED", "without a state the whole subscription is meant");
    }
}

#[tokio::test]
async fn only_blocks_can_be_asked_for() {
    let service = Service::start().await;
    service.seed().await;
    for state in ["UNBLOCKED", "ON_HOLD", "blocked", ""] {
        service
            .post(&format!("/v1/subscriptions/s-1/block?state={state}"), Value::Null)
            .await
            .expect_problem(400, Some("state"));
    }
    service.post("/v1/subscriptions/s-1/block?status=BLOCKED", Value::Null).await.expect_problem(400, Some("status"));
    service.post("/v1/subscriptions/none/block", Value::Null).await.expect_problem(404, None);
    service.post("/v1/subscriptions/none/unblock", Value::Null).await.expect_problem(404, None);
    assert_eq!(fed(&service).await, "UNBLOCKED");
}

#[tokio::test]
async fn no_way_round_a_block() {
    let again = json!({"application": "app-1", "api": "api-1"});
    for block in ["BLOCKED", "PROD_ONLY_BLOCKED"] {
        for way in ["nothing", "delete", "delete twice", "application", "api", "application and api"] {
            let service = Service::start().await;
            service.seed().await;
            service.post(&format!("/v1/subscriptions/s-1/block?state={block}"), Value::Null).await.expect(200);
            let deleted = way != "nothing";
            if way.starts_with("delete") {
                let kept = service.delete("/v1/subscriptions/s-1").await.expect(200).json();
                assert_eq!((&kept["deleted"], &kept["state"]), (&json!(true), &json!(block)));
            }
            if way == "delete twice" {
                let revision = service.revision().await;
                service.delete("/v1/subscriptions/s-1").await.expect(200);
                assert_eq!(service.revision().await, revision);
            }
            if way.contains("application") {
                service.delete("/v1/applications/app-1").await.expect(204);
                service.post("/v1/applications", json!({"id": "app-1"})).await.expect(201);
            }
            if way.contains("api") && !way.starts_with("application") || way.ends_with("and api") {
                service.delete("/v1/apis/api-1").await.expect(204);
                service.post("/v1/apis", json!({"id": "api-1"})).await.expect(201);
            }
            // Without a subscription sandbox keys are denied as well, so the feed shows BLOCKED.
            assert_eq!(fed(&service).await, if deleted { "BLOCKED" } else { block }, "{way}");
            service.post("/v1/subscriptions", again.clone()).await.expect_problem(409, None);
            service
                .post("/v1/subscriptions", json!({"id": "s-9", "application": "app-1", "api": "api-1"}))
                .await
                .expect(409);
            if deleted {
                service.put("/v1/subscriptions/s-1", json!({"state": "UNBLOCKED"})).await.expect_problem(409, None);
                let shown = service.get("/v1/subscriptions/s-1").await.expect(200).json();
                assert_eq!((&shown["deleted"], &shown["state"]), (&json!(true), &json!(block)), "{way}");
            }
            assert_eq!(fed(&service).await, if deleted { "BLOCKED" } else { block }, "{way}");

            service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
            if deleted {
                assert_eq!(fed(&service).await, Value::Null, "what was deleted is gone with its block");
                service.get("/v1/subscriptions/s-1").await.expect(404);
                service.post("/v1/subscriptions", again.clone()).await.expect(201);
            } else {
                service.post("/v1/subscriptions", again.clone()).await.expect(200);
            }
            assert_eq!(fed(&service).await, "UNBLOCKED", "{way}");
        }
    }
}

#[tokio::test]
async fn a_block_concerns_one_pair_only() {
    let service = Service::start().await;
    service.seed().await;
    // Ids that would give the same name if they were joined without a separator.
    for api in ["b", "a b", "b\u{20}c"] {
        service.post("/v1/apis", json!({"id": api})).await.expect(201);
    }
    for application in ["a", "a b", "b"] {
        service.post("/v1/applications", json!({"id": application})).await.expect(201);
    }
    let mut ids = Vec::new();
    for (application, api) in [("a", "b"), ("a", "a b"), ("a b", "b"), ("a", "b c"), ("b", "b")] {
        let made = service.post("/v1/subscriptions", json!({"application": application, "api": api})).await.expect(201);
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    service.post(&format!("/v1/subscriptions/{}/block", ids[0]), Value::Null).await.expect(200);
    let items = service.get("/v1/subscriptions").await.json()["items"].clone();
    let blocked: Vec<&Value> = items.as_array().unwrap().iter().filter(|item| item["state"] == "BLOCKED").collect();
    assert_eq!(blocked.len(), 1);
    assert_eq!((&blocked[0]["application"], &blocked[0]["api"]), (&json!("a"), &json!("b")));
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

#[tokio::test]
async fn a_key_appears_once_and_only_its_digest_is_kept() {
    let service = Service::start().await;
    service.seed().await;
    let before = now();
    let body = json!({"type": "SANDBOX", "expires_in": 3600, "apis": ["api-1"], "permitted_ips": ["10.0.0.0/8"]});
    let answer = service.post("/v1/applications/app-1/keys", body).await.expect(201);
    let issued = answer.json();
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = issued["key"].as_str().unwrap();
    assert!(key.len() >= 32 + 3, "192 bits and more");
    assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "it fits everywhere: {key}");
    assert_eq!(issued["sha256"], Digest::of(key.as_bytes()).to_hex());
    assert!((before + 3600..=now() + 3600).contains(&issued["expires_at"].as_i64().unwrap()));
    let mut stored = issued.clone();
    stored.as_object_mut().unwrap().remove("key");
    assert_eq!(service.get(answer.header("location")).await.expect(200).json(), stored);
    for path in ["/v1/keys", "/v1/policy"] {
        let text = if path == "/v1/policy" { service.feed(path).await.text } else { service.get(path).await.text };
        assert!(text.contains(issued["sha256"].as_str().unwrap()) && !text.contains(key), "{path}");
    }
    service.store.close().await;
    for file in std::fs::read_dir(service.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "the key is in the database");
    }
}

#[tokio::test]
async fn issued_keys_differ_and_need_no_body() {
    let service = Service::start().await;
    service.seed().await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(service.post("/v1/applications/app-1/keys", Value::Null).await.expect(201).json()["key"].clone());
    }
    keys.sort_by_key(ToString::to_string);
    keys.dedup();
    assert_eq!(keys.len(), 20);
    let revision = service.revision().await;
    for (path, body, status, field) in [
        ("/v1/applications/none/keys", json!({}), 404, None),
        ("/v1/applications/app-1/keys", json!({"id": "k-1"}), 409, None),
        ("/v1/applications/app-1/keys", json!({"key": "chosen"}), 422, Some("key")),
        ("/v1/applications/app-1/keys", json!({"sha256": digest(9)}), 422, Some("sha256")),
        ("/v1/applications/app-1/keys", json!({"expires_in": 0}), 422, Some("expires_in")),
        ("/v1/applications/app-1/keys", json!({"expires_in": -5}), 422, Some("expires_in")),
        ("/v1/applications/app-1/keys", json!({"expires_in": i64::MAX}), 422, Some("expires_in")),
        ("/v1/applications/app-1/keys", json!({"expires_in": 5, "expires_at": now() + 5}), 422, Some("expires_in")),
        ("/v1/applications/app-1/keys", json!({"expires_at": now() - 5}), 422, Some("expires_at")),
        ("/v1/applications/app-1/keys", json!({"type": "BOTH"}), 422, Some("type")),
        ("/v1/applications/app-1/keys", json!({"apis": ["none"]}), 422, Some("apis[0]")),
        ("/v1/keys/k-1/regenerate", json!({"overlap_seconds": -1}), 422, Some("overlap_seconds")),
        ("/v1/keys/k-1/regenerate", json!({"overlap_seconds": 1_000_000_000}), 422, Some("overlap_seconds")),
        ("/v1/keys/none/regenerate", json!({}), 404, None),
        ("/v1/keys/none/revoke", Value::Null, 404, None),
    ] {
        service.post(path, body).await.expect_problem(status, field);
    }
    assert_eq!(service.revision().await, revision);
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() {
    let service = Service::start().await;
    service.seed().await;
    let revision = service.revision().await;
    for _ in 0..2 {
        assert_eq!(service.post("/v1/keys/k-1/revoke", Value::Null).await.expect(200).json()["state"], "REVOKED");
    }
    assert_eq!(service.revision().await, revision + 1);
    service.put("/v1/keys/k-1", json!({"state": "ACTIVE"})).await.expect_problem(409, None);
    service.post("/v1/keys/k-1/regenerate", Value::Null).await.expect_problem(409, None);
    let again = json!({"id": "k-1", "application": "app-1", "sha256": digest(1)});
    service.post("/v1/keys", again).await.expect_problem(409, None);
    assert_eq!(service.get("/v1/keys/k-1").await.json()["state"], "REVOKED");
}

#[tokio::test]
async fn regenerating_lets_the_old_key_work_for_the_overlap_and_no_longer() {
    let service = Service::start().await;
    service.seed().await;
    let limits = json!({"type": "SANDBOX", "permitted_ips": ["10.0.0.0/8"], "apis": ["api-1"]});
    service.put("/v1/keys/k-1", limits).await.expect(200);
    let (revision, before) = (service.revision().await, now());
    let new =
        service.post("/v1/keys/k-1/regenerate", json!({"overlap_seconds": 60, "id": "k-2"})).await.expect(201).json();
    assert_eq!(service.revision().await, revision + 1, "both keys change at once");
    assert_eq!((&new["id"], &new["replaces"], &new["application"]), (&json!("k-2"), &json!("k-1"), &json!("app-1")));
    assert_eq!(
        (&new["type"], &new["permitted_ips"], &new["apis"]),
        (&json!("SANDBOX"), &json!(["10.0.0.0/8"]), &json!(["api-1"]))
    );
    assert_eq!(new["sha256"], Digest::of(new["key"].as_str().unwrap().as_bytes()).to_hex());
    assert!(new.get("expires_at").is_none());
    let old = service.get("/v1/keys/k-1").await.json();
    assert_eq!(old["state"], "ACTIVE");
    assert!((before + 60..=now() + 60).contains(&old["expires_at"].as_i64().unwrap()));
    // An overlap never makes a key live longer.
    let short =
        service.post("/v1/applications/app-1/keys", json!({"id": "k-3", "expires_in": 5})).await.expect(201).json();
    service.post("/v1/keys/k-3/regenerate", json!({"overlap_seconds": 60})).await.expect(201);
    assert_eq!(service.get("/v1/keys/k-3").await.json()["expires_at"], short["expires_at"]);
    // Without an overlap the old key is revoked.
    service.post("/v1/keys/k-2/regenerate", Value::Null).await.expect(201);
    assert_eq!(service.get("/v1/keys/k-2").await.json()["state"], "REVOKED");
}

/// The old key's remaining overlap does not count as the lifetime of a key that replaces it.
#[tokio::test]
async fn a_key_is_regenerated_once_and_then_its_successor() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/applications/app-1/keys", json!({"id": "k-2", "expires_in": 9_000})).await.expect(201);
    let expires = service.get("/v1/keys/k-2").await.json()["expires_at"].clone();
    for (old, next, expires) in [("k-1", "k-3", Value::Null), ("k-2", "k-4", expires)] {
        let path = format!("/v1/keys/{old}/regenerate");
        let again = json!({"overlap_seconds": 60});
        service.post(&path, json!({"overlap_seconds": 60, "id": next})).await.expect(201);
        let shown = service.get(&format!("/v1/keys/{old}")).await.json();
        assert_eq!(shown["replaced_by"], next);
        // Repeating the request, or sending the answer back, changes nothing.
        let revision = service.revision().await;
        for body in [shown.clone(), json!({"expires_at": shown["expires_at"], "replaced_by": "k-9"})] {
            assert_eq!(service.put(&format!("/v1/keys/{old}"), body).await.expect(200).json(), shown);
        }
        service.post("/v1/keys", shown).await.expect(200);
        let refused = service.post(&path, again.clone()).await.expect_problem(409, None);
        assert!(refused.text.contains(next), "{}", refused.text);
        assert_eq!(service.revision().await, revision);
        let third = service.post(&format!("/v1/keys/{next}/regenerate"), again).await.expect(201).json();
        assert_eq!(third.get("expires_at").cloned().unwrap_or_default(), expires, "{third}");
        assert!(third.get("replaced_by").is_none(), "{third}");
    }
    assert!(!service.feed("/v1/policy").await.text.contains("replaced_by"));
}

/// The worst case would be a key that the service accepts and every gateway then leaves out.
#[tokio::test]
async fn a_key_that_gateways_would_leave_out_is_refused() {
    let service = Service::start().await;
    service.seed().await;
    let referers = |count: usize| {
        let referers = (0..count).map(|number| format!("{number:04}.example/{}", "y".repeat(490)));
        json!({"permitted_referers": referers.collect::<Vec<_>>(), "permitted_ips": vec!["2001:db8::/32"; 1_000],
            "apis": vec!["api-1"; 1_000]})
    };
    let (mut least, mut most) = (1, 1_000);
    while least + 1 < most {
        let middle = usize::midpoint(least, most);
        match service.put("/v1/keys/k-1", referers(middle)).await.status {
            200 => least = middle,
            422 => most = middle,
            status => panic!("{status}"),
        }
    }
    for path in ["/v1/applications/app-1/keys", "/v1/keys"] {
        for (count, status) in [(least, 201), (most, 422)] {
            let mut body = referers(count);
            if path == "/v1/keys" {
                body["application"] = json!("app-1");
                body["sha256"] = json!(digest(1_000));
            }
            let answer = service.post(path, body).await.expect(status);
            assert!(status == 201 || answer.text.contains("512 KiB"), "{}", answer.text);
        }
    }
    let row = service.feed("/v1/policy").await.json()["keys"][0].to_string();
    let row: keygate::policy::wire::KeyRow<'_> = serde_json::from_str(&row).unwrap();
    assert!(keygate::store::change::takes(&keygate::policy::rows::Key::try_from(row).unwrap()));
}

#[tokio::test]
async fn a_revoked_key_does_not_come_back_after_its_row_is_deleted() {
    for way in ["revoke", "put", "regenerate", "application", "not revoked"] {
        let service = Service::start().await;
        service.seed().await;
        match way {
            "put" => service.put("/v1/keys/k-1", json!({"state": "REVOKED"})).await.expect(200),
            "regenerate" => service.post("/v1/keys/k-1/regenerate", json!({"id": "k-2"})).await.expect(201),
            "not revoked" => service.get("/v1/keys/k-1").await.expect(200),
            _ => service.post("/v1/keys/k-1/revoke", Value::Null).await.expect(200),
        };
        if way == "application" {
            service.delete("/v1/applications/app-1").await.expect(204);
            service.post("/v1/applications", json!({"id": "app-1"})).await.expect(201);
        } else {
            service.delete("/v1/keys/k-1").await.expect(204);
        }
        for body in [
            json!({"id": "k-1", "application": "app-1", "sha256": digest(1)}),
            json!({"application": "app-1", "sha256": digest(1).to_uppercase()}),
            json!({"id": "k-9", "application": "app-1", "sha256": digest(1), "type": "SANDBOX"}),
        ] {
            let answer = service.post("/v1/keys", body).await;
            if way == "not revoked" {
                answer.expect(201);
                break;
            }
            assert!(answer.expect_problem(409, None).text.contains("key was revoked"), "{way}");
        }
        service.post("/v1/keys", json!({"application": "app-1", "sha256": digest(2)})).await.expect(201);
    }
}

/// The state of a new subscription of an owner, after different blocks of that owner and different ends of them.
#[tokio::test]
async fn a_second_application_of_the_owner_is_no_way_round_a_block() {
    /// The administrator's requests before the new subscription, as method and path.
    type Before = &'static [(&'static str, &'static str)];
    const BLOCK: (&str, &str) = ("POST", "/v1/subscriptions/s-1/block");
    const BLOCK_PRODUCTION: (&str, &str) = ("POST", "/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED");
    const UNBLOCK: (&str, &str) = ("POST", "/v1/subscriptions/s-1/unblock");
    const DELETE: (&str, &str) = ("DELETE", "/v1/subscriptions/s-1");
    const DELETE_APPLICATION: (&str, &str) = ("DELETE", "/v1/applications/app-1");
    const DELETE_API: (&str, &str) = ("DELETE", "/v1/apis/api-1");
    const BLOCK_APPLICATION: (&str, &str) = ("POST", "/v1/applications/app-1/block");
    const UNBLOCK_APPLICATION: (&str, &str) = ("POST", "/v1/applications/app-1/unblock");
    let cases: &[(Before, &str, &str, &str)] = &[
        (&[], "alice", "api-1", "UNBLOCKED"),
        (&[BLOCK], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK_PRODUCTION], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK], "alice", "api-2", "UNBLOCKED"),
        (&[BLOCK], "bob", "api-1", "UNBLOCKED"),
        (&[BLOCK], "ALICE", "api-1", "UNBLOCKED"),
        (&[BLOCK, UNBLOCK], "alice", "api-1", "UNBLOCKED"),
        (&[BLOCK, DELETE], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK, DELETE, UNBLOCK], "alice", "api-1", "UNBLOCKED"),
        (&[BLOCK, DELETE], "alice", "api-2", "UNBLOCKED"),
        (&[BLOCK, DELETE_APPLICATION], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK, DELETE_APPLICATION], "bob", "api-1", "UNBLOCKED"),
        (&[BLOCK, DELETE, BLOCK_PRODUCTION, DELETE_APPLICATION], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK, DELETE_APPLICATION, UNBLOCK], "alice", "api-1", "UNBLOCKED"),
        (&[DELETE, DELETE_APPLICATION], "alice", "api-1", "UNBLOCKED"),
        (&[BLOCK, DELETE_API], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK_APPLICATION], "alice", "api-1", "ON_HOLD"),
        (&[BLOCK_APPLICATION], "alice", "api-2", "ON_HOLD"),
        (&[BLOCK_APPLICATION], "bob", "api-1", "UNBLOCKED"),
        (&[BLOCK_APPLICATION, DELETE_APPLICATION], "alice", "api-2", "ON_HOLD"),
        (&[BLOCK_APPLICATION, DELETE_APPLICATION, UNBLOCK_APPLICATION], "alice", "api-2", "UNBLOCKED"),
        (&[BLOCK_APPLICATION, UNBLOCK_APPLICATION], "alice", "api-1", "UNBLOCKED"),
    ];
    for (before, owner, api, state) in cases {
        for early in [true, false] {
            let name = format!("{before:?}, {owner} at {api}, application made before: {early}");
            let service = Service::start().await;
            service.seed().await;
            service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
            let application = json!({"id": "app-2", "owner": owner});
            if early {
                service.post("/v1/applications", application.clone()).await.expect(201);
            }
            for (method, path) in *before {
                let answer = service.admin(method.parse().unwrap(), path, Value::Null).await;
                assert!(answer.status < 300, "{name}: {}", answer.text);
            }
            if before.contains(&DELETE_API) {
                service.post("/v1/apis", json!({"id": "api-1"})).await.expect(201);
            }
            let made =
                service.post("/v1/applications", application.clone()).await.expect(if early { 200 } else { 201 });
            // A new application can only be ACTIVE or BLOCKED, so it is blocked to let nothing pass.
            let of_application = before.contains(&BLOCK_APPLICATION) && !before.contains(&UNBLOCK_APPLICATION);
            let is_blocked = of_application && *owner == "alice" && !early;
            assert_eq!(made.json()["state"], if is_blocked { "BLOCKED" } else { "ACTIVE" }, "{name}");
            let asked = json!({"id": "s-2", "application": "app-2", "api": api});
            let made = service.post("/v1/subscriptions", asked.clone()).await.expect(201).json();
            assert_eq!(made["state"], *state, "{name}");
            let page = service.feed("/v1/policy").await.expect(200).json();
            let fed =
                page["subscriptions"].as_array().unwrap().iter().find(|row| row["application"] == "app-2").unwrap();
            assert_eq!(fed["state"], *state, "{name}");
            // The same request again changes nothing.
            let revision = service.revision().await;
            assert_eq!(service.post("/v1/subscriptions", asked).await.expect(200).json()["state"], *state, "{name}");
            assert_eq!(service.revision().await, revision, "{name}");
        }
    }
}

/// A new subscription of a blocked owner lets nothing pass, whatever state it asks for. Only a person can open it.
#[tokio::test]
async fn a_subscription_on_hold_is_opened_by_nobody_but_a_person() {
    for (asked, state, after_unblock) in [
        ("UNBLOCKED", "ON_HOLD", "ON_HOLD"),
        ("TIER_UPDATE_PENDING", "ON_HOLD", "ON_HOLD"),
        ("DELETE_PENDING", "ON_HOLD", "ON_HOLD"),
        ("PROD_ONLY_BLOCKED", "ON_HOLD", "ON_HOLD"),
        ("ON_HOLD", "ON_HOLD", "ON_HOLD"),
        ("REJECTED", "REJECTED", "REJECTED"),
        ("BLOCKED", "BLOCKED", "ON_HOLD"),
    ] {
        let service = Service::start().await;
        service.seed().await;
        // A subscription from before the block keeps its state. An application without an owner is not affected.
        for (id, owner) in [("app-2", Some("alice")), ("app-3", Some("alice")), ("app-4", None)] {
            service.post("/v1/applications", json!({"id": id, "owner": owner})).await.expect(201);
        }
        let earlier = json!({"id": "s-3", "application": "app-3", "api": "api-1"});
        service.post("/v1/subscriptions", earlier.clone()).await.expect(201);
        service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
        let nobodys = json!({"application": "app-4", "api": "api-1"});
        assert_eq!(service.post("/v1/subscriptions", nobodys).await.expect(201).json()["state"], "UNBLOCKED");
        let body = json!({"id": "s-2", "application": "app-2", "api": "api-1", "state": asked});
        assert_eq!(service.post("/v1/subscriptions", body).await.expect(201).json()["state"], state, "{asked}");
        assert_eq!(service.post("/v1/subscriptions", earlier).await.expect(200).json()["state"], "UNBLOCKED");
        for _ in 0..2 {
            let shown = service.post("/v1/subscriptions/s-2/unblock", Value::Null).await.expect(200).json();
            assert_eq!(shown["state"], after_unblock, "{asked}");
            // The end of the first block does not open the second subscription.
            service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
        }
        let opened = service.put("/v1/subscriptions/s-2", json!({"state": "UNBLOCKED"})).await.expect(200).json();
        assert_eq!(opened["state"], "UNBLOCKED");
    }
}
