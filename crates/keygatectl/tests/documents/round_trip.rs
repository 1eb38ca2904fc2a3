//! The property of an export: applied to an empty service, it gives the same policy, and the same export to the byte.

use serde_json::{Value, json};

use crate::{
    files,
    support::{Service, digest},
};

/// A policy with all that a row can have, and names that are odd in YAML.
fn fill(service: &Service, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let names = [
        "Shop",
        "yes",
        "null",
        "1.0",
        "a: b",
        "#1",
        "- x",
        "Zürich 日本",
        "'quoted' \"text\"",
        "{x}",
        "&a *b",
        "0x1F",
        "2025-06-01",
        "~",
        "a\\b",
    ];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (plan, owner) in names.iter().take(4).enumerate() {
        let mut row = json!({"id": format!("plan {plan}"), "limits": [{"requests": plan + 1, "per": "day"}],
            "stop_on_quota_reach": plan % 2 == 0, "owner": owner});
        if plan == 3 {
            row["burst"] = json!({"requests": 3, "per": "second"});
            row["operations"] = json!([{"methods": ["GET"], "path": "/orders/*"}, {"path": "/**"}]);
        }
        service.post("/v1/plans", &row);
    }
    for api in 0..4 {
        service.post(
            "/v1/apis",
            &json!({"id": format!("api/{api}"), "name": names[api + 3], "version": "1.0", "owner": "team",
                "match": [{"hosts": ["api.example.com", "*.example.org"], "path": format!("/p{api}")}], "plans": ["plan 0", "plan 1"],
                "approval": if api == 1 { "manual" } else { "automatic" }, "endpoints": ["PRODUCTION"],
                "security": if api == 2 { "none" } else { "api_key" }, "subscription_required": api != 3}),
        );
    }
    for (id, row) in [
        ("d1", json!({"type": "IP", "value": "203.0.113.9"})),
        ("d2", json!({"type": "IP_RANGE", "value": "198.51.100.0/24", "invert": true})),
        ("d3", json!({"type": "USER", "value": "mallory"})),
    ] {
        let mut row = row;
        row["id"] = id.into();
        service.post("/v1/deny-policies", &row);
    }
    for app in 0..12 {
        let id = format!("app {app}");
        let mut row = json!({"id": id, "name": names[dice.usize(0..names.len())], "owner": format!("owner-{app}")});
        if dice.bool() {
            row["plan"] = "plan 2".into();
        }
        service.post("/v1/applications", &row);
        for key in 0..dice.usize(1..4) {
            let mut row = json!({"id": format!("k {app} {key}"), "application": id, "sha256": digest(&format!("{seed} {app} {key}")),
                "type": if dice.bool() { "PRODUCTION" } else { "SANDBOX" }});
            match dice.usize(0..4) {
                0 => row["expires_at"] = (now + 86_400).into(),
                1 => row["apis"] = json!(["api/0", "api/1"]),
                2 => {
                    row["permitted_ips"] = json!(["192.168.1.0/24", "2001:db8::/32"]);
                    row["permitted_referers"] = json!(["sub.example.com/*"]);
                    row["not_before"] = (now - 86_400).into();
                }
                _ => row["apis"] = json!([]),
            }
            service.post("/v1/keys", &row);
        }
        for api in 0..4 {
            let sub = format!("s-{app}-{api}");
            service.post(
                "/v1/subscriptions",
                &json!({"id": sub, "application": id, "api": format!("api/{api}"), "plan": "plan 0"}),
            );
            let block = match dice.usize(0..8) {
                0 => json!({"state": "BLOCKED", "reason": names[dice.usize(0..names.len())]}),
                1 => json!({"state": "PROD_ONLY_BLOCKED", "note": "ask: support", "until": now + 86_400}),
                2 => json!({"state": "BLOCKED", "from": now + 3_600, "until": now + 7_200}),
                _ => continue,
            };
            service.post(&format!("/v1/subscriptions/{sub}/block"), &block);
        }
    }
    service.post("/v1/keys/k%200%200/revoke", &json!({}));
    service.post("/v1/keys/k%201%200/regenerate", &json!({"overlap_seconds": 3_600, "id": "k next"}));
    service.post("/v1/applications/app%203/block", &json!({"reason": "unpaid"}));
    // Blocks that outlive what they block.
    for (path, block) in [
        ("/v1/subscriptions/s-4-0", json!({"reason": "kept", "until": now + 86_400})),
        ("/v1/subscriptions/s-4-1", json!({"state": "PROD_ONLY_BLOCKED"})),
        ("/v1/applications/app%205", json!({"reason": "kept with its application"})),
        ("/v1/subscriptions/s-6-0", json!({"reason": "its application goes"})),
    ] {
        service.post(&format!("{path}/block"), &block);
    }
    for path in
        ["/v1/subscriptions/s-4-0", "/v1/subscriptions/s-4-1", "/v1/applications/app%205", "/v1/applications/app%206"]
    {
        let deleted =
            service.http.delete(format!("{}{path}", service.url)).bearer_auth(crate::support::TOKEN).send().unwrap();
        assert!(deleted.status().is_success(), "{path}");
    }
}

