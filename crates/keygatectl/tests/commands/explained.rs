//! `explain`: a service, a page and a folder of documents give the same verdict and the same steps.

use std::fs;

use serde_json::Value;

use crate::support::{Ctl, Service};

#[test]
fn a_service_a_page_and_documents_agree() {
    let service = Service::start();
    service.seed();
    service.ctl(&["block", "sub-7", "--state", "PROD_ONLY_BLOCKED", "--until", "2h", "--note", "ask"]).expect(0);
    service.ctl(&["block", "sub-8"]).expect(0);
    service.ctl(&["delete", "subscription", "sub-8", "--yes"]).expect(0);
    service.post("/v1/deny-policies", &serde_json::json!({"id": "d", "type": "IP", "value": "203.0.113.9"}));
    let page = service.http.get(format!("{}/v1/policy", service.url)).basic_auth("gw", Some("secret"));
    fs::write(service.folder().join("page.json"), page.send().unwrap().text().unwrap()).unwrap();
    service.ctl(&["export", "policy"]).expect(0);
    for (key, url) in [("key-1", "one"), ("key-2", "two"), ("key-3", "three"), ("other", "other")] {
        fs::write(service.folder().join(url), key).unwrap();
    }
    let plugin = r#"{"policy": {"cluster": "c", "credentials": {"client_id": "g", "client_secret": "hidden-secret"}},
        "replies": {"overrides": {"subscription_blocked": {"status": 403}}}}"#;
    fs::write(service.folder().join("plugin.json"), plugin).unwrap();
    for (arguments, code, part) in [
        (vec!["/payments/1.0/x", "--key-file", "one"], 3, "deny: subscription_blocked, status 401"),
        (
            vec!["/payments/1.0/x", "--key-file", "one", "--plugin", "plugin.json"],
            3,
            "deny: subscription_blocked, status 403",
        ),
        (vec!["/payments/1.0/x", "--key-file", "one", "--at", "3h"], 0, "allow: allowed"),
        (vec!["/payments/1.0/x", "--key-file", "two"], 0, "allow: allowed"),
        (vec!["/payments/1.0/x", "--key-file", "two", "--address", "203.0.113.9"], 3, "denied_by_policy"),
        (vec!["/payments/1.0/x", "--key-file", "three"], 3, "subscription_blocked"),
        (vec!["/payments/1.0/x", "--key-file", "other"], 3, "key_unknown"),
        (vec!["/payments/1.0/x"], 3, "credential_missing"),
        (vec!["/nowhere", "--key-file", "one"], 3, "api_not_found"),
        (vec!["/payments/1.0/x", "--key-id", "k-2"], 0, "application   app-1"),
        (vec!["https://other.example/payments/1.0/x", "--key-id", "k-2"], 3, "api_not_found"),
        (vec!["/payments/1.0/x", "--key-id", "k-2", "--header", "x-other: 1", "-X", "POST"], 0, "allow"),
    ] {
        let run = |more: &[&str]| {
            let arguments: Vec<&str> = ["explain"].iter().chain(&arguments).chain(more).copied().collect();
            service.ctl(&arguments).expect(code)
        };
        let online = run(&[]);
        assert!(online.out.contains(part), "{online:?}");
        assert!(!online.out.contains("hidden-secret") && !online.out.contains("key-1"), "{online:?}");
        let steps = |text: &str| {
            let lines = text.lines().filter(|line| line.starts_with(['✓', '✗', '·', '?']));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(!steps(&online.out).is_empty(), "{online:?}");
        for policy in ["page.json", "policy"] {
            let offline = run(&["--policy", policy]);
            assert!(offline.out.contains(part), "{policy} {offline:?}");
            assert_eq!(steps(&offline.out), steps(&online.out), "{policy}");
        }
        let json = run(&["-o", "json"]).json();
        assert_eq!(json["verdict"] == "allow", code == 0, "{json}");
        // Documents give all that the service gives, but the revision and the time. Pages have no ids of subscriptions.
        let mut offline = run(&["-o", "json", "--policy", "policy"]).json();
        assert_eq!(offline["revision"], Value::Null, "{offline}");
        for own in ["revision", "now"] {
            assert!(offline["now"].is_u64() || own == "now", "{offline}");
            offline[own] = json[own].clone();
        }
        assert_eq!(offline, json);
    }
    // Without a service, no URL and no token are needed.
    let alone = Ctl::new(service.folder(), &["explain", "/payments/1.0/x", "--key-id", "k-2", "--policy", "page.json"]);
    alone.expect(0);
    let argument = service.ctl(&["explain", "/x", "-H", "X-Api-Key: key-2"]).expect(64);
    assert!(argument.err.contains("--key-file") && !argument.err.contains("key-2"), "{argument:?}");
    for url in ["/payments/1.0/x?apikey=key-2", "https://localhost/payments/1.0/x?a=b&API%5fKEY=key-2"] {
        let argument = service.ctl(&["explain", url]).expect(64);
        assert!(argument.err.contains("--key-file") && !argument.err.contains("key-2"), "{argument:?}");
    }
    fs::write(
        service.folder().join("sources.json"),
        r#"{"policy": {"cluster": "c"},
        "credential_sources": [{"query": "K"}, {"header": "x-mine"}]}"#,
    )
    .unwrap();
    for (url, header) in [("/payments/1.0/x?k=key-2", "x-other: 1"), ("/payments/1.0/x", "X-Mine: key-2")] {
        let argument = service.ctl(&["explain", url, "-H", header, "--plugin", "sources.json"]).expect(64);
        assert!(argument.err.contains("--key-file") && !argument.err.contains("key-2"), "{argument:?}");
    }
    service.ctl(&["explain", "/payments/1.0/x?k=1&apikeys=2", "--key-id", "k-2"]).expect(0);
    let both = service.ctl(&["explain", "/x", "--key-id", "k", "--sha256", "aa"]).expect(64);
    assert!(both.err.contains("cannot be used with"), "{both:?}");
    fs::write(service.folder().join("wrong.json"), "{\"policy\": {\"cluster\": \"c\"},\n \"mod\": 1}").unwrap();
    let wrong = service.ctl(&["explain", "/x", "--key-id", "k-1", "--plugin", "wrong.json"]).expect(1);
    assert!(wrong.err.contains("wrong.json:2:2: ") && wrong.err.contains("mode"), "{wrong:?}");
}
