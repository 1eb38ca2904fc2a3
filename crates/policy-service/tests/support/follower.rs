//! A gateway as the contract describes it. It loads a policy, in full or by deltas, page by page. Every page first
//! passes through the filter's own reader.

use std::collections::BTreeMap;

use keygate::policy::page::Page;
use serde_json::Value;

use super::{Answer, Service, program::Program, send};

/// From list and identity to row.
pub type Policy = BTreeMap<(&'static str, String), Value>;

const LISTS: [&str; 6] = ["apis", "applications", "keys", "subscriptions", "plans", "deny_policies"];

/// The name of a row in the feed.
pub fn identity(list: &str, row: &Value) -> String {
    match list {
        "keys" => row["sha256"].as_str().unwrap().to_owned(),
        "subscriptions" => format!("{} {}", row["application"], row["api"]),
        _ => row["id"].as_str().unwrap().to_owned(),
    }
}

#[derive(Default)]
pub struct Follower {
    pub client_id: &'static str,
    pub secret: &'static str,
    /// The loaded rows and their revision.
    pub held: Option<(i64, Policy)>,
    /// How many times it started over.
    pub restarts: usize,
    poll: Option<String>,
    /// A policy that is not complete yet: the next page, and the rows so far.
    arriving: Option<(String, Policy)>,
}

impl Follower {
    pub fn new(client_id: &'static str, secret: &'static str) -> Self {
        Self { client_id, secret, ..Self::default() }
    }

    /// What it asks for next.
    pub fn path(&self) -> String {
        match (&self.arriving, &self.poll) {
            (Some((next, _)), _) => next.clone(),
            (None, Some(poll)) => poll.clone(),
            (None, None) => "/v1/policy".to_owned(),
        }
    }

    /// Fetches one page. Returns true when a revision is complete.
    pub async fn step(&mut self, service: &Service) -> bool {
        let request = service.request(reqwest::Method::GET, &self.path());
        let answer = send(request.basic_auth(self.client_id, Some(self.secret))).await;
        self.receive(&answer)
    }

    /// Fetches pages of a program until a revision is complete.
    pub async fn follow_program(&mut self, service: &Program) {
        loop {
            let request = service.client.get(format!("{}{}", service.url, self.path()));
            let answer = send(request.basic_auth(self.client_id, Some(self.secret))).await;
            if self.receive(&answer) {
                return;
            }
        }
    }

    /// Takes an answer to what it asked for. True when a revision is whole.
    pub fn receive(&mut self, answer: &Answer) -> bool {
        match answer.status {
            200 => self.take(answer),
            304 => true,
            410 => {
                self.restarts += 1;
                (self.poll, self.arriving) = (None, None);
                false
            }
            status => panic!("{status}: {}", answer.text),
        }
    }

    /// Fetches pages until a revision is complete.
    pub async fn follow(&mut self, service: &Service) {
        while !self.step(service).await {}
    }

    fn take(&mut self, answer: &Answer) -> bool {
        check(&answer.text);
        let page = answer.json();
        let full = page["base"].is_null();
        let mut policy = match self.arriving.take() {
            Some((_, policy)) => policy,
            None if full => Policy::new(),
            None => {
                let (revision, policy) = self.held.clone().unwrap();
                assert_eq!(page["base"], revision, "a delta builds on what is held");
                policy
            }
        };
        for list in LISTS {
            for row in page["removed"].get(list).and_then(Value::as_array).into_iter().flatten() {
                let name = if row.is_string() { row.as_str().unwrap().to_owned() } else { identity(list, row) };
                policy.remove(&(list, name));
            }
        }
        for list in LISTS {
            for row in page[list].as_array().unwrap() {
                let before = policy.insert((list, identity(list, row)), row.clone());
                assert!(!full || before.is_none(), "a full policy has each row once: {row}");
            }
        }
        match page["next"].as_str() {
            Some(next) => {
                assert!(page["poll"].is_null());
                self.arriving = Some((next.to_owned(), policy));
                false
            }
            None => {
                self.held = Some((page["revision"].as_i64().unwrap(), policy));
                self.poll = Some(page["poll"].as_str().unwrap().to_owned());
                true
            }
        }
    }
}

/// Checks that the filter accepts the page and every row of it.
pub fn check(text: &str) {
    let page = Page::scan(text.as_bytes().to_vec()).unwrap_or_else(|error| panic!("{error:?}: {text}"));
    let mut unknown = page.unknown.clone();
    for row in page.rows(0..page.len(), &mut unknown) {
        row.unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    assert!(unknown.is_empty(), "{unknown:?}: {text}");
}
