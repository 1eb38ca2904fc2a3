//! What a thousand gateways cost that do nothing but hold polls: those that say who they are, beside those that do not.

use std::time::{Duration, Instant};

use testkit::Result;
use tokio::task::JoinSet;

use crate::{
    database::{Database, Kind},
    figures::Spread,
    receipts::{Gateway, Words, start},
    replicas::Replicas,
    row,
};

/// Gateways.
const MANY: usize = 1_000;
/// How long each measurement takes, and the time before it in which the service settles.
const IDLE: Duration = Duration::from_secs(50);
const SETTLED: Duration = Duration::from_secs(5);
/// Measurements of each kind, in turns.
const ROUNDS: usize = 4;

/// Prints the processor time of the services.
pub async fn measure(kind: Kind, service: &std::path::Path) -> Result<()> {
    let mut costs = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (costs, words) in costs.iter_mut().zip([Words::None, Words::All]) {
            let database = Database::start(kind, service).await?;
            costs.push(idle(&start(&database).await?, words).await?);
        }
    }
    for (costs, words) in costs.iter().zip(["do not say who they are", "say who they are"]) {
        let what =
            format!("{MANY} gateways in long polls that {words}: processor time of the services, in ms a second");
        row(kind, &what, Spread::of(costs));
    }
    Ok(())
}

/// Processor time in milliseconds a second of all services, while gateways do nothing but hold polls.
async fn idle(replicas: &Replicas, words: Words) -> Result<f64> {
    let mut polling = JoinSet::new();
    for number in 0..MANY {
        let mut gateway = Gateway::new(replicas.addresses[number % replicas.addresses.len()], number, words);
        gateway.load().await?;
        polling.spawn(async move { gateway.run().await });
    }
    tokio::time::sleep(SETTLED).await;
    let (before, begun) = (replicas.processor_time().await?, Instant::now());
    tokio::time::sleep(IDLE).await;
    let spent = replicas.processor_time().await?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e3 / begun.elapsed().as_secs_f64())
}
