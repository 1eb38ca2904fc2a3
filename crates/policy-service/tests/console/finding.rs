//! What the search says to whom, and that each of its links opens.

use keygate::digest::Digest;
use serde_json::json;

use crate::{
    demo::{fill, people},
    dom::Page,
    person::Person,
    support::{Service, digest},
};

const KEY: &str = "a-key-of-this-test";

#[tokio::test]
async fn the_search_leads_to_pages_that_open_and_says_what_it_looks_for() {
    let service = Service::start().await;
    fill(&service).await;
    let key = json!({"id": "k-3", "application": "shop", "sha256": Digest::of(KEY.as_bytes()).to_hex()});
    service.post("/v1/keys", key).await.expect(201);
    for person in &mut people(&service).await {
        for what in [digest(1), "k-1".to_owned(), "shop".to_owned(), "s-1".to_owned(), "nothing".to_owned()] {
            let answer = person.fill("/console/find", "/console/find", &[("what", &what)]).await.expect(200);
            let page = Page::parse(&answer.text);
            let is_publisher = page.one("header").text.contains("publisher");
            let text = page.one("main").text.clone();
            if what == digest(1) {
                assert!(text.contains("It is the key") && text.contains("Web shop"), "{text}");
            }
            // A publisher opens no key, so none is found by its id, and the page does not say that there is none.
            if is_publisher && what == "k-1" {
                assert!(text.contains("by the key itself or its SHA-256, not by its id"), "{text}");
            } else if what == "nothing" && !is_publisher {
                assert!(text.contains("No key that you may see has this id"), "{text}");
            }
            // Whoever sees the subscription finds it by its application.
            assert!(what != "shop" || page.links("/console/subscriptions/s-1"), "{text}");
            opens_all(person, &page, &what).await;
        }
        if person.open("/console/explain").await.status == 200 {
            let typed = [("url", "https://api.example.com/orders/1.0/x"), ("key", KEY)];
            let answer = person.fill("/console/explain", "/console/explain", &typed).await.expect(200);
            let page = Page::parse(&answer.text);
            assert!(page.one("main").text.contains("k-3"), "{}", page.one("main").text);
            opens_all(person, &page, "an explanation").await;
        }
    }
}

/// Opens all links of a page.
async fn opens_all(person: &mut Person, page: &Page, what: &str) {
    let links: Vec<String> = page.all("a").map(|link| link.get("href").to_owned()).collect();
    for link in links.iter().filter(|link| link.starts_with("/console/")) {
        assert_eq!(person.open(link).await.status, 200, "{what} leads to {link}");
    }
}
