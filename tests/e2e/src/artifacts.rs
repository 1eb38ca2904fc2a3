//! The paths of the programs and files under test. Nothing is built or installed here: the Makefile does that.

use std::{env, path::PathBuf};

use crate::{Error, Result};

/// The project's folder.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// The filter: `KEYGATE_WASM`, or the output of `make build`.
pub fn filter() -> Result<PathBuf> {
    existing("KEYGATE_WASM", "target/keygate.wasm", "run `make build`")
}

/// The policy service: `POLICY_SERVICE`, or the output of `make build`.
pub fn policy_service() -> Result<PathBuf> {
    existing("POLICY_SERVICE", "target/release/policy-service", "run `make build`")
}

/// Envoy: `ENVOY`, or the one that `make` installs.
pub fn envoy() -> Result<PathBuf> {
    existing("ENVOY", ".tools/bin/envoy", "run `make envoy`, or name a binary: ENVOY=<path>")
}

/// Redis, which only tests use: `REDIS_SERVER`, or the one that `make e2e-ratelimit` installs.
pub fn redis_server() -> Result<PathBuf> {
    let remedy = "run `tools/need redis-server`, or name a binary: REDIS_SERVER=<path>";
    existing("REDIS_SERVER", ".tools/bin/redis-server", remedy)
}

/// Envoy's rate limit server, which only tests use: `RATELIMIT`, or the one that `make e2e-ratelimit` builds.
pub fn ratelimit() -> Result<PathBuf> {
    existing("RATELIMIT", ".tools/bin/ratelimit", "run `tools/need ratelimit`, or name a binary: RATELIMIT=<path>")
}

/// nginx, which only tests use: `NGINX`, or the one that `make e2e` installs.
pub fn nginx() -> Result<PathBuf> {
    existing("NGINX", ".tools/bin/nginx", "run `tools/need nginx`, or name a binary: NGINX=<path>")
}

/// The shipped configuration.
pub fn envoy_yaml() -> PathBuf {
    root().join("envoy/standalone/envoy.yaml")
}

fn existing(variable: &str, default: &str, remedy: &'static str) -> Result<PathBuf> {
    let path = env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = root().join(path);
    if path.is_file() { Ok(path) } else { Err(Error::Missing { path, remedy }) }
}
