//! Stored rows that gateways would refuse, as an earlier version may have left them: named by `check`, named in the log at
//! the start, and left out of the feed, but never a deny policy.

use crate::support::{TOKEN, program::Program, send};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

/// Puts `to` in the place of `from` in the documents of the rows of one kind, past the service.
async fn damage(service: &Program, kind: i64, from: &str, to: &str) {
    let url = format!("sqlite:{}", service.directory().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let changed = sqlx::query("UPDATE version SET document = replace(document, ?, ?) WHERE kind = ?")
        .bind(from)
        .bind(to)
        .bind(kind)
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(changed.rows_affected() > 0, "{from}");
    connection.close().await.unwrap();
}

fn ids<'p>(page: &'p Value, list: &str) -> Vec<&'p str> {
    page[list].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rows_that_gateways_would_refuse_are_named_and_left_out() {
    let mut service = Program::start();
    service.seed().await;
    for (path, body) in [
        ("/v1/apis", json!({"id": "api-2", "match": [{"path": "/two"}]})),
        ("/v1/applications", json!({"id": "app-2", "owner": "bob"})),
        ("/v1/subscriptions", json!({"id": "s-2", "application": "app-2", "api": "api-1"})),
        ("/v1/plans", json!({"id": "gold", "limits": [{"requests": 5, "per": "minute"}]})),
        ("/v1/plans", json!({"id": "free"})),
        ("/v1/deny-policies", json!({"id": "d-1", "type": "IP", "value": "203.0.113.9"})),
    ] {
        assert_eq!(service.post(path, body).await.0, 201);
    }
    let (success, said) = service.another(&["check"]).run();
    assert!(success && said.contains("gateways accept every stored row"), "{said}");

    damage(&service, 1, "\"/two\"", "\"two\"").await;
    damage(&service, 2, "\"bob\"", "\"bob\\u0007\"").await;
    damage(&service, 3, "\"state\":\"ACTIVE\"", "\"state\":\"ACTIVE\",\"not_before\":-5").await;
    damage(&service, 4, "\"application\":\"app-2\"", "\"application\":\" app-2\"").await;
    damage(&service, 5, "\"per\":\"minute\"", "\"per\":\"blink\"").await;
    damage(&service, 6, "203.0.113.9", "203.0.113.999").await;
    let (success, said) = service.another(&["check"]).run();
    assert!(!success && said.contains("gateways would refuse 6 stored rows"), "{said}");
    for (row, end) in [
        ("API api-2: ", "(left out of the feed)"),
        ("application app-2: ", "(left out of the feed)"),
        ("key k-1: ", "(left out of the feed)"),
        ("subscription  app-2 to api-1: ", "(left out of the feed)"),
        ("plan gold: ", "(left out of the feed)"),
        ("deny policy d-1: ", "(in the feed, so gateways refuse the policy)"),
    ] {
        assert!(said.lines().any(|line| line.starts_with(row) && line.ends_with(end)), "{row}: {said}");
    }

    service.signal("-TERM");
    service.ended();
    let again = service.another(&["serve"]).start();
    let log = again.log();
    for name in ["api-2", "app-2", "k-1", "gold"] {
        let says = |line: &&str| line.contains("is left out of the feed") && line.contains(name);
        assert_eq!(log.lines().filter(says).count(), 1 + usize::from(name == "app-2"), "{name}: {log}");
    }
    assert!(log.contains("gateways refuse every policy with this deny policy") && log.contains("d-1"), "{log}");
    let page = again.policy("/v1/policy").await;
    assert_eq!(
        (ids(&page, "apis"), ids(&page, "applications"), ids(&page, "plans")),
        (vec!["api-1"], vec!["app-1"], vec!["free"])
    );
    assert_eq!((ids(&page, "keys"), page["subscriptions"].as_array().unwrap().len()), (vec![], 1));
    assert_eq!(ids(&page, "deny_policies"), ["d-1"], "a deny policy is never left out");

    // A row that is put right is in the feed again.
    let put = again.client.put(format!("{}/v1/applications/app-2", again.url)).bearer_auth(crate::support::TOKEN);
    assert_eq!(put.json(&json!({"owner": "bob"})).send().await.unwrap().status(), 200);
    assert_eq!(ids(&again.policy("/v1/policy").await, "applications"), ["app-1", "app-2"]);
}

/// A later version, or another program, may have written a state that this one does not know. Gateways deny it. It is
/// shown as closed, the list with it is shown, and the row can be replaced and deleted.
#[tokio::test]
async fn a_state_that_is_not_known_closes_and_can_be_repaired() {
    for (kind, word, path, closed, repaired) in [
        (1, "PUBLISHED", "/v1/apis/api-1", "RETIRED", "PUBLISHED"),
        (2, "ACTIVE", "/v1/applications/app-1", "BLOCKED", "BLOCKED"),
        (3, "ACTIVE", "/v1/keys/k-1", "REVOKED", "REVOKED"),
        (4, "UNBLOCKED", "/v1/subscriptions/s-1", "ON_HOLD", "UNBLOCKED"),
    ] {
        for state in ["\"WHAT\"", "7"] {
            let service = Program::start();
            service.seed().await;
            damage(&service, kind, &format!("\"{word}\""), state).await;
            let (list, _) = path.rsplit_once('/').unwrap();
            let request = |method: reqwest::Method, path: &str| {
                service.client.request(method, format!("{}{path}", service.url)).bearer_auth(TOKEN)
            };
            let shown = send(request(reqwest::Method::GET, path)).await.expect(200).json();
            assert_eq!(shown["state"], closed, "{shown}");
            assert_eq!(send(request(reqwest::Method::GET, list)).await.expect(200).json()["total"], 1);
            let put = json!({ "state": repaired });
            send(request(reqwest::Method::PUT, path).json(&put)).await.expect(200);
            assert_eq!(send(request(reqwest::Method::GET, path)).await.expect(200).json()["state"], repaired);
            let status = send(request(reqwest::Method::DELETE, path)).await.status;
            assert!([200, 204].contains(&status), "{path} {status}");
        }
    }
}
