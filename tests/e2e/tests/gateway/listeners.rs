//! An Envoy whose listeners come from a file, so that a test can replace them under load.

use std::{fs, path::PathBuf, time::Duration};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    envoy::{Envoy, Launch},
    http::{Ask, Connection},
    policy_service::GATEWAY_SECRET,
    ports,
    stack::Ports,
    story::Expected,
};

/// A generous time limit for a busy machine.
pub const WITHIN: Duration = Duration::from_secs(60);

/// An Envoy whose listeners come from a file.
pub struct Gateway {
    pub stack: Stack,
    pub envoy: Envoy,
    file: PathBuf,
    /// The file's text at the start.
    pub listener: String,
    /// The port of that listener.
    pub port: u16,
}

impl Gateway {
    /// A stack that has everything but Envoy.
    pub async fn prepare(name: &str, options: Options) -> (Stack, u16) {
        let port = ports::free().unwrap();
        let ports = Ports { gateway: port, ..options.ports };
        (Stack::prepare(name, Options { ports, ..options }).await.unwrap(), port)
    }

    /// Starts Envoy in a prepared stack.
    pub async fn start((stack, port): (Stack, u16)) -> Self {
        let file = stack.folder().join("listeners.yaml");
        let (config, listener) = stack.config().unwrap().listeners_in(&file).unwrap();
        fs::write(&file, &listener).unwrap();
        let arguments = ["--drain-time-s", "1", "--drain-strategy", "immediate"].map(str::to_owned).to_vec();
        let launch = Launch { secret: Some(GATEWAY_SECRET), arguments, ..Launch::default() };
        let envoy = Envoy::start(stack.folder(), &config, &launch, &stack.folder().join("access.log")).await.unwrap();
        Self { stack, envoy, file, listener, port }
    }

    /// A second listener: the same text with another name and a port of its own.
    pub fn beside(&self, listener: &str, name: &str) -> (String, u16) {
        let port = ports::free().unwrap();
        let listener = once(listener, "name: gateway\n", &format!("name: {name}\n"));
        (once(&listener, &format!("port_value: {}", self.port), &format!("port_value: {port}")), port)
    }

    /// Replaces the listeners, and waits until Envoy has taken the new ones.
    pub async fn listen(&self, listeners: &str) {
        let updated = "listener_manager.lds.update_success";
        let before = self.envoy.stat(updated).await.unwrap();
        self.write(listeners);
        eventually("the listeners to be taken", WITHIN, async || {
            let warming = self.envoy.stat("listener_manager.total_listeners_warming").await.unwrap();
            let rejected = self.envoy.stat("listener_manager.lds.update_rejected").await.unwrap();
            assert_eq!(rejected, 0, "{}", self.envoy.log());
            let taken = self.envoy.stat(updated).await.unwrap() > before && warming == 0;
            if taken { Ok(()) } else { Err(format!("{warming} are warming")) }
        })
        .await
        .unwrap();
    }

    /// Replaces the listeners. Envoy may refuse the new ones.
    pub fn write(&self, listeners: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, listeners).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// Waits until the replaced listeners and their VMs are gone.
    pub async fn drained(&self) {
        eventually("the listeners that were replaced to be gone", WITHIN, async || {
            match self.envoy.stat("listener_manager.total_filter_chains_draining").await.unwrap()
                + self.envoy.stat("listener_manager.total_listeners_draining").await.unwrap()
            {
                0 => Ok(()),
                draining => Err(format!("{draining} are draining")),
            }
        })
        .await
        .unwrap();
    }

    /// Waits until the request gets the expected answer.
    pub async fn answers(&self, port: u16, key: &str, path: &str, expected: Expected) {
        let address = ([127, 0, 0, 1], port).into();
        eventually(format!("{path} to be answered: {expected}"), WITHIN, async || {
            let mut connection = Connection::open(address).await.map_err(|error| error.to_string())?;
            let answer = connection.send(&Ask::get(path).key(key)).await.map_err(|error| error.to_string())?;
            if expected.is(answer.status.as_u16(), &answer.json()) { Ok(()) } else { Err(answer.to_string()) }
        })
        .await
        .unwrap();
    }

    pub async fn stop(mut self) {
        self.envoy.stop().await;
        self.stack.stop().await;
    }
}

/// The text with `from` replaced by `to`. `from` must occur exactly once.
pub fn once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
    text.replace(from, to)
}
