//! A form that deletes and arrives twice: the second is no mistake of the person who sent both, and one of anybody else.

use serde_json::json;

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::Service,
};

#[tokio::test]
async fn a_deletion_that_arrives_twice_leads_to_the_list() {
    let service = Service::start().await;
    fill(&service).await;
    for (path, row) in [
        ("/v1/plans", json!({"id": "silver"})),
        ("/v1/apis", json!({"id": "old", "match": [{"path": "/old"}]})),
        ("/v1/applications", json!({"id": "unused"})),
    ] {
        service.post(path, row).await.expect(201);
    }
    let token = service.post("/v1/tokens", json!({"role": "auditor", "subject": "t"})).await.expect(201).json();
    let credential = service.post("/v1/gateways/credentials", json!({"client_id": "edge"})).await.expect(201).json();
    let poll = service.request(reqwest::Method::GET, "/v1/policy").basic_auth("gw", Some("secret"));
    let poll = poll.header("keygate-instance", "a").header("keygate-process", "1");
    crate::support::send(poll).await.expect(200);
    let listed = service.get("/v1/gateways").await.expect(200).json();
    let [token, credential, gateway] =
        [&token, &credential, &listed["items"][0]].map(|row| row["id"].as_str().unwrap());

    let mut root = Person::new(&service, "administrator", "root").await;
    let mut other = Person::new(&service, "administrator", "another").await;
    for (action, list, says) in [
        ("/console/plans/silver/delete".to_owned(), "/console/plans", "It is deleted."),
        ("/console/apis/old/delete".to_owned(), "/console/apis", "It is deleted."),
        ("/console/applications/unused/delete".to_owned(), "/console/applications", "It is deleted."),
        ("/console/deny-policies/d-1/delete".to_owned(), "/console/deny-policies", "It is deleted."),
        ("/console/subscriptions/s-2/end".to_owned(), "/console/subscriptions", "The subscription has ended."),
        (format!("/console/tokens/{token}/revoke"), "/console/tokens", "It is revoked"),
        (format!("/console/gateway-credentials/{credential}/revoke"), "/console/gateway-credentials", "It is revoked"),
        (format!("/console/gateways/{gateway}/remove"), "/console/gateways", "It is removed."),
    ] {
        let form = root.page(&action).await.form(&action);
        let others = other.page(&action).await.form(&action);
        let mut places = Vec::new();
        for _ in 0..2 {
            let answer = root.send(&action, &form).await;
            assert_eq!(answer.status, 303, "{action}: {}", answer.text);
            places.push(answer.header("location").to_owned());
        }
        assert!(places[0] == places[1] && places[0].starts_with(list), "{action}: {places:?}");
        let sentence = root.page(&places[1]).await.with("class", "said").map(|said| said.text.clone());
        assert!(sentence.is_some_and(|sentence| sentence.contains(says)), "{action}");
        let answer = other.send(&action, &others).await;
        assert_eq!(answer.status, 404, "{action}: of somebody else: {}", answer.text);
    }
}

#[tokio::test]
async fn a_deny_policy_that_was_changed_meanwhile_is_shown_before_it_is_deleted() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let action = "/console/deny-policies/d-1/delete";
    let form = olga.page(action).await.form(action);
    service.put("/v1/deny-policies/d-1", json!({"type": "IP", "value": "203.0.113.10"})).await.expect(200);
    let page = Page::parse(&olga.send(action, &form).await.expect(412).text);
    let text = &page.one("main").text;
    assert!(text.contains("changed meanwhile") && text.contains("203.0.113.10"), "{text}");
    // The form that is shown now deletes what it shows.
    olga.send(action, &filled(page.form(action), &[])).await.expect(303);
    service.get("/v1/deny-policies/d-1").await.expect(404);
}

#[tokio::test]
async fn the_page_that_asks_to_unblock_says_if_nothing_is_blocked() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let path = "/console/subscriptions/s-1/unblock";
    let says = "It is not blocked";
    assert!(publisher.page(path).await.one("main").text.contains(says));
    service.post("/v1/subscriptions/s-1/block", json!({})).await.expect(200);
    assert!(!publisher.page(path).await.one("main").text.contains(says));
}

