//! Services on one database. Their addresses stay the same when one is killed and started again.

use std::{net::SocketAddr, time::Duration};

use testkit::{
    Error, Result,
    deadline::eventually,
    http::{self, Ask},
    ports,
    process::Process,
};
use tokio::{process::Command, sync::Mutex};

use crate::{beside::credential, changes::Client, database::Database};

pub const TOKEN: &str = "Bearer the-administrators-token";
/// A gateway that sees everything, and one that sees one API.
pub const GATEWAY: &str = "Bearer secret-of-a-gateway";
pub const LIMITED: &str = "Bearer secret-of-another-gateway";
/// The progress of an import is at the level of information, as is each change.
const LOG: &str = "warn,policy_service::routes::import=info";
const SOON: Duration = Duration::from_secs(30);

/// Running services.
pub struct Replicas {
    pub addresses: Vec<SocketAddr>,
    running: Vec<Mutex<Process>>,
    commands: Vec<(String, std::path::PathBuf)>,
    service: std::path::PathBuf,
}

impl Replicas {
    pub async fn start(database: &Database, count: usize) -> Result<Self> {
        let mut replicas = Self {
            addresses: Vec::new(),
            running: Vec::new(),
            commands: Vec::new(),
            service: database.service.clone(),
        };
        for number in 0..count {
            let address = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
            let log = database.folder.path().join(format!("service-{number}.log"));
            replicas.addresses.push(address);
            replicas.commands.push((database.url.clone(), log));
            replicas.running.push(Mutex::new(replicas.process(number)?));
        }
        for address in &replicas.addresses {
            serves(*address).await?;
        }
        Ok(replicas)
    }

    fn process(&self, number: usize) -> Result<Process> {
        let (url, log) = &self.commands[number];
        let mut command = Command::new(&self.service);
        command.arg("serve").env_clear().env("POLICY_DATABASE", url).env("RUST_LOG", LOG);
        command.env("POLICY_LISTEN", self.addresses[number].to_string()).env("POLICY_ADMIN_TOKEN", &TOKEN[7..]);
        command.env("POLICY_GATEWAYS", format!("all:{},limited:{},{}", &GATEWAY[7..], &LIMITED[7..], credential()));
        command.env("POLICY_GATEWAY_APIS", r#"{"limited":["api-1"]}"#);
        Process::start("policy-service", command, log.clone())
    }

    /// Kills a service like a crash, and starts it again.
    pub async fn kill(&self, number: usize) -> Result<()> {
        let mut running = self.running[number].lock().await;
        running.kill().await;
        *running = self.process(number)?;
        drop(running);
        serves(self.addresses[number]).await
    }

    /// The most memory that a service has had since it was started, in bytes.
    pub async fn peak_memory(&self, number: usize) -> Result<u64> {
        let running = self.running[number].lock().await;
        let status = testkit::process::read(format!("/proc/{}/status", running.id().unwrap_or_default()).as_ref());
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        let found = || Error::unexpected("/proc/PID/status", "a line with VmHWM", &status);
        peak.map(|kilobytes: u64| kilobytes * 1024).ok_or_else(found)
    }

    /// The processor time that all services have spent since they were started.
    pub async fn processor_time(&self) -> Result<Duration> {
        let mut ticks = 0;
        for running in &self.running {
            let running = running.lock().await;
            let stat = testkit::process::read(format!("/proc/{}/stat", running.id().unwrap_or_default()).as_ref());
            // After the name, which may have blanks: utime and stime are the 14th and 15th field of proc(5).
            let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
            let times: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
            if times.len() != 2 {
                return Err(Error::unexpected("/proc/PID/stat", "two times", &stat));
            }
            ticks += times.iter().sum::<u64>();
        }
        // Linux counts 100 of them a second for every program (USER_HZ).
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The lines in all logs that contain a text.
    pub async fn logs(&self) -> String {
        let mut all = String::new();
        for running in &self.running {
            all.push_str(&running.lock().await.log());
        }
        all
    }
}

/// The latest revision.
pub async fn latest(client: &mut Client) -> Result<i64> {
    let ask = Ask::get("/v1/revisions?limit=1&sort=-revision").header("authorization", TOKEN);
    let answer = client.send(0, &ask, SOON).await?;
    let revision = answer.json()["items"][0]["revision"].as_i64();
    revision.ok_or_else(|| Error::unexpected("the latest revision", "a number", answer.to_string()))
}

async fn serves(address: SocketAddr) -> Result<()> {
    let look = async || http::send(address, &Ask::get("/healthz")).await.map(drop);
    eventually::<_, Error, _>(format!("{address} serves"), SOON, look).await?;
    Ok(())
}
