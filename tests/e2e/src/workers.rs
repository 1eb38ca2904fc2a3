//! One connection to each of Envoy's workers, so that a test can ask every worker instead of guessing.
//!
//! A connection stays with the worker that accepted it. Envoy's counters (`listener.….worker_N.downstream_cx_total`)
//! tell which one that was: a connection is opened, and the counter that rises names its worker.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::{
    Error, Result,
    deadline::eventually,
    envoy::{self, Envoy},
    http::{Answer, Ask, Connection},
    story::Expected,
};

/// The number of connections that are tried until a worker has one. The kernel spreads them by hash. With four workers,
/// the probability of missing one of them 128 times in a row is 10^-16.
const ATTEMPTS: usize = 128;
/// How long Envoy may take to accept a connection.
const ACCEPTING: Duration = Duration::from_secs(10);

/// A connection to each worker.
pub struct Workers {
    gateway: SocketAddr,
    admin: SocketAddr,
    connections: BTreeMap<String, Connection>,
}

impl Workers {
    /// Connects to every worker of `envoy`. No other connection to its gateway may be opened meanwhile, or while a
    /// request is sent.
    pub async fn connect(envoy: &Envoy) -> Result<Self> {
        let (gateway, admin) = (envoy.gateway(), envoy.admin());
        let workers = accepted(admin).await?.into_keys();
        if workers.len() != envoy.workers() {
            return Err(unexpected(&format!("{} workers", envoy.workers()), &workers.len().to_string()));
        }
        let mut connected = Self { gateway, admin, connections: BTreeMap::new() };
        for worker in workers {
            connected.reconnect(&worker).await?;
        }
        Ok(connected)
    }

    /// Opens connections until `worker` has accepted one.
    async fn reconnect(&mut self, worker: &str) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let before = accepted(self.admin).await?;
            let connection = Connection::open(self.gateway).await?;
            let (by, _) = eventually("a worker to accept a connection", ACCEPTING, async || {
                let after = accepted(self.admin).await?;
                let risen = after.into_iter().find(|(worker, total)| before.get(worker) != Some(total));
                risen.map(|(worker, _)| worker).ok_or_else(|| unexpected("a counter to rise", "none"))
            })
            .await?;
            if by == worker {
                self.connections.insert(by, connection);
                return Ok(());
            }
        }
        Err(unexpected(&format!("a connection to {worker}"), "only others"))
    }

    /// The number of workers.
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// Sends `ask` to each worker. An answer that is not `expected` is an error.
    pub async fn expect(&mut self, ask: &Ask, expected: Expected) -> Result<()> {
        for (worker, answer) in self.send(ask).await? {
            if !expected.is(answer.status.as_u16(), &answer.json()) {
                let what = format!("{ask} on {worker}");
                return Err(Error::unexpected(what, expected.to_string(), answer.to_string()));
            }
        }
        Ok(())
    }

    /// Sends `ask` to each worker, one after the other, and returns the answers with the workers' names. If Envoy has
    /// closed a connection, as it does when it refuses a request before its end, a new one is opened.
    pub async fn send(&mut self, ask: &Ask) -> Result<Vec<(String, Answer)>> {
        let workers: Vec<String> = self.connections.keys().cloned().collect();
        let mut answers = Vec::new();
        for worker in workers {
            if self.connections.get(&worker).is_none_or(Connection::is_closed) {
                self.reconnect(&worker).await?;
            }
            let Some(connection) = self.connections.get_mut(&worker) else { continue };
            let answer = connection.send(ask).await?;
            if answer.header("connection") == Some("close") {
                self.reconnect(&worker).await?;
            }
            answers.push((worker, answer));
        }
        Ok(answers)
    }
}

/// The connections accepted so far, by worker.
async fn accepted(admin: SocketAddr) -> Result<BTreeMap<String, u64>> {
    let stats = envoy::stats(admin, "worker_.*downstream_cx_total").await?;
    let of_worker = |(name, value): (String, u64)| {
        let worker = name.strip_suffix(".downstream_cx_total")?.rsplit('.').next()?.to_owned();
        worker.starts_with("worker_").then_some((worker, value))
    };
    Ok(stats.into_iter().filter_map(of_worker).collect())
}

fn unexpected(expected: &str, found: &str) -> Error {
    Error::unexpected("the gateway's workers", expected, found)
}