#[tokio::test]
async fn a_restore_that_arrives_twice_says_that_it_is_done() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let before = service.revision().await;
    service.post("/v1/plans", json!({"id": "mistake"})).await.expect(201);
    let place = "/console/restore";
    let asked = root.page(&format!("{place}?revision={before}")).await.form(place);
    let page = Page::parse(&root.send(place, &asked).await.expect(200).text);
    let form = page.form(place);
    let mut places = Vec::new();
    for _ in 0..2 {
        places.push(root.send(place, &form).await.expect(303).header("location").to_owned());
    }
    assert_eq!(places[0], places[1]);
    assert!(root.page(&places[1]).await.one("main").text.contains("The restore is done"));
    // After another change it is another question.
    service.post("/v1/plans", json!({"id": "later"})).await.expect(201);
    root.send(place, &form).await.expect(409);
}

#[tokio::test]
async fn a_form_whose_row_was_made_and_deleted_leads_to_the_list() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (action, list, row, typed) in [
        ("/console/new/plan", "/console/plans", "/v1/plans/n", vec![("id", "n")]),
        ("/console/new/api", "/console/apis", "/v1/apis/n", vec![("id", "n")]),
        ("/console/new/application", "/console/applications", "/v1/applications/n", vec![("id", "n")]),
    ] {
        let form = filled(root.page(action).await.form(action), &typed);
        root.send(action, &form).await.expect(303);
        service.delete(row).await.expect(204);
        let place = root.send(action, &form).await.expect(303).header("location").to_owned();
        assert!(place.starts_with(list), "{action}: {place}");
        assert!(root.page(&place).await.with("class", "said").is_none(), "{action}: nothing is said");
    }
}

#[tokio::test]
async fn a_form_that_was_sent_with_other_content_can_be_sent_once_more() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (action, first, second) in [
        (
            "/console/new/token",
            vec![("role", "auditor"), ("subject", "a")],
            vec![("role", "auditor"), ("subject", "b")],
        ),
        (
            "/console/new/gateway-credential",
            vec![("client_id", "a"), ("sees", "all")],
            vec![("client_id", "b"), ("sees", "all")],
        ),
        ("/console/applications/shop/new-key", vec![("end", "never")], vec![("end", "365")]),
    ] {
        let form = root.page(action).await.form(action);
        root.send(action, &filled(form.clone(), &first)).await.expect(201);
        let answer = root.send(action, &filled(form, &second)).await.expect(422);
        let page = Page::parse(&answer.text);
        assert!(
            page.one("main").text.contains("This form was sent before, with other content"),
            "{action}: {}",
            answer.text
        );
        root.send(action, &page.form(action)).await.expect(201);
    }
}

#[tokio::test]
async fn what_was_typed_is_on_the_page_of_what_is_gone() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for (id, path) in [("n", "plans"), ("n", "apis"), ("n", "applications")] {
        service.post(&format!("/v1/{path}"), json!({"id": id})).await.expect(201);
    }
    for (page, row, field) in [
        ("/console/plans/n/edit", "/v1/plans/n", "burst"),
        ("/console/apis/n/edit", "/v1/apis/n", "name"),
        ("/console/applications/n/edit", "/v1/applications/n", "name"),
        ("/console/subscriptions/s-2/block", "/v1/subscriptions/s-2", "note"),
    ] {
        let form = filled(root.page(page).await.form(page), &[(field, "9 per second")]);
        service.delete(row).await.expect(204);
        let answer = root.send(page, &form).await.expect(404);
        let text = Page::parse(&answer.text).one("main").text.clone();
        assert!(text.contains("What you typed") && text.contains("9 per second"), "{page}: {text}");
    }
    // What may be a key is not shown again.
    let page = "/console/plans/gold/edit";
    let form = filled(root.page(page).await.form(page), &[("burst", "kg_live_0123456789")]);
    service.put("/v1/subscriptions/s-1", json!({"application": "shop", "api": "orders"})).await.expect(200);
    service.put("/v1/apis/orders", json!({"match": [{"path": "/orders"}]})).await.expect(200);
    service.delete("/v1/plans/gold").await.expect(204);
    assert!(!root.send(page, &form).await.text.contains("kg_live_0123456789"));
}
