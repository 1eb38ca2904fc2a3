//! What operators do: gateways, their credentials, the search, explanations, deny policies and blocks of applications.

use serde_json::{Value, json};

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::{Answer, Service, digest, envoy::Envoy},
};

async fn part(person: &mut Person, path: &str) -> Answer {
    let request = person.browser.client.get(format!("{}{path}", person.url)).header("hx-request", "true");
    person.browser.send(request).await
}

#[tokio::test]
async fn gateways_change_live_and_say_what_is_wrong() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let page = olga.page("/console/gateways").await;
    assert!(page.links("/console/new/gateway-credential"), "an empty list says what to do first");
    let mut edge = Envoy::new(&service.url, "edge-1", "p-1").load().await;
    let page = olga.page("/console/gateways").await;
    let live = page.with("id", "gateways").unwrap();
    assert_eq!((live.get("hx-trigger"), live.get("hx-swap")), ("every 2s", "outerHTML"));
    let status = page.with("id", "gateways-said").unwrap();
    assert_eq!((status.get("role"), status.text.as_str()), ("status", "1 live, 0 silent, 0 gone."));
    assert!(page.one("main").text.contains("edge-1") && page.one("main").text.contains("1.2.3"));
    // When it was heard of is the time that /v1 has, to the minute, also while it is live.
    let seen = service.get("/v1/gateways").await.json()["items"][0]["last_seen"].as_i64().unwrap();
    let seen = chrono::DateTime::from_timestamp(seen - seen.rem_euclid(60), 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ");
    assert!(page.all("time").any(|time| time.get("datetime") == seen.to_string()), "{}", page.one("main").text);
    // The message that it is not updated is there, empty and polite, before it is needed.
    let late = page.with("id", live.get("data-late")).unwrap();
    assert_eq!((late.get("role"), late.get("aria-live"), late.text.as_str()), ("status", "polite", ""));
    let again = live.get("hx-get").to_owned();
    assert_eq!(part(&mut olga, &again).await.status, 204, "nothing is said again");
    // It falls behind, and refuses a revision.
    service.post("/v1/plans", json!({"id": "more"})).await.expect(201);
    let changed = part(&mut olga, &again).await.expect(200);
    assert!(changed.text.contains("behind by 1 revision") && !changed.text.contains("<html"), "{}", changed.text);
    edge = edge.with("keygate-refused", &format!("{}; shrink", service.revision().await)).with("keygate-lagging", "2");
    edge.call(0).await;
    let text = olga.page("/console/gateways").await.one("main").text.clone();
    for words in ["refuses revision", "max_removed_percent", "2 lagging"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let list: Value = service.get("/v1/gateways").await.json();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let remove = format!("/console/gateways/{id}/remove");
    olga.do_it(&remove, &remove, &[]).await;
    assert_eq!(service.get("/v1/gateways").await.json()["total"], 0);
    assert_eq!(olga.page("/console/gateways?q=x&state=live").await.with("id", "q").unwrap().get("value"), "x");
    assert!(olga.page("/console/gateways?state=odd").await.one("main").text.contains("expected one of"));
}

#[tokio::test]
async fn a_credential_is_made_given_a_scope_and_revoked() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let make = "/console/new/gateway-credential";
    let form = filled(
        olga.page(make).await.form(make),
        &[("client_id", "edge"), ("sees", "some"), ("apis", "orders\ninvoices")],
    );
    let made = olga.send(make, &form).await.expect(201);
    let secret = Page::parse(&made.text).with("id", "secret").unwrap().get("value").to_owned();
    let works = async |status: u16| {
        let envoy = Envoy::new(&service.url, "i", "p").with_credentials("edge", &secret);
        assert_eq!(envoy.ask("/v1/policy", 0).await.status, status);
    };
    works(200).await;
    let again = olga.send(make, &form).await.expect(409);
    assert!(!again.text.contains(&secret));
    let list: Value = service.get("/v1/gateways/credentials").await.json();
    assert_eq!((&list["total"], &list["items"][0]["apis"]), (&json!(1), &json!(["invoices", "orders"])));
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let page = olga.open("/console/gateway-credentials").await.expect(200);
    assert!(page.text.contains("invoices") && !page.text.contains(&secret));
    let scope = format!("/console/gateway-credentials/{id}/scope");
    let form = olga.page(&scope).await.form(&scope);
    assert!(form.contains(&("apis".to_owned(), "invoices\norders".to_owned())), "{form:?}");
    olga.do_it(&scope, &scope, &[("sees", "all")]).await;
    assert_eq!(service.get("/v1/gateways/credentials").await.json()["items"][0]["apis"], Value::Null);
    let wrong = olga.fill(make, make, &[("client_id", "a:b")]).await.expect(422);
    assert!(Page::parse(&wrong.text).with("aria-invalid", "true").unwrap().get("id") == "client_id");
    // Two people who change it at once: the second one sees what the first did. If both did the same, nothing needs to be said.
    let seen = olga.page(&scope).await.form(&scope);
    let narrowed = filled(seen.clone(), &[("sees", "some"), ("apis", "orders")]);
    olga.send(&scope, &narrowed).await.expect(303);
    olga.send(&scope, &narrowed).await.expect(303);
    let late = olga.send(&scope, &filled(seen, &[("sees", "some"), ("apis", "invoices")])).await.expect(412);
    assert!(late.text.contains("This was changed meanwhile") && late.text.contains("invoices"), "{}", late.text);
    let apis = async || service.get("/v1/gateways/credentials").await.json()["items"][0]["apis"].clone();
    assert_eq!(apis().await, json!(["orders"]));
    olga.send(&scope, &Page::parse(&late.text).form(&scope)).await.expect(303);
    assert_eq!(apis().await, json!(["invoices"]));
    let (_, page) = olga.do_it(&scope, &scope, &[]).await;
    assert!(page.one("main").text.contains("it was so already"));
    let revoke = format!("/console/gateway-credentials/{id}/revoke");
    olga.do_it(&revoke, &revoke, &[]).await;
    works(401).await;
}

