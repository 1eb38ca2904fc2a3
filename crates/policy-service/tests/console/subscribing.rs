//! A subscriber's way: an application, an API with a plan, its states in words, and the end.

use serde_json::{Value, json};

use crate::{demo::fill, dom::Page, person::Person, support::Service};

#[tokio::test]
async fn a_subscriber_makes_an_application_and_subscribes_with_a_plan() {
    let service = Service::start().await;
    fill(&service).await;
    let mut carol = Person::new(&service, "subscriber", "carol").await;
    let start = carol.page("/console").await;
    assert!(start.links("/console/new/application") && start.one("main").text.contains("no application yet"));
    // An API that one can subscribe to asks for an application first.
    let none = carol.page("/console/apis/orders/subscribe").await;
    assert!(none.links("/console/new/application"));
    let make = "/console/new/application";
    let (place, page) = carol.do_it(make, make, &[("name", "Till"), ("id", "till")]).await;
    assert!(place.starts_with("/console/applications/till?"), "{place}");
    assert!(page.one("main").text.contains("no key yet") && page.links("/console/applications/till/new-key"));
    // What is wrong stands at its field, and what was typed is kept.
    let wrong = carol.fill(make, make, &[("name", "x"), ("id", "till")]).await.expect(409);
    assert!(Page::parse(&wrong.text).form(make).contains(&("name".to_owned(), "x".to_owned())));
    let catalogue = carol.page("/console/catalogue?q=ORD").await;
    assert!(catalogue.links("/console/apis/orders/subscribe"));
    let text = carol.open("/console/catalogue").await.expect(200).text;
    assert!(text.contains("the publisher decides") && !text.contains("secret"), "{text}");
    let subscribe = "/console/apis/orders/subscribe";
    let form = carol.page("/console/apis/orders/subscribe?application=till").await;
    assert!(form.one("main").text.contains("requests per day"), "the plan is told in words");
    let form = form.form(subscribe);
    assert!(
        form.contains(&("plan".to_owned(), "gold".to_owned()))
            && form.contains(&("application".to_owned(), "till".to_owned()))
    );
    let done = carol.send(subscribe, &form).await.expect(303);
    let place = done.header("location").to_owned();
    let page = carol.page(&place).await;
    assert!(page.one("main").text.contains("The subscription is made"));
    // Sent again, it leads to the same subscription.
    let again = carol.send(subscribe, &form).await.expect(303);
    assert_eq!(again.header("location").split('?').next(), place.split('?').next());
    assert_eq!(service.get("/v1/subscriptions?application=till").await.json()["total"], 1);
    // By hand: it waits, and the start page says so.
    let waits = "/console/apis/invoices/subscribe";
    carol.do_it(waits, waits, &[("application", "till")]).await;
    let start = carol.page("/console").await.one("main").text.clone();
    assert!(start.contains("Waits for approval") && start.contains("has not decided yet"), "{start}");
    // Another plan, and the end.
    service.post("/v1/plans", json!({"id": "silver", "owner": "p"})).await.expect(201);
    let mut api = service.get("/v1/apis/orders").await.json();
    api["plans"] = json!(["gold", "silver"]);
    service.put("/v1/apis/orders", api).await.expect(200);
    let id = place.trim_start_matches("/console/subscriptions/").split('?').next().unwrap().to_owned();
    let plan = format!("/console/subscriptions/{id}/plan");
    carol.do_it(&plan, &plan, &[("plan", "silver")]).await;
    assert_eq!(service.get(&format!("/v1/subscriptions/{id}")).await.json()["plan"], "silver");
    let odd = carol.fill(&plan, &plan, &[("plan", "unknown")]).await.status;
    assert!((400..500).contains(&odd), "{odd}");
    let end = format!("/console/subscriptions/{id}/end");
    carol.do_it(&end, &end, &[]).await;
    service.get(&format!("/v1/subscriptions/{id}")).await.expect(404);
    let edit = "/console/applications/till/edit";
    let (_, page) = carol.do_it(edit, edit, &[("name", "Tills")]).await;
    assert_eq!(page.one("h1").text, "Tills");
    let delete = "/console/applications/till/delete";
    carol.do_it(delete, delete, &[]).await;
    service.get("/v1/applications/till").await.expect(404);
}

