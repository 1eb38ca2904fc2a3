//! Keys as their owner makes, rotates and revokes them, and what no page ever shows again.

use serde_json::{Value, json};

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::Service,
};

/// The key on the page that shows it once.
fn key_of(text: &str) -> String {
    Page::parse(text).with("id", "secret").expect("the page shows a secret").get("value").to_owned()
}

async fn keys(service: &Service) -> Vec<Value> {
    service.get("/v1/keys?application=shop&sort=changed").await.expect(200).json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_key_is_shown_once_and_a_form_sent_again_makes_no_second_one() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let place = "/console/applications/shop/new-key";
    let page = alice.open(place).await.expect(200);
    assert!(
        page.text.find("shown once").unwrap() < page.text.find("<form class=\"panel\"").unwrap(),
        "the warning stands first"
    );
    let form = filled(Page::parse(&page.text).form(place), &[("type", "SANDBOX"), ("end", "90")]);
    let made = alice.send(place, &form).await.expect(201);
    let key = key_of(&made.text);
    assert!(key.starts_with("kg_test_"), "{key}");
    assert_eq!(keys(&service).await.len(), 3);
    let looked_up = service.post("/v1/keys/lookup", json!({"key": key})).await.expect(200).json();
    let id = looked_up["key"]["id"].as_str().unwrap().to_owned();
    assert_eq!(looked_up["key"]["type"], "SANDBOX");
    // A reload sends the form again.
    for _ in 0..2 {
        let again = alice.send(place, &form).await.expect(409);
        assert!(!again.text.contains(&key) && again.text.contains(&id), "{}", again.text);
        assert_eq!(keys(&service).await.len(), 3);
    }
    // The same form with other values says that it was used.
    let other = filled(form.clone(), &[("type", "PRODUCTION")]);
    alice.send(place, &other).await.expect(422);
    assert_eq!(keys(&service).await.len(), 3);
    for path in
        ["/console", "/console/applications/shop", &format!("/console/keys/{id}"), &format!("/console/keys/{id}/kept")]
    {
        let answer = alice.open(path).await;
        assert!(!answer.text.contains(&key), "{path}");
    }
    // A key that ends soon is on the start page, after what is blocked.
    let bound = json!({"id": "soon", "expires_in": 86_400});
    service.post("/v1/applications/shop/keys", bound).await.expect(201);
    let start = alice.open("/console").await.expect(200);
    assert!(start.text.contains("Keys that end soon") && start.text.contains("/console/keys/soon/rotate"));
}

#[tokio::test]
async fn the_check_knows_whether_a_key_was_kept() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let place = "/console/applications/shop/new-key";
    let made = alice.fill(place, place, &[]).await.expect(201);
    let (page, key) = (Page::parse(&made.text), key_of(&made.text));
    let last = &key[key.len() - 6..];
    let input = page.with("id", "last").unwrap();
    let pattern = format!(".*{last}");
    assert_eq!(
        (input.get("pattern"), input.has("required")),
        (pattern.as_str(), true),
        "the browser compares, without scripts"
    );
    let action = page.all("form").map(|form| form.get("action")).find(|it| it.ends_with("/kept")).unwrap().to_owned();
    let form = page.form(&action);
    for wrong in ["", "xxxxxx", &last.to_ascii_lowercase().to_ascii_uppercase()] {
        if wrong != last {
            let told = alice.send(&action, &filled(form.clone(), &[("last", wrong)])).await.expect(422);
            assert!(told.text.contains("/revoke") && !told.text.contains(&key) && !told.text.contains(last));
            // The check is there again, and the next try may be right: the end of the key, or all of it.
            let again = Page::parse(&told.text).form(&action);
            for right in [last, key.as_str()] {
                alice.send(&action, &filled(again.clone(), &[("last", right)])).await.expect(303);
            }
        }
    }
    let kept = alice.send(&action, &filled(form, &[("last", last)])).await.expect(303);
    let place = kept.header("location").to_owned();
    let next = alice.open(&place).await.expect(200);
    assert!(next.text.contains("You have the key") && !next.text.contains(&key));
    // Only this session has shown it.
    alice.sign_in().await;
    let other = alice.open(&place).await.expect(200);
    assert!(!other.text.contains("You have the key"));
    // After a session's end one comes back to the key's page.
    let back = alice.open(&action).await.expect(303);
    assert_eq!(back.header("location"), action.trim_end_matches("/kept"));
}

#[tokio::test]
async fn a_rotation_walks_through_the_overlap() {
    let service = Service::start().await;
    fill(&service).await;
    let mut alice = Person::new(&service, "subscriber", "alice").await;
    let place = "/console/keys/k-1/rotate";
    let form = alice.page(place).await.form(place);
    let made = alice.send(place, &form).await.expect(201);
    let key = key_of(&made.text);
    assert!(made.text.contains("/console/keys/k-1\""), "the page leads on to the old key");
    let again = alice.send(place, &form).await.expect(409);
    assert!(!again.text.contains(&key));
    let all = keys(&service).await;
    let old = all.iter().find(|row| row["id"] == "k-1").unwrap();
    assert_eq!((all.len(), old["state"].as_str()), (3, Some("ACTIVE")));
    assert!(old["replaced_by"].is_string() && old["expires_at"].is_i64());
    // Both work. The old key's page says so, and when it was last used.
    let page = alice.open("/console/keys/k-1").await.expect(200);
    for words in ["Both keys work until", "last used", "Revoke the old key"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    // Who comes to the form again sees how far it is.
    let form_again = alice.open(place).await.expect(200);
    assert!(form_again.text.contains("Both keys work until") && !form_again.text.contains("overlap_seconds"));
    let (_, page) = alice.do_it("/console/keys/k-1/revoke", "/console/keys/k-1/revoke", &[]).await;
    let text = &page.one("main").text;
    assert!(text.contains("never works again") && text.contains("the old key does not work any more"), "{text}");
    assert!(page.with("aria-labelledby", "receipt-title").is_some(), "the receipt of the revocation");
    // At once, for a key that leaked.
    let leaked = "/console/keys/k-2/rotate";
    let form = filled(alice.page(leaked).await.form(leaked), &[("overlap_seconds", "0"), ("end", "365")]);
    let made = alice.send(leaked, &form).await.expect(201);
    assert!(made.text.contains("revoked already"));
    let old = keys(&service).await.into_iter().find(|row| row["id"] == "k-2").unwrap();
    assert_eq!(old["state"], "REVOKED");
    // A mistake keeps what was typed.
    let place = "/console/applications/shop/new-key";
    let typed = [("end", "time"), ("until", "2020-01-01T00:00"), ("permitted_ips", "192.0.2.7\n10.0.0.0/8")];
    let wrong = alice.fill(place, place, &typed).await.expect(422);
    let form = Page::parse(&wrong.text).form(place);
    assert!(form.contains(&("permitted_ips".to_owned(), "192.0.2.7\n10.0.0.0/8".to_owned())), "{form:?}");
}
