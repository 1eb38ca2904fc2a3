//! Envoy for the measurements: a given number of workers, and many listeners.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    process::{self, Process},
};
use serde_json::Value;
use tokio::process::Command;

use crate::{Error, Result};

/// Time limit for Envoy to start. It compiles every module, and one of them fills a map in every VM.
const STARTING: Duration = Duration::from_secs(120);

pub struct Envoy {
    process: Process,
    id: u32,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Envoy {
    /// Starts an Envoy with its files in `folder`, and waits until it serves.
    pub async fn start(folder: &Path, config: &Value, workers: usize) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let file = folder.join("envoy.json");
        fs::write(&file, config.to_string()).map_err(Error::io(format!("writing {}", file.display())))?;
        let admin_file = folder.join("admin-address");
        let log = folder.join("envoy.log");
        // Files of an earlier Envoy in this folder would mislead.
        let _ = fs::remove_file(&admin_file);
        let _ = fs::remove_file(&log);
        let mut command = Command::new(artifacts::envoy()?);
        command.arg("-c").arg(&file).args(["--disable-hot-restart", "--log-level", "warning"]);
        command.args(["--concurrency", &workers.to_string()]).arg("--admin-address-path").arg(&admin_file);
        let mut process = Process::start("envoy", command, log)?;
        let (found, _) = eventually("envoy to serve", STARTING, async || match process.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => addresses(&admin_file).await.map(Ok),
        })
        .await?;
        let (admin, listeners) = found?;
        let id = process.id().ok_or_else(|| Error::unexpected("envoy", "it to run", "it has ended"))?;
        Ok(Self { process, id, admin, listeners })
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The address of a listener.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let found = || format!("{:?}", self.listeners.keys());
        self.listeners.get(name).copied().ok_or_else(|| Error::unexpected("envoy's listeners", name, found()))
    }

    /// Counters and gauges whose names match the regular expression `filter`.
    pub async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let answer = http::send(self.admin, &Ask::get(format!("/stats?filter={filter}"))).await?;
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(answer.body.lines().filter_map(line).collect())
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let file = format!("/proc/{}/status", self.id);
        let text = fs::read_to_string(&file).map_err(Error::io(format!("reading {file}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Error::unexpected(file, "VmRSS", text))
    }

    /// An error if Envoy has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

async fn addresses(admin_file: &Path) -> Result<(SocketAddr, BTreeMap<String, SocketAddr>)> {
    let starting = |found: &str| Error::unexpected("envoy's start", "served listeners", found);
    let admin: SocketAddr =
        process::read(admin_file).trim().parse().map_err(|_| starting("no address of its admin interface"))?;
    let ready = http::send(admin, &Ask::get("/ready")).await?;
    if ready.body.trim() != "LIVE" {
        return Err(starting(&ready.body));
    }
    let json = http::send(admin, &Ask::get("/listeners?format=json")).await?.json();
    let listeners = json.get("listener_statuses").and_then(Value::as_array).ok_or_else(|| starting("none"))?;
    let address = |listener: &Value| {
        let port = listener.pointer("/local_address/socket_address/port_value")?.as_u64()?;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).ok()?));
        Some((listener.get("name")?.as_str()?.to_owned(), address))
    };
    Ok((admin, listeners.iter().filter_map(address).collect()))
}
