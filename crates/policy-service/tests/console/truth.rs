//! What a page says after a change holds when it is read: an address alone makes no page say anything, and another change
//! makes it silent.

use serde_json::{Value, json};

use crate::{
    demo::fill,
    dom::Page,
    person::Person,
    support::{Answer, Service},
};

const SUBSCRIPTION: &str = "/console/subscriptions/s-1";

/// The sentence of a page, and whether it has a receipt.
fn said(page: &Page) -> (String, bool) {
    let sentence = page.with("class", "said").map(|element| element.text.clone()).unwrap_or_default();
    (sentence, page.with("aria-labelledby", "receipt-title").is_some())
}

#[tokio::test]
async fn an_address_makes_no_page_say_what_was_not_done() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    service.post("/v1/subscriptions/s-1/block", json!({"note": "of another"})).await.expect(200);
    let latest = service.revision().await;
    for path in [
        "/console?said=blocked".to_owned(),
        "/console/catalogue?said=created".to_owned(),
        "/console/usage?said=saved".to_owned(),
        // It is blocked, and not by this person.
        format!("{SUBSCRIPTION}?said=blocked&revision={latest}"),
        format!("{SUBSCRIPTION}?said=unblocked&revision={latest}"),
        format!("{SUBSCRIPTION}?said=deleted&revision={latest}"),
        format!("{SUBSCRIPTION}?said=planned&revision={latest}"),
        format!("{SUBSCRIPTION}?said=unblocked"),
        "/console/subscriptions/s-2?said=approved&revision=1".to_owned(),
        "/console/keys/k-1?said=kept".to_owned(),
        format!("/console/keys/k-1?said=revoked&revision={latest}"),
        "/console/apis/orders?said=retired".to_owned(),
        format!("/console/apis?said=deleted&id=orders&revision={latest}"),
        format!("/console/apis?said=deleted&id=never-there&revision={latest}"),
        "/console/plans?said=deleted&id=gold".to_owned(),
        format!("/console/plans/gold?said=as-it-was&revision={latest}"),
        format!("/console/applications/shop?said=unblocked&revision={latest}"),
        format!("/console/subscriptions?said=unsubscribed&id=s-1&revision={latest}"),
        format!("/console/deny-policies?said=deleted&id=d-1&revision={latest}"),
        "/console/deny-policies?said=deleted&id=d-2&revision=1".to_owned(),
        "/console/tokens?said=revoked&id=t-1".to_owned(),
        "/console/gateway-credentials?said=saved&id=c-1".to_owned(),
        "/console/gateways?said=removed&id=g-1".to_owned(),
        format!("/console/history?said=restored&revision={latest}"),
    ] {
        let (sentence, has_receipt) = said(&root.page(&path).await);
        assert_eq!(sentence, "", "{path}");
        // The receipt of the change that made the row what it is may stand beside it.
        let is_of_it = path.starts_with(SUBSCRIPTION) && path.ends_with(&format!("={latest}"));
        assert_eq!(has_receipt, is_of_it, "{path}");
    }
}

/// The page of a form, the form, what it gets, what is said, and the change of somebody else: method, path and body.
type Case<'c> = (&'c str, &'c str, Vec<(&'c str, &'c str)>, &'c str, &'c str, &'c str, Value);

