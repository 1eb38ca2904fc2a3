//! The feed: authentication, full policies, deltas, long polls, limited gateways, and when a reader must start over.

use std::time::{Duration, Instant};

use crate::support::{Answer, Options, Service, TOKEN, digest, follower::check, send};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than anything here takes, and shorter than a held poll.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn only_gateways_read_the_feed() {
    let service =
        Service::with(Options { gateways: "gw:secret,gw:newer-secret,b:s:e=c,g w:a b", ..Options::default() }).await;
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for (authorization, status) in [
        (basic("gw:secret"), 200),
        (basic("gw:newer-secret"), 200),
        (basic("b:s:e=c"), 200),
        (basic("g w:a b"), 200),
        ("Bearer secret".to_owned(), 200),
        ("bearer  secret".to_owned(), 200),
        (basic("gw:secret").replace("Basic", "basic"), 200),
        (basic("b:secret"), 401),
        (basic("gw:s:e=c"), 401),
        (basic("gw:"), 401),
        (basic(":secret"), 401),
        (basic("gw"), 401),
        (basic("gw:secret "), 401),
        ("Basic !".to_owned(), 401),
        ("Basic".to_owned(), 401),
        ("Bearer ".to_owned(), 401),
        ("Bearer gw:secret".to_owned(), 401),
        ("Digest secret".to_owned(), 401),
        ("secret".to_owned(), 401),
        (format!("Bearer {TOKEN}"), 401),
        (String::new(), 401),
    ] {
        let request = service.request(Method::GET, "/v1/policy").header("authorization", &authorization);
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{authorization}");
        if status == 401 {
            assert!(answer.header("www-authenticate").starts_with("Basic "));
            answer.expect_problem(401, None);
        }
    }
    send(service.request(Method::GET, "/v1/policy")).await.expect_problem(401, None);
    let twice = service.poll("/v1/policy").header("authorization", "Bearer secret");
    send(twice).await.expect_problem(401, None);
}

#[tokio::test]
async fn a_full_policy_says_all_that_it_should() {
    let service = Service::start().await;
    service.seed().await;
    let answer = service.feed("/v1/policy").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("vary").split(", ").any(|name| name == "prefer"), "{:?}", answer.headers);
    assert!(answer.header("vary").split(", ").any(|name| name == "authorization"), "{:?}", answer.headers);
    let page = answer.json();
    check(&answer.text);
    let epoch = page["epoch"].as_str().unwrap();
    let state = service.store.state().await.unwrap();
    let mark = service.store.secret().mark(&state.epoch, 4, state.word);
    assert_eq!(
        page,
        json!({
            "format": 1, "epoch": epoch, "revision": 4, "base": null, "next": null,
            "poll": format!("/v1/policy?since=4&epoch={epoch}&mark={mark}"),
            "counts": {"keys": 1, "applications": 1, "subscriptions": 1},
            "apis": [{"id": "api-1", "state": "PUBLISHED", "match": [{"path": "/one"}], "security": "api_key",
                "subscription_required": true}],
            "applications": [{"id": "app-1", "owner": "alice", "state": "ACTIVE"}],
            "keys": [{"sha256": digest(1), "id": "k-1", "application": "app-1", "type": "PRODUCTION", "state": "ACTIVE"}],
            "subscriptions": [{"application": "app-1", "api": "api-1", "state": "UNBLOCKED"}],
            "plans": [], "deny_policies": [],
        })
    );
}

#[tokio::test]
async fn a_policy_without_rows_is_one_too() {
    let service = Service::start().await;
    let answer = service.feed("/v1/policy").await.expect(200);
    check(&answer.text);
    assert_eq!(answer.json()["revision"], 0);
    service.feed("/v1/policy?since=0").await.expect(304);
}

