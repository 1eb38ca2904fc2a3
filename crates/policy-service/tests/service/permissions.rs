//! Who may do what: the table of roles and operations, against the OpenAPI document and against the running service.

use std::collections::BTreeSet;

use crate::support::{Service, TOKEN, send};
use policy_service::auth::permission::{self, TABLE, Who};
use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinSet;

/// Method and path of each operation in the OpenAPI document, with what is said of it.
async fn operations(service: &Service) -> Vec<(Method, String, Value)> {
    let document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).json();
    let paths = document["paths"].as_object().unwrap().clone();
    let operations = paths.into_iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        methods.map(move |(method, operation)| (method.to_uppercase().parse().unwrap(), path.clone(), operation))
    });
    operations.collect()
}

#[tokio::test]
async fn each_operation_has_a_row_in_the_table() {
    let mut seen = BTreeSet::new();
    for (method, path, operation) in operations(&Service::start().await).await {
        let described = permission::described(method.as_str(), &path);
        let described = described.unwrap_or_else(|| panic!("{method} {path}: nobody has decided who may do this"));
        assert_eq!(operation["x-permission"], described, "{method} {path}");
        seen.insert((method.to_string(), path));
    }
    assert!(seen.len() > 40, "{seen:?}");
    let rows: BTreeSet<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
    assert_eq!(rows.len(), TABLE.len(), "a route has two rows");
}

/// A route that does not authenticate would answer these with something else.
#[tokio::test]
async fn each_operation_asks_for_the_credential_of_its_row() {
    let service = Service::start().await;
    // After the tenth wrong credential each further one waits a second, so all ask at once.
    let mut asking = JoinSet::new();
    for (method, path, _) in operations(&service).await {
        let row = permission::find(method.as_str(), &path).unwrap();
        let path = path.replace("{id}", "x").replace("{revision}", "1");
        for (credential, good) in [
            (None, row.who == Who::Anyone),
            (Some("wrong"), row.who == Who::Anyone),
            (Some("secret"), !matches!(row.who, Who::Roles(_))),
            (Some(TOKEN), row.who != Who::Gateways),
        ] {
            let request = service.request(method.clone(), &path);
            let request = credential.into_iter().fold(request, |request, it| request.bearer_auth(it));
            let name = format!("{method} {path} with {credential:?}");
            asking.spawn(async move {
                let answer = send(request).await;
                assert_eq!(answer.status != 401, good, "{name}: {}", answer.text);
                assert!(good || !answer.header("www-authenticate").is_empty(), "{name}");
            });
        }
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
}

/// HEAD is GET without a body, also for routes that want a credential.
#[tokio::test]
async fn each_route_answers_head_as_it_answers_get() {
    let service = Service::start().await;
    service.seed().await;
    let mut compared = 0;
    for (method, path, _) in operations(&service).await {
        if method != Method::GET {
            continue;
        }
        let row = permission::find(method.as_str(), &path).unwrap();
        let path = path.replace("{id}", "api-1").replace("{revision}", "1");
        let good = if row.who == Who::Gateways { "secret" } else { TOKEN };
        for credential in [None, Some(good)] {
            let ask = async |method: Method| {
                let request = service.request(method, &path);
                send(credential.into_iter().fold(request, |request, it| request.bearer_auth(it))).await
            };
            let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
            assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path} {credential:?}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path} {credential:?}");
        }
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}
