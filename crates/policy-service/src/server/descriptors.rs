//! The limit on file descriptors. Each connection needs one, and a shell's default is often 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed number of descriptors if there is no limit.
const PLENTY: u64 = 1 << 20;

/// Raises the limit to the process's hard limit.
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::info!(before = current, now = maximum, "the limit on file descriptors was raised"),
        Err(error) => tracing::warn!(%error, limit = current, "the limit on file descriptors could not be raised"),
    }
}

/// The current limit.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(PLENTY)
}
