//! Every answer below `/console` to a browser is a page, also the refusals of the router and of the sign-in.

use reqwest::{Method, header::CONTENT_TYPE};

use crate::{
    dom::Page,
    person::{Person, check},
    support::{Service, browser::Browser},
};

/// A request, the status, `allow`, and words of the page.
type Case<'a> = ((Method, &'a str, Option<String>), u16, &'a str, &'a str);

#[tokio::test]
async fn each_refusal_is_a_page_that_says_what_would_be_right() {
    let service = Service::start().await;
    service.seed().await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let long = "x".repeat((1 << 20) + 1);
    let get = |path: &'static str| (Method::GET, path, None);
    let form = |path: &'static str, body: &str| (Method::POST, path, Some(body.to_owned()));
    let cases: Vec<Case<'_>> = vec![
        (get("/console/apis/%ff"), 400, "", "UTF-8"),
        (get("/console/subscriptions/%ff"), 400, "", "UTF-8"),
        (get("/console/subscriptions/%ff/block"), 400, "", "UTF-8"),
        (get("/console/keys/%ff"), 400, "", "UTF-8"),
        (get("/console/receipts/%ff"), 400, "", "UTF-8"),
        (get("/console/applications/%ff"), 400, "", "UTF-8"),
        (get("/console/plans/%ff"), 400, "", "UTF-8"),
        (get("/console/static/%ff"), 400, "", "UTF-8"),
        (get("/console/static/x"), 404, "", "no such file"),
        (get("/console/nothing"), 404, "", "no such page"),
        (get("/console/sign-out"), 405, "POST", "GET is not possible here"),
        ((Method::PUT, "/console/sign-in", None), 405, "GET,HEAD,POST", "PUT is not possible here"),
        ((Method::POST, "/console/callback", None), 405, "GET,HEAD", "POST is not possible here"),
        ((Method::DELETE, "/console/apis/api-1", None), 405, "GET,HEAD", "DELETE is not possible here"),
        ((Method::POST, "/console/static/x", None), 405, "GET,HEAD", "POST is not possible here"),
        (form("/console/sign-in", "place=/console"), 422, "", "expected one field"),
        (form("/console/sign-in", "token=a&token=b"), 422, "", "expected one field"),
        (form("/console/sign-in", &format!("token={long}")), 413, "", "more than"),
        (form("/console/find", &format!("what={long}")), 413, "", "more than"),
    ];
    for ((method, path, body), status, allow, words) in cases {
        let mut request = olga.browser.client.request(method.clone(), format!("{}{path}", olga.url));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        let answer = olga.browser.send(request).await;
        check(path, &answer);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.header("content-type").starts_with("text/html"), "{method} {path}: {}", answer.text);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        let page = Page::parse(&answer.text);
        assert!(page.one("main").text.contains(words), "{method} {path}: {}", page.one("main").text);
        assert!(page.links("/console"), "{method} {path} leads nowhere");
        let is_read = method == Method::GET;
        assert!(!is_read || !answer.text.contains("Nothing was changed"), "{path}: nothing could be changed");
    }
    // A program that signs in with JSON gets JSON.
    let mut program = Browser::new();
    let sign_in = format!("{}/console/sign-in", olga.url);
    let sent = program.client.post(&sign_in).header(CONTENT_TYPE, "application/json").body("{}");
    program.send(sent).await.expect_problem(422, Some("token"));
}
