//! One connection to each of Envoy's workers, so that "every worker answers like this" can be asked and not guessed.
//!
//! A connection stays with the worker that accepted it. Which one that was is told by Envoy's own counters
//! (`listener.….worker_N.downstream_cx_total`): a connection is opened, and the counter that rises names its worker.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Error, Result,
    deadline::eventually,
    envoy::Envoy,
    http::{Answer, Ask, Connection},
    story::Expected,
};

/// Connections tried until each worker has one. The kernel spreads them by hash: with two workers, missing one of them
/// 64 times in a row has a chance of 2^-63.
const ATTEMPTS: usize = 64;
/// How long Envoy may take to accept a connection.
const ACCEPTING: Duration = Duration::from_secs(10);

/// A connection to each worker.
pub struct Workers {
    connections: BTreeMap<String, Connection>,
}

impl Workers {
    /// Connects to every worker of `envoy`. Nothing else may connect to its gateway meanwhile.
    pub async fn connect(envoy: &Envoy) -> Result<Self> {
        let mut connections = BTreeMap::new();
        let mut before = accepted(envoy).await?;
        for _ in 0..ATTEMPTS {
            if connections.len() == before.len() {
                break;
            }
            let connection = Connection::open(envoy.gateway()).await?;
            let ((worker, after), _) = eventually("a worker to accept a connection", ACCEPTING, async || {
                let after = accepted(envoy).await?;
                let worker = after.iter().find(|(worker, total)| before.get(*worker) != Some(*total));
                let worker = worker.map(|(worker, _)| worker.clone());
                worker.map(|worker| (worker, after)).ok_or_else(|| unexpected("a counter to rise", "none"))
            })
            .await?;
            before = after;
            connections.entry(worker).or_insert(connection);
        }
        if connections.is_empty() || connections.len() != before.len() {
            let workers = format!("{} of {} workers", connections.len(), before.len());
            return Err(unexpected("a connection to each worker", &workers));
        }
        Ok(Self { connections })
    }

    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// Sends `ask` to each worker; an error if an answer is not `expected`.
    pub async fn expect(&mut self, ask: &Ask, expected: Expected) -> Result<()> {
        for (worker, answer) in self.send(ask).await? {
            if !expected.is(answer.status.as_u16(), &answer.json()) {
                let what = format!("{ask} on {worker}");
                return Err(Error::unexpected(what, expected.to_string(), answer.to_string()));
            }
        }
        Ok(())
    }

    /// Sends `ask` to each worker, one after the other; the answers with the workers' names.
    pub async fn send(&mut self, ask: &Ask) -> Result<Vec<(String, Answer)>> {
        let mut answers = Vec::new();
        for (worker, connection) in &mut self.connections {
            answers.push((worker.clone(), connection.send(ask).await?));
        }
        Ok(answers)
    }
}

/// Connections accepted so far, by worker.
async fn accepted(envoy: &Envoy) -> Result<BTreeMap<String, u64>> {
    let stats = envoy.stats("worker_.*downstream_cx_total").await?;
    let of_worker = |(name, value): (String, u64)| {
        let worker = name.strip_suffix(".downstream_cx_total")?.rsplit('.').next()?.to_owned();
        worker.starts_with("worker_").then_some((worker, value))
    };
    Ok(stats.into_iter().filter_map(of_worker).collect())
}

fn unexpected(expected: &str, found: &str) -> Error {
    Error::unexpected("the gateway's workers", expected, found)
}