/// The rows of the feed.
fn feed(service: &Service) -> Value {
    let page = service.http.get(format!("{}/v1/policy", service.url)).basic_auth("gw", Some("secret")).send().unwrap();
    let mut page: Value = serde_json::from_str(&page.text().unwrap()).unwrap();
    for own in ["epoch", "revision", "poll", "next", "counts"] {
        page.as_object_mut().unwrap().remove(own);
    }
    for list in page.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    page
}

/// Gives the applications of kept blocks to another owner. Returns the owners whom the blocks concern.
fn give_away(service: &Service) -> Vec<String> {
    let rows = service.get("/v1/subscriptions?limit=1000")["items"].clone();
    let kept = rows.as_array().unwrap().iter().filter(|row| row["deleted"] == true);
    let kept: Vec<(String, String)> = kept
        .filter_map(|row| Some((row["application"].as_str()?.to_owned(), row["owner"].as_str()?.to_owned())))
        .collect();
    assert!(!kept.is_empty());
    for (application, _) in &kept {
        let document = format!("kind: application\nid: {application}\nowner: heir\n");
        std::fs::write(service.folder().join("heir.yaml"), document).unwrap();
        service.ctl(&["apply", "heir.yaml", "--lock", "heir.lock"]).run();
    }
    kept.into_iter().map(|(_, owner)| owner).collect()
}

#[test]
fn an_export_that_is_applied_to_an_empty_service_is_exported_again_to_the_byte() {
    for seed in [1, 2] {
        let service = Service::start();
        fill(&service, seed);
        let owners = give_away(&service);
        service.ctl(&["export", "policy"]).expect(0);
        let policy = service.folder().join("policy");
        let exported = files(&policy);
        assert!(exported["applications.yaml"].contains("deleted: true"));
        for owner in owners {
            assert!(exported["applications.yaml"].contains(&format!("\nowner: {owner}\n")), "{owner} {seed}");
        }
        let valid = service.ctl(&["validate", "policy"]).expect(0);
        assert!(valid.out.contains("documents in 4 files, valid"), "{valid:?}");
        let revision = service.get("/v1/revisions?sort=-revision&limit=1")["items"][0]["revision"].clone();
        let said = format!("There is no difference, at revision {revision}.");
        assert_eq!(service.ctl(&["diff", "policy"]).expect(0).err.lines().next(), Some(said.as_str()));

        let empty = Service::start();
        let policy = policy.to_str().unwrap();
        let lock = empty.folder().join("lock").display().to_string();
        empty.ctl(&["apply", policy, "--lock", &lock]).expect(0);
        empty.ctl(&["export", "again"]).expect(0);
        let again = files(&empty.folder().join("again"));
        for (name, text) in &exported {
            assert_eq!(text, &again[name], "{name} {seed}");
        }
        assert_eq!(exported.len(), again.len());
        assert_eq!(feed(&service), feed(&empty), "{seed}");
        let revision = empty.get("/v1/revisions?sort=-revision&limit=1")["items"][0]["revision"].clone();
        let said = format!("There is no difference, at revision {revision}.");
        assert_eq!(empty.ctl(&["diff", policy]).expect(0).err.lines().next(), Some(said.as_str()));
        // The same once more changes nothing.
        let twice = empty.ctl(&["apply", policy, "--lock", &lock, "-o", "json"]).expect(0).json();
        for count in twice["counts"].as_object().unwrap().values() {
            assert_eq!((count["made"].as_u64(), count["changed"].as_u64()), (Some(0), Some(0)), "{twice}");
        }
        empty.ctl(&["export", "again", "--force"]).expect(0);
        assert_eq!(files(&empty.folder().join("again")), again);
    }
}