#[tokio::test]
async fn the_search_finds_whose_a_key_is_and_shows_it_nowhere() {
    let service = Service::start().await;
    fill(&service).await;
    let issued = service.post("/v1/applications/shop/keys", json!({"id": "k-new"})).await.expect(201).json();
    let key = issued["key"].as_str().unwrap().to_owned();
    let mut olga = Person::new(&service, "operator", "olga").await;
    let mut bob = Person::new(&service, "subscriber", "bob").await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let find = async |person: &mut Person, what: &str| {
        let answer = person.fill("/console/find", "/console/find", &[("what", what)]).await.expect(200);
        let page = Page::parse(&answer.text);
        assert_eq!(page.with("id", "what").unwrap().get("value"), "", "the box never has what was typed");
        (answer, page.one("main").text.clone())
    };
    let hash = digest(1);
    let foreign = "sk_live_of_another_service_0123456789";
    service
        .post("/v1/keys", json!({"id": "k-old", "application": "blog", "sha256": sha256(foreign)}))
        .await
        .expect(201);
    for (what, parts) in [
        (key.as_str(), &["k-new", "Web shop", "alice", "orders"][..]),
        (&hash, &["k-1", "Web shop"]),
        (foreign, &["k-old", "Blog", "bob"]),
        ("k-1", &["It is the key k-1", "Web shop"]),
        ("shop", &["Web shop", "alice"]),
        ("b sh", &["Web shop"]),
        ("s-2", &["hidden", "blog"]),
        ("ORDERS", &["Orders 1.0"]),
        ("nothing-like-that", &["Nothing was found"]),
    ] {
        let (answer, text) = find(&mut olga, what).await;
        for part in parts {
            assert!(text.contains(part), "{what}: {part}: {text}");
        }
        assert!(what.len() < 20 || what == hash || !answer.text.contains(what), "{what} is not shown again");
    }
    // A mistyped key is not looked for as a name, and is not shown.
    let (start, last) = key.split_at(key.len() - 1);
    let mistyped = format!("{start}{}", if last == "x" { "y" } else { "x" });
    let (answer, text) = find(&mut olga, &mistyped).await;
    assert!(text.contains("mistyped") && !answer.text.contains(&mistyped), "{text}");
    // Others see what they may see.
    for (is_bob, what, sees) in [(true, key.as_str(), false), (true, "shop", false), (false, key.as_str(), true)] {
        let person = if is_bob { &mut bob } else { &mut publisher };
        let (_, text) = find(person, what).await;
        assert_eq!(!text.contains("Nothing was found"), sees, "{what}: {text}");
    }
    // The form is sent by POST, so no address has it.
    let page = olga.page("/console/find").await;
    let form = page.all("form").find(|form| form.get("action") == "/console/find").unwrap();
    assert_eq!(form.get("method"), "post");
    let question = olga.open(&format!("/console/find?what={key}")).await.expect(200);
    assert!(!question.text.contains(&key));
    let audit = service.get("/v1/audit?limit=1000").await.expect(200).text;
    assert!(!audit.contains(&key));
}

