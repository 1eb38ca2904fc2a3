//! The answers to each role for each operation, on its own rows, on another owner's, and on rows without an owner. The
//! operations come from the OpenAPI document.

use std::collections::BTreeSet;

use crate::support::{Answer, Service, digest, send};
use management::port::{Kind, Role};
use policy_service::auth::permission::{self, May, Operation, Who};
use reqwest::Method;
use serde_json::{Value, json};

/// The owner of a row, from the view of the calling principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// The publisher's or the subscriber's own row.
    Own,
    /// Another owner's row; an API is published.
    Foreign,
    /// Another owner's unpublished API.
    Unpublished,
    /// A row without an owner.
    Unowned,
}

const ROWS: [Row; 4] = [Row::Foreign, Row::Unpublished, Row::Unowned, Row::Own];

/// Whether a role sees a row, written independently of the code.
fn sees(role: Role, kind: Kind, row: Row) -> bool {
    match (role, kind) {
        (Role::Administrator | Role::Operator | Role::Auditor, _) => true,
        (Role::Publisher, Kind::Api) => matches!(row, Row::Own | Row::Foreign),
        (Role::Subscriber, Kind::Api) => matches!(row, Row::Own | Row::Foreign),
        (_, Kind::Plan) => row != Row::Unowned,
        (Role::Publisher, Kind::Subscription) => row == Row::Own,
        (Role::Subscriber, Kind::Application | Kind::Key | Kind::Subscription) => row == Row::Own,
        (_, Kind::Application | Kind::Key | Kind::DenyPolicy) => false,
    }
}

/// The rows of one round: each kind in each of [`ROWS`]. Their ids end in the round's number.
struct Round<'s> {
    service: &'s Service,
    number: u64,
}

impl Round<'_> {
    fn owner(&self, who: &str) -> String {
        format!("{who}-{}", self.number)
    }

    fn id(&self, kind: Kind, row: Row) -> String {
        format!("{}-{row:?}-{}", kind.list(), self.number).to_lowercase()
    }

    async fn token(&self, role: Role) -> String {
        let body = json!({"role": role.as_str(), "subject": self.owner(role.as_str())});
        self.service.post("/v1/tokens", body).await.expect(201).json()["token"].as_str().unwrap().to_owned()
    }

    /// Creates the rows of a kind with everything that they refer to, as the administrator; `None` for all kinds.
    async fn make(&self, kind: Option<Kind>) {
        let needed = match kind {
            None => &Kind::ALL[..],
            Some(Kind::Key) => &[Kind::Application, Kind::Key],
            Some(Kind::Subscription) => &[Kind::Api, Kind::Application, Kind::Subscription],
            Some(Kind::Api) => &[Kind::Api],
            Some(Kind::Application) => &[Kind::Application],
            Some(Kind::Plan) => &[Kind::Plan],
            Some(Kind::DenyPolicy) => &[Kind::DenyPolicy],
        };
        for (place, row) in ROWS.into_iter().enumerate() {
            let owner = |role: &str| match row {
                Row::Own => json!(self.owner(role)),
                Row::Foreign | Row::Unpublished => json!("another"),
                Row::Unowned => Value::Null,
            };
            let id = |kind| self.id(kind, row);
            let state = if row == Row::Unpublished { "CREATED" } else { "PUBLISHED" };
            let number = self.number * 10 + place as u64;
            for (kind, path, body) in [
                (Kind::Plan, "/v1/plans", json!({"id": id(Kind::Plan), "owner": owner("publisher")})),
                (
                    Kind::Api,
                    "/v1/apis",
                    json!({"id": id(Kind::Api), "owner": owner("publisher"), "state": state,
                        "match": [{"path": format!("/{}", id(Kind::Api))}]}),
                ),
                (
                    Kind::Application,
                    "/v1/applications",
                    json!({"id": id(Kind::Application), "owner": owner("subscriber")}),
                ),
                (
                    Kind::Key,
                    "/v1/keys",
                    json!({"id": id(Kind::Key), "application": id(Kind::Application), "sha256": digest(number)}),
                ),
                (
                    Kind::Subscription,
                    "/v1/subscriptions",
                    json!({"id": id(Kind::Subscription), "application": id(Kind::Application), "api": id(Kind::Api)}),
                ),
                (
                    Kind::DenyPolicy,
                    "/v1/deny-policies",
                    json!({"id": id(Kind::DenyPolicy), "type": "USER", "value": format!("user-{number}")}),
                ),
            ] {
                if needed.contains(&kind) {
                    self.service.post(path, body).await.expect(201);
                }
            }
        }
    }

    /// A body with which the operation has an effect.
    fn body(&self, operation: &Operation, id: &str) -> Value {
        let new = format!("new-{}", self.number);
        match (operation.method, operation.path) {
            ("POST", "/v1/apis") => json!({"id": new, "match": [{"path": format!("/{new}")}]}),
            ("POST", "/v1/plans" | "/v1/applications") => json!({"id": new}),
            ("POST", "/v1/keys") => {
                json!({"id": new, "application": self.id(Kind::Application, Row::Own), "sha256": digest(self.number * 10 + 9)})
            }
            ("POST", "/v1/subscriptions") => {
                json!({"id": new, "application": self.id(Kind::Application, Row::Own), "api": self.id(Kind::Api, Row::Foreign)})
            }
            ("POST" | "PUT", "/v1/deny-policies" | "/v1/deny-policies/{id}") => {
                json!({"type": "USER", "value": format!("{new} {id}")})
            }
            ("POST", "/v1/keys/lookup") => json!({"sha256": digest(self.number * 10 + 3)}),
            ("POST", "/v1/explain") => json!({"method": "GET", "url": format!("/{new}")}),
            ("POST", "/v1/tokens") => json!({"role": "auditor", "subject": new}),
            ("POST", "/v1/gateways/credentials") => json!({"client_id": new}),
            ("PUT", _) => json!({}),
            _ => Value::Null,
        }
    }
}

