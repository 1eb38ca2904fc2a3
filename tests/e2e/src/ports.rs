//! Ports on loopback: a free one, and who holds one that is taken.

use std::net::{Ipv4Addr, TcpListener};

use procfs::process::{FDTarget, all_processes};

use crate::{Error, Result};

/// A port that nobody listens on. It is not reserved: whoever asked for it should bind it soon.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("looking for a free port"))?;
    Ok(listener.local_addr().map_err(Error::io("looking for a free port"))?.port())
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
