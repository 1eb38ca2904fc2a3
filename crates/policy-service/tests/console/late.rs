//! Forms that come late or twice: what changed meanwhile, times that have passed, and two clicks of one person.

use std::time::Duration;

use policy_service::clock::unix_seconds;
use serde_json::json;

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::Service,
};

const BLOCK: &str = "/console/subscriptions/s-1/block";

#[tokio::test]
async fn a_form_sent_twice_means_the_same() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (action, values) in [
        (BLOCK, vec![("note", "x"), ("end", "hour")]),
        ("/console/subscriptions/s-1/unblock", vec![]),
        ("/console/subscriptions/s-1/plan", vec![("plan", "")]),
        ("/console/apis/orders/edit", vec![("name", "Other"), ("owner", "q"), ("match", "/x\r\nh /y")]),
        ("/console/plans/gold/edit", vec![("limits", "1 per day\r\n2 per hour"), ("owner", "q")]),
        ("/console/applications/shop/edit", vec![("name", "Other"), ("owner", "bob"), ("plan", "gold")]),
        ("/console/deny-policies/d-1/edit", vec![("value", "203.0.113.1"), ("invert", "true")]),
        ("/console/applications/shop/block", vec![("note", "x")]),
        ("/console/applications/shop/unblock", vec![]),
        ("/console/keys/k-1/revoke", vec![]),
    ] {
        let form = filled(root.page(action).await.form(action), &values);
        root.send(action, &form).await.expect(303);
        let revision = service.revision().await;
        let again = root.send(action, &form).await;
        let place = again.header("location").to_owned();
        assert_eq!((again.status, place.contains("said=as-it-was")), (303, true), "{action}: {place}: {}", again.text);
        assert!(root.page(&place).await.one("main").text.contains("it was so already"), "{action}");
        assert_eq!(service.revision().await, revision, "{action}");
    }
}

#[tokio::test]
async fn a_late_form_says_what_changed_and_can_be_sent_again() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    // A block that begins later is not yet one.
    let form = root.page(BLOCK).await.form(BLOCK);
    let order = json!({"from": 4_102_444_800_i64, "until": 4_102_444_860_i64, "reason": "planned works"});
    service.post("/v1/subscriptions/s-1/block", order).await.expect(200);
    let late = root.send(BLOCK, &filled(form, &[("note", "mine")])).await.expect(412);
    let text = Page::parse(&late.text).one("main").text.clone();
    for words in
        ["a block planned from 1 Jan 2100, 00:00 UTC", "until 1 Jan 2100, 00:01 UTC", "ordered", "planned works"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains(", since"), "{text}");
    // Who asks first, is told beside the question.
    for (action, change) in [
        ("/console/subscriptions/s-2/end", json!({"application": "blog", "api": "hidden", "plan": "gold"})),
        ("/console/applications/blog/delete", json!({"name": "Other", "owner": "bob"})),
        ("/console/subscriptions/s-1/plan", json!({"application": "shop", "api": "orders"})),
    ] {
        let form = root.page(action).await.form(action);
        let row = action.replace("/console/", "/v1/");
        service.put(row.rsplit_once('/').unwrap().0, change).await.expect(200);
        let late = root.send(action, &form).await.expect(412);
        let page = Page::parse(&late.text);
        assert!(page.one("main").text.contains("was changed meanwhile"), "{action}: {}", late.text);
        root.send(action, &page.form(action)).await.expect(303);
    }
}

#[tokio::test]
async fn a_change_of_the_same_second_is_seen() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    for (then, now) in [
        (json!({"reason": "a"}), json!({"reason": "b"})),
        (json!({"note": "a"}), json!({"note": "a", "until": 4_102_444_800_i64})),
        (json!({}), json!({"from": 4_102_444_800_i64})),
    ] {
        service.post("/v1/subscriptions/s-1/block", then).await.expect(200);
        let form = publisher.page(BLOCK).await.form(BLOCK);
        service.post("/v1/subscriptions/s-1/block", now.clone()).await.expect(200);
        let late = publisher.send(BLOCK, &filled(form, &[("state", "PROD_ONLY_BLOCKED"), ("end", "hour")])).await;
        assert_eq!(late.status, 412, "{now}");
        assert_ne!(service.get("/v1/subscriptions/s-1").await.json()["block"]["state"], "PROD_ONLY_BLOCKED", "{now}");
    }
}