#[tokio::test]
async fn pages_are_full_and_the_last_one_says_so() {
    for (rows, pages) in [(0, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)] {
        let service = Service::with(Options { page_rows: 4, ..Options::default() }).await;
        for number in 0..rows {
            service.post("/v1/plans", json!({"id": format!("p-{number}")})).await.expect(201);
        }
        let mut path = "/v1/policy".to_owned();
        let mut seen = 0;
        for page in 1..=pages {
            let answer = service.feed(&path).await.expect(200).json();
            assert_eq!(answer["next"].is_null(), page == pages, "{rows} rows, page {page}");
            assert_eq!(answer["poll"].is_null(), page != pages);
            assert_eq!(answer["counts"].is_null(), page != 1, "counts are on the first page");
            seen += answer["plans"].as_array().unwrap().len();
            path = answer["next"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!(seen, rows);
    }
}

/// Removed rows and changed ones share the pages of a delta.
#[tokio::test]
async fn no_page_of_a_delta_has_more_rows_than_a_page_may_have() {
    for (removed, changed) in [(3, 0), (3, 1), (3, 4), (2, 1), (4, 2), (6, 0), (6, 3), (0, 3)] {
        let service = Service::with(Options { page_rows: 3, ..Options::default() }).await;
        for number in 0..removed {
            service.post("/v1/plans", json!({"id": format!("old-{number}")})).await.expect(201);
        }
        let revision = service.revision().await;
        for number in 0..removed {
            service.delete(&format!("/v1/plans/old-{number}")).await.expect(204);
        }
        for number in 0..changed {
            service.post("/v1/plans", json!({"id": format!("new-{number}")})).await.expect(201);
        }
        let mut path = format!("/v1/policy?since={revision}");
        let (mut gone, mut added) = (0, 0);
        while !path.is_empty() {
            let page = service.feed(&path).await.expect(200).json();
            let rows = |list: &Value| list.as_array().map_or(0, Vec::len);
            let here = (rows(&page["removed"]["plans"]), rows(&page["plans"]));
            assert!((1..=3).contains(&(here.0 + here.1)), "{removed} {changed}: {page}");
            (gone, added) = (gone + here.0, added + here.1);
            path = page["next"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!((gone, added), (removed, changed));
    }
}

/// Clients that send `keygate-version` resolve references. Other clients only append them to the authority.
#[tokio::test]
async fn links_are_queries_alone_for_those_who_resolve_them_and_absolute_for_others() {
    let limits = Some(r#"{"edge": ["api-1"]}"#);
    let options = Options { page_rows: 2, gateways: "gw:secret,edge:e", gateway_apis: limits, ..Options::default() };
    let service = Service::with(options).await;
    service.seed().await;
    for (gateway, secret) in [("gw", "secret"), ("edge", "e")] {
        let ask = |path: &str, version: Option<&str>| {
            let request = service.request(Method::GET, path).basic_auth(gateway, Some(secret));
            match version {
                Some(version) => request.header("keygate-version", version),
                None => request,
            }
        };
        for since in ["", "?since=1"] {
            let mut path = format!("/v1/policy{since}");
            let mut pages = 0;
            while !path.is_empty() {
                // Ask for the same page in turns, so that the page for the other kind of client is cached.
                let absolute = send(ask(&path, None)).await.expect(200);
                let alone = send(ask(&path, Some("0.1.0"))).await.expect(200);
                assert_eq!(send(ask(&path, Some(""))).await.expect(200).text, alone.text);
                assert_eq!(send(ask(&path, None)).await.expect(200).text, absolute.text);
                for answer in [&absolute, &alone] {
                    assert!(answer.header("vary").split(", ").any(|name| name == "keygate-version"));
                    check(&answer.text);
                }
                assert_ne!(absolute.header("etag"), alone.header("etag"), "of two bodies");
                let (absolute, mut alone) = (absolute.json(), alone.json());
                path.clear();
                for name in ["next", "poll"] {
                    let Some(link) = alone[name].as_str().map(str::to_owned) else { continue };
                    assert!(link.starts_with('?'), "{link}");
                    alone[name] = json!(format!("/v1/policy{link}"));
                    if name == "next" {
                        path = format!("/v1/policy{link}");
                    } else {
                        send(ask(&format!("/v1/policy{link}"), Some("0.1.0"))).await.expect(304);
                    }
                }
                assert_eq!(alone, absolute, "all else is the same");
                pages += 1;
            }
            assert!(pages > 1, "{gateway}, {since}");
        }
    }
}

#[tokio::test]
async fn rows_that_are_too_large_for_one_page_come_on_several_and_none_is_lost() {
    let service = Service::start().await;
    service.post("/v1/applications", json!({"id": "app"})).await.expect(201);
    let referers: Vec<_> = (0..1_000).map(|number| format!("example.com/{number}/{}", "x".repeat(430))).collect();
    for number in 0..20 {
        let key = json!({"id": format!("k-{number}"), "application": "app", "sha256": digest(number),
                         "permitted_referers": referers});
        service.post("/v1/keys", key).await.expect(201);
    }
    let (mut path, mut ids, mut pages) = ("/v1/policy".to_owned(), Vec::new(), 0);
    while !path.is_empty() {
        let answer = service.feed(&path).await.expect(200);
        assert!(answer.text.len() < 9 << 20, "8 MiB and one row more: {}", answer.text.len());
        let page = answer.json();
        ids.extend(page["keys"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        path = page["next"].as_str().unwrap_or_default().to_owned();
        pages += 1;
    }
    let expected: Vec<_> = (0..20).map(|number| format!("k-{number}")).collect();
    assert_eq!((ids, pages), (expected, 2));
}

#[tokio::test]
async fn a_delta_says_only_what_changed() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    let answer = service.feed("/v1/policy?since=4").await.expect(200);
    check(&answer.text);
    let page = answer.json();
    assert_eq!((&page["base"], &page["revision"], &page["next"]), (&json!(4), &json!(5), &Value::Null));
    assert_eq!(page["subscriptions"], json!([{"application": "app-1", "api": "api-1", "state": "BLOCKED"}]));
    for list in ["apis", "applications", "keys", "plans", "deny_policies"] {
        assert_eq!(page[list], json!([]), "{list}");
    }
    assert!(page.get("removed").is_none() && page.get("counts").is_none());
    assert!(answer.text.len() < 400, "{} bytes for one block", answer.text.len());
    // A plan that was created and deleted in between is not in the delta from before it. It is in the delta from
    // between.
    service.post("/v1/plans", json!({"id": "short-lived"})).await.expect(201);
    service.delete("/v1/plans/short-lived").await.expect(204);
    service.delete("/v1/applications/app-1").await.expect(204);
    let page = service.feed("/v1/policy?since=5").await.expect(200).json();
    assert_eq!(page["removed"], json!({"applications": ["app-1"], "keys": [digest(1)]}), "the block stays");
    assert_eq!(page["subscriptions"], json!([{"application": "app-1", "api": "api-1", "state": "BLOCKED"}]));
    let page = service.feed("/v1/policy?since=6").await.expect(200).json();
    assert_eq!(page["removed"]["plans"], json!(["short-lived"]));
}

#[tokio::test]
async fn nothing_new_is_304_with_the_tag_of_what_is_held() {
    let service = Service::start().await;
    service.seed().await;
    let full = service.feed("/v1/policy").await.expect(200);
    let tag = full.header("etag").to_owned();
    let poll = full.json()["poll"].as_str().unwrap().to_owned();
    let held = service.feed(&poll).await.expect(304);
    assert_eq!((held.header("etag"), held.text.as_str()), (tag.as_str(), ""));
    for named in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = send(service.poll("/v1/policy").header("if-none-match", &named)).await.expect(304);
        assert_eq!(answer.header("etag"), tag);
    }
    for other in ["\"other\"", "", &tag.trim_matches('"')[1..]] {
        send(service.poll("/v1/policy").header("if-none-match", other)).await.expect(200);
    }
    // The tag of a delta is that of the full policy at its revision. An unanswerable request stays an error.
    let delta = service.feed("/v1/policy?since=2").await.expect(200).header("etag").to_owned();
    assert_eq!(delta, tag);
    for (query, tag, status) in [
        ("since=2", &delta, 304),
        ("since=2", &"\"other\"".to_owned(), 200),
        ("since=4", &tag, 304),
        ("since=4", &"\"other\"".to_owned(), 304),
        ("since=99", &tag, 410),
        ("since=2&epoch=other", &tag, 410),
    ] {
        let asked = service.poll(&format!("/v1/policy?{query}")).header("if-none-match", tag);
        send(asked).await.expect(status);
    }
    service.post("/v1/plans", json!({})).await.expect(201);
    send(service.poll("/v1/policy?since=2").header("if-none-match", &tag)).await.expect(200);
    let newer = send(service.poll("/v1/policy").header("if-none-match", &tag)).await.expect(200);
    assert_ne!(newer.header("etag"), tag);
}

#[tokio::test]
async fn who_comes_from_elsewhere_is_sent_to_the_beginning() {
    let service = Service::with(Options { history_rows: 3, page_rows: 2, ..Options::default() }).await;
    service.seed().await;
    let first = service.feed("/v1/policy").await.expect(200).json();
    let next = first["next"].as_str().unwrap().to_owned();
    service.feed(&next).await.expect(200);
    let (epoch, revision) = (first["epoch"].as_str().unwrap().to_owned(), first["revision"].as_i64().unwrap());
    for path in [
        "/v1/policy?since=5".to_owned(),
        "/v1/policy?since=9007199254740991".to_owned(),
        format!("/v1/policy?since={revision}&epoch=0"),
        format!("/v1/policy?since={revision}&epoch={epoch}x"),
        "/v1/policy?revision=5&after=0".to_owned(),
        next.replace(&epoch, "another"),
    ] {
        service.feed(&path).await.expect_problem(410, None);
    }
    // More changes than the service remembers.
    for number in 0..8 {
        service.put("/v1/applications/app-1", json!({"name": number.to_string()})).await.expect(200);
    }
    service.feed(&format!("/v1/policy?since={revision}")).await.expect_problem(410, None);
    service.feed(&format!("/v1/policy?revision={revision}&after=1")).await.expect_problem(410, None);
    let latest = service.revision().await;
    service.feed(&format!("/v1/policy?since={}", latest - 1)).await.expect(200);
    // After a renewed epoch.
    service.feed(&format!("/v1/policy?since={latest}&epoch={epoch}")).await.expect(304);
    let renewed = service.store.renew_epoch(&crate::support::act()).await.unwrap();
    service.feed(&format!("/v1/policy?since={latest}&epoch={epoch}")).await.expect_problem(410, None);
    assert_eq!(service.feed("/v1/policy").await.json()["epoch"], renewed);
}

/// Without this, a gateway that comes from a service that has heard of a new epoch to one that has not would fetch everything.
#[tokio::test]
async fn an_epoch_that_another_service_has_given_is_known_here_before_it_is_heard_of() {
    let service = Service::start().await;
    service.seed().await;
    let url = format!("sqlite:{}", service.directory.path().join("policy.db").display());
    let other = store::open(&url, store::Settings::default()).await.unwrap();
    let renewed = other.renew_epoch(&crate::support::act()).await.unwrap();
    // Nobody has told this service.
    assert_ne!(service.store.revisions().borrow().epoch, renewed);
    let revision = service.revision().await;
    service.feed(&format!("/v1/policy?since={revision}&epoch={renewed}")).await.expect(304);
    let page = service.feed(&format!("/v1/policy?since={}&epoch={renewed}", revision - 1)).await.expect(200).json();
    assert_eq!((&page["epoch"], &page["base"]), (&json!(renewed), &json!(revision - 1)));
    service.feed(&format!("/v1/policy?since={revision}&epoch=unknown")).await.expect_problem(410, None);
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_named() {
    let service = Service::start().await;
    for (query, field) in [
        ("since=-1", "since"),
        ("since=+1", "since"),
        ("since=1.0", "since"),
        ("since=", "since"),
        ("since=9007199254740992", "since"),
        ("since=99999999999999999999999", "since"),
        ("revision=0", "after"),
        ("after=0", "revision"),
        ("revision=x&after=0", "revision"),
        ("revision=0&after=x", "after"),
        ("since=0&revision=0&after=0&part=all", "part"),
        ("since=1&revision=0&after=0", "since"),
    ] {
        service.feed(&format!("/v1/policy?{query}")).await.expect_problem(400, Some(field));
    }
    service.feed("/v1/policy?since=0&since=0").await.expect_problem(400, Some("since"));
    service.feed("/v1/policy?since=0&something=else").await.expect(304);
}

fn held(request: RequestBuilder) -> JoinHandle<(Answer, Duration)> {
    let begun = Instant::now();
    tokio::spawn(async move { (send(request.header("prefer", "wait=30")).await, begun.elapsed()) })
}

/// Waits until `count` readers wait for a new revision.
async fn waiting(service: &Service, count: usize) {
    let begun = Instant::now();
    while service.store.waiting() < count {
        assert!(begun.elapsed() < SOON, "only {} of {count} wait", service.store.waiting());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_held_poll_is_answered_by_the_change() {
    let service = Service::start().await;
    service.seed().await;
    let tag = service.feed("/v1/policy").await.header("etag").to_owned();
    let (delta, full) =
        (held(service.poll("/v1/policy?since=4")), held(service.poll("/v1/policy").header("if-none-match", &tag)));
    waiting(&service, 2).await;
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    for (poll, base) in [(delta, json!(4)), (full, Value::Null)] {
        let (answer, took) = poll.await.unwrap();
        let page = answer.expect(200);
        assert_eq!((page.header("preference-applied"), page.json()["base"].clone()), ("wait", base));
        assert_eq!(page.json()["subscriptions"][0]["state"], "BLOCKED");
        assert!(took < SOON);
    }
}

#[tokio::test]
async fn a_wait_ends_by_itself_and_is_only_for_those_who_hold_the_latest() {
    let service = Service::start().await;
    service.seed().await;
    let begun = Instant::now();
    let answer = send(service.poll("/v1/policy?since=4").header("prefer", "respond-async, wait=1")).await.expect(304);
    assert_eq!(answer.header("preference-applied"), "wait");
    assert!((Duration::from_millis(900)..SOON).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let begun = Instant::now();
    for path in ["/v1/policy", "/v1/policy?since=3"] {
        let answer = send(service.poll(path).header("prefer", "wait=30")).await.expect(200);
        assert_eq!(answer.header("preference-applied"), "wait", "the next poll may follow at once");
    }
    for prefer in ["wait=0", "wait", "return=minimal"] {
        let answer = send(service.poll("/v1/policy?since=4").header("prefer", prefer)).await.expect(304);
        assert_eq!(answer.header("preference-applied"), "");
    }
    send(service.poll("/v1/policy?since=5").header("prefer", "wait=30")).await.expect(410);
    send(service.request(Method::GET, "/v1/policy?since=4").header("prefer", "wait=30")).await.expect(401);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_thousand_gateways_hear_of_a_change_at_once() {
    let service = Service::start().await;
    service.seed().await;
    let mut gateways = JoinSet::new();
    for _ in 0..1_000 {
        let request = service.poll("/v1/policy?since=4").header("prefer", "wait=40");
        gateways.spawn(async move { send(request).await.expect(200).json()["revision"].clone() });
    }
    waiting(&service, 1_000).await;
    let changed = Instant::now();
    service.post("/v1/subscriptions/s-1/block", Value::Null).await.expect(200);
    assert!(gateways.join_all().await.iter().all(|revision| *revision == 5));
    assert!(changed.elapsed() < SOON, "{:?}", changed.elapsed());
}

#[tokio::test]
async fn stopping_ends_held_polls_at_once() {
    let service = Service::start().await;
    service.seed().await;
    let poll = held(service.poll("/v1/policy?since=4"));
    waiting(&service, 1).await;
    service.stopping.cancel();
    let (answer, took) = poll.await.unwrap();
    assert_eq!(answer.expect(304).header("preference-applied"), "", "nobody shall come back at once");
    assert!(took < SOON);
    tokio::time::timeout(SOON, service.serving).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn a_limited_gateway_sees_only_what_reaches_its_apis() {
    let limits = Some(r#"{"edge": ["api-1"]}"#);
    let service =
        Service::with(Options { gateways: "gw:secret,edge:e", gateway_apis: limits, ..Options::default() }).await;
    let edge = |path: &str| service.request(Method::GET, path).basic_auth("edge", Some("e"));
    service.seed().await;
    service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
    service.post("/v1/applications", json!({"id": "app-2"})).await.expect(201);
    service.post("/v1/keys", json!({"id": "k-2", "application": "app-2", "sha256": digest(2)})).await.expect(201);
    service.post("/v1/subscriptions", json!({"id": "s-2", "application": "app-2", "api": "api-2"})).await.expect(201);
    let bound = json!({"id": "k-3", "application": "app-1", "sha256": digest(3), "apis": ["api-2"]});
    service.post("/v1/keys", bound).await.expect(201);

    let full = send(edge("/v1/policy")).await.expect(200);
    check(&full.text);
    let page = full.json();
    assert_eq!(page["apis"].as_array().unwrap().len(), 1);
    assert_eq!((&page["applications"][0]["id"], &page["applications"][1]), (&json!("app-1"), &Value::Null));
    assert_eq!((&page["keys"][0]["id"], &page["keys"][1]), (&json!("k-1"), &Value::Null));
    assert_eq!((&page["subscriptions"][0]["api"], &page["subscriptions"][1]), (&json!("api-1"), &Value::Null));
    assert!(!full.text.contains("app-2") && !full.text.contains(&digest(2)) && !full.text.contains(&digest(3)));
    assert_ne!(page["epoch"], service.feed("/v1/policy").await.json()["epoch"], "it is another policy");
    assert_eq!(page["counts"], json!({"keys": 1, "applications": 1, "subscriptions": 1}));

    // Only a change that concerns the gateway wakes it.
    let poll = page["poll"].as_str().unwrap().to_owned();
    let waits = held(edge(&poll));
    waiting(&service, 1).await;
    service.post("/v1/subscriptions/s-2/block", Value::Null).await.expect(200);
    service.post("/v1/keys/k-2/revoke", Value::Null).await.expect(200);
    service.post("/v1/keys/k-3/revoke", Value::Null).await.expect(200);
    service.post("/v1/subscriptions", json!({"application": "app-2", "api": "api-1"})).await.expect(201);
    let (answer, _) = waits.await.unwrap();
    let delta = answer.expect(200).json();
    assert_eq!(delta["applications"][0]["id"], "app-2", "{delta}");
    assert_eq!((&delta["keys"][0]["id"], &delta["keys"][0]["state"]), (&json!("k-2"), &json!("REVOKED")));
    assert!(!delta.to_string().contains(&digest(3)), "{delta}");

    // A revision without changes for this gateway: it gets the new revision when the wait is over.
    let revision = service.revision().await;
    service.post("/v1/subscriptions/s-2/unblock", Value::Null).await.expect(200);
    let poll = delta["poll"].as_str().unwrap();
    let told = send(edge(poll).header("prefer", "wait=1")).await.expect(200).json();
    assert_eq!((&told["base"], &told["revision"]), (&json!(revision), &json!(revision + 1)));
    assert_eq!((&told["subscriptions"], told.get("removed")), (&json!([]), None));

    // A gateway cannot use the links of another gateway.
    let others = service.feed("/v1/policy").await.json()["poll"].as_str().unwrap().to_owned();
    send(edge(&others)).await.expect_problem(410, None);
}

/// The counts match the rows that are sent, for different scopes of gateways and bindings of keys.
#[tokio::test]
async fn counts_are_of_what_a_limited_gateway_is_sent() {
    for (apis, expected) in [
        // app-1 and app-2 have subscriptions; `open` needs none.
        (r#"["api-1"]"#, [3, 2, 2]),
        (r#"["api-1", "api-2"]"#, [4, 2, 3]),
        (r#"["api-2"]"#, [2, 1, 1]),
        (r#"["open"]"#, [3, 3, 0]),
        (r#"["open", "api-1"]"#, [4, 3, 2]),
        (r#"["nowhere"]"#, [0, 0, 0]),
        ("[]", [0, 0, 0]),
    ] {
        let limits = format!(r#"{{"edge": {apis}}}"#).leak();
        let options = Options { gateways: "gw:secret,edge:e", gateway_apis: Some(limits), ..Options::default() };
        let service = Service::with(options).await;
        service.seed().await;
        service.post("/v1/apis", json!({"id": "api-2"})).await.expect(201);
        service.post("/v1/apis", json!({"id": "open", "subscription_required": false})).await.expect(201);
        for application in ["app-2", "app-3"] {
            service.post("/v1/applications", json!({"id": application})).await.expect(201);
        }
        for (application, api) in [("app-2", "api-1"), ("app-2", "api-2")] {
            service.post("/v1/subscriptions", json!({"application": application, "api": api})).await.expect(201);
        }
        for (number, application, id, apis) in [
            (2, "app-1", "k-2", json!(["api-2"])),
            (3, "app-2", "k-3", json!(["api-2", "api-1"])),
            (4, "app-2", "\"apis\":", Value::Null),
            (5, "app-3", "k-5", Value::Null),
            (6, "app-2", "k-6", json!([])),
        ] {
            let key = json!({"id": id, "application": application, "sha256": digest(number), "apis": apis});
            service.post("/v1/keys", key).await.expect(201);
        }
        // A deleted key does not count.
        service.post("/v1/keys", json!({"id": "k-7", "application": "app-1", "sha256": digest(7)})).await.expect(201);
        service.delete("/v1/keys/k-7").await.expect(204);

        let full = send(service.request(Method::GET, "/v1/policy").basic_auth("edge", Some("e"))).await.expect(200);
        let page = full.json();
        let sent = ["keys", "applications", "subscriptions"].map(|list| page[list].as_array().unwrap().len());
        assert_eq!(sent, expected, "{apis}: {page}");
        let [keys, applications, subscriptions] = sent;
        let counts = json!({"keys": keys, "applications": applications, "subscriptions": subscriptions});
        assert_eq!(page["counts"], counts, "{apis}");
    }
}
