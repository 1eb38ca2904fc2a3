//! Where the programs and files under test are. Nothing is built or installed from here: the Makefile does that.

use std::{env, path::PathBuf};

use crate::{Error, Result};

/// The project's folder.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// The filter: `KEYGATE_WASM`, or what `make build` leaves.
pub fn filter() -> Result<PathBuf> {
    existing("KEYGATE_WASM", "target/keygate.wasm", "run `make build`")
}

/// The policy service: `POLICY_SERVICE`, or what `make build` leaves.
pub fn policy_service() -> Result<PathBuf> {
    existing("POLICY_SERVICE", "target/release/policy-service", "run `make build`")
}

/// Envoy: `ENVOY`, or what `make` brings.
pub fn envoy() -> Result<PathBuf> {
    existing("ENVOY", ".tools/bin/envoy", "run `make envoy`, or name a binary: ENVOY=<path>")
}

/// Redis, which tests alone want: `REDIS_SERVER`, or what `make e2e` brings.
pub fn redis_server() -> Result<PathBuf> {
    let remedy = "run `tools/need redis-server`, or name a binary: REDIS_SERVER=<path>";
    existing("REDIS_SERVER", ".tools/bin/redis-server", remedy)
}

/// nginx, which tests alone want: `NGINX`, or what `make e2e` brings.
pub fn nginx() -> Result<PathBuf> {
    existing("NGINX", ".tools/bin/nginx", "run `tools/need nginx`, or name a binary: NGINX=<path>")
}

/// The configuration that is shipped, and that everything here runs.
pub fn envoy_yaml() -> PathBuf {
    root().join("envoy/standalone/envoy.yaml")
}

fn existing(variable: &str, default: &str, remedy: &'static str) -> Result<PathBuf> {
    let path = env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = root().join(path);
    if path.is_file() { Ok(path) } else { Err(Error::Missing { path, remedy }) }
}
