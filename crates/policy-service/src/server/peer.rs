//! All connections as the budget and the idle limit see them: which one is proven, which one is at work, which one goes.
//!
//! This file applies the decisions of [`budget`](super::budget) and [`idle`](super::idle) to what is really open. It reads
//! and writes no byte of a connection.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    budget::{Budget, Id, Limits},
    idle::{Activity, IDLE_TIMEOUT},
    tally::Tally,
};
use crate::metrics::Metrics;

/// All connections of the service.
#[derive(Debug)]
pub struct Connections {
    registry: Mutex<Registry>,
    evictions: Arc<Tally>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Registry {
    budget: Budget,
    /// Ends a connection.
    ends: HashMap<Id, CancellationToken>,
}

impl Registry {
    fn tell(&self, metrics: &Metrics) {
        let (proven, unproven) = self.budget.counts();
        metrics.set_connections(proven, unproven);
    }
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits, metrics: Metrics) -> Arc<Self> {
        let registry = Registry { budget: Budget::new(limits), ends: HashMap::new() };
        let evictions = Tally::new(|more| {
            tracing::warn!(more, "further idle connections were closed to make room for new ones");
        });
        Arc::new(Self { registry: Mutex::new(registry), evictions, metrics })
    }

    /// Adds a new connection. If its budget is full, the oldest idle one is evicted. The second value says whether one was.
    pub fn open(self: &Arc<Self>, address: IpAddr) -> (Arc<Peer>, bool) {
        let evicted = CancellationToken::new();
        let mut registry = self.lock();
        let (id, victim) = registry.budget.open(address);
        registry.ends.insert(id, evicted.clone());
        self.evict(registry, victim);
        let peer = Peer {
            connections: Arc::clone(self),
            id,
            address,
            evicted,
            opened: Instant::now(),
            proven: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            progress: AtomicU64::new(NO_REQUEST),
        };
        (Arc::new(peer), victim.is_some())
    }

    /// Evicts the oldest idle connection. `false`: every connection is at work.
    pub fn make_room(&self) -> bool {
        let mut registry = self.lock();
        let victim = registry.budget.make_room();
        self.evict(registry, victim);
        victim.is_some()
    }

    /// Ends what has come to the registry: tells the counts, and evicts.
    fn evict(&self, mut registry: MutexGuard<'_, Registry>, victim: Option<Id>) {
        registry.tell(&self.metrics);
        let Some(victim) = victim else { return };
        let end = registry.ends.remove(&victim);
        drop(registry);
        if let Some(end) = end {
            end.cancel();
        }
        if self.evictions.note() {
            tracing::warn!("an idle connection was closed to make room for a new one; others are counted for a minute");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Nothing in there panics half-way.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of [`Peer::progress`] until a request arrives.
const NO_REQUEST: u64 = u64::MAX;

/// The other end of a connection, as far as the service has to know it.
#[derive(Debug)]
pub struct Peer {
    connections: Arc<Connections>,
    id: Id,
    address: IpAddr,
    evicted: CancellationToken,
    opened: Instant,
    proven: AtomicBool,
    /// Requests that have no answer yet.
    working: AtomicUsize,
    /// When a request began or ended, or a part of an answer was taken: milliseconds since the connection was opened.
    progress: AtomicU64,
}

impl Peer {
    /// Where it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// It has sent a good credential: its connection leaves the budget of unproven ones. Each further request is checked all
    /// the same.
    pub fn prove(&self) {
        if !self.proven.swap(true, Ordering::Relaxed) {
            let mut registry = self.connections.lock();
            let victim = registry.budget.prove(self.id);
            self.connections.evict(registry, victim);
        }
    }

    /// Whether it has sent a good credential.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// A part of an answer is taken.
    pub fn note_progress(&self) {
        let passed = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NO_REQUEST);
        self.progress.store(passed.min(NO_REQUEST - 1), Ordering::Relaxed);
    }

    /// What happens on the connection now.
    pub fn activity(&self) -> Activity {
        if self.working.load(Ordering::Relaxed) > 0 {
            return Activity::Working;
        }
        match self.progress.load(Ordering::Relaxed) {
            NO_REQUEST => Activity::Silent,
            passed => Activity::IdleSince(Duration::from_millis(passed)),
        }
    }

    /// Waits until the connection has been idle for too long.
    pub async fn expired(&self) {
        loop {
            let passed = self.opened.elapsed();
            let left = match self.activity().expiry() {
                Some(expiry) if expiry <= passed => return,
                Some(expiry) => expiry.saturating_sub(passed),
                // Nothing is missed: after the work the limit begins anew.
                None => IDLE_TIMEOUT,
            };
            tokio::time::sleep(left).await;
        }
    }

    /// Waits until the place of the connection is needed for another one.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut registry = self.connections.lock();
        registry.budget.close(self.id);
        registry.ends.remove(&self.id);
        registry.tell(&self.connections.metrics);
    }
}

/// A request that takes up its connection, for the budget: such a connection is not evicted.
#[derive(Debug)]
pub struct Busy(Arc<Peer>);

impl Busy {
    /// The request begins.
    pub fn new(peer: &Arc<Peer>) -> Self {
        peer.connections.lock().budget.begin(peer.id);
        Self(Arc::clone(peer))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connections.lock().budget.end(self.0.id);
    }
}

/// A request that has no answer yet, for the idle limit.
#[derive(Debug)]
pub struct Working(Arc<Peer>);

impl Working {
    /// The request begins.
    pub fn new(peer: &Arc<Peer>) -> Self {
        peer.working.fetch_add(1, Ordering::Relaxed);
        peer.note_progress();
        Self(Arc::clone(peer))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.note_progress();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}
