//! keygate at its full size: one Envoy with the real policy service, and its measurements.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use keygate_e2e::deadline::eventually;
use tokio::runtime::Runtime;

use crate::{
    Error, Result,
    authz::Authz,
    cpu,
    envoy::Envoy,
    gate::Gate,
    listeners::{self, Listener, Places},
    load::{self, Loop},
    population::{self, Population},
    stream::{Latency, Stream},
    variants,
};

/// Time limit for a full load.
const LOADING: Duration = Duration::from_secs(180);
/// keygate's listener.
pub const KEYGATE: &str = "keygate";
/// Requests of a flood.
pub const FLOOD: usize = 100_000;
/// Known keys that are requested before and after the flood. Fewer than a VM caches.
const KNOWN: usize = 1_500;

/// An Envoy that has, or will have, the policy.
pub struct Scale<'r> {
    runtime: &'r Runtime,
    pub envoy: Envoy,
    /// The gate in front of the policy service.
    pub gate: Gate,
    population: Population,
    /// Resident bytes without a policy.
    empty: u64,
    /// CPU time before the first load.
    used: Duration,
}

/// A full load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// From its first request to the policy that decides.
    pub seconds: f64,
    /// CPU time of Envoy in seconds, including requests meanwhile.
    pub cpu_seconds: f64,
    /// Additional resident memory compared with no policy, per key.
    pub bytes_per_key: f64,
    /// Megabytes that the service sent.
    pub megabytes: f64,
}

/// The effects of a flood of unknown keys.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Requests to the policy service during the flood.
    pub callouts: u64,
    /// Duration of the flood.
    pub seconds: f64,
    /// Memory that it cost.
    pub bytes: i64,
    /// Microseconds for a request with a known key before the flood.
    pub before: f64,
    /// The same after the flood.
    pub after: f64,
}

impl<'r> Scale<'r> {
    /// Starts Envoy behind a closed gate, measures its memory without a policy, and opens the gate.
    pub fn start(
        runtime: &'r Runtime,
        folder: &Path,
        listeners: &[Listener],
        gate: Gate,
        authz: &Authz,
        population: Population,
        workers: usize,
    ) -> Result<Self> {
        let places = Places { policy: gate.address(), authz: authz.address() };
        let config = listeners::bootstrap(listeners, places);
        let envoy = runtime.block_on(Envoy::start(&folder.join(format!("workers-{workers}")), &config, workers))?;
        let used = cpu::settled(envoy.id())?;
        let empty = envoy.resident_bytes()?;
        gate.open();
        Ok(Self { runtime, envoy, gate, population, empty, used })
    }

    /// Waits for the first load.
    pub fn first_load(&self) -> Result<Load> {
        self.wait_for_load(1, 0, self.used)
    }

    /// Makes keygate load everything again, and waits for it.
    pub fn load_again(&self) -> Result<Load> {
        let (applied, bytes) = (self.applied()?, self.gate.bytes());
        let used = cpu::used(self.envoy.id())?;
        self.gate.forget();
        self.wait_for_load(applied + 1, bytes, used)
    }

    fn applied(&self) -> Result<u64> {
        let stats = self.runtime.block_on(self.envoy.stats("wasmcustom.keygate.refresh.applied"))?;
        Ok(stats.values().sum())
    }

    fn wait_for_load(&self, applied: u64, bytes_before: u64, used_before: Duration) -> Result<Load> {
        let looking = async || {
            let stats = self.envoy.stats("wasmcustom.keygate.refresh.applied").await?;
            let found: u64 = stats.values().sum();
            if found >= applied {
                Ok(())
            } else {
                Err(Error::unexpected("loads", applied.to_string(), found.to_string()))
            }
        };
        self.runtime.block_on(eventually("a full load", LOADING, looking))?;
        let ended = Instant::now();
        let seconds = self.gate.load_began().map_or(0.0, |began| (ended - began).as_secs_f64());
        let used = cpu::used(self.envoy.id())?.saturating_sub(used_before);
        self.check_last_key()?;
        let grown = self.envoy.resident_bytes()?.saturating_sub(self.empty);
        Ok(Load {
            seconds,
            cpu_seconds: used.as_secs_f64(),
            bytes_per_key: float(grown) / float(self.population.keys()),
            megabytes: float(self.gate.bytes() - bytes_before) / 1e6,
        })
    }

    /// Checks that the policy is complete: a key of the last page is allowed.
    fn check_last_key(&self) -> Result<()> {
        let mut all = Loop::open(self.envoy.listener(KEYGATE)?)?;
        let last = self.population.allowed() - 1;
        all.run(1, 200, || request(last))
    }

    /// Milliseconds of CPU time that Envoy uses in a second without requests.
    pub fn at_rest(&self, during: Duration) -> Result<f64> {
        let (used, begun) = (cpu::used(self.envoy.id())?, Instant::now());
        std::thread::sleep(during);
        let used = cpu::used(self.envoy.id())?.saturating_sub(used);
        Ok(used.as_secs_f64() * 1e3 / begun.elapsed().as_secs_f64())
    }

    /// A stream for this time, with nothing else going on.
    pub fn idle_stream(&self, during: Duration) -> Result<Latency> {
        let stream = Stream::start(self.envoy.listener(KEYGATE)?)?;
        std::thread::sleep(during);
        stream.end()
    }

    /// A stream for the duration of a full load, and a second stream to a listener without a filter. The second one
    /// shows the effect of the busy machine, which runs the service, the load and both streams.
    pub fn loading_stream(&self) -> Result<(Latency, Latency, Load)> {
        let bare = Stream::start(self.envoy.listener(variants::id::NONE)?)?;
        let stream = Stream::start(self.envoy.listener(KEYGATE)?)?;
        let load = self.load_again()?;
        Ok((stream.end()?, bare.end()?, load))
    }

    /// [`FLOOD`] requests with different unknown keys.
    pub fn flood(&self) -> Result<Flood> {
        let mut all = Loop::open(self.envoy.listener(KEYGATE)?)?;
        self.pass(&mut all)?;
        let before = self.pass(&mut all)?;
        let (bytes, requests, begun) = (self.envoy.resident_bytes()?, self.gate.requests(), Instant::now());
        let mut number = self.population.keys();
        all.run(FLOOD, 401, || {
            number += 1;
            request(number)
        })?;
        let (callouts, seconds) = (self.gate.requests() - requests, begun.elapsed().as_secs_f64());
        let grown =
            i64::try_from(self.envoy.resident_bytes()?).unwrap_or(i64::MAX) - i64::try_from(bytes).unwrap_or(i64::MAX);
        let after = self.pass(&mut all)?;
        Ok(Flood { callouts, seconds, bytes: grown, before, after })
    }

    /// Requests each known key once. Returns microseconds of CPU time per request.
    fn pass(&self, all: &mut Loop) -> Result<f64> {
        let before = cpu::settled(self.envoy.id())?;
        let mut number = 0;
        all.run(KNOWN, 200, || {
            number += 1;
            request(number)
        })?;
        let used = cpu::settled(self.envoy.id())?.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e6 / float(KNOWN))
    }
}

fn request(key: usize) -> Vec<u8> {
    load::request("api.example.com", &population::path(key), &population::key(key))
}

/// For figures.
fn float(number: impl TryInto<u64>) -> f64 {
    let number: u64 = number.try_into().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "counts and bytes here are far below 2^52")]
    let float = number as f64;
    float
}