#[tokio::test]
async fn what_is_blocked_stands_first_with_since_until_and_note() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let text = alice.page("/console").await.one("main").text.clone();
    assert!(!text.contains("What is blocked"), "{text}");
    let block =
        json!({"state": "PROD_ONLY_BLOCKED", "reason": "too-many", "note": "Call us: 555", "until": 4_102_444_800_i64});
    service.post("/v1/subscriptions/s-1/block", block).await.expect(200);
    let page = alice.page("/console").await;
    let text = page.one("main").text.clone();
    let first = page.all("h2").next().unwrap().text.clone();
    assert_eq!(first, "What is blocked");
    for words in ["Blocked for production", "Web shop at orders", "Call us: 555", "1 Jan 2100", "Since"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("too-many"), "the reason is not for the subscriber: {text}");
    for path in ["/console/applications/shop", "/console/subscriptions/s-1"] {
        let text = alice.page(path).await.one("main").text.clone();
        assert!(
            text.contains("Call us: 555") && text.contains("1 Jan 2100") && !text.contains("too-many"),
            "{path}: {text}"
        );
    }
    // An application that is blocked, and a block that is planned.
    service.post("/v1/subscriptions/s-1/unblock", Value::Null).await.expect(200);
    let planned = json!({"from": 4_102_444_800_i64, "note": "Maintenance"});
    service.post("/v1/subscriptions/s-1/block", planned).await.expect(200);
    service.post("/v1/applications/shop/block", json!({"note": "Unpaid", "reason": "dunning"})).await.expect(200);
    let text = alice.page("/console").await.one("main").text.clone();
    for words in ["for every API", "Unpaid", "Block planned", "Maintenance"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("dunning"));
    // A block outlives the subscription, and its owner still sees it.
    service.post("/v1/applications/shop/unblock", Value::Null).await.expect(200);
    service.post("/v1/subscriptions/s-1/block", json!({"note": "Kept"})).await.expect(200);
    let end = "/console/subscriptions/s-1/end";
    assert!(alice.page(end).await.one("main").text.contains("The block stays"));
    alice.do_it(end, end, &[]).await;
    let text = alice.page("/console").await.one("main").text.clone();
    assert!(text.contains("Kept") && text.contains("Deleted, block kept"), "{text}");
}

/// A subscription is not blocked, and its requests are refused all the same.
#[tokio::test]
async fn a_subscription_says_what_else_refuses_its_requests() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let text = async |person: &mut Person| person.page("/console/subscriptions/s-1").await.one("main").text.clone();
    let (application, api) = ("Its application is blocked", "Its API is not served");
    for person in [&mut alice, &mut publisher, &mut olga] {
        let text = text(person).await;
        assert!(!text.contains(application) && !text.contains(api), "{text}");
    }
    let block = json!({"reason": "abuse-17", "note": "Call us"});
    service.post("/v1/applications/shop/block", block).await.expect(200);
    let seen = text(&mut alice).await;
    assert!(seen.contains(application) && seen.contains("Call us"), "{seen}");
    assert!(!seen.contains("abuse-17"), "the reason is not for subscribers");
    assert!(text(&mut olga).await.contains("abuse-17"));
    // A publisher does not see applications.
    let seen = text(&mut publisher).await;
    assert!(!seen.contains(application) && !seen.contains("Call us"), "{seen}");
    service.post("/v1/applications/shop/unblock", Value::Null).await.expect(200);
    for (state, words) in [("BLOCKED", "Blocked"), ("RETIRED", "Retired"), ("DEPRECATED", "")] {
        let mut row = service.get("/v1/apis/orders").await.json();
        row["state"] = json!(state);
        service.put("/v1/apis/orders", row).await.expect(200);
        let seen = text(&mut alice).await;
        assert!(seen.contains("Its API is not published any more"), "{state}: {seen}");
        for person in [&mut publisher, &mut olga] {
            let seen = text(person).await;
            assert_eq!(seen.contains(api), !words.is_empty(), "{state}: {seen}");
            assert!(seen.contains(words) && !seen.contains(application), "{state}: {seen}");
        }
    }
}