fn sha256(text: &str) -> String {
    keygate::digest::Digest::of(text.as_bytes()).to_hex()
}

#[tokio::test]
async fn an_explanation_shows_its_steps_and_no_key() {
    let service = Service::start().await;
    fill(&service).await;
    let issued = service.post("/v1/applications/shop/keys", json!({"id": "k-new"})).await.expect(201).json();
    let key = issued["key"].as_str().unwrap().to_owned();
    let before = service.revision().await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let place = "/console/explain";
    let url = "https://api.example.com/orders/1.0/x";
    let told = olga.fill(place, place, &[("url", url), ("key", &key)]).await.expect(200);
    let text = Page::parse(&told.text).one("main").text.clone();
    assert!(text.contains("It passes") && text.contains("k-new") && text.contains("Because"), "{text}");
    assert!(!told.text.contains(&key));
    service.post("/v1/subscriptions/s-1/block", json!({"note": "x"})).await.expect(200);
    let told = olga.fill(place, place, &[("url", url), ("key_id", "k-new")]).await.expect(200);
    let text = Page::parse(&told.text).one("main").text.clone();
    assert!(text.contains("It is refused") && text.contains("subscription_blocked"), "{text}");
    // As it was before the block.
    let revision = before.to_string();
    let told =
        olga.fill(place, place, &[("url", url), ("key_id", "k-new"), ("at_revision", &revision)]).await.expect(200);
    assert!(told.text.contains("It passes"));
    // What the client gets depends on the request, and in shadow mode it passes.
    let shadow = r#"{"policy": {"cluster": "p"}, "mode": "shadow"}"#;
    for (typed, has, lacks) in [
        (&[("method", "GET")][..], "with this body", "passes all the same"),
        (&[("method", "HEAD")], "without a body, since the method is HEAD", "with this body"),
        (
            &[("method", "POST"), ("headers", "content-type: application/grpc")],
            "status and message of gRPC",
            "with this body",
        ),
        (&[("configuration", shadow)], "passes all the same", "It is refused"),
    ] {
        let asked: Vec<_> = [("url", url), ("key_id", "k-new")].into_iter().chain(typed.iter().copied()).collect();
        let told = olga.fill(place, place, &asked).await.expect(200);
        let text = Page::parse(&told.text).one("main").text.clone();
        assert!(text.contains(has) && !text.contains(lacks), "{typed:?}: {text}");
        let (verdict, rules) = text.split_once("The rules, in the order").unwrap();
        assert!(verdict.contains(has) && !rules.contains("passes all the same"), "{typed:?}: {text}");
    }
    // A time in a sentence is one that the script shows in the reader's zone.
    service.post("/v1/subscriptions/s-1/block", json!({"until": 4_102_444_807_i64})).await.expect(200);
    let told = olga.fill(place, place, &[("url", url), ("key_id", "k-new")]).await.expect(200);
    assert!(!told.text.contains("GMT"));
    let page = Page::parse(&told.text);
    let time = page.all("time").find(|time| time.get("datetime") == "2100-01-01T00:00:07Z").unwrap();
    assert_eq!((time.get("data-zone"), time.text.as_str()), ("second", "1 Jan 2100, 00:00:07 UTC"));
    // A mistake keeps what was typed, without the key.
    let url = format!("{url}?apikey={key}&page=2");
    for (name, value, field) in [
        ("key_id", "no-such", "key_id"),
        ("at_revision", "x", "at_revision"),
        ("now", "tomorrow", "now"),
        ("configuration", "{", "configuration"),
        ("headers", "x", "headers"),
    ] {
        let time = ("now", "2026-12-01T10:00");
        let typed =
            [("url", url.as_str()), ("key", &key), if name == "now" { (name, value) } else { time }, (name, value)];
        let wrong = olga.fill(place, place, &typed).await;
        assert!([404, 422].contains(&wrong.status), "{name}: {}", wrong.status);
        assert!(!wrong.text.contains(&key), "{name}");
        let page = Page::parse(&wrong.text);
        assert!(page.with("id", "url").unwrap().get("value").ends_with("?apikey=&page=2"));
        assert_eq!(page.with("id", "now").unwrap().get("value"), if name == "now" { value } else { time.1 });
        let shown = page.with("id", &format!("{field}-error")).is_some() || page.one("main").text.contains("only one");
        assert!(shown, "{name}: {}", page.one("main").text);
    }
}

