//! Mistakes in the query of every operation of the OpenAPI document: the answer names the parameter that is wrong, lists
//! those that the operation takes or the values that one has, and nothing is changed.

use crate::support::{Service, TOKEN, send};
use reqwest::Method;
use serde_json::{Value, json};

/// The names of an operation's parameters in the query.
fn parameters(operation: &Value) -> Vec<&str> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.filter(|parameter| parameter["in"] == "query").map(|parameter| parameter["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_unknown_parameter_is_named_beside_those_that_the_operation_takes() {
    let service = Service::start().await;
    service.seed().await;
    let document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).whole();
    let revision = service.revision().await;
    let (mut with_parameters, mut without) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        // Filters of later versions ask for more, and probes may too.
        if ["/v1/policy", "/healthz", "/healthz/write", "/metrics"].contains(&path.as_str()) {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            if (path.as_str(), method.as_str()) == ("/v1/usage", "post") {
                continue;
            }
            let names = parameters(operation);
            let place = path.replace("{id}", "s-1").replace("{revision}", "1");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = service.request(method.clone(), &format!("{place}?stat=BLOCKED")).bearer_auth(TOKEN);
            let answer = send(request).await.expect_problem(400, Some("stat"));
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            let mut listed: Vec<&str> = detail.split('`').skip(1).step_by(2).collect();
            let mut expected = names.clone();
            listed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(listed, expected, "{method} {path}: {detail}");
            *(if names.is_empty() { &mut without } else { &mut with_parameters }) += 1;
        }
    }
    assert!(with_parameters > 20 && without > 10, "{with_parameters} {without}");
    assert_eq!(service.revision().await, revision);
}

#[tokio::test]
async fn a_wrong_value_is_answered_with_the_values_that_are_right() {
    let service = Service::start().await;
    service.seed().await;
    let revision = service.revision().await;
    for (method, path, field, says) in [
        (Method::POST, "/v1/subscriptions/s-1/block?state=OPEN", "state", "expected `PROD_ONLY_BLOCKED` or `BLOCKED`"),
        (Method::POST, "/v1/subscriptions/s-1/block?state=BLOCKED&state=BLOCKED", "state", "expected it once"),
        (Method::POST, "/v1/subscriptions/s-1/block?dry_run=maybe", "dry_run", "expected true or false"),
        (Method::POST, "/v1/applications/app-1/block?dry_run=", "dry_run", "expected true or false"),
        (Method::POST, "/v1/applications/app-1/block?state=BLOCKED", "state", "expected one of `dry_run`, `receipt`"),
        (Method::POST, "/v1/import?dry_run=1", "dry_run", "`true` or `false`"),
        (Method::GET, "/v1/subscriptions?state=OPEN", "state", "expected one of UNBLOCKED"),
        (Method::GET, "/v1/subscriptions?type=SANDBOX", "type", "expected one of `limit`"),
        (Method::GET, "/v1/deny-policies?state=BLOCKED", "state", "expected one of `limit`"),
        (Method::GET, "/v1/subscriptions?limit=5&limit=5", "limit", "expected it once"),
        (Method::GET, "/v1/audit?limit=5&limit=5", "limit", "expected it once"),
        (Method::GET, "/v1/diff?from=x&to=1", "from", "expected"),
        (Method::GET, "/v1/tokens?limit=0", "limit", "expected an integer from 1 to 1000"),
        (Method::GET, "/v1/usage?from=yesterday", "from", "expected Unix time in seconds"),
        (Method::GET, "/v1/gateways?state=odd", "state", "expected one of"),
        (Method::GET, "/v1/revisions?sort=id", "sort", "expected"),
    ] {
        let answer = service.admin(method, path, json!({})).await.expect_problem(400, Some(field)).json();
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{path}: {detail}");
    }
    assert_eq!(service.revision().await, revision);
    let answer = service.feed("/v1/policy?since=1&since=2").await.expect_problem(400, Some("since"));
    assert_eq!(answer.json()["detail"], "expected it once");
}