async fn ask(service: &Service, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = service.request(Method::from_bytes(method.as_bytes()).unwrap(), path).bearer_auth(token);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// The expected result: done, or one of the two refusals.
fn expected(operation: &Operation, role: Role, row: Option<Row>) -> u16 {
    let may = operation.may(role);
    if may == May::Hidden {
        return 404;
    }
    let (Some(kind), Some(row)) = (operation.kind, row) else { return if may == May::Forbidden { 403 } else { 200 } };
    match may {
        _ if !sees(role, kind, row) => 404,
        May::Forbidden => 403,
        May::Own if row != Row::Own && matches!(kind, Kind::Api | Kind::Plan) => 403,
        May::Own | May::Yes | May::Hidden => 200,
    }
}

/// A problem without the parts that differ from request to request.
fn plain(answer: &Answer, id: &str) -> String {
    let mut problem = answer.whole();
    problem.as_object_mut().unwrap().remove("request_id");
    problem.to_string().replace(id, "ID")
}

#[tokio::test]
async fn each_role_is_answered_by_each_operation_as_the_table_says() {
    let service = Service::start().await;
    let document = send(service.request(Method::GET, "/openapi.json")).await.expect(200).json();
    let (mut number, mut asked, mut refused) = (0, 0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let operation = permission::find(&method.to_uppercase(), path).expect(path);
            let Who::Roles(_) = operation.who else { continue };
            for role in Role::ALL {
                number += 1;
                let round = Round { service: &service, number };
                round.make(operation.kind).await;
                let token = round.token(role).await;
                let rows: &[Option<Row>] = match operation.kind {
                    Some(_) if path.contains("{id}") => &ROWS.map(Some),
                    _ => &[None],
                };
                for row in rows {
                    let id = match (operation.kind, row) {
                        (Some(kind), Some(row)) => round.id(kind, *row),
                        _ => "none".to_owned(),
                    };
                    let target = path.replace("{id}", &id).replace("{revision}", "1");
                    let answer = ask(&service, &token, operation.method, &target, &round.body(operation, &id)).await;
                    asked += 1;
                    let name = format!("{} {method} {target} on {row:?}: {}", role.as_str(), answer.text);
                    let expected = expected(operation, role, *row);
                    // A subscription that does not wait cannot be rejected. Requests to routes without rows are
                    // incomplete here.
                    let is_done = answer.status < 300
                        || (path.ends_with("/reject") && answer.status == 409)
                        || (operation.kind.is_none() && matches!(answer.status, 400 | 404 | 422));
                    match expected {
                        200 => assert!(is_done, "{name}"),
                        status => assert_eq!(answer.status, status, "{name}"),
                    }
                    if expected == 200 {
                        continue;
                    }
                    refused += 1;
                    answer_says_nothing(&round, &answer, &id, &name);
                    if answer.status == 404 && path.contains("{id}") && operation.kind.is_some() {
                        let target = path.replace("{id}", "nobodys");
                        let none = ask(&service, &token, operation.method, &target, &round.body(operation, &id)).await;
                        assert_eq!(plain(&answer, &id), plain(&none, "nobodys"), "{name}");
                    }
                }
            }
        }
    }
    assert!(asked > 500 && refused > 200, "{asked} {refused}");
}

