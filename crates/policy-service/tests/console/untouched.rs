//! A form that nobody touched changes nothing, above all not what an empty list permits: nothing.

use serde_json::{Value, json};

use crate::{
    demo::fill,
    person::Person,
    support::{Service, digest},
};

#[tokio::test]
async fn a_form_that_is_saved_untouched_changes_nothing() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (number, (path, row)) in [
        ("plans", json!({"operations": [{"methods": [], "path": "/**"}]})),
        ("plans", json!({"operations": []})),
        ("plans", json!({"limits": [{"requests": 5, "per": "day"}], "stop_on_quota_reach": false})),
        ("apis", json!({"match": [{"hosts": [], "path": "/nohost"}]})),
        ("apis", json!({"match": [{"hosts": ["a.example"], "path": "/a"}, {"hosts": [], "path": "/b"}]})),
        ("apis", json!({"endpoints": [], "security": "none", "subscription_required": false})),
        ("apis", json!({"plans": [], "state": "CREATED"})),
        ("apis", json!({})),
        ("apis", json!({"match": [], "endpoints": ["PRODUCTION", "SANDBOX"]})),
        ("plans", json!({"limits": []})),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("row-{number}");
        let mut named = row.clone();
        named["id"] = json!(id);
        service.post(&format!("/v1/{path}"), named).await.expect(201);
        let read = async || -> Value { service.get(&format!("/v1/{path}/{id}")).await.expect(200).json() };
        let (before, revision) = (read().await, service.revision().await);
        let edit = format!("/console/{path}/{id}/edit");
        let (place, page) = root.do_it(&edit, &edit, &[]).await;
        assert_eq!((read().await, service.revision().await), (before, revision), "{row}");
        let said = page.with("class", "said").map(|said| said.text.clone()).unwrap_or_default();
        assert!(said.contains("it was so already"), "{row}: {place}");
    }
}

#[tokio::test]
async fn that_nothing_was_changed_is_said_to_the_person_alone() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let mut other = Person::new(&service, "administrator", "another").await;
    for edit in ["/console/plans/gold/edit", "/console/apis/orders/edit", "/console/deny-policies/d-1/edit"] {
        let answer = root.fill(edit, edit, &[]).await.expect(303);
        let place = answer.header("location").to_owned();
        assert!(root.page(&place).await.one("main").text.contains("it was so already"), "{place}");
        assert!(!other.page(&place).await.one("main").text.contains("it was so already"), "{place}");
    }
}

#[tokio::test]
async fn the_block_of_what_was_deleted_is_lifted_and_said() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    service.post("/v1/subscriptions/s-1/block", json!({})).await.expect(200);
    service.delete("/v1/subscriptions/s-1").await.expect(200);
    let (list, unblock) = ("/console/subscriptions", "/console/subscriptions/s-1/unblock");
    let (place, page) = publisher.do_it(list, unblock, &[]).await;
    assert!(place.starts_with(list), "{place}");
    assert!(page.one("main").text.contains("The block is lifted"), "{place}: {}", page.one("main").text);
}

#[tokio::test]
async fn a_running_block_that_begins_later_is_told_as_both() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    service.post("/v1/subscriptions/s-1/block", json!({})).await.expect(200);
    let block = "/console/subscriptions/s-1/block";
    let begin = [("from", "2199-01-01T00:00"), ("end", "never")];
    let (place, page) = publisher.do_it(block, block, &begin).await;
    let text = &page.one("main").text;
    assert!(text.contains("The block is planned"), "{place}: {text}");
    assert!(text.contains("It is blocked until another block begins"), "{text}");
}

#[tokio::test]
async fn a_rotation_to_a_key_that_does_not_work_is_told() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let key = json!({"id": "k-9", "application": "shop", "sha256": digest(9)});
    service.post("/v1/keys", key).await.expect(201);
    let made = service.post("/v1/keys/k-9/regenerate", json!({"overlap_seconds": 604_800})).await.expect(201).json();
    let text = alice.page("/console/keys/k-9").await.one("main").text.clone();
    assert!(text.contains("give the new key to each client"), "{text}");
    service.post(&format!("/v1/keys/{}/revoke", made["id"].as_str().unwrap()), json!({})).await.expect(200);
    let text = alice.page("/console/keys/k-9").await.one("main").text.clone();
    assert!(text.contains("does not work any more") && !text.contains("give the new key"), "{text}");
}

