//! What each role is answered by each operation, on its own rows, on another owner's, and on rows without an owner. The
//! operations come from the OpenAPI document.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::collections::BTreeSet;

use management::port::{Kind, Role};
use policy_service::auth::permission::{self, May, Operation, Who};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, Service, digest, send};

/// Whose a row is, for the principal that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// The publisher's or the subscriber's own.
    Own,
    /// Another owner's, published if it is an API.
    Foreign,
    /// Another owner's API that is not published.
    Unpublished,
    /// Nobody's.
    Unowned,
}

const ROWS: [Row; 4] = [Row::Foreign, Row::Unpublished, Row::Unowned, Row::Own];

/// Whether a role sees a row: the contract, in words of its own.
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

/// Rows of one round, each kind in each of [`ROWS`], whose ids end in the round's number.
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

    /// Makes the rows of a kind, with what they name, as the administrator; `None`: of all kinds.
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

    /// A body with which the operation does something.
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

/// What is expected: done, or one of the two refusals.
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

/// A problem without what differs from request to request.
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
                    // What waits for nothing cannot be rejected, and these ids are nobody's.
                    let is_done = answer.status < 300
                        || (path.ends_with("/reject") && answer.status == 409)
                        || (operation.kind.is_none() && path.contains('{') && answer.status == 404);
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

/// A refusal names nothing but what was asked for.
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

/// A service with the tokens of two publishers, two subscribers and an operator.
struct Cast {
    service: Service,
    tokens: std::collections::HashMap<&'static str, String>,
}

impl Cast {
    async fn start() -> Self {
        let service = Service::start().await;
        let mut tokens = std::collections::HashMap::new();
        for (subject, role) in [
            ("pat", "publisher"),
            ("pia", "publisher"),
            ("sam", "subscriber"),
            ("sue", "subscriber"),
            ("ola", "operator"),
        ] {
            let made = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
            tokens.insert(subject, made["token"].as_str().unwrap().to_owned());
        }
        tokens.insert("admin", support::TOKEN.to_owned());
        Self { service, tokens }
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Answer {
        ask(&self.service, &self.tokens[who], method, path, &body).await
    }
}

/// One call and its answer: who, method, path, body, status, field, and what the text must not have.
type Case = (&'static str, &'static str, &'static str, Value, u16, Option<&'static str>, &'static [&'static str]);

async fn run(cast: &Cast, cases: Vec<Case>) {
    for (who, method, path, body, status, field, hidden) in cases {
        let answer = cast.ask(who, method, path, body.clone()).await;
        assert_eq!(answer.status, status, "{who} {method} {path} {body}: {}", answer.text);
        if status >= 400 {
            assert_eq!(
                answer.whole().get("field").and_then(Value::as_str),
                field,
                "{who} {method} {path}: {}",
                answer.text
            );
        }
        for word in hidden {
            assert!(!answer.text.contains(word), "{who} {method} {path} tells of {word}: {}", answer.text);
        }
    }
}

const NOTHING: &[&str] = &[];