#[test]
fn an_export_touches_only_its_own_files() {
    let service = Service::start();
    service.seed();
    service.ctl(&["export", "policy"]).expect(0);
    let refused = service.ctl(&["export", "policy"]).expect(64);
    assert!(refused.err.contains("--force"), "{refused:?}");
    let own = service.folder().join("policy/team.yaml");
    std::fs::write(&own, "---\nkind: plan\nid: own\n").unwrap();
    std::fs::write(
        service.folder().join("policy/deny-policies.yaml"),
        "---\nkind: deny_policy\nid: d\ntype: IP\nvalue: 192.0.2.1\n",
    )
    .unwrap();
    let again = service.ctl(&["export", "policy", "--force"]).expect(0);
    assert!(again.err.contains("1 file of the folder: not of `export`"), "{again:?}");
    assert!(own.exists() && !service.folder().join("policy/deny-policies.yaml").exists());
}

#[test]
fn an_export_during_changes_is_the_policy_of_one_moment() {
    let service = Service::start();
    let rows: String = (0..3_000)
        .map(|number| format!("{{\"kind\":\"application\",\"id\":\"app-{number:04}\",\"owner\":\"before\"}}\n"))
        .collect();
    let import = service.http.post(format!("{}/v1/import", service.url)).bearer_auth(crate::support::TOKEN);
    assert!(import.header("content-type", "application/x-ndjson").body(rows).send().unwrap().status().is_success());
    let (url, http) = (service.url.clone(), service.http.clone());
    // Two applications change together, one at each end of the list, so no moment has them apart by more than one. An
    // import changes two others, and a block comes and goes, so that a row is again what it was.
    service.post("/v1/apis", &json!({"id": "api", "match": [{"path": "/x"}]}));
    service.post("/v1/subscriptions", &json!({"id": "s", "application": "app-1500", "api": "api"}));
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changing = std::thread::spawn({
        let is_over = std::sync::Arc::clone(&is_over);
        move || {
            for turn in 0..900 {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let send = |request: reqwest::blocking::RequestBuilder, of_type: &str, body: String| {
                    let request = request.bearer_auth(crate::support::TOKEN).header("content-type", of_type).body(body);
                    assert!(request.send().unwrap().status().is_success());
                };
                for id in ["app-0000", "app-2999"] {
                    let body = format!("{{\"owner\":\"turn-{turn:03}\"}}");
                    send(http.put(format!("{url}/v1/applications/{id}")), "application/json", body);
                }
                let row =
                    |id: &str| format!("{{\"kind\":\"application\",\"id\":\"{id}\",\"owner\":\"turn-{turn:03}\"}}\n");
                let rows = ["app-0001", "app-2998"].map(row).concat();
                send(http.post(format!("{url}/v1/import")), "application/x-ndjson", rows);
                for action in ["block", "unblock"] {
                    send(http.post(format!("{url}/v1/subscriptions/s/{action}")), "application/json", "{}".to_owned());
                }
            }
        }
    });
    for round in 0..3 {
        let folder = format!("export-{round}");
        service.ctl(&["export", &folder]).expect(0);
        let text = &files(&service.folder().join(&folder))["applications.yaml"];
        let turn = |id: &str| -> i64 {
            let document = text.split("---\n").find(|document| document.contains(id)).unwrap();
            document.split("turn-").nth(1).map_or(-1, |rest| rest[..3].parse().unwrap())
        };
        let (first, last) = (turn("app-0000"), turn("app-2999"));
        assert!(first == last || first == last + 1, "{first} {last}");
        assert_eq!(turn("app-0001"), turn("app-2998"), "the rows of one import");
        let imported = turn("app-0001");
        assert!(last == imported || last == imported + 1, "{last} {imported}");
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    changing.join().unwrap();
    // At rest, a difference with the last export is what came after it, and a new export has none.
    service.ctl(&["export", "at-rest"]).expect(0);
    service.ctl(&["diff", "at-rest"]).expect(0);
}
