//! A gateway that polls as the filter does: it loads the policy, holds polls, and says in headers who and how it is.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Answer, send};

/// The feed.
const FEED: &str = "/v1/policy";

/// A gateway.
#[derive(Clone)]
pub struct Envoy {
    pub url: String,
    pub client: reqwest::Client,
    pub credentials: (String, String),
    pub headers: Vec<(String, String)>,
    /// Where it polls next.
    pub poll: String,
    /// The revision that it holds.
    pub revision: i64,
}

impl Envoy {
    /// A gateway of the client id `gw`, with this instance and process.
    pub fn new(url: &str, instance: &str, process: &str) -> Self {
        let headers = [
            ("keygate-instance", instance),
            ("keygate-process", process),
            ("keygate-version", "1.2.3"),
            ("keygate-workers", "4"),
            ("keygate-heard-within", "30"),
            ("keygate-expires-after", "3600"),
        ];
        Self {
            url: url.to_owned(),
            client: super::client(),
            credentials: ("gw".to_owned(), "secret".to_owned()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            poll: FEED.to_owned(),
            revision: -1,
        }
    }

    /// The same with other credentials.
    pub fn with_credentials(mut self, client_id: &str, secret: &str) -> Self {
        self.credentials = (client_id.to_owned(), secret.to_owned());
        self
    }

    /// The same with a header of this value.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// Sends one request. `wait`: for so many seconds the answer may be held.
    pub async fn ask(&self, path: &str, wait: u32) -> Answer {
        send(self.request(path, wait)).await
    }

    fn request(&self, path: &str, wait: u32) -> RequestBuilder {
        let headers: HeaderMap =
            self.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let request = self.client.request(Method::GET, format!("{}{path}", self.url)).headers(headers);
        let request = request.basic_auth(&self.credentials.0, Some(&self.credentials.1));
        if wait > 0 { request.header("prefer", format!("wait={wait}")) } else { request }
    }

    /// Polls once, and takes what the answer has.
    pub async fn call(&mut self, wait: u32) -> u16 {
        let answer = self.ask(&self.poll, wait).await;
        self.hear(&answer);
        answer.status
    }

    fn hear(&mut self, answer: &Answer) {
        match answer.status {
            200 => self.take(&answer.whole()),
            304 => {}
            // Nothing of the held policy is known to the service.
            _ => self.poll = FEED.to_owned(),
        }
    }

    fn take(&mut self, page: &Value) {
        let link = page["poll"].as_str().or(page["next"].as_str()).unwrap();
        self.poll = if link.starts_with('?') { format!("{FEED}{link}") } else { link.to_owned() };
        if page["poll"].is_string() {
            self.revision = page["revision"].as_i64().unwrap();
        }
    }

    /// Loads the policy, and shows that it has it.
    pub async fn load(mut self) -> Self {
        while self.revision < 0 {
            assert_eq!(self.call(0).await, 200);
        }
        assert_eq!(self.call(0).await, 304);
        self
    }

    /// Polls until the service is gone. The policy must be loaded.
    pub fn run(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Ok(response) = self.request(&self.poll, 25).send().await {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let Ok(text) = response.text().await else { continue };
                self.hear(&Answer { status, headers, text });
                if status >= 400 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
    }
}
