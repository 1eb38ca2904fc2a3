//! Ports on loopback: a free one, and who holds one that is taken.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

use procfs::process::{FDTarget, all_processes};

use crate::{Error, Result};

/// Where free ports are looked for, as far as the kernel gives none of them away by itself.
const OURS: Range<u16> = 15_000..32_000;

/// How many ports this process has asked for.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on, never the same one twice. It is not reserved, but the kernel gives it to nobody who only
/// wants any port, as each connection does: one of those was taken between being found here and being bound by Envoy.
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

/// The first port that the kernel gives to whoever wants any.
fn first_of_kernel() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(OURS.end)
}

/// An error that names `variable` and, if it can be known, the process, when somebody listens on `port`.
pub fn check(port: u16, variable: &'static str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::PortTaken { port, variable, holder: holder(port) }),
    }
}

/// `envoy (process 4711)`, as far as /proc lets us see.
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
