//! Free ports on loopback, and the process that holds a port that is taken.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

use procfs::process::{FDTarget, all_processes};

use crate::{Error, Result};

/// The range in which free ports are searched, apart from the ports that the kernel assigns by itself.
const OURS: Range<u16> = 15_000..32_000;

/// The number of ports that this process has asked for.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A port on which no process listens. Each call returns another one. It is not reserved, but the kernel does not
/// assign it to a process that wants any port. Without this, a new connection took a port after it was found here and
/// before Envoy bound it.
pub fn free() -> Result<u16> {
    let ours = OURS.start..OURS.end.min(first_of_kernel());
    let count = u32::from(ours.end.saturating_sub(ours.start));
    // Processes that run side by side begin in different places.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let offset = begin.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)).checked_rem(count).unwrap_or(0);
        let port = ours.start.saturating_add(u16::try_from(offset).unwrap_or(0));
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("looking for a free port"))?;
    Ok(listener.local_addr().map_err(Error::io("looking for a free port"))?.port())
}

/// The first port that the kernel assigns to a process that wants any port.
fn first_of_kernel() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(OURS.end)
}

/// If a process listens on `port`, an error that names `variable` and, if known, the process.
pub fn check(port: u16, variable: &'static str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::PortTaken { port, variable, holder: holder(port) }),
    }
}

/// `envoy (process 4711)`, as far as /proc can be read.
fn holder(port: u16) -> Option<String> {
    let sockets = procfs::net::tcp().ok()?.into_iter().chain(procfs::net::tcp6().unwrap_or_default());
    let inodes: Vec<u64> = sockets
        .filter(|socket| socket.local_address.port() == port && socket.state == procfs::net::TcpState::Listen)
        .map(|socket| socket.inode)
        .collect();
    let process = all_processes().ok()?.flatten().find(|process| {
        process.fd().is_ok_and(|fds| {
            fds.flatten().any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
        })
    })?;
    Some(format!("{} (process {})", process.stat().ok()?.comm, process.pid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_given_once_and_is_none_of_the_kernels() {
        let ports: Vec<_> = (0..100).map(|_| free().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| *port < first_of_kernel()), "{ports:?}");
    }
}
