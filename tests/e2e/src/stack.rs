//! One stack: policy service, two upstreams, and Envoy with the filter, started and ready.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result, artifacts,
    config::{EnvoyConfig, Places},
    envoy::{Envoy, Launch},
    policy_service::{GATEWAY_SECRET, PolicyService},
    ports,
    upstream::Upstream,
};

/// The options of a stack. The default is the shipped configuration on free ports.
#[derive(Clone, Debug)]
pub struct Options {
    pub ports: Ports,
    /// The shipped configuration to start from.
    pub shipped: PathBuf,
    /// Replacements in the shipped configuration. Each text must occur exactly once.
    pub edits: Vec<(&'static str, String)>,
    pub policy: Policy,
    /// Variables of the policy service's environment, which are added to the defaults or replace them.
    pub variables: Vec<(&'static str, String)>,
    /// How Envoy is started.
    pub launch: Launch,
}

impl Default for Options {
    fn default() -> Self {
        let launch = Launch { secret: Some(GATEWAY_SECRET), ..Launch::default() };
        let shipped = artifacts::envoy_yaml();
        let (ports, policy) = (Ports::default(), Policy::Service);
        Self { ports, shipped, edits: Vec::new(), policy, variables: Vec::new(), launch }
    }
}

impl Options {
    /// Sets or removes `POLICY_CLIENT_SECRET`.
    pub fn secret(mut self, secret: Option<&'static str>) -> Self {
        self.launch.secret = secret;
        self
    }

    /// Sets the number of worker threads.
    pub fn workers(mut self, workers: usize) -> Self {
        self.launch.workers = workers;
        self
    }

    /// Sets a variable of the policy service's environment.
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Adds a replacement.
    pub fn edit(mut self, from: &'static str, to: impl Into<String>) -> Self {
        self.edits.push((from, to.into()));
        self
    }
}

/// The origin of the policy.
#[derive(Clone, Copy, Debug)]
pub enum Policy {
    /// The real policy service, which the stack starts.
    Service,
    /// This address, on which a test or no process listens.
    At(SocketAddr),
}

/// Ports on loopback. 0 is a free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// `GATEWAY_PORT`: requests.
    pub gateway: u16,
    /// `ADMIN_PORT`: Envoy's admin interface.
    pub admin: u16,
    /// `POLICY_PORT`: the policy service.
    pub policy: u16,
    /// `UPSTREAM_PORT`: the production endpoint.
    pub upstream: u16,
    /// `SANDBOX_PORT`: the sandbox endpoint.
    pub sandbox: u16,
}

impl Ports {
    /// The ports of the shipped configuration, or those of the environment. All must be free.
    pub fn from_environment() -> Result<Self> {
        Ok(Self {
            gateway: port("GATEWAY_PORT", 10000)?,
            admin: port("ADMIN_PORT", 9901)?,
            policy: port("POLICY_PORT", 8085)?,
            upstream: port("UPSTREAM_PORT", 8091)?,
            sandbox: port("SANDBOX_PORT", 8092)?,
        })
    }
}

/// A stack. Everything that it started ends with it.
pub struct Stack {
    folder: PathBuf,
    access_log: PathBuf,
    options: Options,
    policy: Option<PolicyService>,
    upstream: Upstream,
    sandbox: Upstream,
    envoy: Option<Envoy>,
}

impl Stack {
    /// Starts everything but Envoy, with all files in `target/stack/<name>`, which is emptied first.
    pub async fn prepare(name: &str, options: Options) -> Result<Self> {
        let folder = artifacts::root().join("target/stack").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let upstream = Upstream::start("production", options.ports.upstream).await?;
        let sandbox = Upstream::start("sandbox", options.ports.sandbox).await?;
        let policy = match options.policy {
            Policy::At(_) => None,
            Policy::Service => {
                let port = if options.ports.policy == 0 { ports::free()? } else { options.ports.policy };
                Some(PolicyService::start_with(&folder, port, &options.variables).await?)
            }
        };
        Ok(Self { access_log: folder.join("access.log"), folder, options, policy, upstream, sandbox, envoy: None })
    }

    /// Starts everything, with an empty policy.
    pub async fn start(name: &str, options: Options) -> Result<Self> {
        let mut stack = Self::prepare(name, options).await?;
        stack.start_envoy().await?;
        Ok(stack)
    }

    /// Starts Envoy (again), and waits until it serves.
    pub async fn start_envoy(&mut self) -> Result<()> {
        self.stop_envoy().await;
        let config = self.config()?;
        self.envoy = Some(Envoy::start(&self.folder, &config, &self.options.launch, &self.access_log).await?);
        Ok(())
    }

    pub async fn stop_envoy(&mut self) {
        if let Some(mut envoy) = self.envoy.take() {
            envoy.stop().await;
        }
    }

    /// The configuration for Envoy.
    pub fn config(&self) -> Result<EnvoyConfig> {
        let policy = match (self.options.policy, &self.policy) {
            (Policy::At(address), _) => address,
            (Policy::Service, Some(service)) => service.address(),
            (Policy::Service, None) => return Err(not_started("the policy service")),
        };
        let config = EnvoyConfig::of(&self.options.shipped)?.place(&Places {
            gateway: self.options.ports.gateway,
            admin: self.options.ports.admin,
            policy,
            upstream: self.upstream.address(),
            sandbox: self.sandbox.address(),
            filter: &artifacts::filter()?,
            access_log: &self.access_log,
        })?;
        self.options.edits.iter().try_fold(config, |config, (from, to)| config.replace(from, to))
    }

    /// Envoy, or an error if it has not been started.
    pub fn envoy(&self) -> Result<&Envoy> {
        self.envoy.as_ref().ok_or_else(|| not_started("envoy"))
    }

    /// The policy service, or an error if there is none.
    pub fn policy(&self) -> Result<&PolicyService> {
        self.policy.as_ref().ok_or_else(|| not_started("the policy service"))
    }

    /// The policy service, to kill it or start it again.
    pub fn policy_mut(&mut self) -> Result<&mut PolicyService> {
        self.policy.as_mut().ok_or_else(|| not_started("the policy service"))
    }

    /// The folder with all files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An error if a part has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.policy.as_mut().map_or(Ok(()), PolicyService::check)?;
        self.envoy.as_mut().map_or(Ok(()), Envoy::check)
    }

    /// Ends everything, the gateway first, so that no request reaches half a stack.
    pub async fn stop(mut self) {
        self.stop_envoy().await;
        if let Some(mut policy) = self.policy.take() {
            policy.stop().await;
        }
    }
}

fn port(variable: &'static str, default: u16) -> Result<u16> {
    let port = match env::var(variable) {
        Err(_) => default,
        Ok(text) => text
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| Error::unexpected(variable, "a port from 1 to 65535", text))?,
    };
    ports::check(port, variable)?;
    Ok(port)
}

fn not_started(what: &str) -> Error {
    Error::Unexpected {
        what: what.to_owned(),
        expected: "it to run".to_owned(),
        found: "it was not started".to_owned(),
    }
}
