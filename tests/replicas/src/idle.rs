//! What a thousand gateways cost that do nothing but hold polls: those that say who they are, beside those that do not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use testkit::Result;
use tokio::{task::JoinSet, time::interval};

use crate::{
    database::{Database, Kind},
    figures::Spread,
    receipts::{Gateway, Words, start},
    replicas::Replicas,
    row,
};

/// Gateways.
const MANY: usize = 1_000;
/// How long each measurement takes: two polls of each gateway; and the time before it in which the service settles.
const IDLE: Duration = Duration::from_secs(50);
const SETTLED: Duration = Duration::from_secs(3);
/// The polls of the gateways begin one after the other, within the time of a poll. If they came at once, most of them would
/// find the processor's caches warm.
const APART: Duration = Duration::from_millis(25);
/// Measurements of each kind, in turns.
const ROUNDS: usize = 3;

/// Prints the processor time of the services.
pub async fn measure(kind: Kind, service: &std::path::Path) -> Result<()> {
    let mut measured = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (measured, words) in measured.iter_mut().zip([Words::None, Words::All]) {
            let database = Database::start(kind, service).await?;
            measured.push(idle(&start(&database).await?, words).await?);
        }
    }
    for (measured, words) in measured.iter().zip(["do not say who they are", "say who they are"]) {
        let (costs, polls): (Vec<f64>, Vec<f64>) = measured.iter().copied().unzip();
        let what = format!("{MANY} gateways in long polls that {words}");
        row(kind, &format!("{what}: processor time of the services, in ms a second"), Spread::of(&costs));
        row(kind, &format!("{what}: polls a second"), Spread::of(&polls));
    }
    Ok(())
}

/// Processor time of all services in milliseconds a second, and polls a second, while gateways do nothing but hold polls.
async fn idle(replicas: &Replicas, words: Words) -> Result<(f64, f64)> {
    let (mut polling, polls) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let mut gateways = Vec::new();
    for number in 0..MANY {
        let mut gateway = Gateway::new(replicas.addresses[number % replicas.addresses.len()], number, words);
        gateway.load().await?;
        gateways.push(gateway);
    }
    let mut next = interval(APART);
    for gateway in gateways {
        next.tick().await;
        let polls = Arc::clone(&polls);
        polling.spawn(async move { gateway.run(polls).await });
    }
    tokio::time::sleep(SETTLED).await;
    let count = || polls.load(Ordering::Relaxed);
    let (before, polls_before, begun) = (replicas.processor_time().await?, count(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let spent = replicas.processor_time().await?.saturating_sub(before);
    let seconds = begun.elapsed().as_secs_f64();
    Ok((spent.as_secs_f64() * 1e3 / seconds, (count() - polls_before) as f64 / seconds))
}