#[tokio::test]
async fn who_makes_something_owns_it_and_only_an_administrator_gives_it_away() {
    let cast = Cast::start().await;
    let name = |owner: &str| json!({"owner": owner});
    run(
        &cast,
        vec![
            ("pat", "POST", "/v1/apis", json!({"id": "a", "match": [{"path": "/a"}]}), 201, None, NOTHING),
            ("pat", "POST", "/v1/plans", json!({"id": "p"}), 201, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "app"}), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", json!({"id": "b", "owner": "pia"}), 403, Some("owner"), NOTHING),
            ("pat", "POST", "/v1/plans", json!({"id": "q", "owner": "pia"}), 403, Some("owner"), NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "owner": "sue"}), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/apis/a", name("pia"), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/plans/p", name("pia"), 403, Some("owner"), NOTHING),
            ("sam", "PUT", "/v1/applications/app", name("sue"), 403, Some("owner"), NOTHING),
            ("pat", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}], "owner": "pat"}), 200, None, NOTHING),
            ("sam", "PUT", "/v1/applications/app", json!({"name": "x"}), 200, None, NOTHING),
            ("admin", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}]}), 200, None, NOTHING),
        ],
    )
    .await;
    for (path, owner) in [("apis/a", "pat"), ("plans/p", "pat"), ("applications/app", "sam")] {
        assert_eq!(cast.service.get(&format!("/v1/{path}")).await.json()["owner"], owner, "{path}");
    }
    run(
        &cast,
        vec![
            ("admin", "PUT", "/v1/apis/a", json!({"match": [{"path": "/a"}], "owner": "pia"}), 200, None, NOTHING),
            ("admin", "PUT", "/v1/applications/app", name("sue"), 200, None, NOTHING),
            ("pat", "DELETE", "/v1/apis/a", Value::Null, 403, None, NOTHING),
            ("sam", "GET", "/v1/applications/app", Value::Null, 404, None, &["sue"]),
            ("sue", "DELETE", "/v1/applications/app", Value::Null, 204, None, NOTHING),
            ("pia", "DELETE", "/v1/apis/a", Value::Null, 204, None, NOTHING),
        ],
    )
    .await;
    // Gateways are told nothing of owners of APIs and plans.
    let page = cast.service.feed("/v1/policy").await.expect(200);
    assert!(!page.text.contains("pat") && !page.text.contains("pia"), "{}", page.text);
}

