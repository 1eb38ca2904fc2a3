//! Receipts: which gateways decide by a change, as clients see it that poll like the filter.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, Options, Service, TOKEN, digest, envoy::Envoy, send};

/// How long anything may take that a test waits for.
const SOON: Duration = Duration::from_secs(60);

/// Two gateways that see everything, and one that sees `api-1` alone.
const OPTIONS: Options = Options {
    page_rows: 5_000,
    history_rows: 100_000,
    gateways: "gw:secret,other:other-secret,limited:limited-secret",
    gateway_apis: Some(r#"{"limited": ["api-1"]}"#),
    gone_after: Duration::from_secs(3_600),
    sign_in: None,
};

async fn service() -> Service {
    let service = Service::with(OPTIONS).await;
    service.seed().await;
    service
}

fn name(client_id: &str, instance: Option<&str>) -> Value {
    json!({"client_id": client_id, "instance": instance})
}

/// A change that all gateways see, with a receipt.
async fn change(service: &Service, number: u64, seconds: u32) -> Value {
    let key = json!({"application": "app-1", "sha256": digest(number)});
    let answer = service.post(&format!("/v1/keys?receipt={seconds}"), key).await.expect(201);
    let receipt = answer.json()["receipt"].clone();
    assert_eq!(receipt["revision"], answer.header("x-policy-revision").parse::<i64>().unwrap());
    receipt
}

/// The numbers of a receipt: live, have, missing, silent, complete.
fn numbers(receipt: &Value) -> (u64, u64, usize, usize, bool) {
    let len = |name: &str| receipt[name].as_array().unwrap_or_else(|| panic!("{receipt}")).len();
    let number = |name: &str| receipt[name].as_u64().unwrap_or_else(|| panic!("{receipt}"));
    let numbers =
        (number("live"), number("have"), len("missing"), len("silent"), receipt["complete"].as_bool().unwrap());
    assert_eq!(numbers.0, numbers.1 + numbers.2 as u64, "{receipt}");
    assert!(receipt["after_ms"].is_u64(), "{receipt}");
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_answered_when_all_gateways_have_it() {
    let service = service().await;
    for instance in ["a", "b"] {
        Envoy::new(&service.url, instance, "1").load().await.run();
    }
    Envoy::new(&service.url, "c", "1").with_credentials("limited", "limited-secret").load().await.run();
    let post = |path, body, status| (Method::POST, path, body, status);
    let put = |path, body| (Method::PUT, path, body, 200);
    let delete = |path| (Method::DELETE, path, Value::Null, 200);
    let started = Instant::now();
    for (method, path, body, status) in [
        post("/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED", Value::Null, 200),
        // What is so already: the receipt is of the latest revision.
        post("/v1/subscriptions/s-1/block?state=PROD_ONLY_BLOCKED", Value::Null, 200),
        post("/v1/subscriptions/s-1/unblock", Value::Null, 200),
        post("/v1/applications/app-1/block", Value::Null, 200),
        post("/v1/applications/app-1/unblock", Value::Null, 200),
        post("/v1/applications/app-1/keys", json!({"id": "issued"}), 201),
        post("/v1/keys/issued/regenerate", json!({"id": "again"}), 201),
        post("/v1/keys/again/revoke", Value::Null, 200),
        post("/v1/plans", json!({"id": "p"}), 201),
        put("/v1/plans/p", json!({"limits": [{"requests": 1, "per": "day"}]})),
        delete("/v1/plans/p"),
        put("/v1/apis/api-1", json!({"match": [{"path": "/two"}]})),
        post("/v1/apis", json!({"id": "m", "owner": "o", "approval": "manual"}), 201),
        post("/v1/subscriptions", json!({"id": "m", "application": "app-1", "api": "m"}), 201),
        post("/v1/subscriptions/m/reject", json!({"reason": "r"}), 200),
        post("/v1/subscriptions/m/approve", Value::Null, 200),
        post("/v1/deny-policies", json!({"id": "d", "type": "IP", "value": "::1"}), 201),
        post("/v1/import", json!({"kind": "plan", "id": "q"}), 200),
        post("/v1/restore", json!({"revision": 4, "lift_blocks": true}), 200),
        // A deletion that keeps a block has a body of its own.
        post("/v1/subscriptions/s-1/block", Value::Null, 200),
        delete("/v1/subscriptions/s-1"),
        delete("/v1/keys/k-1"),
    ] {
        let asked = format!("{path}{}receipt=20", if path.contains('?') { '&' } else { '?' });
        let answer = service.admin(method.clone(), &asked, body).await.expect(status);
        let whole = answer.whole();
        let receipt = &whole["receipt"];
        let (live, _, _, silent, complete) = numbers(receipt);
        assert!(complete && silent == 0 && (2..=3).contains(&live), "{method} {path}: {receipt}");
        assert_eq!(receipt["revision"], service.revision().await, "{method} {path}");
        assert_eq!(answer.header("x-policy-revision"), receipt["revision"].to_string(), "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/json");
        let members = whole.as_object().unwrap().len();
        assert!(members > 1 || (method == Method::DELETE && members == 1), "{method} {path}: {whole}");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "one of them waited until its time was over");
}

/// What the only gateway says before and after the change, and what the receipt then says.
async fn case(
    name: &'static str,
    before: fn(Envoy) -> Envoy,
    after: fn(Envoy) -> Envoy,
    expected: (u64, u64, usize, usize, bool),
) {
    let service = service().await;
    let mut envoy = before(Envoy::new(&service.url, "a", "1")).load().await;
    let before_it = service.revision().await;
    let polling = async {
        // The change is made meanwhile.
        let begun = Instant::now();
        while envoy.revision == before_it {
            assert!(begun.elapsed() < SOON, "{name}: the change does not come");
            tokio::time::sleep(Duration::from_millis(10)).await;
            envoy.call(0).await;
        }
        after(envoy.clone()).call(0).await;
    };
    let (receipt, ()) = tokio::join!(change(&service, 7, 1), polling);
    assert_eq!(numbers(&receipt), expected, "{name}: {receipt}");
    let (live, have, ..) = expected;
    let short = receipt["after_ms"].as_u64().unwrap() < 900;
    assert_eq!(short, live == have, "{name}: {receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_has_a_change_when_its_cursor_proves_it() {
    let (has, missing) = ((1, 1, 0, 0, true), (1, 0, 1, 0, false));
    let same: fn(Envoy) -> Envoy = |envoy| envoy;
    fn without(envoy: Envoy, name: &str) -> Envoy {
        let (path, query) = envoy.poll.split_once('?').unwrap();
        let kept: Vec<&str> = query.split('&').filter(|part| !part.starts_with(name)).collect();
        Envoy { poll: format!("{path}?{}", kept.join("&")), ..envoy }
    }
    let mut cases = JoinSet::new();
    cases.spawn(case("the cursor of the revision", same, same, has));
    cases.spawn(case("an unlimited gateway may leave the epoch out", same, |envoy| without(envoy, "epoch="), has));
    cases.spawn(case("since without a mark", same, |envoy| without(envoy, "mark="), missing));
    cases.spawn(case(
        "a mark that nobody signed",
        same,
        |envoy| {
            let envoy = without(envoy, "mark=");
            Envoy { poll: format!("{}&mark=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", envoy.poll), ..envoy }
        },
        missing,
    ));
    cases.spawn(case(
        "another epoch",
        same,
        |envoy| Envoy { poll: without(envoy.clone(), "epoch=").poll + "&epoch=x", ..envoy },
        missing,
    ));
    cases.spawn(case("a worker lags", same, |envoy| envoy.with("keygate-lagging", "1"), missing));
    cases.spawn(case("nobody knows who lags", same, |envoy| envoy.with("keygate-lagging", "-"), missing));
    cases.spawn(case(
        "it asks for everything again",
        same,
        |envoy| Envoy { poll: "/v1/policy".to_owned(), ..envoy },
        missing,
    ));
    while let Some(done) = cases.join_next().await {
        done.unwrap();
    }
}

/// A gateway that goes on by the policy before.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_take_a_change_is_named() {
    let service = service().await;
    Envoy::new(&service.url, "good", "1").load().await.run();
    let mut refusing = Envoy::new(&service.url, "refusing", "1").load().await;
    let receipt = change(&service, 1_000, 1).await;
    assert_eq!(numbers(&receipt), (2, 1, 1, 0, false));
    assert_eq!(receipt["missing"], json!([name("gw", Some("refusing"))]));
    let revision = service.revision().await;
    // It has polled, and says that it did not take the revision.
    let told = refusing.clone().with("keygate-refused", &format!("{revision}; shrink"));
    assert_eq!(told.ask(&told.poll, 0).await.status, 200);
    let receipt = service.get(&format!("/v1/receipts/{revision}")).await.expect(200).json();
    assert_eq!(numbers(&receipt), (2, 1, 1, 0, false));
    let listed = service.get("/v1/gateways?instance=refusing").await.expect(200).json();
    assert_eq!(listed["items"][0]["refused"], json!({"revision": revision, "reason": "shrink"}));
    assert_eq!(
        (&listed["items"][0]["state"], &listed["items"][0]["behind"], &listed["items"][0]["revision"]),
        (&json!("live"), &json!(1), &json!(revision - 1))
    );
    // Every earlier revision it has.
    let receipt = service.get(&format!("/v1/receipts/{}", revision - 1)).await.expect(200).json();
    assert_eq!(numbers(&receipt), (2, 2, 0, 0, true));
    refusing.call(0).await;
    refusing.call(0).await;
    let receipt = service.get(&format!("/v1/receipts/{revision}")).await.expect(200).json();
    assert_eq!(numbers(&receipt), (2, 2, 0, 0, true));
    assert_eq!(service.get("/v1/gateways?instance=refusing").await.json()["items"][0]["refused"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_one_instance_are_told_apart() {
    for (title, heard_within, expected) in [
        // The process before may still serve, if only its way is cut.
        ("an Envoy restarted", "1", (1, 1, 0, 1, false)),
        ("a hot restart: both serve", "30", (2, 1, 1, 0, false)),
    ] {
        let service = service().await;
        Envoy::new(&service.url, "a", "1").with("keygate-heard-within", heard_within).load().await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        Envoy::new(&service.url, "a", "2").load().await.run();
        let receipt = change(&service, 7, 1).await;
        assert_eq!(numbers(&receipt), expected, "{title}: {receipt}");
        let list = if expected.3 > 0 { "silent" } else { "missing" };
        assert_eq!(receipt[list], json!([name("gw", Some("a"))]), "{title}");
    }
    let service = service().await;
    for process in ["store-1", "store-2"] {
        Envoy::new(&service.url, "a", process).load().await.run();
    }
    Envoy::new(&service.url, "a", "1").with_credentials("other", "other-secret").load().await.run();
    assert_eq!(numbers(&change(&service, 7, 5).await), (3, 3, 0, 0, true), "two stores in one Envoy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_does_not_name_itself_keeps_receipts_incomplete() {
    let service = service().await;
    let old = Envoy::new(&service.url, "", "").without("keygate-instance").without("keygate-process");
    let old = old.without("keygate-heard-within").without("keygate-expires-after").without("keygate-workers");
    let running = old.clone().load().await.run();
    let receipt = change(&service, 7, 1).await;
    assert_eq!(numbers(&receipt), (1, 0, 1, 0, false));
    assert_eq!(receipt["missing"], json!([name("gw", None)]));
    running.abort();
    // Nobody else is listed: who neither holds a poll nor is a filter is no gateway.
    service.poll("/v1/policy").send().await.unwrap();
    let listed = service.get("/v1/gateways").await.expect(200).json();
    assert_eq!((&listed["total"], &listed["items"][0]["instance"]), (&json!(1), &Value::Null));
    assert_eq!(listed["items"][0]["process"], Value::Null);
    let id = listed["items"][0]["id"].as_str().unwrap();
    // The connection may be open for a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.delete(&format!("/v1/gateways/{id}")).await.expect(204);
    assert_eq!(numbers(&change(&service, 8, 1).await), (0, 0, 0, 0, true));
    // curl with a wait.
    let held = service.poll("/v1/policy").header("prefer", "wait=1");
    send(held).await.expect(200);
    assert_eq!(numbers(&change(&service, 9, 1).await), (1, 0, 1, 0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_see_a_change_is_not_waited_for() {
    let service = service().await;
    service.post("/v1/apis", json!({"id": "hidden", "match": [{"path": "/hidden"}]})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-2"})).await.expect(201);
    service.post("/v1/subscriptions", json!({"id": "h", "application": "app-2", "api": "hidden"})).await.expect(201);
    // It has loaded the policy and never calls again.
    let limited = Envoy::new(&service.url, "l", "1").with_credentials("limited", "limited-secret").load().await;
    let block = async |id: &str, path: &str| {
        let answer = service.post(&format!("/v1/subscriptions/{id}/{path}?receipt=1"), Value::Null).await.expect(200);
        answer.json()["receipt"].clone()
    };
    assert_eq!(numbers(&block("h", "block").await), (0, 0, 0, 0, true));
    assert_eq!(numbers(&block("s-1", "block").await), (1, 0, 1, 0, false));
    assert_eq!(numbers(&block("h", "unblock").await), (0, 0, 0, 0, true));
    // What is so already may not have arrived, whatever the latest revision is.
    assert_eq!(numbers(&block("s-1", "block").await), (1, 0, 1, 0, false));
    // It is not known by which policy it decides.
    let (path, query) = limited.poll.split_once('?').unwrap();
    let since = query.split('&').find(|part| part.starts_with("since=")).unwrap();
    limited.ask(&format!("{path}?{since}"), 0).await;
    assert_eq!(numbers(&block("h", "block").await), (1, 0, 1, 0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_started_knows_its_gateways_as_silent() {
    let mut service = service().await;
    let mut envoy = Envoy::new(&service.url, "a", "1").load().await;
    assert_eq!(service.get("/v1/gateways?state=live").await.json()["total"], 1);
    let before = service.get("/v1/gateways").await.json()["items"][0].clone();
    // What was heard last is noted when the service stops.
    service.stopping.cancel();
    service.serving.await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.store.close().await;
    service = Service::in_directory(service.directory, OPTIONS).await;
    let listed = service.get("/v1/gateways").await.expect(200).json();
    assert_eq!(listed["items"][0]["state"], "silent");
    for same in ["id", "client_id", "instance", "process", "version", "workers", "epoch", "revision", "address"] {
        assert_eq!(listed["items"][0][same], before[same], "{same}");
    }
    let receipt = change(&service, 7, 5).await;
    assert_eq!(numbers(&receipt), (0, 0, 0, 1, false));
    assert_eq!(receipt["silent"], json!([name("gw", Some("a"))]));
    assert!(receipt["after_ms"].as_u64().unwrap() < 2_000, "{receipt}");
    envoy.url.clone_from(&service.url);
    envoy.call(0).await;
    envoy.run();
    assert_eq!(numbers(&change(&service, 8, 5).await), (1, 1, 0, 0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_poll_is_heard_until_it_ends() {
    let options = Options { gone_after: Duration::from_secs(1), ..OPTIONS };
    let service = Service::with(options).await;
    service.seed().await;
    let states = async || {
        let listed = service.get("/v1/gateways?sort=instance").await.expect(200).json();
        let items = listed["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let soon = |instance: &str| Envoy::new(&service.url, instance, "1").with("keygate-heard-within", "1");
    let held = soon("a").load().await.run();
    soon("b").with("keygate-expires-after", "1").load().await;
    soon("c").with("keygate-expires-after", "0").load().await;
    assert_eq!(states().await, ["live", "live", "live"]);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(states().await, ["live", "silent", "silent"]);
    held.abort();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(states().await, ["silent", "gone", "silent"], "its policy expires after an hour, or never");
    let receipt = change(&service, 7, 1).await;
    assert_eq!(receipt["silent"], json!([name("gw", Some("a")), name("gw", Some("c"))]));
    assert_eq!(numbers(&receipt), (0, 0, 0, 2, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_asked_for_rightly_or_nothing_is_changed() {
    let service = service().await;
    let before = service.revision().await;
    for value in [
        "receipt=0",
        "receipt=31",
        "receipt=",
        "receipt",
        "receipt=1.5",
        "receipt=-1",
        "receipt=+1",
        "receipt=1&receipt=1",
        "receipt=x",
        "%72eceipt=0",
        "receipt=99999999999",
    ] {
        for (method, path) in [
            (Method::POST, "/v1/subscriptions/s-1/block"),
            (Method::POST, "/v1/import"),
            (Method::DELETE, "/v1/keys/k-1"),
            (Method::PUT, "/v1/apis/api-1"),
        ] {
            let answer = service.admin(method, &format!("{path}?{value}"), json!({})).await;
            answer.expect_problem(400, Some("receipt"));
        }
    }
    // What is no part of the policy, and what is no change.
    for (method, path) in [
        (Method::POST, "/v1/tokens"),
        (Method::DELETE, "/v1/tokens/t"),
        (Method::POST, "/v1/gateways/credentials"),
        (Method::PUT, "/v1/gateways/credentials/c"),
        (Method::DELETE, "/v1/gateways/credentials/c"),
        (Method::DELETE, "/v1/gateways/g"),
        (Method::POST, "/v1/keys/lookup"),
        (Method::GET, "/v1/apis"),
        (Method::GET, "/v1/apis/api-1"),
        (Method::GET, "/v1/receipts/1"),
        (Method::GET, "/v1/gateways"),
    ] {
        let answer = service.admin(method.clone(), &format!("{path}?receipt=5"), Value::Null).await;
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
    }
    // Who may not do it is told that.
    for (token, status) in [(None, 401), (Some("wrong"), 401), (Some("secret"), 401)] {
        let request = service.request(Method::POST, "/v1/subscriptions/s-1/block?receipt=99");
        send(token.into_iter().fold(request, |request, token| request.bearer_auth(token))).await.expect(status);
    }
    assert_eq!(service.revision().await, before);
    // The other parameters of the query stay.
    let answer = service.post("/v1/subscriptions/s-1/block?receipt=1&state=PROD_ONLY_BLOCKED", Value::Null).await;
    assert_eq!(answer.expect(200).json()["state"], "PROD_ONLY_BLOCKED");
    service.post("/v1/subscriptions/s-1/block?%72eceipt=1&other=1", Value::Null).await.expect(400);
    // A change that is refused has no receipt.
    let answer = service.post("/v1/plans?receipt=1", json!({"id": 5})).await.expect_problem(422, Some("id"));
    assert!(answer.json().get("receipt").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_requests_and_etags_mean_the_same_with_a_receipt() {
    let service = service().await;
    let ask = async |path: &str, key: &str, body: Value| -> Answer {
        let request = service.request(Method::POST, path).bearer_auth(TOKEN).header("idempotency-key", key);
        send(request.json(&body)).await
    };
    let plain = ask("/v1/plans", "k", json!({"id": "p"})).await.expect(201);
    // The same request, also with another receipt or none.
    for path in ["/v1/plans?receipt=1", "/v1/plans?receipt=2"] {
        let again = ask(path, "k", json!({"id": "p"})).await.expect(201);
        let mut whole = again.whole();
        let receipt = whole.as_object_mut().unwrap().remove("receipt").unwrap();
        assert_eq!((whole, receipt["complete"].as_bool()), (plain.whole(), Some(true)));
        assert_eq!(again.header("x-policy-revision"), plain.header("x-policy-revision"));
        assert_eq!(receipt["revision"].to_string(), plain.header("x-policy-revision"));
    }
    ask("/v1/plans?receipt=1", "k", json!({"id": "q"})).await.expect(422);
    let first = ask("/v1/plans?receipt=1", "l", json!({"id": "l"})).await.expect(201);
    assert!(first.json().get("receipt").is_some());
    assert!(ask("/v1/plans", "l", json!({"id": "l"})).await.expect(201).json().get("receipt").is_none());
    // A key is shown once.
    let issued = ask("/v1/applications/app-1/keys?receipt=1", "i", json!({"id": "i"})).await.expect(201);
    assert!(issued.json()["key"].is_string() && issued.json()["receipt"].is_object());
    assert_eq!(issued.header("cache-control"), "no-store");
    ask("/v1/applications/app-1/keys?receipt=1", "i", json!({"id": "i"})).await.expect(409);

    let etag = service.get("/v1/apis/api-1").await.header("etag").to_owned();
    let put = async |etag: &str| {
        let request = service.request(Method::PUT, "/v1/apis/api-1?receipt=1").bearer_auth(TOKEN);
        send(request.header("if-match", etag).json(&json!({"name": "n"}))).await
    };
    let changed = put(&etag).await.expect(200);
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(changed.whole()["etag"], changed.header("etag"));
    put(&etag).await.expect(412);
    let entries = service.get("/v1/audit?kind=api&id=api-1&action=replace").await.json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_nothing_new_knows_how_old_the_change_is_and_a_dry_run_has_none() {
    let service = service().await;
    let block = "/v1/subscriptions/s-1/block";
    service.post(block, json!({})).await.expect(200);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let again = service.post(&format!("{block}?receipt=1"), json!({})).await.expect(200).json();
    let after = again["receipt"]["after_ms"].as_i64().unwrap();
    assert!((2_000..60_000).contains(&after), "{again}");
    let other =
        service.post(&format!("{block}?receipt=1"), json!({"state": "PROD_ONLY_BLOCKED"})).await.expect(200).json();
    assert!(other["receipt"]["after_ms"].as_i64().unwrap() < 2_000, "{other}");
    for path in [
        format!("{block}?receipt=1&dry_run=true"),
        format!("{block}?dry_run=true&receipt=1"),
        "/v1/applications/app-1/block?dry_run=true&receipt=1".to_owned(),
    ] {
        let problem = service.post(&path, json!({})).await.expect_problem(400, Some("receipt"));
        assert!(problem.text.contains("a dry run changes nothing"), "{}", problem.text);
    }
    service.post(&format!("{block}?dry_run=true"), json!({})).await.expect(200);
    service.post(&format!("{block}?dry_run=false&receipt=1"), json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_see_of_a_receipt_what_is_theirs() {
    let service = service().await;
    Envoy::new(&service.url, "a", "1").load().await;
    let token = async |role: &str, subject: &str| {
        let asked = json!({"role": role, "subject": subject});
        service.post("/v1/tokens", asked).await.expect(201).json()["token"].as_str().unwrap().to_owned()
    };
    let ask = async |token: &str, method: Method, path: &str, body: Value| {
        let request = service.request(method, path).bearer_auth(token);
        send(if body.is_null() { request } else { request.json(&body) }).await
    };
    // Numbers alone for subscribers: `app-1` is alice's.
    let alice = token("subscriber", "alice").await;
    let answer = ask(&alice, Method::POST, "/v1/applications/app-1/keys?receipt=1", json!({})).await.expect(201);
    let receipt = answer.json()["receipt"].clone();
    assert_eq!((&receipt["missing"], &receipt["silent"], &receipt["live"]), (&json!(1), &json!(0), &json!(1)));
    let path = format!("/v1/receipts/{}", receipt["revision"]);
    let found = ask(&alice, Method::GET, &path, Value::Null).await.expect(200).json();
    assert_eq!((&found["missing"], &found["complete"]), (&json!(1), &json!(false)));
    for role in ["publisher", "operator", "auditor"] {
        let token = token(role, role).await;
        let found = ask(&token, Method::GET, &path, Value::Null).await.expect(200).json();
        assert_eq!(found["missing"], json!([name("gw", Some("a"))]), "{role}");
    }
    // A role that may not block is told so at once.
    let begun = Instant::now();
    ask(&alice, Method::POST, "/v1/subscriptions/s-1/block?receipt=30", Value::Null).await.expect(403);
    let publisher = token("publisher", "p").await;
    ask(&publisher, Method::POST, "/v1/subscriptions/s-1/block?receipt=30", Value::Null).await.expect(404);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// Nobody else waits while a receipt is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_holds_no_lock_and_no_connection() {
    let service = service().await;
    let mut gateway = Envoy::new(&service.url, "a", "1").load().await;
    let keys = async || service.get("/v1/keys?limit=1").await.expect(200).json()["total"].as_u64().unwrap();
    let before = keys().await;
    let mut waiting = JoinSet::new();
    for number in 100..140 {
        let request = service.request(Method::POST, "/v1/keys?receipt=30").bearer_auth(TOKEN);
        let request = request.json(&json!({"application": "app-1", "sha256": digest(number)}));
        waiting.spawn(async move { send(request).await });
    }
    let begun = Instant::now();
    while keys().await < before + 40 {
        assert!(begun.elapsed() < SOON, "not all keys are made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for number in 0..20 {
        service.post("/v1/plans", json!({"id": format!("p-{number}")})).await.expect(201);
        service.get("/v1/keys").await.expect(200);
    }
    assert!(waiting.try_join_next().is_none(), "the others were let in by the end of a wait");
    // The gateway takes all changes at once.
    gateway.call(0).await;
    gateway.call(0).await;
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.unwrap().expect(201).json()["receipt"]["complete"], true);
    }
}

/// A backup was put back that does not know a gateway. The others show cursors that it has lost.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_history_no_receipt_is_complete_until_all_had_the_time_to_call() {
    let service = service().await;
    let backup = service.directory.path().join("backup");
    service.back_up(&backup).await;
    let mut first = Envoy::new(&service.url, "a", "1").load().await;
    let unheard = Envoy::new(&service.url, "b", "1").load().await;
    assert!(!numbers(&change(&service, 7, 1).await).4);
    first.call(0).await;
    let service = service.put_back(&backup, OPTIONS).await;
    first.url.clone_from(&service.url);
    assert_eq!(first.call(0).await, 410, "it shows a revision that is lost");
    first.revision = -1;
    first.load().await.run();
    let receipt = change(&service, 8, 1).await;
    assert_eq!(numbers(&receipt), (1, 1, 0, 0, false), "{} is not known", unheard.revision);
    // A receipt that is asked for later says the same.
    let made = service.revision().await;
    assert_eq!(service.get(&format!("/v1/receipts/{made}")).await.expect(200).json()["complete"], json!(false));
}
