//! How long a receipt takes with 1, 10 and 100 gateways that poll as the filter does, beside a real Envoy; and whether each
//! complete receipt is true there. What gateways cost is measured in `idle`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use testkit::{
    Error, Result,
    http::{Answer, Ask},
};
use tokio::task::JoinSet;

use crate::{
    beside::Beside,
    changes::{self, Client},
    database::{Database, Kind},
    figures::Delays,
    replicas::{GATEWAY, Replicas, TOKEN},
    row,
};

/// Changes for each number of gateways.
const CHANGES: usize = 100;
/// How long a change waits for its receipt, at most.
const SECONDS: u32 = 20;
/// Longer than a poll is held, and than a receipt takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The median that a receipt may take, by the number of gateways.
const GOALS: [(usize, f64); 3] = [(1, 50.0), (10, 100.0), (100, 250.0)];

/// Prints the times of receipts. Returns whether the goals were reached.
pub async fn measure(kind: Kind, service: &std::path::Path) -> Result<bool> {
    let mut held = true;
    for (gateways, goal_ms) in GOALS {
        let database = Database::start(kind, service).await?;
        let replicas = start(&database).await?;
        // It polls another service than the one that gets the changes, if there are two.
        let address = replicas.addresses.last().copied().unwrap_or(replicas.addresses[0]);
        let mut envoy = Beside::start(address).await?;
        let (receipts, exceptions) = receipts(&replicas.addresses, gateways, &mut envoy).await?;
        envoy.stop().await;
        let what = format!(
            "{CHANGES} blocks and unblocks with a receipt of {gateways} gateways and an Envoy, all complete: from commit to \
             receipt"
        );
        row(kind, &what, receipts);
        row(kind, "answers of the Envoy's workers that were not as a receipt promised", exceptions);
        held &= receipts.p50_ms <= goal_ms && exceptions == 0;
    }
    Ok(held)
}

pub async fn start(database: &Database) -> Result<Replicas> {
    let count = match database.kind {
        Kind::Postgres => 2,
        Kind::Sqlite => 1,
    };
    let replicas = Replicas::start(database, count).await?;
    changes::seed(replicas.addresses[0]).await?;
    Ok(replicas)
}

/// The times of receipts at the first replica, while gateways poll all replicas; and how often a worker of the Envoy
/// answered otherwise after one.
async fn receipts(addresses: &[SocketAddr], gateways: usize, envoy: &mut Beside) -> Result<(Delays, usize)> {
    let mut polling = JoinSet::new();
    for number in 0..gateways {
        let mut gateway = Gateway::new(addresses[number % addresses.len()], number, Words::All);
        gateway.load().await?;
        polling.spawn(async move { gateway.run(Arc::default()).await });
    }
    let mut client = Client::new(&addresses[..1]);
    let (mut times, mut exceptions) = (Vec::new(), 0);
    for number in 0..CHANGES {
        let is_blocked = number % 2 == 0;
        let action = if is_blocked { "block" } else { "unblock" };
        let path = format!("/v1/subscriptions/s-1/{action}?receipt={SECONDS}");
        let ask = Ask::new("POST", path).header("authorization", TOKEN);
        let receipt = client.send(0, &ask, PATIENCE).await?.json()["receipt"].clone();
        exceptions += envoy.exceptions(is_blocked).await?;
        let all = gateways + 1;
        let expected = json!([all, all, true]);
        let found = json!([receipt["live"], receipt["have"], receipt["complete"]]);
        if found != expected {
            return Err(Error::unexpected("a receipt", expected.to_string(), receipt.to_string()));
        }
        times.push(Duration::from_millis(receipt["after_ms"].as_u64().unwrap_or(u64::MAX)));
        // A gateway that was fast enough is between two polls. Others come back.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((Delays::of(&times), exceptions))
}

/// What a gateway says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// All that the filter says.
    All,
    /// Nothing, as filters before receipts.
    None,
}

/// A gateway that polls as the filter does.
pub struct Gateway {
    client: Client,
    number: usize,
    words: Words,
    path: String,
}

impl Gateway {
    pub fn new(address: SocketAddr, number: usize, words: Words) -> Self {
        Self { client: Client::new(&[address]), number, words, path: "/v1/policy".to_owned() }
    }

    /// Loads the policy.
    pub async fn load(&mut self) -> Result<()> {
        while !self.path.contains("since=") {
            self.poll(0).await?;
        }
        // The cursor is the proof.
        self.poll(0).await
    }

    /// Holds polls, one after the other, and counts them.
    pub async fn run(mut self, polls: Arc<AtomicU64>) -> Result<()> {
        loop {
            self.poll(25).await?;
            polls.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn poll(&mut self, wait: u32) -> Result<()> {
        let mut ask = Ask::get(&self.path).header("authorization", GATEWAY);
        if self.words == Words::All {
            ask = ask
                .header("keygate-instance", format!("edge-{}", self.number))
                .header("keygate-process", format!("{:032x}", self.number))
                .header("keygate-version", "0.1.0")
                .header("keygate-workers", "4")
                .header("keygate-heard-within", "35")
                .header("keygate-expires-after", "3600");
        }
        if wait > 0 {
            ask = ask.header("prefer", format!("wait={wait}"));
        }
        let answer: Answer = self.client.send(0, &ask, PATIENCE).await?;
        match answer.status.as_u16() {
            200 => {
                let page: Value = answer.json();
                let link = page["poll"].as_str().or(page["next"].as_str()).unwrap_or_default();
                let path = if link.starts_with('?') { "/v1/policy" } else { "" };
                self.path = format!("{path}{link}");
                Ok(())
            }
            304 => Ok(()),
            _ => Err(Error::unexpected("a poll", "200 or 304", answer.to_string())),
        }
    }
}
