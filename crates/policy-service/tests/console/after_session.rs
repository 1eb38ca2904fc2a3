//! A form that comes after its session keeps what was typed, and a person is known by the cookie alone.

use reqwest::{Method, RequestBuilder};

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, check, filled},
    support::{Answer, Service},
};

const PLACE: &str = "/console/subscriptions/s-1/block";
const TYPED: [(&str, &str); 2] = [("state", "BLOCKED"), ("reason", "typed for <a long> time")];

/// Sends a form as a browser does, which says where it comes from.
async fn send(person: &mut Person, path: &str, fields: &[(String, String)]) -> Answer {
    let url = person.url.clone();
    let request = person.browser.client.post(format!("{url}{path}")).form(fields).header("origin", url);
    let answer = person.browser.send(request).await;
    check(path, &answer);
    answer
}

async fn sign_out(person: &mut Person) {
    let form = person.page("/console").await.form("/console/sign-out");
    send(person, "/console/sign-out", &form).await.expect(303);
}

#[tokio::test]
async fn a_form_whose_session_has_ended_is_sent_again_after_the_sign_in() {
    let service = Service::start().await;
    fill(&service).await;
    let mut pat = Person::new(&service, "publisher", "p").await;
    let form = filled(pat.page(PLACE).await.form(PLACE), &TYPED);
    let cookies = pat.browser.cookies.clone();
    sign_out(&mut pat).await;
    for (kept, words) in [(cookies, "Your session has ended"), (Default::default(), "You are not signed in")] {
        pat.browser.cookies = kept;
        let answer = send(&mut pat, PLACE, &form).await.expect(401);
        assert!(answer.text.contains(words) && answer.text.contains("nothing was changed"), "{}", answer.text);
        assert!(Page::parse(&answer.text).one("dl").text.contains(TYPED[1].1));
        // The page beside it signs in. The form is then asked about once more, because its token is that of no session.
        let again = Page::parse(&answer.text).form(PLACE);
        pat.sign_in().await;
        let answer = send(&mut pat, PLACE, &again).await.expect(403);
        let again = Page::parse(&answer.text).form(PLACE);
        for (name, value) in TYPED {
            assert!(again.contains(&(name.to_owned(), value.to_owned())), "{again:?}");
        }
        send(&mut pat, PLACE, &again).await.expect(303);
        let row = service.get("/v1/subscriptions/s-1").await.json();
        assert_eq!(row["block"]["reason"], TYPED[1].1);
        service.post("/v1/subscriptions/s-1/unblock", serde_json::Value::Null).await.expect(200);
        sign_out(&mut pat).await;
    }
}

#[tokio::test]
async fn a_form_of_somebody_else_names_who_is_signed_in() {
    let service = Service::start().await;
    fill(&service).await;
    let mut pat = Person::new(&service, "publisher", "p").await;
    let form =
        filled(pat.page("/console/new/api").await.form("/console/new/api"), &[("name", "Typed by p"), ("match", "/n")]);
    sign_out(&mut pat).await;
    pat.browser.cookies = Person::new(&service, "administrator", "adam").await.browser.cookies;
    let revision = service.revision().await;
    let answer = send(&mut pat, "/console/new/api", &form).await.expect(403);
    for words in ["another session", "adam", "administrator", "Typed by p"] {
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
    }
    assert!(!answer.text.contains("ask an administrator"), "{}", answer.text);
    assert_eq!(service.revision().await, revision);
}