#[tokio::test]
async fn a_publisher_takes_no_requests_from_another_owner() {
    let cast = Cast::start().await;
    let api = |id: &str, hosts: Value, path: &str| json!({"id": id, "match": [{"hosts": hosts, "path": path}]});
    let any = Value::Null;
    let mut hidden = api("secret-plans", json!(["*.example.com"]), "/pay");
    hidden["state"] = json!("CREATED");
    for (who, body) in [
        ("pia", hidden),
        ("pia", api("shop", any.clone(), "/shop")),
        ("pat", api("mine", any.clone(), "/mine")),
        ("admin", api("nobodys", any.clone(), "/none")),
    ] {
        cast.ask(who, "POST", "/v1/apis", body).await.expect(201);
    }
    let other: &[&str] = &["secret-plans", "pia"];
    let any_other: &[&str] = &["nobodys"];
    run(
        &cast,
        vec![
            // The same match, inside another one, or a more specific host beside it.
            (
                "pat",
                "POST",
                "/v1/apis",
                api("x", json!(["*.example.com"]), "/pay"),
                409,
                Some("match"),
                &["secret-plans", "pia"],
            ),
            ("pat", "POST", "/v1/apis", api("x", json!(["*.example.com"]), "/pay/in"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["a.example.com"]), "/pay/in"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["a.example.com"]), "/"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", json!(["*.a.example.com"]), "/pay"), 409, Some("match"), other),
            ("pat", "POST", "/v1/apis", api("x", any.clone(), "/shop/in"), 409, Some("match"), NOTHING),
            ("pat", "POST", "/v1/apis", api("x", json!(["h.example"]), "/shop"), 409, Some("match"), NOTHING),
            ("pat", "POST", "/v1/apis", api("x", any.clone(), "/none/in"), 409, Some("match"), any_other),
            ("pat", "PUT", "/v1/apis/mine", api("mine", any.clone(), "/shop/in"), 409, Some("match"), NOTHING),
            // These take nothing.
            ("pat", "POST", "/v1/apis", api("y1", json!(["*.example.com"]), "/payments"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y2", json!(["example.com"]), "/pay"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y3", any.clone(), "/pay"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y4", any.clone(), "/"), 201, None, NOTHING),
            ("pat", "POST", "/v1/apis", api("y5", any.clone(), "/mine/in"), 201, None, NOTHING),
            (
                "pat",
                "PUT",
                "/v1/apis/mine",
                json!({"state": "RETIRED", "match": [{"path": "/mine"}]}),
                200,
                None,
                NOTHING,
            ),
            ("admin", "POST", "/v1/apis", api("z", json!(["a.example.com"]), "/pay/in"), 201, None, NOTHING),
        ],
    )
    .await;
    // Who may see the other one is told which it is.
    let told = cast.ask("pat", "POST", "/v1/apis", api("x", any, "/shop/in")).await;
    assert!(told.text.contains("shop"), "{}", told.text);
}

#[tokio::test]
async fn a_subscriber_escapes_nothing() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/plans", json!({"id": "gold"})),
        ("pat", "/v1/plans", json!({"id": "silver"})),
        ("admin", "/v1/plans", json!({"id": "iron"})),
        ("admin", "/v1/plans", json!({"id": "offered-iron"})),
        ("pat", "/v1/apis", json!({"id": "free", "match": [{"path": "/free"}]})),
        ("pat", "/v1/apis", json!({"id": "paid", "match": [{"path": "/paid"}], "plans": ["gold"]})),
        ("pat", "/v1/apis", json!({"id": "draft", "state": "CREATED"})),
        ("admin", "/v1/apis", json!({"id": "mixed", "owner": "pat", "plans": ["offered-iron"]})),
        ("sam", "/v1/applications", json!({"id": "mine"})),
        ("sue", "/v1/applications", json!({"id": "sues"})),
        ("sue", "/v1/applications/sues/keys", json!({"id": "sues-key"})),
        ("sue", "/v1/subscriptions", json!({"id": "sues-sub", "application": "sues", "api": "free"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    let subscribe = |application: &str, api: &str, plan: Value| {
        let mut body = json!({"application": application, "api": api});
        if !plan.is_null() {
            body["plan"] = plan;
        }
        body
    };
    let with = |mut body: Value, name: &str, value: &str| {
        body[name] = json!(value);
        body
    };
    let sues: &[&str] = &["sues-sub", "sues-key", "\"sue\""];
    run(
        &cast,
        vec![
            // Another's application, and an API that is not seen, are not there.
            ("sam", "POST", "/v1/subscriptions", subscribe("sues", "free", Value::Null), 404, None, sues),
            ("sam", "POST", "/v1/subscriptions", subscribe("nobodys", "free", Value::Null), 404, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "draft", Value::Null), 404, None, &["pat"]),
            ("sam", "POST", "/v1/applications/sues/keys", json!({}), 404, None, sues),
            ("sam", "POST", "/v1/keys", json!({"application": "sues", "sha256": digest(1)}), 404, None, sues),
            ("sam", "GET", "/v1/subscriptions/sues-sub", Value::Null, 404, None, NOTHING),
            // Ids that others have are taken, and that is all.
            ("sam", "POST", "/v1/applications", json!({"id": "sues"}), 409, None, &["\"sue\"", "PUT"]),
            ("sam", "POST", "/v1/applications/mine/keys", json!({"id": "sues-key"}), 409, None, &["\"sues\""]),
            // Plans: one that the API offers, or none if it offers none.
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "free", json!("gold")), 403, Some("plan"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                subscribe("mine", "paid", json!("silver")),
                403,
                Some("plan"),
                NOTHING,
            ),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", json!("iron")), 404, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", json!("none")), 404, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "paid", Value::Null), 422, Some("plan"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "paid", json!("gold")), "id", "s-paid"),
                201,
                None,
                NOTHING,
            ),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "mixed", json!("offered-iron")), "id", "m"),
                201,
                None,
                NOTHING,
            ),
            ("sam", "PUT", "/v1/subscriptions/s-paid", json!({"plan": "silver"}), 403, Some("plan"), NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-paid", json!({}), 200, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "plan": "gold"}), 403, Some("plan"), NOTHING),
            ("sam", "PUT", "/v1/applications/mine", json!({"plan": "gold"}), 403, Some("plan"), NOTHING),
            // No state.
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "free", Value::Null), "state", "UNBLOCKED"),
                403,
                Some("state"),
                NOTHING,
            ),
            ("sam", "POST", "/v1/applications", json!({"id": "x", "state": "ACTIVE"}), 403, Some("state"), NOTHING),
            (
                "sam",
                "POST",
                "/v1/subscriptions",
                with(subscribe("mine", "free", Value::Null), "id", "s-free"),
                201,
                None,
                NOTHING,
            ),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "ON_HOLD"}), 403, Some("state"), NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "UNBLOCKED"}), 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions/s-free/block", Value::Null, 403, None, NOTHING),
            ("pat", "POST", "/v1/subscriptions/s-free/block", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions/s-free/unblock", Value::Null, 403, None, NOTHING),
            ("sam", "PUT", "/v1/subscriptions/s-free", json!({"state": "UNBLOCKED"}), 403, Some("state"), NOTHING),
            // A block is not escaped by deleting, nor with another application.
            ("sam", "DELETE", "/v1/subscriptions/s-free", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", subscribe("mine", "free", Value::Null), 409, None, NOTHING),
            ("sam", "GET", "/v1/subscriptions/s-free", Value::Null, 200, None, NOTHING),
            ("ola", "POST", "/v1/applications/mine/block", Value::Null, 200, None, NOTHING),
            ("sam", "PUT", "/v1/applications/mine", json!({"state": "ACTIVE"}), 403, Some("state"), NOTHING),
            ("sam", "DELETE", "/v1/applications/mine", Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/applications", json!({"id": "mine"}), 409, None, NOTHING),
            ("sue", "POST", "/v1/applications", json!({"id": "mine"}), 409, None, &["block"]),
        ],
    )
    .await;
    let other = cast.ask("sam", "POST", "/v1/applications", json!({"id": "mine-2"})).await.expect(201).json();
    assert_eq!(other["state"], "BLOCKED");
}