/// A refusal names only the requested object.
fn answer_says_nothing(round: &Round<'_>, answer: &Answer, id: &str, name: &str) {
    assert!(!answer.text.contains("another\""), "{name}");
    for kind in Kind::ALL {
        for row in ROWS {
            let other = round.id(kind, row);
            assert!(other == id || !answer.text.contains(&other), "{name}: it names {other}");
        }
    }
    assert!(answer.headers.get("etag").is_none() && answer.headers.get("x-policy-revision").is_none(), "{name}");
}

#[tokio::test]
async fn lists_have_what_a_role_sees_and_count_nothing_else() {
    let service = Service::start().await;
    let round = Round { service: &service, number: 1 };
    round.make(None).await;
    for role in Role::ALL {
        let token = round.token(role).await;
        for kind in Kind::ALL {
            let path = format!("/v1/{}", kind.list().replace('_', "-"));
            let expected: BTreeSet<String> =
                ROWS.into_iter().filter(|row| sees(role, kind, *row)).map(|row| round.id(kind, row)).collect();
            let operation = permission::find("GET", &path).unwrap();
            for query in ["", "?limit=1", "?q=foreign", "?q=nowhere"] {
                let answer = ask(&service, &token, "GET", &format!("{path}{query}"), &Value::Null).await;
                if operation.may(role) == May::Hidden {
                    assert!(expected.is_empty());
                    answer.expect_problem(404, None);
                    continue;
                }
                let list = answer.expect(200).json();
                let part = query.strip_prefix("?q=").unwrap_or_default();
                let expected: BTreeSet<_> = expected.iter().filter(|id| id.contains(part)).collect();
                let name = format!("{} {path}{query}: {list}", role.as_str());
                assert_eq!(list["total"], expected.len(), "{name}");
                let found = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap());
                let found: BTreeSet<_> = found.map(str::to_owned).collect();
                assert!(found.iter().all(|id| expected.contains(id)), "{name}");
                if query != "?limit=1" {
                    assert_eq!(found.len(), expected.len(), "{name}");
                }
            }
        }
        for filter in ["subscriptions?application=", "keys?application=", "subscriptions?api="] {
            let kind = if filter.ends_with("api=") { Kind::Api } else { Kind::Application };
            let path = format!("/v1/{filter}{}", round.id(kind, Row::Foreign));
            let answer = ask(&service, &token, "GET", &path, &Value::Null).await;
            let is_limited = matches!(role, Role::Publisher | Role::Subscriber);
            assert!(!is_limited || answer.status == 404 || answer.json()["total"] == 0, "{path}: {}", answer.text);
        }
    }
}