/// What may have a key is not in the answer, and what another site sends is not either.
#[tokio::test]
async fn what_was_typed_is_not_shown_again_if_it_may_have_a_key_or_comes_from_elsewhere() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    for is_signed_in in [true, false] {
        if !is_signed_in {
            olga.browser.cookies.clear();
        }
        for (path, field, value, origin) in [
            ("/console/find", "what", "typed", None),
            ("/console/explain", "url", "typed", None),
            ("/console/keys/k-1/kept", "last", "typed", None),
            ("/console/new/deny-policy", "value", "kg_live_typed", None),
            (PLACE, "reason", "typed", Some("https://example.com")),
        ] {
            let url = olga.url.clone();
            let request = olga.browser.client.post(format!("{url}{path}")).form(&[(field, value)]);
            let request = request.header("origin", origin.map_or(url, str::to_owned));
            let answer = olga.browser.send(request).await;
            check(path, &answer);
            assert_eq!(answer.status, if is_signed_in { 403 } else { 401 }, "{path}");
            assert!(!answer.text.contains("typed\"") && !answer.text.contains(">typed"), "{path}: {}", answer.text);
            assert!(answer.text.contains("nothing was changed"), "{path}: {}", answer.text);
        }
    }
}

/// The header is added by browsers for a proxy in front, or by a program with a token of its own.
#[tokio::test]
async fn an_authorization_header_neither_helps_nor_hurts() {
    let service = Service::start().await;
    fill(&service).await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let token = olga.token.clone();
    let bearer = format!("Bearer {token}");
    let headers =
        ["Basic dXNlcjpwYXNzd29yZA==", "Basic Z3c6c2VjcmV0", "Negotiate YII=", "Bearer wrong", bearer.as_str(), "odd"];
    let with = |request: RequestBuilder, header: &str| request.header("authorization", header);
    for header in headers {
        let (client, url) = (olga.browser.client.clone(), olga.url.clone());
        let mut ask = async |method: Method, path: &str, form: &[(String, String)], cookies: bool| {
            let request = client.request(method.clone(), format!("{url}{path}"));
            let request = if method == Method::POST { request.form(form) } else { request };
            if cookies {
                olga.browser.send(with(request, header)).await
            } else {
                crate::support::send(with(request, header)).await
            }
        };
        let page = ask(Method::GET, "/console/gateways", &[], true).await.expect(200);
        let form = Page::parse(&page.text).form("/console/sign-out");
        ask(Method::GET, "/console/find", &[], true).await.expect(200);
        let found = [form.clone(), vec![("what".to_owned(), "shop".to_owned())]].concat();
        assert!(ask(Method::POST, "/console/find", &found, true).await.expect(200).text.contains("What was found"));
        // Without the cookie nobody is signed in, and it is no guess: no answer is delayed.
        ask(Method::GET, "/console", &[], false).await.expect(200);
        ask(Method::GET, "/console/gateways", &[], false).await.expect(401);
        let sign_in = [("token".to_owned(), token.clone())];
        ask(Method::POST, "/console/sign-in", &sign_in, true).await.expect(303);
        ask(Method::GET, "/console/gateways", &[], true).await.expect(200);
    }
    // `/v1` takes the header, also beside a cookie.
    let url = format!("{}/v1/me", olga.url);
    olga.browser.send(olga.browser.client.get(&url).bearer_auth("wrong")).await.expect(401);
    olga.browser.send(olga.browser.client.get(&url)).await.expect(200);
}

#[tokio::test]
async fn a_sign_out_of_another_session_says_that_the_person_is_still_signed_in() {
    let service = Service::start().await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let answer = send(&mut olga, "/console/sign-out", &[]).await.expect(403);
    let page = Page::parse(&answer.text);
    assert_eq!(page.one("h1").text, "Not signed out");
    assert!(page.one("main").text.contains("you are still signed in"), "{}", page.one("main").text);
    olga.page("/console").await;
}

/// A form that makes a secret has a word of its own, so that it makes one only.
#[tokio::test]
async fn a_form_that_is_sent_again_with_other_content_says_what_to_do() {
    let service = Service::start().await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let place = "/console/new/token";
    let form = filled(root.page(place).await.form(place), &[("role", "auditor"), ("subject", "one"), ("end", "never")]);
    root.send(place, &form).await.expect(201);
    let answer = root.send(place, &filled(form, &[("subject", "two")])).await.expect(422);
    let text = Page::parse(&answer.text).one("main").text.clone();
    assert!(text.contains("sent before, with other content") && !text.contains("idempotency"), "{text}");
}
