//! The story of a block, by the pages alone: what it would concern, the block, its receipt, its end; two people at once;
//! approval.

use serde_json::json;

use crate::{
    demo::{fill, people},
    dom::Page,
    person::Person,
    support::{Service, envoy::Envoy},
};

const BLOCK: &str = "/console/subscriptions/s-1/block";
const UNBLOCK: &str = "/console/subscriptions/s-1/unblock";
const SUBSCRIPTION: &str = "/console/subscriptions/s-1";

async fn row(service: &Service) -> serde_json::Value {
    service.get("/v1/subscriptions/s-1").await.expect(200).json()
}

#[tokio::test]
async fn a_block_goes_from_the_start_page_to_the_receipt_and_back() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    // Start, the API, Block at shop's row, three choices: nothing else is needed.
    assert!(publisher.page("/console").await.links("/console/apis/orders"));
    let api = publisher.page("/console/apis/orders").await;
    assert!(api.links(BLOCK) && api.one("main").text.contains("Web shop") && api.one("main").text.contains("alice"));
    let ask = publisher.open(BLOCK).await.expect(200);
    assert!(ask.text.contains("2 keys") && ask.text.contains("1 key") && ask.text.contains("Web shop"), "{}", ask.text);
    let before = service.revision().await;
    let values = [("state", "PROD_ONLY_BLOCKED"), ("end", "tomorrow"), ("reason", "unpaid"), ("note", "Call us")];
    let (place, page) = publisher.do_it(BLOCK, BLOCK, &values).await;
    let revision = service.revision().await;
    assert_eq!((revision, place), (before + 1, format!("{SUBSCRIPTION}?said=blocked&revision={revision}")));
    let text = &page.one("main").text;
    for words in ["Blocked for production", "unpaid", "Call us", "Receipt of revision", "The block is saved"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let block = &row(&service).await["block"];
    let until = block["until"].as_i64().unwrap();
    let now = policy_service::clock::unix_seconds();
    assert!(until % 86_400 == 0 && until > now && until <= now + 86_400, "{block}");
    assert_eq!((&block["by"], &block["reason"], &block["note"]), (&json!("p"), &json!("unpaid"), &json!("Call us")));
    // The list says so, and one click ends it.
    let list = publisher.page("/console/apis/orders").await;
    assert!(list.one("main").text.contains("Blocked for production"));
    let (_, page) = publisher.do_it("/console/apis/orders", UNBLOCK, &[]).await;
    assert!(page.one("main").text.contains("The block is lifted"));
    assert_eq!(row(&service).await["state"], "UNBLOCKED");
}

#[tokio::test]
async fn what_cannot_be_used_is_said_beside_what_was_typed() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let long = "x".repeat(300);
    for (values, field) in [
        (vec![("end", "time"), ("until", "")], "until"),
        (vec![("end", "time"), ("until", "tomorrow")], "until"),
        (vec![("end", "time"), ("until", "2001-01-01T00:00")], "until"),
        (vec![("from", "2001-01-01T00:00")], "from"),
        (vec![("note", long.as_str())], "note"),
        (vec![("reason", "a\tb")], "reason"),
    ] {
        let kept = [("reason", "because of <b>this</b>"), ("state", "PROD_ONLY_BLOCKED")];
        let values: Vec<_> =
            kept.iter().filter(|(name, _)| !values.iter().any(|(it, _)| it == name)).chain(&values).copied().collect();
        let answer = publisher.fill(BLOCK, BLOCK, &values).await.expect(422);
        let page = Page::parse(&answer.text);
        let form = page.form(BLOCK);
        for (name, value) in &values {
            assert!(form.contains(&((*name).to_owned(), (*value).to_owned())), "{field}: {name} is lost: {form:?}");
        }
        let input = page.with("id", field).unwrap();
        assert!(
            input.get("aria-invalid") == "true" && input.get("aria-describedby").contains("error"),
            "{field}: {input:?}"
        );
        assert!(page.links(&format!("#{field}")) && page.with("role", "alert").is_some());
    }
    assert_eq!(row(&service).await.get("block"), None);
}