#[tokio::test]
async fn the_end_of_a_block_fits_its_beginning_and_the_clock() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    // An hour from its beginning.
    publisher.fill(BLOCK, BLOCK, &[("from", "2100-01-01T00:00"), ("end", "hour")]).await.expect(303);
    let block = service.get("/v1/subscriptions/s-1").await.json()["block"].clone();
    assert_eq!((&block["from"], &block["until"]), (&json!(4_102_444_800_i64), &json!(4_102_448_400_i64)));
    service.post("/v1/subscriptions/s-1/unblock", json!({})).await.expect(200);
    let past = (unix_seconds() - 60).to_string();
    let far = (unix_seconds() + 10 * 86_400).to_string();
    for (values, words) in [
        (vec![("end", "tomorrow"), ("tomorrow_at", past.as_str())], "is past"),
        (vec![("end", "tomorrow"), ("tomorrow_at", far.as_str())], "not the next one"),
        (vec![("end", "tomorrow"), ("tomorrow_at", "soon")], "not the next one"),
        (vec![("end", "tomorrow"), ("from", "2100-01-01T00:00")], "end before it begins"),
    ] {
        let answer = publisher.fill(BLOCK, BLOCK, &values).await.expect(422);
        let page = Page::parse(&answer.text);
        assert!(page.with("id", "end-error").unwrap().text.contains(words), "{values:?}: {}", answer.text);
        // The form offers the next midnight, and then it is taken.
        let form = filled(page.form(BLOCK), &[("from", "")]);
        let offered: i64 = form.iter().find(|(name, _)| name == "tomorrow_at").unwrap().1.parse().unwrap();
        publisher.send(BLOCK, &form).await.expect(303);
        assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["block"]["until"], offered, "{values:?}");
        assert!(offered > unix_seconds() && offered % 86_400 == 0);
        service.post("/v1/subscriptions/s-1/unblock", json!({})).await.expect(200);
    }
    // A planned block begins while its form is open.
    service.post("/v1/subscriptions/s-1/block", json!({"from": unix_seconds() + 2})).await.expect(200);
    let form = filled(publisher.page(BLOCK).await.form(BLOCK), &[("note", "It goes on")]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut answer = publisher.send(BLOCK, &form).await;
    if answer.status == 412 {
        answer = publisher.send(BLOCK, &Page::parse(&answer.text).form(BLOCK)).await;
    }
    answer.expect(303);
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["block"]["note"], "It goes on");
}

#[tokio::test]
async fn what_can_come_back_is_not_said_to_be_gone_for_ever() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let before = service.revision().await;
    let delete = "/console/applications/shop/delete";
    let text = root.page(delete).await.one("main").text.clone();
    assert!(text.contains("its keys then work again") && !text.contains("never work again. It"), "{text}");
    root.do_it(delete, delete, &[]).await;
    // While another subscription of its owner is blocked, the one that comes back waits.
    service.post("/v1/applications", json!({"id": "second", "owner": "alice"})).await.expect(201);
    let second = json!({"id": "s-9", "application": "second", "api": "orders", "plan": "gold"});
    service.post("/v1/subscriptions", second).await.expect(201);
    service.post("/v1/subscriptions/s-9/block", json!({})).await.expect(200);
    let restore = "/console/restore";
    let preview = root.fill(restore, restore, &[("revision", &before.to_string())]).await.expect(200);
    let page = Page::parse(&preview.text);
    let text = page.one("main").text.clone();
    assert!(text.contains("What would not be as it was") && text.contains("comes back closed"), "{text}");
    assert!(text.contains("s-1") && !text.contains("stay as it is"), "{text}");
    root.send(restore, &page.form(restore)).await.expect(303);
    assert_eq!(service.get("/v1/keys/k-1").await.expect(200).json()["state"], "ACTIVE");
    assert_eq!(service.get("/v1/subscriptions/s-1").await.expect(200).json()["state"], "ON_HOLD");
}