#[tokio::test]
async fn a_sentence_goes_with_the_next_change() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let block = format!("{SUBSCRIPTION}/block");
    let unblock = format!("{SUBSCRIPTION}/unblock");
    let deny = "/console/deny-policies/d-1/edit";
    let row = |mut row: Value, field: &str, value: Value| {
        row[field] = value;
        row
    };
    let of = async |path: &str| service.get(path).await.expect(200).json();
    let (api, shop, gold) =
        (of("/v1/apis/orders").await, of("/v1/applications/shop").await, of("/v1/plans/gold").await);
    let without = |row: Value| {
        let mut row = row;
        row.as_object_mut().unwrap().remove("etag");
        row
    };
    let (api, shop, gold) = (without(api), without(shop), without(gold));
    let unblocked = json!({"reason": "paid"});
    // The form, what it gets, what is said, and the change of somebody else.
    let cases: Vec<Case> = vec![
        (&block, &block, vec![], "The block is saved", "POST", "/v1/subscriptions/s-1/unblock", unblocked.clone()),
        (
            &block,
            &block,
            vec![("from", "2199-01-01T00:00")],
            "The block is planned",
            "POST",
            "/v1/subscriptions/s-1/unblock",
            unblocked,
        ),
        (
            &block,
            &block,
            vec![("note", "x")],
            "The block is saved",
            "POST",
            "/v1/subscriptions/s-1/block",
            json!({"note": "y"}),
        ),
        (&unblock, &unblock, vec![], "The block is lifted", "POST", "/v1/subscriptions/s-1/block", json!({})),
        (
            "/console/apis/orders/retire",
            "/console/apis/orders/retire",
            vec![],
            "The API is retired",
            "PUT",
            "/v1/apis/orders",
            row(api, "state", json!("PUBLISHED")),
        ),
        (
            "/console/applications/shop/edit",
            "/console/applications/shop/edit",
            vec![("name", "Shops")],
            "The changes are saved",
            "PUT",
            "/v1/applications/shop",
            shop,
        ),
        (
            "/console/plans/gold/edit",
            "/console/plans/gold/edit",
            vec![("limits", "7 per hour")],
            "The changes are saved",
            "PUT",
            "/v1/plans/gold",
            gold,
        ),
        (
            deny,
            deny,
            vec![("value", "203.0.113.10")],
            "The changes are saved",
            "PUT",
            "/v1/deny-policies/d-1",
            json!({"type": "IP", "value": "203.0.113.11"}),
        ),
        (
            "/console/deny-policies/d-1/delete",
            "/console/deny-policies/d-1/delete",
            vec![],
            "It is deleted",
            "POST",
            "/v1/deny-policies",
            json!({"id": "d-1", "type": "IP", "value": "203.0.113.11"}),
        ),
        (
            "/console/applications/blog/delete",
            "/console/applications/blog/delete",
            vec![],
            "It is deleted",
            "POST",
            "/v1/applications",
            json!({"id": "blog", "owner": "bob"}),
        ),
    ];
    for (page, action, values, sentence, method, path, body) in cases {
        let (place, shown) = root.do_it(page, action, &values).await;
        let (now, has_receipt) = said(&shown);
        assert!(now.contains(sentence) && has_receipt, "{action}: {now}");
        // A reload says the same.
        assert_eq!(said(&root.page(&place).await), (now, true), "{action}");
        let answer: Answer = match method {
            "PUT" => service.put(path, body).await,
            _ => service.post(path, body).await,
        };
        assert!(answer.status < 300, "{path}: {}", answer.text);
        assert_eq!(said(&root.page(&place).await), (String::new(), false), "{action}");
    }
}

#[tokio::test]
async fn a_form_that_changed_nothing_has_no_receipt_of_another_change() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    service.post("/v1/keys/k-2/revoke", Value::Null).await.expect(200);
    let own = service.revision().await;
    service.post("/v1/plans", json!({"id": "of-another"})).await.expect(201);
    let latest = service.revision().await;
    for form in [
        "/console/apis/orders/edit",
        "/console/applications/shop/edit",
        "/console/plans/gold/edit",
        "/console/deny-policies/d-1/edit",
        "/console/subscriptions/s-1/plan",
        "/console/subscriptions/s-1/unblock",
        "/console/keys/k-2/revoke",
    ] {
        let (place, page) = root.do_it(form, form, &[]).await;
        let (sentence, has_receipt) = said(&page);
        assert!(sentence.contains("Nothing was changed") && has_receipt, "{form}: {place}: {sentence}");
        assert!(!place.contains(&format!("revision={latest}")), "{form}: {place}");
        assert_eq!(place.contains(&format!("revision={own}")), form.contains("k-2"), "{form}: {place}");
        assert_eq!(service.revision().await, latest, "{form}");
    }
}

#[tokio::test]
async fn what_is_no_part_of_the_policy_is_said_by_its_id() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let token = service.post("/v1/tokens", json!({"role": "auditor", "subject": "x"})).await.expect(201).json();
    let made = service.post("/v1/gateways/credentials", json!({"client_id": "edge"})).await.expect(201).json();
    let (token, credential) = (token["id"].as_str().unwrap(), made["id"].as_str().unwrap());
    let scope = format!("/console/gateway-credentials/{credential}/scope");
    let (saved, page) = root.do_it(&scope, &scope, &[("sees", "some"), ("apis", "orders")]).await;
    assert_eq!(said(&page).0, "The changes are saved.");
    for (form, sentence) in [
        (format!("/console/gateway-credentials/{credential}/revoke"), "It is revoked"),
        (format!("/console/tokens/{token}/revoke"), "It is revoked"),
    ] {
        let (place, page) = root.do_it(&form, &form, &[]).await;
        assert!(said(&page).0.contains(sentence), "{place}");
    }
    assert_eq!(said(&root.page(&saved).await).0, "", "it is revoked since");
    let mut other = Person::new(&service, "administrator", "other").await;
    assert_eq!(said(&other.page(&format!("/console/tokens?said=revoked&id={token}")).await).0, "");
}
