//! The configuration of Envoy: a shipped file with single texts replaced.
//!
//! Every replacement names a text that must occur exactly once in the file. So a test cannot silently use a
//! configuration that it did not change, and the shipped file cannot drift away from the tests.

use std::{fs, net::SocketAddr, path::Path};

use crate::{Error, Result, artifacts};

/// The addresses and paths of one stack.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Port of the gateway on loopback. 0: Envoy chooses.
    pub gateway: u16,
    /// Port of the admin interface on loopback. 0: Envoy chooses.
    pub admin: u16,
    pub policy: SocketAddr,
    /// The production upstream.
    pub upstream: SocketAddr,
    /// The sandbox upstream.
    pub sandbox: SocketAddr,
    /// The filter's module.
    pub filter: &'a Path,
    pub access_log: &'a Path,
}

/// A configuration that is prepared for Envoy.
#[derive(Clone, Debug)]
pub struct EnvoyConfig {
    text: String,
}

impl EnvoyConfig {
    /// `envoy/standalone/envoy.yaml` as shipped.
    pub fn shipped() -> Result<Self> {
        Self::of(&artifacts::envoy_yaml())
    }

    /// The configuration in this file.
    pub fn of(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
        Ok(Self { text })
    }

    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// Replaces `from` by `to`. `from` must occur exactly once.
    pub fn replace(self, from: &str, to: &str) -> Result<Self> {
        match self.text.matches(from).count() {
            1 => Ok(Self { text: self.text.replacen(from, to, 1) }),
            found => Err(Error::NotReplaced { text: from.to_owned(), found }),
        }
    }

    /// Sets the addresses, ports and paths of one stack.
    pub fn place(self, places: &Places<'_>) -> Result<Self> {
        let port = |port: u16| format!("address: 127.0.0.1, port_value: {port}");
        self.replace("address: 0.0.0.0, port_value: 10000", &port(places.gateway))?
            .replace(&port(9901), &port(places.admin))?
            .replace(&port(8085), &port(places.policy.port()))?
            .replace(&port(8091), &port(places.upstream.port()))?
            .replace(&port(8092), &port(places.sandbox.port()))?
            .replace("filename: target/keygate.wasm", &format!("filename: {}", places.filter.display()))?
            .replace("path: /dev/stdout", &format!("path: {}", places.access_log.display()))
    }

    /// Removes the listeners. Envoy reads them from `file` instead, and again whenever another file is moved there.
    /// Also returns the listeners. Everything between the lines `listeners:` and `clusters:` is a listener.
    pub fn listeners_in(self, file: &Path) -> Result<(Self, String)> {
        let (begin, end) = ("static_resources:\n  listeners:\n", "\n  clusters:\n");
        let missing = |text: &str| Error::NotReplaced { text: text.to_owned(), found: 0 };
        let (head, rest) = self.text.split_once(begin).ok_or_else(|| missing(begin))?;
        let (listeners, clusters) = rest.split_once(end).ok_or_else(|| missing(end))?;
        let listener = "\n  - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: ";
        let listeners = format!("\n{listeners}").replace("\n  - name: ", listener);
        let path = file.display();
        let text = format!(
            "{head}node: {{ id: gateway, cluster: gateway }}\ndynamic_resources:\n  lds_config:\n    \
             path_config_source: {{ path: {path} }}\n\nstatic_resources:\n  clusters:\n{clusters}"
        );
        Ok((Self { text }, format!("resources:{listeners}\n")))
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}
