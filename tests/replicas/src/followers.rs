//! The gateways: each holds the policy, polls one replica, and changes to another one when that is gone.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{Error, Result, http::Ask};
use tokio::sync::watch;

use crate::{changes::Client, replicas::GATEWAY};

const LISTS: [&str; 6] = ["apis", "applications", "keys", "subscriptions", "plans", "deny_policies"];
/// Longer than a poll is held.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a poll is held.
const WAIT: &str = "wait=25";

/// From kind number and identity to row.
pub type Policy = BTreeMap<(i64, String), Value>;

/// The arrival of a revision at a gateway: the previous revision, the new one, the time, and the replica.
pub struct Arrival {
    pub base: i64,
    pub revision: i64,
    pub at: Instant,
    pub replica: usize,
}

/// A gateway.
#[derive(Default)]
pub struct Follower {
    pub policy: Policy,
    pub revision: i64,
    pub arrivals: Vec<Arrival>,
    /// Number of 410 answers.
    pub gone: usize,
    /// Number of full policies.
    pub full: usize,
    /// Number of polls without an answer, or with 503.
    pub failed: usize,
    poll: Option<String>,
}

impl Follower {
    /// Follows the feed until it holds the revision that `last` names.
    pub async fn follow(
        mut self,
        addresses: Vec<SocketAddr>,
        mut replica: usize,
        mut last: watch::Receiver<Option<i64>>,
    ) -> Result<Self> {
        let mut client = Client::new(&addresses);
        loop {
            if last.borrow_and_update().is_some_and(|last| self.revision >= last) {
                return Ok(self);
            }
            let path = self.poll.clone().unwrap_or_else(|| "/v1/policy".to_owned());
            let ask = Ask::get(path).header("authorization", GATEWAY).header("prefer", WAIT);
            // A gateway with the last revision would wait in vain.
            let answer = tokio::select! {
                answer = client.send(replica, &ask, PATIENCE) => answer,
                _ = last.changed() => continue,
            };
            match answer {
                Ok(answer) if answer.status.as_u16() == 200 => self.take(&answer.body, replica)?,
                Ok(answer) if answer.status.as_u16() == 304 => {}
                Ok(answer) if answer.status.as_u16() == 410 => {
                    self.gone += 1;
                    self.poll = None;
                }
                Ok(answer) if answer.status.as_u16() != 503 => {
                    let what = ask.to_string();
                    return Err(Error::Unexpected {
                        what,
                        expected: "200, 304, 503".to_owned(),
                        found: answer.to_string(),
                    });
                }
                _ => {
                    self.failed += 1;
                    replica = (replica + 1) % addresses.len();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    fn take(&mut self, body: &str, replica: usize) -> Result<()> {
        let page: Value = serde_json::from_str(body).map_err(|error| wrong("JSON", error))?;
        let revision = page["revision"].as_i64().unwrap_or_default();
        let whole = page["next"].is_null();
        match page["base"].as_i64() {
            Some(base) if base == self.revision => {
                self.arrivals.push(Arrival { base, revision, at: Instant::now(), replica });
            }
            Some(base) => return Err(wrong(&format!("a delta on {}", self.revision), format!("on {base}"))),
            // The first page of a full policy has counts.
            None if !page["counts"].is_null() => {
                self.full += 1;
                self.policy.clear();
            }
            None => {}
        }
        if revision < self.revision {
            return Err(wrong(&format!("at least revision {}", self.revision), revision));
        }
        for (kind, list) in (1..).zip(LISTS) {
            for row in page["removed"][list].as_array().into_iter().flatten() {
                self.policy.remove(&(kind, identity(kind, row)));
            }
            for row in page[list].as_array().into_iter().flatten() {
                self.policy.insert((kind, identity(kind, row)), row.clone());
            }
        }
        let next = if whole { &page["poll"] } else { &page["next"] };
        self.poll = next.as_str().map(str::to_owned);
        if whole {
            self.revision = revision;
        }
        Ok(())
    }
}

/// Fetches the current full policy.
pub async fn fetch(address: SocketAddr, revision: i64) -> Result<Policy> {
    // A follower without a sender would stop to wait for answers.
    let (_said, last) = watch::channel(Some(revision));
    Ok(Follower { revision: -1, ..Follower::default() }.follow(vec![address], 0, last).await?.policy)
}

/// The name of a row in the feed, in the database's form.
fn identity(kind: i64, row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    match kind {
        _ if row.is_string() => row.as_str().unwrap_or_default().to_owned(),
        3 => text("sha256").to_owned(),
        4 => format!("{}\u{1f}{}", text("application"), text("api")),
        _ => text("id").to_owned(),
    }
}

fn wrong(expected: &str, found: impl ToString) -> Error {
    Error::Unexpected { what: "a page".to_owned(), expected: expected.to_owned(), found: found.to_string() }
}
