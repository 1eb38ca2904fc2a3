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
