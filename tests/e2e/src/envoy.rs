//! A real Envoy, with its statistics, access log and log.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    Error, Result, artifacts,
    config::EnvoyConfig,
    deadline::eventually,
    http::{self, Answer, Ask},
    process::{self, Process},
};

/// Worker threads by default. Two is the smallest number for which "on every worker" means something.
const WORKERS: usize = 2;
/// How long Envoy may take to start. It compiles the module once, which takes seconds on a slow, busy machine.
const STARTING: Duration = Duration::from_secs(60);

/// Envoy's counters of its Wasm VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vms {
    /// Created since the start.
    pub created: u64,
    /// Alive now.
    pub active: u64,
    /// Replacements of VMs that died, successful or not.
    pub reloads: u64,
}

/// How an Envoy is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// `POLICY_CLIENT_SECRET`.
    pub secret: Option<&'static str>,
    /// The number of worker threads.
    pub workers: usize,
    /// Additional arguments.
    pub arguments: Vec<String>,
}

impl Default for Launch {
    fn default() -> Self {
        Self { secret: None, workers: WORKERS, arguments: Vec::new() }
    }
}

pub struct Envoy {
    process: Process,
    id: u32,
    workers: usize,
    gateway: SocketAddr,
    admin: SocketAddr,
    access_log: PathBuf,
}

impl Envoy {
    /// Starts Envoy on `config` with its files in `folder`, and waits until it serves. If Envoy ends instead, the error
    /// is [`Error::Exited`] with its log.
    pub async fn start(folder: &Path, config: &EnvoyConfig, launch: &Launch, access_log: &Path) -> Result<Self> {
        let admin_file = folder.join("admin-address");
        // An old file would name the port of another Envoy.
        let _ = fs::remove_file(&admin_file);
        let mut command = command(folder, config, launch.secret)?;
        command.args(["--concurrency", &launch.workers.to_string(), "--file-flush-interval-msec", "50"]);
        command.args(&launch.arguments);
        command.arg("--admin-address-path").arg(&admin_file);
        let mut process = Process::start("envoy", command, folder.join("envoy.log"))?;
        let (addresses, _) = eventually("envoy to serve", STARTING, async || match process.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => addresses(&admin_file).await.map(Ok),
        })
        .await?;
        let (admin, gateway) = addresses?;
        let id = process.id().ok_or_else(|| Error::unexpected("envoy", "it to run", "it has ended"))?;
        Ok(Self { process, id, workers: launch.workers, gateway, admin, access_log: access_log.to_owned() })
    }

    /// Runs Envoy on a `config` that it must refuse. Returns its exit status and its log.
    pub async fn refuse(folder: &Path, config: &EnvoyConfig, args: &[&str]) -> Result<(ExitStatus, String)> {
        let mut command = command(folder, config, Some("a secret"))?;
        command.args(args);
        let mut process = Process::start("envoy", command, folder.join("envoy.log"))?;
        let Some(status) = process.ended(STARTING).await else {
            return Err(Error::Deadline {
                what: "envoy to end".to_owned(),
                waited: STARTING,
                last: "it runs, so it took the configuration".to_owned(),
            });
        };
        Ok((status, process.log()))
    }

    /// The process id, which is also the id of its main thread.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The number of worker threads.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The address for requests.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// The address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Counters and gauges whose names match the regular expression `filter`.
    pub async fn stats(&self, filter: &str) -> Result<Vec<(String, u64)>> {
        stats(self.admin, filter).await
    }

    /// The counter or gauge `name`, or 0 if Envoy does not have it (yet).
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let stats = self.stats(&format!("^{}$", name.replace('.', "\\."))).await?;
        Ok(stats.first().map_or(0, |(_, value)| *value))
    }

    /// The counters of its VMs. If they are equal before and after requests to every worker, no VM died: the next
    /// request would replace a dead one.
    pub async fn vms(&self) -> Result<Vms> {
        Ok(Vms {
            created: self.stat("wasm.envoy.wasm.runtime.v8.created").await?,
            active: self.stat("wasm.envoy.wasm.runtime.v8.active").await?,
            reloads: self.stats("^wasm.keygate.vm_reload").await?.iter().map(|(_, value)| value).sum(),
        })
    }

    /// The log of Envoy and the filter since the folder was created.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The access log so far, one JSON object for each request.
    pub fn access_log(&self) -> Vec<Value> {
        process::read(&self.access_log).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// An error if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Ends it with SIGTERM, as an operator does.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }
}

/// Counters and gauges of the Envoy with this admin interface whose names match the regular expression `filter`.
pub async fn stats(admin: SocketAddr, filter: &str) -> Result<Vec<(String, u64)>> {
    let answer = http::send(admin, &Ask::get(format!("/stats?filter={filter}"))).await?;
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(": ")?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(answer.body.lines().filter_map(line).collect())
}

fn command(folder: &Path, config: &EnvoyConfig, secret: Option<&str>) -> Result<Command> {
    let file = folder.join("envoy.yaml");
    fs::write(&file, config.as_str()).map_err(Error::io(format!("writing {}", file.display())))?;
    let mut command = Command::new(artifacts::envoy()?);
    // Without hot restart Envoy uses no shared memory. So nothing is left behind when it is killed, and several can run
    // side by side.
    command.arg("-c").arg(&file).arg("--disable-hot-restart").env_remove("POLICY_CLIENT_SECRET");
    if let Some(secret) = secret {
        command.env("POLICY_CLIENT_SECRET", secret);
    }
    Ok(command)
}

/// The addresses of the admin interface and the gateway of an Envoy that serves.
async fn addresses(admin_file: &Path) -> Result<(SocketAddr, SocketAddr)> {
    let starting = |found: &str| Error::unexpected("envoy's start", "a served listener", found);
    let admin: SocketAddr =
        process::read(admin_file).trim().parse().map_err(|_| starting("no address of its admin interface"))?;
    let ready = http::send(admin, &Ask::get("/ready")).await?;
    if ready.body.trim() != "LIVE" {
        return Err(starting(&ready.body));
    }
    let listeners = http::send(admin, &Ask::get("/listeners?format=json")).await?;
    let port = port(&listeners).ok_or_else(|| starting(&listeners.body))?;
    Ok((admin, SocketAddr::from(([127, 0, 0, 1], port))))
}

fn port(listeners: &Answer) -> Option<u16> {
    let json = listeners.json();
    let port = json.pointer("/listener_statuses/0/local_address/socket_address/port_value")?.as_u64()?;
    u16::try_from(port).ok()
}
