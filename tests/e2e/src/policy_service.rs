//! A real policy service, and its management API as an administrator calls it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    Error, Result, artifacts,
    deadline::eventually,
    http::{self, Answer, Ask},
    process::Process,
};

/// The administrator's token. The service listens on loopback only and lives as long as the stack.
pub const ADMIN_TOKEN: &str = "demo-administrator";
/// The gateway's id, as in `envoy/standalone/envoy.yaml`.
pub const GATEWAY_ID: &str = "gateway-1";
/// The gateway's secret.
pub const GATEWAY_SECRET: &str = "demo-gateway-secret";
/// The files of a database.
const DATABASE_FILES: [&str; 3] = ["policy.db", "policy.db-wal", "policy.db-shm"];
/// How long the service may take to answer.
const STARTING: Duration = Duration::from_secs(30);

/// A policy service, running or not. Its database stays when it is killed and started again.
pub struct PolicyService {
    folder: PathBuf,
    address: SocketAddr,
    variables: BTreeMap<&'static str, String>,
    process: Option<Process>,
}

impl PolicyService {
    /// Starts a service on `port` of loopback with its files in `folder`, and waits until it answers.
    pub async fn start(folder: &Path, port: u16) -> Result<Self> {
        Self::start_with(folder, port, &[]).await
    }

    /// The same with these variables in its environment, which are added to the defaults or replace them.
    pub async fn start_with(folder: &Path, port: u16, variables: &[(&'static str, String)]) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let variables = variables.iter().cloned().collect();
        let mut service = Self { folder: folder.to_owned(), address, variables, process: None };
        service.restart().await?;
        Ok(service)
    }

    /// Starts it (again) on the same port and database.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await;
        let mut command = Command::new(artifacts::policy_service()?);
        command.args(["serve", "--listen", &self.address.to_string()]);
        command.args(["--database", &self.database()]);
        command.env("POLICY_ADMIN_TOKEN", ADMIN_TOKEN);
        // The service refuses a variable beside its file.
        if !self.variables.contains_key("POLICY_GATEWAYS_FILE") {
            command.env("POLICY_GATEWAYS", format!("{GATEWAY_ID}:{GATEWAY_SECRET}"));
        }
        command.env("NO_COLOR", "1");
        command.envs(&self.variables);
        let mut process = Process::start("policy-service", command, self.folder.join("policy-service.log"))?;
        let address = self.address;
        let (answered, _) = eventually("the policy service to answer", STARTING, async || match process.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => http::send(address, &Ask::get("/openapi.json")).await.map(|_| Ok(())),
        })
        .await?;
        answered?;
        self.process = Some(process);
        Ok(())
    }

    /// Sets a variable of its environment, from the next start on.
    pub fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    /// Copies its database into the new folder `backup`. The service must not run.
    pub fn back_up(&self, backup: &Path) -> Result<()> {
        fs::create_dir_all(backup).map_err(Error::io(format!("making {}", backup.display())))?;
        copy_database(&self.folder, backup)
    }

    /// Replaces its database by the one in the folder `backup`. The service must not run.
    pub fn put_back(&self, backup: &Path) -> Result<()> {
        copy_database(backup, &self.folder)
    }

    /// Ends it with SIGKILL, like a crash.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Ends it with SIGTERM, as an operator does.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// An error if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check)
    }

    /// Imports the rows of the policy pages in `file` into its database while it serves, as an operator does.
    pub async fn import(&self, file: &Path) -> Result<()> {
        let mut command = Command::new(artifacts::policy_service()?);
        command.args(["import", "--database", &self.database()]).arg(file).kill_on_drop(true);
        let output = command.output().await.map_err(Error::io("importing"))?;
        if output.status.success() {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(Error::unexpected(format!("importing {}", file.display()), "success", errors))
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.folder.join("policy.db").display())
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// The address on which it listens when it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> String {
        crate::process::read(&self.folder.join("policy-service.log"))
    }

    /// Calls the management API with the administrator's token.
    pub async fn call(&self, ask: Ask) -> Result<Answer> {
        http::send(self.address, &ask.header("authorization", format!("Bearer {ADMIN_TOKEN}"))).await
    }

    /// Sends a POST that must succeed to the management API, and returns the answer.
    pub async fn post(&self, path: &str, body: Option<Value>) -> Result<Value> {
        let mut ask = Ask::new("POST", path);
        if let Some(body) = body {
            ask = ask.json(body);
        }
        let answer = self.call(ask.clone()).await?;
        if answer.status.is_success() {
            Ok(answer.json())
        } else {
            Err(Error::unexpected(ask.to_string(), "success", answer.to_string()))
        }
    }
}

/// Copies a database as an operator does after stopping the service. A file that does not exist in `from` is removed
/// from the target.
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    for file in DATABASE_FILES {
        let (from, to) = (from.join(file), to.join(file));
        // The only possible error is that there was none.
        let _ = fs::remove_file(&to);
        if from.is_file() {
            fs::copy(&from, &to).map_err(Error::io(format!("copying {}", from.display())))?;
        }
    }
    Ok(())
}
