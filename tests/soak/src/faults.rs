//! What is done to the stack, in an order that a seed decides: to the policy service and its feed by one hand, to Envoy and
//! its VMs by another.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use keygate_e2e::{Result, policy_service::PolicyService};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use crate::{
    between::{Between, Feed},
    book::{Book, RELOADED_WITHIN},
    gateway::{DRAIN_SECONDS, Gateway, trap},
    verdict::Around,
};

/// Pause between two faults, in milliseconds.
const FEED_PAUSE_MS: std::ops::Range<u64> = 1_000..5_000;
const VM_PAUSE_MS: std::ops::Range<u64> = 2_000..6_000;
/// How long a fault of the feed lasts, in milliseconds.
const FEED_FAULT_MS: std::ops::Range<u64> = 200..3_500;
/// VMs that are made to trap at once, at most.
const TRAPS: usize = 3;
/// How long Envoy may take beyond the drain time to close the connections of a listener that was replaced: it makes the
/// new one first, which is compiling a module and making five VMs.
const REPLACING: Duration = Duration::from_secs(12);

/// What is to be done to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Faults of the policy service and its feed.
    pub feed: bool,
    /// VMs that trap.
    pub traps: bool,
    /// Listeners that are replaced.
    pub listeners: bool,
}

/// What the feed is like between two faults, and whether there are any.
#[derive(Clone, Copy, Debug)]
pub struct Well {
    /// What it is like.
    pub well: Feed,
    /// What is to be done.
    pub plan: Plan,
}

/// Disturbs the policy service and its feed until `ended`, and leaves both well.
pub async fn disturb_feed(
    book: Arc<Book>,
    mut service: PolicyService,
    between: Arc<Between>,
    Well { well, plan }: Well,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<PolicyService> {
    while !pause(&mut ended, rng.u64(FEED_PAUSE_MS)).await {
        if !plan.feed {
            continue;
        }
        // The service itself is killed as often as two of its feed's faults come.
        let fault = Feed::FAULTS.get(rng.usize(..Feed::FAULTS.len().saturating_add(2))).copied();
        let name = fault.map_or("killed", Feed::name);
        let disturbance = {
            let mut open = book.open();
            open.fault(name);
            open.now = name;
            open.history.disturbed(book.now())
        };
        match fault {
            Some(fault) => between.be(fault),
            None => service.kill().await,
        }
        pause(&mut ended, rng.u64(FEED_FAULT_MS)).await;
        match fault {
            Some(_) => between.be(well),
            None => service.restart().await?,
        }
        let mut open = book.open();
        open.service = service.id();
        open.now = "";
        open.history.calmed(disturbance, book.now(), fault.map_or(Duration::ZERO, Feed::asks_for));
    }
    Ok(service)
}

/// Makes VMs trap and replaces listeners until `ended`.
pub async fn disturb_envoy(
    book: Arc<Book>,
    gateway: Arc<Mutex<Gateway>>,
    address: SocketAddr,
    plan: Plan,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    while !pause(&mut ended, rng.u64(VM_PAUSE_MS)).await {
        if plan.listeners && (!plan.traps || rng.u8(..3) == 0) {
            {
                let mut open = book.open();
                open.fault("listener replaced");
                let lasting = Duration::from_secs(DRAIN_SECONDS).saturating_add(REPLACING);
                open.excuse(Around { draining: true, reloading: false }, book.now(), lasting);
            }
            gateway.lock().await.replace_listener()?;
        } else if plan.traps && gateway.lock().await.is_armed() {
            for _ in 0..rng.usize(1..=TRAPS) {
                {
                    let mut open = book.open();
                    open.fault("trap");
                    open.excuse(Around { draining: false, reloading: true }, book.now(), RELOADED_WITHIN);
                }
                trap(address).await;
            }
        }
    }
    Ok(())
}

/// Waits; `true`: it has ended.
async fn pause(ended: &mut watch::Receiver<bool>, milliseconds: u64) -> bool {
    // Ended early, or not at all: what counts is what it says now.
    let _ = timeout(Duration::from_millis(milliseconds), ended.wait_for(|ended| *ended)).await;
    *ended.borrow()
}
