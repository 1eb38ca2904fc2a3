//! Names that people chose to do harm, on the pages of subscribers, operators, auditors and administrators.

use serde_json::json;

use crate::{
    names::hostile,
    person::Person,
    support::{Service, digest},
};

#[tokio::test]
async fn hostile_names_are_texts_on_the_pages_of_all_roles() {
    for text in hostile() {
        let service = Service::start().await;
        let mut owner = Person::new(&service, "subscriber", &text).await;
        let mut root = Person::new(&service, "administrator", &text).await;
        service.post("/v1/plans", json!({"id": text, "owner": "p"})).await.expect(201);
        let api = json!({"id": text, "name": text, "version": text, "owner": "p", "match": [{"path": "/a"}], "plans": [text]});
        service.post("/v1/apis", api).await.expect(201);
        service.post("/v1/applications", json!({"id": text, "name": text, "owner": text})).await.expect(201);
        let key = json!({"id": text, "application": text, "sha256": digest(1), "apis": [text], "expires_at": 4_102_444_800_i64});
        service.post("/v1/keys", key).await.expect(201);
        service.post("/v1/deny-policies", json!({"id": text, "type": "USER", "value": text})).await.expect(201);
        let credential = json!({"client_id": text.replace(':', ""), "apis": [text]});
        let credential = service.post("/v1/gateways/credentials", credential).await.expect(201).json();
        let subscription = json!({"id": text, "application": text, "api": text, "plan": text});
        service.post("/v1/subscriptions", subscription).await.expect(201);
        let segment = percent(&text);
        let block = json!({"reason": text, "note": text});
        service.post(&format!("/v1/subscriptions/{segment}/block"), block.clone()).await.expect(200);
        service.post(&format!("/v1/applications/{segment}/block"), block).await.expect(200);
        let own = [
            "/console",
            "/console/applications",
            "/console/catalogue",
            "/console/subscriptions",
            "/console/applications/*",
            "/console/applications/*/edit",
            "/console/applications/*/delete",
            "/console/applications/*/new-key",
            "/console/keys/*",
            "/console/keys/*/rotate",
            "/console/keys/*/revoke",
            "/console/apis/*/subscribe",
            "/console/subscriptions/*/plan",
            "/console/subscriptions/*/end",
        ];
        for path in own {
            let page = owner.page(&path.replace('*', &segment)).await;
            assert!(page.one("body").text.contains(&text), "{path} shows {text:?} as it is");
        }
        let all = [
            "/console/applications",
            "/console/applications/*",
            "/console/applications/*/block",
            "/console/applications/*/unblock",
            "/console/deny-policies",
            "/console/deny-policies/*/edit",
            "/console/deny-policies/*/delete",
            "/console/gateway-credentials",
            "/console/audit",
            "/console/history",
            "/console/diff?from=0",
            "/console/tokens",
        ];
        for path in all {
            let page = root.page(&path.replace('*', &segment)).await;
            assert!(page.one("body").text.contains(&text), "{path} shows {text:?} as it is");
        }
        let id = credential["id"].as_str().unwrap();
        for what in ["scope", "revoke"] {
            root.page(&format!("/console/gateway-credentials/{id}/{what}")).await;
        }
        for (place, field) in [("/console/find", "what"), ("/console/explain", "url"), ("/console/explain", "key_id")] {
            root.fill(place, place, &[(field, &text)]).await;
        }
        let found = root.fill("/console/find", "/console/find", &[("what", &text)]).await.expect(200);
        assert!(!found.text.contains("Nothing was found"), "{text:?}");
        for (path, name) in [("/console/audit", "actor"), ("/console/applications", "q"), ("/console/gateways", "q")] {
            let page = root.page(&format!("{path}?{name}={segment}&said={segment}")).await;
            assert_eq!(page.with("id", name).unwrap().get("value"), text, "{path} keeps {text:?}");
        }
        root.open(&format!("/console/audit.csv?actor={segment}")).await.expect(200);
    }
}

/// Ids that are words of the console's own paths, or steps of a path.
const WORDS: [&str; 9] = ["new", "edit", "block", "static", "sign-in", "api", "a/b", "%2e", "~"];

#[tokio::test]
async fn an_id_that_is_a_word_of_a_path_hides_no_page() {
    let service = Service::start().await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (number, id) in WORDS.into_iter().enumerate() {
        let segment = percent(id);
        let api = json!({"id": id, "name": format!("API <{id}>"), "match": [{"path": format!("/{number}")}]});
        service.post("/v1/apis", api).await.expect(201);
        service.post("/v1/plans", json!({"id": id})).await.expect(201);
        service.post("/v1/applications", json!({"id": id, "name": format!("Application <{id}>")})).await.expect(201);
        service.post("/v1/subscriptions", json!({"id": id, "application": id, "api": id})).await.expect(201);
        for (kind, heading) in [
            ("apis", format!("API <{id}>")),
            ("plans", id.to_owned()),
            ("applications", format!("Application <{id}>")),
            ("subscriptions", format!("Application <{id}> at {id}")),
        ] {
            let page = root.page(&format!("/console/{kind}/{segment}")).await;
            assert!(page.one("h1").text.contains(&heading), "{kind} {id}: {}", page.one("h1").text);
        }
    }
    for kind in ["api", "plan", "application"] {
        let page = root.page(&format!("/console/new/{kind}")).await;
        assert_eq!(page.one("h1").text, format!("New {}", if kind == "api" { "API" } else { kind }));
    }
}

/// A text as a segment of a path.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