#[tokio::test]
async fn of_two_who_click_at_once_the_second_reads_what_changed() {
    let service = Service::start().await;
    fill(&service).await;
    let mut all = people(&service).await;
    let (mut operator, mut publisher) = (all.remove(3), all.remove(1));
    let (first, second) = (publisher.page(BLOCK).await.form(BLOCK), operator.page(BLOCK).await.form(BLOCK));
    let with = |form: &Vec<(String, String)>, values: &[(&str, &str)]| crate::person::filled(form.clone(), values);
    publisher.send(BLOCK, &with(&first, &[("note", "unpaid")])).await.expect(303);
    // Another block is not overwritten.
    let answer = operator.send(BLOCK, &with(&second, &[("state", "PROD_ONLY_BLOCKED")])).await.expect(412);
    let text = &Page::parse(&answer.text).one("main").text.clone();
    for words in ["This was changed meanwhile", "Unblocked", "Blocked", "by p"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(row(&service).await["state"], "BLOCKED");
    // The page that told it has the new version, so the form can be sent again.
    let again = Page::parse(&answer.text).form(BLOCK);
    assert!(
        again.contains(&("state".to_owned(), "PROD_ONLY_BLOCKED".to_owned())),
        "what was chosen is kept: {again:?}"
    );
    operator.send(BLOCK, &again).await.expect(303);
    assert_eq!(row(&service).await["state"], "PROD_ONLY_BLOCKED");
    // The same block twice is one block.
    let (first, second) = (publisher.page(BLOCK).await.form(BLOCK), operator.page(BLOCK).await.form(BLOCK));
    let values = [("state", "BLOCKED"), ("end", "never"), ("note", "same"), ("reason", "same")];
    publisher.send(BLOCK, &with(&first, &values)).await.expect(303);
    let revision = service.revision().await;
    let answer = operator.send(BLOCK, &with(&second, &values)).await.expect(303);
    assert!(answer.header("location").contains("said=as-it-was"), "{}", answer.header("location"));
    assert_eq!(service.revision().await, revision);
    // So is the same unblock.
    let list = "/console/apis/orders";
    let (first, second) = (publisher.page(list).await.form(UNBLOCK), operator.page(list).await.form(UNBLOCK));
    publisher.send(UNBLOCK, &first).await.expect(303);
    let answer = operator.send(UNBLOCK, &second).await.expect(303);
    assert!(answer.header("location").contains("said=as-it-was"));
    // A change that has nothing to do with blocks does not stand in the way.
    let form = publisher.page(BLOCK).await.form(BLOCK);
    service.put("/v1/subscriptions/s-1", json!({"application": "shop", "api": "orders"})).await.expect(200);
    publisher.send(BLOCK, &form).await.expect(303);
}

#[tokio::test]
async fn back_and_reload_after_a_block_send_nothing_again() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let (place, _) = publisher.do_it(BLOCK, BLOCK, &[("note", "once")]).await;
    let revision = service.revision().await;
    for _ in 0..2 {
        publisher.page(&place).await;
        publisher.page(BLOCK).await;
    }
    assert_eq!(service.revision().await, revision);
}

#[tokio::test]
async fn a_receipt_fills_and_names_who_is_missing() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let mut gateway = Envoy::new(&service.url, "edge-<1>", "1").load().await;
    let (place, page) = publisher.do_it(BLOCK, BLOCK, &[]).await;
    let state = page.elements.iter().find(|element| element.has("hx-get")).expect("it asks for itself").clone();
    assert_eq!((state.get("hx-trigger"), state.get("hx-swap")), ("every 1s", "outerHTML"));
    let region = page.elements[*state.around.last().unwrap()].clone();
    assert_eq!((region.get("role"), region.get("aria-live")), ("status", "polite"));
    assert!(state.text.contains("0 of 1 live gateway") && state.text.contains("edge-<1>"), "{}", state.text);
    let ask = async |publisher: &mut Person, path: &str| {
        let request = publisher.browser.client.get(format!("{}{path}", publisher.url)).header("hx-request", "true");
        publisher.browser.send(request).await
    };
    let same = ask(&mut publisher, state.get("hx-get")).await.expect(204);
    assert!(same.text.is_empty(), "nothing is said again");
    // It takes the change, and its next call says that it has it.
    assert_eq!((gateway.call(0).await, gateway.call(0).await), (200, 304));
    let part = ask(&mut publisher, state.get("hx-get")).await.expect(200);
    assert!(part.text.contains("Complete: 1 live gateway decides") && !part.text.contains("hx-get"), "{}", part.text);
    assert!(!part.text.contains("<html"), "{}", part.text);
    let page = publisher.page(&place).await;
    assert!(page.one("main").text.contains("Complete"));
}