/// A publisher decides again about what was rejected, and is told if the same owner is blocked at the API.
#[tokio::test]
async fn what_was_rejected_can_be_approved_and_a_blocked_owner_is_named() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let (page, approve) = ("/console/subscriptions/s-3", "/console/subscriptions/s-3/approve");
    let warning = "If you approve this one, the owner gets in again";
    assert!(!publisher.page(page).await.one("main").text.contains(warning));
    service.post("/v1/applications", json!({"id": "other", "owner": "bob"})).await.expect(201);
    let blocked = json!({"id": "s-9", "application": "other", "api": "invoices"});
    service.post("/v1/subscriptions", blocked).await.expect(201);
    service.post("/v1/subscriptions/s-9/block", json!({})).await.expect(200);
    let seen = publisher.page(page).await;
    assert!(seen.one("main").text.contains(warning) && seen.links("/console/subscriptions/s-9"));
    service.post("/v1/subscriptions/s-3/reject", json!({})).await.expect(200);
    for place in [page, "/console/subscriptions?state=REJECTED"] {
        assert!(!publisher.page(place).await.form(approve).is_empty(), "{place}");
    }
    publisher.do_it(page, approve, &[]).await;
    assert_eq!(service.get("/v1/subscriptions/s-3").await.json()["state"], "UNBLOCKED");
}

/// A page has no link or button to what is not there for its reader.
#[tokio::test]
async fn no_link_leads_to_what_is_not_there() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let mut other = Person::new(&service, "publisher", "q").await;
    let (subscription, plan) = ("/console/subscriptions/s-1", "/console/subscriptions/s-1/plan");
    assert!(alice.page(subscription).await.links(plan));
    // The plan belongs to another publisher.
    let api = other.page("/console/apis/orders").await;
    assert!(api.one("main").text.contains("gold") && !api.links("/console/plans/gold"));
    let mut row = service.get("/v1/apis/orders").await.json();
    row["state"] = json!("DEPRECATED");
    service.put("/v1/apis/orders", row).await.expect(200);
    let page = alice.page(subscription).await;
    assert!(!page.links(plan) && !page.links("/console/apis/orders"));
    assert!(page.one("main").text.contains("orders"));
    // A revoked key is not rotated.
    service.post("/v1/keys/k-1/revoke", json!({})).await.expect(200);
    let rotate = alice.open("/console/keys/k-1/rotate").await.expect(409);
    assert!(rotate.text.contains("This key is revoked") && rotate.text.contains("/console/applications/shop/new-key"));
    // Who may not make something gets no form of it, whatever was sent.
    for (path, person) in [("api", &mut alice), ("application", &mut other)] {
        let place = format!("/console/new/{path}");
        let token = person.page("/console").await.form("/console/sign-out");
        let refused = person.send(&place, &token).await;
        assert_eq!(refused.status, person.open(&place).await.status, "{path}");
        assert!(refused.status == 403 || refused.status == 404, "{path}: {}", refused.status);
    }
}

/// An application that is blocked because another one of its owner is says that nothing else is known of the block.
#[tokio::test]
async fn a_block_without_a_record_says_where_it_may_come_from() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    service.post("/v1/applications/shop/block", json!({"note": "x"})).await.expect(200);
    service.post("/v1/applications", json!({"id": "second", "owner": "alice"})).await.expect(201);
    let words = "made while another one of its owner was blocked";
    for (application, is_bare) in [("shop", false), ("second", true)] {
        let text = alice.page(&format!("/console/applications/{application}")).await.one("main").text.clone();
        assert!(text.contains("It is blocked"), "{application}: {text}");
        assert_eq!(text.contains(words), is_bare, "{application}: {text}");
    }
}
