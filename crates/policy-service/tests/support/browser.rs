//! A browser as far as sign-in needs one: it keeps cookies and follows no redirect by itself.

use std::collections::BTreeMap;

use reqwest::{RequestBuilder, header::SET_COOKIE, redirect::Policy};

use super::{Answer, send};

pub struct Browser {
    pub client: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new() -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        let answer = send(request).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() || text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&mut self, url: &str) -> Answer {
        self.send(self.client.get(url)).await
    }

    /// Sends a form.
    pub async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.client.post(url).form(fields)).await
    }
}

/// The `set-cookie` values of an answer.
pub fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
}