/// What an empty list says is true for who reads it.
#[tokio::test]
async fn an_empty_list_does_not_say_that_others_have_nothing() {
    let service = Service::start().await;
    fill(&service).await;
    let mut carol = Person::new(&service, "subscriber", "carol").await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let mut other = Person::new(&service, "publisher", "q").await;
    let text = async |person: &mut Person, path: &str| person.page(path).await.one("main").text.clone();
    let there_is_none = "There is no subscription yet";
    for (is_carol, path, words) in [
        (true, "/console/subscriptions", "You have no subscription yet"),
        (true, "/console/apis/orders", "None of your applications subscribes to this API"),
        (false, "/console/apis/orders", "belongs to somebody else"),
    ] {
        let seen = text(if is_carol { &mut carol } else { &mut other }, path).await;
        assert!(seen.contains(words) && !seen.contains(there_is_none), "{path}: {seen}");
    }
    service.post("/v1/apis", json!({"id": "new", "owner": "p", "match": [{"path": "/new"}]})).await.expect(201);
    assert!(text(&mut publisher, "/console/apis/new").await.contains("None of your APIs has a subscription yet"));
    let mut olga = Person::new(&service, "operator", "olga").await;
    assert!(text(&mut olga, "/console/apis/new").await.contains(there_is_none));
    // The address with a slash leads to the start page.
    let slash = publisher.open("/console/").await.expect(303);
    assert_eq!(slash.header("location"), "/console");
}

const LATER: i64 = 7_258_118_400;
/// How pages without a script say that.
const LATER_SAID: &str = "1 Jan 2200, 00:00 UTC";

/// A block that begins later, beside a running one, alone, and of a subscription that was deleted. Each page says what holds.
#[tokio::test]
async fn a_block_that_begins_later_is_told_as_what_it_is_on_every_page() {
    for (running, deletes, now) in [
        (Some("PROD_ONLY_BLOCKED"), false, "Blocked for production"),
        (None, false, "Unblocked"),
        (None, true, "Deleted, block kept"),
        (Some("PROD_ONLY_BLOCKED"), true, "Deleted, block kept"),
    ] {
        let service = Service::start().await;
        fill(&service).await;
        let mut alice = Person::new(&service, "subscriber", "alice").await;
        let mut publisher = Person::new(&service, "publisher", "p").await;
        if let Some(state) = running {
            service.post("/v1/subscriptions/s-1/block", json!({"state": state})).await.expect(200);
        }
        let later = json!({"state": "BLOCKED", "from": LATER, "until": LATER + 60, "note": "Call us"});
        service.post("/v1/subscriptions/s-1/block", later).await.expect(200);
        let end = alice.page("/console/subscriptions/s-1/end").await.one("main").text.clone();
        assert_eq!(end.contains("A block of it is planned"), running.is_none(), "{end}");
        if deletes {
            service.delete("/v1/subscriptions/s-1").await.expect(200);
        }
        for (is_publisher, path) in [
            (false, "/console"),
            (false, "/console/applications/shop"),
            (false, "/console/subscriptions/s-1"),
            (false, "/console/subscriptions"),
            (true, "/console/subscriptions"),
            (true, "/console/apis/orders"),
            (true, "/console"),
        ] {
            let person = if is_publisher { &mut publisher } else { &mut alice };
            let text = person.page(path).await.one("main").text.clone();
            let said = format!("{running:?} {deletes} {path}: {text}");
            // The start page of a publisher names those that are blocked now.
            if is_publisher && path == "/console" && running.is_none() && !deletes {
                continue;
            }
            // Of a deleted subscription the planned block has begun, so only its end is told.
            assert_eq!(text.contains(LATER_SAID), !deletes, "{said}");
            assert!(!deletes || text.contains("1 Jan 2200, 00:01 UTC"), "{said}");
            assert!(text.contains(now) || path == "/console" && text.contains("Block planned"), "{said}");
            assert!(!text.contains(&format!("Since{LATER_SAID}")), "{said}");
            if running.is_some() && !deletes && path != "/console/subscriptions/s-1" {
                assert!(text.to_lowercase().contains("then"), "{said}");
            }
        }
    }
}