#[tokio::test]
async fn a_subscription_that_waits_is_approved_or_rejected() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let start = publisher.page("/console").await;
    assert!(start.one("main").text.contains("Waits for approval") && start.links("/console/subscriptions/s-3/reject"));
    let reject = "/console/subscriptions/s-3/reject";
    let answer = publisher.fill(reject, reject, &[("reason", "a\tb")]).await.expect(422);
    assert!(Page::parse(&answer.text).with("id", "reason").unwrap().get("value") == "a\tb", "{}", answer.text);
    let (place, page) = publisher.do_it(reject, reject, &[("reason", "no use case")]).await;
    assert!(place.contains("said=rejected") && page.one("main").text.contains("Rejected"));
    let approve = "/console/subscriptions/s-3/approve";
    let (_, page) = publisher.do_it(approve, approve, &[]).await;
    assert!(page.one("main").text.contains("The subscription is approved"));
    let row = service.get("/v1/subscriptions/s-3").await.expect(200).json();
    assert_eq!(row["state"], "UNBLOCKED");
    let entry = service.get("/v1/audit?action=reject").await.expect(200).json();
    assert_eq!((&entry["items"][0]["actor"], &entry["items"][0]["reason"]), (&json!("p"), &json!("no use case")));
}

#[tokio::test]
async fn a_change_of_a_block_begins_with_the_block_that_is_there() {
    let service = Service::start().await;
    fill(&service).await;
    let until = 4_102_444_807_i64;
    for block in [
        json!({"state": "PROD_ONLY_BLOCKED", "reason": "unpaid", "note": "Call us", "until": until}),
        json!({"state": "BLOCKED", "reason": null, "note": "Call <us>", "from": until - 60, "until": until}),
        json!({"state": "BLOCKED", "reason": "unpaid", "note": null}),
    ] {
        service.post("/v1/subscriptions/s-1/block", block.clone()).await.expect(200);
        let revision = service.revision().await;
        let mut publisher = Person::new(&service, "publisher", "p").await;
        // Sent as it is, it changes nothing.
        publisher.fill(BLOCK, BLOCK, &[]).await.expect(303);
        assert_eq!(service.revision().await, revision, "{block}");
        // Another end, or another note, leaves the rest.
        publisher.fill(BLOCK, BLOCK, &[("end", "time"), ("until", "2199-01-01T10:30")]).await.expect(303);
        let now = row(&service).await["block"].clone();
        for field in ["state", "reason", "note", "from"] {
            assert_eq!(now[field], block[field], "{field} of {block}");
        }
        assert_eq!(now["until"], 7_226_620_200_i64);
        service.post("/v1/subscriptions/s-1/unblock", json!({})).await.expect(200);
    }
    // The same of an application, whose block somebody else lifts meanwhile.
    let block = "/console/applications/shop/block";
    let mut olga = Person::new(&service, "operator", "olga").await;
    olga.do_it(block, block, &[("reason", "dunning"), ("note", "Unpaid")]).await;
    let form = olga.page(block).await.form(block);
    for (name, expected) in [("reason", "dunning"), ("note", "Unpaid")] {
        let value = form.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim());
        assert_eq!(value, Some(expected), "{name}");
    }
    service.post("/v1/applications/shop/unblock", json!({})).await.expect(200);
    let again = olga.send(block, &form).await.expect(412);
    let page = Page::parse(&again.text);
    assert!(page.one("main").text.contains("It is not blocked now"), "{}", again.text);
    olga.send(block, &page.form(block)).await.expect(303);
    // Two clicks are one block, and one end of it.
    let form = olga.page(block).await.form(block);
    let revision = service.revision().await;
    assert!(olga.send(block, &form).await.expect(303).status == 303 && service.revision().await == revision);
    let unblock = "/console/applications/shop/unblock";
    let form = olga.page(unblock).await.form(unblock);
    olga.send(unblock, &form).await.expect(303);
    let again = olga.send(unblock, &form).await.expect(303);
    assert!(again.header("location").contains("said=as-it-was"), "{}", again.header("location"));
}
