//! A person with a browser: signs in, opens pages, and sends the forms that are on them.

use serde_json::json;

use crate::{
    dom::{Page, wrong},
    support::{Answer, Service, browser::Browser},
};

/// The policy that every answer has, as a whole.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub struct Person {
    pub browser: Browser,
    pub url: String,
    pub token: String,
}

impl Person {
    /// Someone with this role, signed in by the form.
    pub async fn new(service: &Service, role: &str, subject: &str) -> Self {
        let token = service.post("/v1/tokens", json!({"role": role, "subject": subject})).await.expect(201).json();
        let token = token["token"].as_str().unwrap().to_owned();
        let mut person = Self { browser: Browser::new(), url: service.url.clone(), token };
        person.sign_in().await;
        person
    }

    pub async fn sign_in(&mut self) {
        let sign_in = format!("{}/console/sign-in", self.url);
        let token = self.token.clone();
        self.browser.submit(&sign_in, &[("token", &token)]).await.expect(303);
    }

    /// Opens a page. Every answer is checked, whatever its status.
    pub async fn open(&mut self, path: &str) -> Answer {
        let answer = self.browser.get(&format!("{}{path}", self.url)).await;
        check(path, &answer);
        answer
    }

    /// Opens a page that must be there.
    pub async fn page(&mut self, path: &str) -> Page {
        Page::parse(&self.open(path).await.expect(200).text)
    }

    /// Sends a form.
    pub async fn send(&mut self, action: &str, fields: &[(String, String)]) -> Answer {
        let request = self.browser.client.post(format!("{}{action}", self.url)).form(fields);
        let answer = self.browser.send(request).await;
        check(action, &answer);
        answer
    }

    /// Fills in the form on a page that is sent to `action`, and sends it. A value of `None` leaves a field out.
    pub async fn fill(&mut self, page: &str, action: &str, values: &[(&str, &str)]) -> Answer {
        let form = self.page(page).await.form(action);
        self.send(action, &filled(form, values)).await
    }

    /// The same, and follows the answer to the next page.
    pub async fn do_it(&mut self, page: &str, action: &str, values: &[(&str, &str)]) -> (String, Page) {
        let answer = self.fill(page, action, values).await.expect(303);
        let place = answer.header("location").to_owned();
        let next = self.page(&place).await;
        (place, next)
    }
}

/// A form with other values for some fields.
pub fn filled(mut form: Vec<(String, String)>, values: &[(&str, &str)]) -> Vec<(String, String)> {
    form.retain(|(name, _)| !values.iter().any(|(other, _)| other == name));
    form.extend(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    form
}

/// What holds for every answer of the console.
#[track_caller]
pub fn check(path: &str, answer: &Answer) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{path}: {name}");
    }
    if answer.header("content-type").starts_with("text/html") && answer.text.starts_with("<!DOCTYPE html>") {
        let wrong = wrong(&answer.text, "");
        assert!(wrong.is_empty(), "{path}: {wrong:#?}\n{}", answer.text);
    }
}
