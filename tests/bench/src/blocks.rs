//! Measures the time from the service's acknowledgement of a block to the first refusal on the last worker.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use keygate_e2e::{deadline::eventually, policy_service::PolicyService};

use crate::{
    Error, Result,
    envoy::Envoy,
    gate::Gate,
    load::{self, Connection},
    population,
};

/// Maximum number of connections to try until each worker has one.
const ATTEMPTS: usize = 256;
/// Time limit for a block to take effect on all workers.
const SEEING: Duration = Duration::from_secs(60);
/// The step from one blocked key to the next, which leads to another application.
const STRIDE: usize = 34;

/// The measurement of one block.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// From the acknowledgement to the first refusal on the last worker, in milliseconds.
    pub ms: f64,
    /// From the acknowledgement to the end of the service's answer to keygate, in milliseconds.
    pub answered_ms: f64,
    /// Bytes that the service sent for it, including the head of its answer.
    pub bytes: u64,
}

/// A connection to each worker of a listener.
pub async fn connect(envoy: &Envoy, address: SocketAddr, workers: usize) -> Result<Vec<Connection>> {
    let mut connections = BTreeMap::new();
    let mut before = accepted(envoy).await?;
    for _ in 0..ATTEMPTS {
        if connections.len() == workers {
            return Ok(connections.into_values().collect());
        }
        let mut connection = Connection::open(address)?;
        // After its first answer a connection has certainly been accepted.
        connection.send(&request(0))?;
        connection.status()?;
        let after = accepted(envoy).await?;
        if let Some((worker, _)) = after.iter().find(|(worker, total)| before.get(*worker) != Some(*total)) {
            connections.entry(worker.clone()).or_insert(connection);
        }
        before = after;
    }
    Err(Error::unexpected("the workers", format!("a connection to each of {workers}"), connections.len().to_string()))
}

async fn accepted(envoy: &Envoy) -> Result<BTreeMap<String, u64>> {
    envoy.stats("worker_[0-9]+\\.downstream_cx_total").await
}

/// Blocks this many subscriptions, one after the other, and finally unblocks them. With `waits` each block waits until a
/// poll is held: the poll after a block goes out with the next tick, and the figure is that of a block by itself.
pub async fn measure(
    service: &PolicyService,
    gate: &Gate,
    connections: &mut [Connection],
    count: usize,
    waits: bool,
    mut progress: impl FnMut(usize, Seen),
) -> Result<Vec<Seen>> {
    let keys: Vec<usize> = (1..=count).map(|number| number * STRIDE).collect();
    let mut all = Vec::new();
    for (number, key) in (1..).zip(&keys) {
        for connection in connections.iter_mut() {
            connection.send(&request(*key))?;
            let status = connection.status()?;
            if status != 200 {
                return Err(Error::unexpected("a key before its block", "200", status.to_string()));
            }
        }
        if waits {
            eventually("a poll that is held", SEEING, async || if gate.waits() { Ok(()) } else { Err("none") }).await?;
        }
        let before = gate.bytes();
        service
            .post(&format!("/v1/subscriptions/{}/block?state=BLOCKED", population::subscription_of(*key)), None)
            .await?;
        let acknowledged = Instant::now();
        let mut open: Vec<&mut Connection> = connections.iter_mut().collect();
        while !open.is_empty() {
            if acknowledged.elapsed() > SEEING {
                return Err(Error::unexpected("a block", "a refusal", format!("none in {SEEING:?}")));
            }
            let mut left = Vec::new();
            for connection in open {
                connection.send(&request(*key))?;
                if connection.status()? == 200 {
                    left.push(connection);
                }
            }
            open = left;
        }
        let ms = acknowledged.elapsed().as_secs_f64() * 1e3;
        // The answer may have come before the acknowledgement.
        let answered = gate.answered().map(|at| at.saturating_duration_since(acknowledged));
        let answered_ms = answered.unwrap_or_default().as_secs_f64() * 1e3;
        let seen = Seen { ms, answered_ms, bytes: gate.bytes() - before };
        progress(number, seen);
        all.push(seen);
    }
    for key in keys {
        service.post(&format!("/v1/subscriptions/{}/unblock", population::subscription_of(key)), None).await?;
    }
    Ok(all)
}

fn request(key: usize) -> Vec<u8> {
    load::request("api.example.com", &population::path(key), &population::key(key))
}
