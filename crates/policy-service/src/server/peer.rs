//! All open connections: which are proven, which are busy, and which one to close.
//!
//! This file applies the decisions of [`budget`](super::budget) and [`idle`](super::idle) to the open connections. It
//! neither reads nor writes their bytes.

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

/// All open connections.
#[derive(Debug)]
pub struct Connections {
    registry: Mutex<Registry>,
    evictions: Arc<Tally>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Registry {
    budget: Budget,
    /// Ends a connection when cancelled.
    ends: HashMap<Id, CancellationToken>,
}

impl Registry {
    fn tell(&self, metrics: &Metrics) {
        let (proven, unproven) = self.budget.counts();
        metrics.set_connections(proven, unproven);
    }
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: Limits, metrics: Metrics) -> Arc<Self> {
        let registry = Registry { budget: Budget::new(limits), ends: HashMap::new() };
        let evictions = Tally::new(|more| {
            tracing::warn!(more, "further idle connections were closed to make room for new ones");
        });
        Arc::new(Self { registry: Mutex::new(registry), evictions, metrics })
    }

    /// Adds a new connection. If its budget is full, evicts the oldest idle one. The second value says whether it
    /// evicted one.
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

    /// Evicts the oldest idle connection. Returns `false` if every connection is busy.
    pub fn make_room(&self) -> bool {
        let mut registry = self.lock();
        let victim = registry.budget.make_room();
        self.evict(registry, victim);
        victim.is_some()
    }

    /// Finishes a change of the registry: reports the counts, and evicts.
    fn evict(&self, mut registry: MutexGuard<'_, Registry>, victim: Option<Id>) {
        registry.tell(&self.metrics);
        let Some(victim) = victim else { return };
        let end = registry.ends.remove(&victim);
        drop(registry);
        if let Some(end) = end {
            end.cancel();
        }
        if self.evictions.note() {
            tracing::warn!(
                "an idle connection was closed to make room for a new one; further ones are counted for a minute"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // No code panics while it holds the lock.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of [`Peer::progress`] until a request arrives.
const NO_REQUEST: u64 = u64::MAX;

/// The client's end of a connection.
#[derive(Debug)]
pub struct Peer {
    connections: Arc<Connections>,
    id: Id,
    address: IpAddr,
    evicted: CancellationToken,
    opened: Instant,
    proven: AtomicBool,
    /// Number of requests without an answer.
    working: AtomicUsize,
    /// When the last request began or ended, or the client read the last part of an answer: milliseconds since the
    /// connection was opened.
    progress: AtomicU64,
}

impl Peer {
    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Marks the connection as proven, because it sent a valid credential. It leaves the budget of unproven ones. Each
    /// further request is checked all the same.
    pub fn prove(&self) {
        if !self.proven.swap(true, Ordering::Relaxed) {
            let mut registry = self.connections.lock();
            let victim = registry.budget.prove(self.id);
            self.connections.evict(registry, victim);
        }
    }

    /// Whether the connection has sent a valid credential.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Notes that the client has read a part of an answer.
    pub fn note_progress(&self) {
        let passed = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NO_REQUEST);
        self.progress.store(passed.min(NO_REQUEST - 1), Ordering::Relaxed);
    }

    /// The current activity.
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
                // Waking late is harmless: the idle limit starts again when the request ends.
                None => IDLE_TIMEOUT,
            };
            tokio::time::sleep(left).await;
        }
    }

    /// Waits until another connection needs the place of this one.
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

/// A request that keeps its connection from being evicted, for the budget.
#[derive(Debug)]
pub struct Busy(Arc<Peer>);

impl Busy {
    /// Marks the beginning of the request.
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

/// A request without an answer, for the idle limit.
#[derive(Debug)]
pub struct Working(Arc<Peer>);

impl Working {
    /// Marks the beginning of the request.
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
