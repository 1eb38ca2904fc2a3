//! The state behind the host calls: one [`World`] per fake Envoy, with one lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, TryLockError},
    thread,
    time::{Duration, Instant},
};

use super::{
    callout::{Callout, Cluster},
    faults::Faults,
    headers::Headers,
    metrics::{MetricIds, Metrics},
    queues::Queues,
    requests::Stream,
    shared_data::SharedData,
    status::{LogLevel, Status},
};

/// How long the lock may be held or a VM may run. Then the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The state that VMs and the test share.
pub type SharedWorld = Arc<Mutex<World>>;

/// One Envoy process.
#[derive(Default)]
pub struct World {
    /// Nanoseconds of the steady clock. Timers and timeouts use it.
    pub now: u64,
    /// How much the wall clock is ahead of the steady clock. The filter sees only the wall clock.
    pub skew: i64,
    pub shared: SharedData,
    pub queues: Queues,
    /// Envoy's `node.id`. Empty: it has none.
    pub node_id: Vec<u8>,
    pub metrics: Metrics,
    pub log: Vec<LogLine>,
    /// Environment variables of the VMs.
    pub environment: Vec<(String, String)>,
    /// Whether the host gives no random bytes.
    pub without_random: bool,
    /// Clusters in a special state.
    pub clusters: BTreeMap<String, Cluster>,
    pub vms: Vec<VmState>,
    /// Accepted callouts that have not been answered.
    pub callouts: Vec<Callout>,
    /// Bytes that must not appear in any log line, metric, reply or shared value.
    pub secrets: BTreeSet<Vec<u8>>,
    /// Forbidden actions of the filter.
    pub violations: Vec<String>,
}

/// A log line of the filter.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub level: LogLevel,
    pub message: Vec<u8>,
}

/// The host's state of one VM.
#[derive(Default)]
pub struct VmState {
    pub thread: usize,
    pub vm_id: String,
    pub roots: BTreeMap<u32, Root>,
    pub streams: BTreeMap<u32, Stream>,
    pub metric_ids: MetricIds,
    pub faults: Faults,
    /// The context whose callback runs, and the context that the filter selected instead. 0 is none.
    pub current: u32,
    pub effective: u32,
    pub last_context: u32,
    /// Number of root contexts made so far.
    pub roots_made: usize,
    pub last_token: u32,
    /// Replies and resumptions, carried out after the callback has returned.
    pub deferred: Vec<Deferred>,
}

/// A root context.
#[derive(Default)]
pub struct Root {
    /// Index of the plugin.
    pub plugin: usize,
    pub configuration: Vec<u8>,
    /// The configuration can be read only while `on_configure` runs.
    pub configuring: bool,
    /// In milliseconds; 0 is no timer.
    pub tick_period: u32,
    pub next_tick: u64,
    /// Number of ticks so far.
    pub ticks: u64,
    /// The response whose callback runs. The inner `None` is a reset.
    pub response: Option<Option<(Headers, Vec<u8>)>>,
}

/// An action of Envoy after a callback.
pub enum Deferred {
    Continue(u32),
    Reply(u32),
}

impl VmState {
    /// The context that host calls act on.
    pub fn context(&self) -> u32 {
        if self.roots.contains_key(&self.effective) || self.streams.contains_key(&self.effective) {
            self.effective
        } else {
            self.current
        }
    }

    /// The stream that host calls act on, if that context is a stream.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    /// The root context of the context that host calls act on.
    pub fn root_id(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    pub fn root(&mut self) -> Result<&mut Root, Status> {
        let id = self.root_id();
        self.roots.get_mut(&id).ok_or(Status::BadArgument)
    }

    pub fn next_context(&mut self) -> u32 {
        self.last_context += 1;
        self.last_context
    }
}

/// Takes the lock. Fails instead of hanging if a VM died while it held the lock.
pub fn lock(world: &SharedWorld) -> MutexGuard<'_, World> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match world.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                assert!(Instant::now() < deadline, "the host's lock is held for ever");
                thread::yield_now();
            }
        }
    }
}