#[tokio::test]
async fn a_look_up_and_usage_show_no_others() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/apis", json!({"id": "pats", "match": [{"path": "/pats"}]})),
        ("pia", "/v1/apis", json!({"id": "pias", "match": [{"path": "/pias"}]})),
        ("sam", "/v1/applications", json!({"id": "sams"})),
        ("sam", "/v1/keys", json!({"id": "k", "application": "sams", "sha256": digest(1), "apis": ["pats", "pias"]})),
        ("sam", "/v1/subscriptions", json!({"application": "sams", "api": "pats"})),
        ("sam", "/v1/subscriptions", json!({"application": "sams", "api": "pias"})),
        ("sue", "/v1/applications", json!({"id": "sues"})),
        ("sue", "/v1/keys", json!({"id": "l", "application": "sues", "sha256": digest(2)})),
        ("sue", "/v1/subscriptions", json!({"application": "sues", "api": "pias"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    for (who, key, subscriptions) in [
        ("sam", 1, Some(2)),
        ("sam", 2, None),
        ("sue", 2, Some(1)),
        ("pat", 1, Some(1)),
        ("pat", 2, None),
        ("pia", 2, Some(1)),
        ("ola", 1, Some(2)),
    ] {
        let answer = cast.ask(who, "POST", "/v1/keys/lookup", json!({"sha256": digest(key)})).await;
        let Some(subscriptions) = subscriptions else {
            answer.expect_problem(404, None);
            continue;
        };
        let found = answer.expect(200).json();
        assert_eq!(found["subscriptions"].as_array().unwrap().len(), subscriptions, "{who} {key}: {found}");
        if who == "pat" {
            assert_eq!(found["key"]["apis"], json!(["pats", "pias"]), "both are published");
        }
    }
    // Not published any more: its id is nothing for other publishers.
    cast.ask("pia", "PUT", "/v1/apis/pias", json!({"state": "CREATED", "match": [{"path": "/pias"}]}))
        .await
        .expect(200);
    let found = cast.ask("pat", "POST", "/v1/keys/lookup", json!({"sha256": digest(1)})).await.expect(200);
    assert!(!found.text.contains("pias"), "{}", found.text);

    let hour = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let count = |application: &str, api: &str| json!({"hour": hour, "application": application, "api": api, "outcome": "allowed", "requests": 1});
    let counts = json!([count("sams", "pats"), count("sams", "pias"), count("sues", "pias")]);
    let report = json!({"format": 1, "batch": "b", "counts": counts});
    send(cast.service.request(Method::POST, "/v1/usage").bearer_auth("secret").json(&report)).await.expect(200);
    for (who, rows) in [("sam", 2), ("sue", 1), ("pat", 1), ("pia", 2), ("ola", 3), ("admin", 3)] {
        let usage = cast.ask(who, "GET", "/v1/usage", Value::Null).await.expect(200).json();
        assert_eq!(usage["items"].as_array().unwrap().len(), rows, "{who}: {usage}");
    }
    let none = cast.ask("sue", "GET", "/v1/usage?application=sams", Value::Null).await.expect(200).json();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_subscription_waits_until_its_publisher_decides() {
    let cast = Cast::start().await;
    for (who, path, body) in [
        ("pat", "/v1/apis", json!({"id": "a", "match": [{"path": "/a"}], "approval": "manual"})),
        ("sam", "/v1/applications", json!({"id": "app"})),
    ] {
        cast.ask(who, "POST", path, body).await.expect(201);
    }
    let state = async |id: &str| cast.service.get(&format!("/v1/subscriptions/{id}")).await.json()["state"].clone();
    for (who, id) in [("sam", "s"), ("admin", "t")] {
        let application = if who == "admin" { "other" } else { "app" };
        cast.service.post("/v1/applications", json!({"id": application, "owner": "sam"})).await;
        let body = json!({"id": id, "application": application, "api": "a"});
        assert_eq!(
            cast.ask(who, "POST", "/v1/subscriptions", body.clone()).await.expect(201).json()["state"],
            "ON_HOLD"
        );
        cast.ask(who, "POST", "/v1/subscriptions", body).await.expect(200);
    }
    let (approve, reject) = ("/v1/subscriptions/s/approve", "/v1/subscriptions/s/reject");
    run(
        &cast,
        vec![
            ("sam", "POST", approve, Value::Null, 403, None, NOTHING),
            ("sue", "POST", approve, Value::Null, 404, None, NOTHING),
            ("pia", "POST", approve, Value::Null, 404, None, NOTHING),
            ("ola", "POST", approve, Value::Null, 403, None, NOTHING),
            ("pat", "POST", reject, json!({"reason": ""}), 422, Some("reason"), NOTHING),
            ("pat", "POST", reject, json!({"why": "x"}), 422, Some("why"), NOTHING),
            ("pat", "POST", reject, json!({"reason": "no contract"}), 200, None, NOTHING),
            ("pat", "POST", reject, Value::Null, 200, None, NOTHING),
            ("sam", "POST", "/v1/subscriptions", json!({"application": "app", "api": "a"}), 409, None, NOTHING),
        ],
    )
    .await;
    assert_eq!(state("s").await, "REJECTED");
    let entries = cast.service.get("/v1/audit?kind=subscription&action=reject").await.json();
    assert_eq!(entries["items"][0]["reason"], "no contract");
    assert_eq!(entries["items"][0]["actor"], "pat");
    // What was rejected or waited is so again after a block.
    for id in ["s", "t"] {
        let before = state(id).await;
        cast.ask("pat", "POST", &format!("/v1/subscriptions/{id}/block"), Value::Null).await.expect(200);
        assert_eq!(state(id).await, "BLOCKED");
        cast.ask("pat", "POST", &format!("/v1/subscriptions/{id}/unblock"), Value::Null).await.expect(200);
        assert_eq!(state(id).await, before);
    }
    // What is approved while it is blocked stays blocked, and lets pass when the block ends.
    cast.ask("pat", "POST", "/v1/subscriptions/s/block", Value::Null).await.expect(200);
    cast.ask("pat", "POST", approve, Value::Null).await.expect(200);
    assert_eq!(state("s").await, "BLOCKED");
    cast.ask("pat", "POST", "/v1/subscriptions/s/unblock", Value::Null).await.expect(200);
    assert_eq!(state("s").await, "UNBLOCKED");
    let revision = cast.service.revision().await;
    cast.ask("pat", "POST", approve, Value::Null).await.expect(200);
    assert_eq!(cast.service.revision().await, revision, "it is so already");
    cast.ask("pat", "POST", reject, Value::Null).await.expect_problem(409, None);
    cast.ask("pat", "POST", "/v1/subscriptions/t/approve", Value::Null).await.expect(200);
    assert_eq!(state("t").await, "UNBLOCKED");
}
