//! Envoy with four workers on the configuration that is shipped, with listeners that can be replaced while it serves, and
//! a module that can be made to trap.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use keygate_e2e::{
    Error, Result, artifacts,
    config::{EnvoyConfig, Places},
    envoy::{Envoy, Launch},
    http::{self, Ask},
    policy_service::GATEWAY_SECRET,
    ports,
    upstream::Upstream,
};

use crate::{bill, history::Bounds};

/// Worker threads.
pub const WORKERS: usize = 4;
/// How long Envoy goes on serving the connections of a listener that was replaced.
pub const DRAIN_SECONDS: u64 = 3;

/// How much memory Envoy has, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What the kernel has given it.
    pub resident_kib: u64,
    /// Without what its allocator has been given back and keeps: with each listener that is replaced that grows a little
    /// less, while what is used stays the same.
    pub used_kib: u64,
}

/// A running gateway with its upstreams.
pub struct Gateway {
    envoy: Envoy,
    address: SocketAddr,
    listeners: PathBuf,
    listener: String,
    armed: PathBuf,
    replaced: u64,
    _upstreams: [Upstream; 2],
}

impl Gateway {
    /// Starts it in front of `policy`, with the module `armed`, and waits until it serves.
    pub async fn start(folder: &Path, policy: SocketAddr, armed: &Path, bounds: Bounds) -> Result<Self> {
        let upstreams = [Upstream::start("production", 0).await?, Upstream::start("sandbox", 0).await?];
        let [upstream, sandbox] = [upstreams[0].address(), upstreams[1].address()];
        let port = ports::free()?;
        let listeners = folder.join("listeners.yaml");
        let config = EnvoyConfig::shipped()?.place(&Places {
            gateway: port,
            admin: 0,
            policy,
            upstream,
            sandbox,
            filter: armed,
            access_log: Path::new("/dev/null"),
        })?;
        let interval = bounds.interval.as_millis();
        let config = config
            .replace(r#""refresh_interval_ms": 5000"#, &format!(r#""refresh_interval_ms": {interval}"#))?
            .replace(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 5000"#)?
            .replace(r#""timeout_ms": 5000"#, r#""timeout_ms": 2000"#)?
            .replace(r#""interval_ms": 60000"#, &format!(r#""interval_ms": {}"#, bill::INTERVAL_MS))?;
        let (config, listener) = config.listeners_in(&listeners)?;
        fs::write(&listeners, &listener).map_err(Error::io("writing the listeners"))?;
        let mut launch = Launch { secret: Some(GATEWAY_SECRET), workers: WORKERS, arguments: Vec::new() };
        let drain = DRAIN_SECONDS.to_string();
        launch.arguments.extend(["--drain-time-s", &drain, "--drain-strategy", "immediate"].map(str::to_owned));
        let envoy = Envoy::start(folder, &config, &launch, Path::new("/dev/null")).await?;
        let address = envoy.gateway();
        let armed = armed.to_owned();
        Ok(Self { envoy, address, listeners, listener, armed, replaced: 0, _upstreams: upstreams })
    }

    /// Where requests go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it tells of itself.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Replaces the listener by one whose filter is configured a little differently; every third time with the module
    /// that is shipped in the place of the one that can trap, so that two builds of it share one policy.
    pub fn replace_listener(&mut self) -> Result<()> {
        self.replaced = self.replaced.saturating_add(1);
        let mut listener =
            self.listener.replace(r#""realm": "keygate""#, &format!(r#""realm": "keygate-{}""#, self.replaced));
        if !self.is_armed() {
            let armed = self.armed.display().to_string();
            listener = listener.replace(&armed, &artifacts::filter()?.display().to_string());
        }
        // Envoy looks when a file is moved there, so that it never sees half of one.
        let new = self.listeners.with_extension("new");
        fs::write(&new, listener).map_err(Error::io("writing the listeners"))?;
        fs::rename(new, &self.listeners).map_err(Error::io("moving the listeners"))
    }

    /// Whether the module that new requests meet can be made to trap.
    pub fn is_armed(&self) -> bool {
        self.replaced % 3 != 1
    }

    /// Envoy's memory now.
    pub async fn memory(&self) -> Result<Memory> {
        let file = format!("/proc/{}/status", self.envoy.id());
        let text = fs::read_to_string(&file).map_err(Error::io(format!("reading {file}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        let resident_kib: u64 = kib.ok_or_else(|| Error::unexpected(file, "VmRSS", "none"))?;
        let heap = http::send(self.envoy.admin(), &Ask::get("/memory")).await?;
        let bytes = |name: &str| heap.json().get(name)?.as_str()?.parse::<u64>().ok();
        let unused = bytes("pageheap_free").zip(bytes("total_thread_cache"));
        let (free, cached) = unused.ok_or_else(|| Error::unexpected("/memory", "what the heap has", &heap.body))?;
        Ok(Memory { resident_kib, used_kib: resident_kib.saturating_sub(free.saturating_add(cached) / 1024) })
    }

    /// An error if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.envoy.check()
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        self.envoy.stop().await;
    }
}

/// Makes the VM that serves this connection trap, if its module can. What comes back is of no interest.
pub async fn trap(address: SocketAddr) {
    let _ = http::send(address, &Ask::get("/").header("x-soak-trap", "1")).await;
}