#[tokio::test]
async fn deny_policies_and_blocks_of_applications_are_an_operators() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let make = "/console/new/deny-policy";
    let (place, page) = olga.do_it(make, make, &[("id", "d-2"), ("value", "198.51.100.0/24")]).await;
    assert!(place.starts_with("/console/deny-policies?") && page.with("aria-labelledby", "receipt-title").is_some());
    assert!(page.one("main").text.contains("198.51.100.0/24"));
    let wrong = olga.fill(make, make, &[("type", "IP"), ("value", "not-an-address")]).await.expect(422);
    assert!(Page::parse(&wrong.text).form(make).contains(&("value".to_owned(), "not-an-address".to_owned())));
    let edit = "/console/deny-policies/d-2/edit";
    // A range is no address, also where `/v1` takes it.
    for (place, value) in [(make, "1.2.3.4/24"), (make, "2001:db8::/32"), (edit, "1.2.3.4/24")] {
        let wrong = olga.fill(place, place, &[("type", "IP"), ("value", value)]).await.expect(422);
        let page = Page::parse(&wrong.text);
        assert!(page.with("id", "value-error").unwrap().text.contains("choose a range"), "{place} {value}");
    }
    let first = olga.page(edit).await.form(edit);
    olga.send(edit, &filled(first.clone(), &[("value", "198.51.100.0/25"), ("invert", "true")])).await.expect(303);
    let row: Value = service.get("/v1/deny-policies/d-2").await.json();
    assert_eq!((&row["value"], &row["invert"]), (&json!("198.51.100.0/25"), &json!(true)));
    // Somebody else was faster.
    let late = olga.send(edit, &filled(first, &[("value", "192.0.2.0/24")])).await.expect(412);
    assert!(late.text.contains("198.51.100.0/25"), "it says what is there now");
    let again = Page::parse(&late.text).form(edit);
    olga.send(edit, &again).await.expect(303);
    assert_eq!(service.get("/v1/deny-policies/d-2").await.json()["value"], "192.0.2.0/24");
    let delete = "/console/deny-policies/d-2/delete";
    olga.do_it(delete, delete, &[]).await;
    service.get("/v1/deny-policies/d-2").await.expect(404);
    let block = "/console/applications/shop/block";
    let (_, page) = olga.do_it(block, block, &[("reason", "abuse"), ("note", "Call us")]).await;
    let text = &page.one("main").text;
    assert!(text.contains("It is blocked") && text.contains("abuse") && text.contains("olga"), "{text}");
    let unblock = "/console/applications/shop/unblock";
    olga.do_it(unblock, unblock, &[]).await;
    assert_eq!(service.get("/v1/applications/shop").await.json()["state"], "ACTIVE");
    let revoke = "/console/keys/k-1/revoke";
    olga.do_it(revoke, revoke, &[]).await;
    assert_eq!(service.get("/v1/keys/k-1").await.json()["state"], "REVOKED");
}
