//! What all pages stand on: sign-in and the way back, static files, headers, problems, the token of forms.

use crate::{
    dom::Page,
    person::{POLICY, Person, check, filled},
    support::{Service, TOKEN, browser::Browser, send},
};

#[tokio::test]
async fn who_is_not_signed_in_comes_back_to_the_page_that_was_asked_for() {
    let service = Service::start().await;
    service.seed().await;
    let mut browser = Browser::new();
    let at = |path: &str| format!("{}{path}", service.url);
    let place = "/console/apis?q=a%20b&state=PUBLISHED";
    let asked = browser.get(&at(place)).await.expect(401);
    check(place, &asked);
    let page = Page::parse(&asked.text);
    let form = page.form("/console/sign-in");
    assert!(form.contains(&("place".to_owned(), place.to_owned())), "{form:?}");
    // A wrong token keeps the place.
    let fields: Vec<_> = filled(form, &[("token", "wrong")]);
    let wrong = browser.send(browser.client.post(at("/console/sign-in")).form(&fields)).await.expect(401);
    assert!(Page::parse(&wrong.text).form("/console/sign-in").contains(&("place".to_owned(), place.to_owned())));
    let fields = filled(fields, &[("token", TOKEN)]);
    let signed_in = browser.send(browser.client.post(at("/console/sign-in")).form(&fields)).await.expect(303);
    assert_eq!(signed_in.header("location"), place);
    browser.get(&at(place)).await.expect(200);
    // Nobody is led to another site.
    for elsewhere in [
        "https://example.com/console",
        "//example.com",
        "/console/sign-out",
        "/v1/me",
        "/console\\x",
        "/console/../v1/me",
        "/console/%2e%2E/v1/me",
    ] {
        let fields = [("token", TOKEN), ("place", elsewhere)];
        let signed_in = browser.submit(&at("/console/sign-in"), &fields).await.expect(303);
        assert_eq!(signed_in.header("location"), "/console", "{elsewhere}");
    }
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_says_so_once() {
    let service = Service::start().await;
    service.seed().await;
    let mut person = Person::new(&service, "publisher", "p").await;
    let form = person.page("/console").await.form("/console/sign-out");
    let cookies = person.browser.cookies.clone();
    person.send("/console/sign-out", &form).await.expect(303);
    // The tab beside it still has the cookie of the session that ended.
    person.browser.cookies = cookies;
    let asked = person.open("/console/apis").await.expect(401);
    assert!(asked.text.contains("Your session has ended") && asked.text.contains("come back"), "{}", asked.text);
    // A part of a page is refused alone: the page may have a form with something typed, so it is not loaded again.
    let request = person.browser.client.get(format!("{}/console/receipts/1", service.url)).header("hx-request", "true");
    let part = person.browser.send(request).await.expect(401);
    assert_eq!((part.header("hx-refresh"), part.text.as_str()), ("", ""));
    person.sign_in().await;
    person.open("/console/apis").await.expect(200);
}

#[tokio::test]
async fn static_files_are_kept_for_ever_under_a_name_of_their_content() {
    let service = Service::start().await;
    let mut browser = Browser::new();
    let page = Page::parse(&browser.get(&format!("{}/console", service.url)).await.expect(200).text);
    let style = page.all("link").find(|link| link.get("rel") == "stylesheet").unwrap().get("href").to_owned();
    let icon = page.all("link").find(|link| link.get("rel") == "icon").unwrap().get("href").to_owned();
    let mut person = Person::new(&service, "publisher", "p").await;
    let page = person.page("/console").await;
    let scripts: Vec<String> = page.all("script").map(|script| script.get("src").to_owned()).collect();
    assert_eq!(scripts.len(), 2, "{scripts:?}");
    for (file, kind) in [(&style, "text/css"), (&icon, "image/svg+xml")]
        .into_iter()
        .chain(scripts.iter().map(|script| (script, "text/javascript")))
    {
        let answer = send(service.client.get(format!("{}{file}", service.url))).await.expect(200);
        assert!(answer.header("content-type").starts_with(kind), "{file}: {}", answer.header("content-type"));
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("content-security-policy"), POLICY);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let gone = send(service.client.get(format!("{}/console/static/console.0123456789abcdef.css", service.url))).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_problem_is_a_page_with_its_request() {
    let service = Service::start().await;
    let mut person = Person::new(&service, "publisher", "p").await;
    for path in ["/console/nothing", "/console//", "/console/apis/x/y/z", "/console/receipts/9999"] {
        let answer = person.open(path).await.expect(404);
        assert!(answer.text.contains(answer.header("x-request-id")) && answer.text.contains("There is no such page"));
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    let token = person.page("/console").await.form("/console/sign-out");
    let answer = person.send("/console/apis", &token).await.expect(405);
    assert!(answer.text.contains("This cannot be done here"));
    // Who is not signed in learns nothing.
    let nobody = send(service.client.get(format!("{}/console/nothing", service.url))).await.expect(404);
    check("/console/nothing", &nobody);
}
