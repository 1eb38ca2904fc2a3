//! Accepts connections, within the budget, until the service is told to stop.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::Router;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{
    budget::Limits,
    connection::{Host, STOP_TIMEOUT},
    descriptors,
    peer::Connections,
    tally::Tally,
};

/// How long sent bytes may wait for the client's acknowledgement.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait until a connection that was closed to make room is gone. Then another one is closed.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Number of pauses while one address's whole budget is replaced. Because of them a connection stays open for at least
/// 8 ms and is read, however fast others arrive. With more pauses, connections would wait longer in the kernel's queue.
/// With 1,024 descriptors (30 evictions a step) some 15,000 connections a second are accepted.
const PAUSES_TO_ANSWER: usize = 8;
/// Length of one pause. The runtime extends it to at most 2 ms, and reads from all connections meanwhile.
const EVICTION_PAUSE: Duration = Duration::from_millis(1);
/// Length of the kernel's queue of connections (the kernel may cap it: net.core.somaxconn). With a short queue, a burst
/// of connections from strangers makes the kernel drop one of the administrator, and the administrator's kernel retries
/// only after a second.
const BACKLOG: u32 = 4_096;

static NOT_ACCEPTED: LazyLock<Arc<Tally>> =
    LazyLock::new(|| Tally::new(|more| tracing::warn!(more, "further connections could not be accepted")));
static FULL: LazyLock<Arc<Tally>> =
    LazyLock::new(|| Tally::new(|more| tracing::warn!(more, "new connections had to wait further times")));

/// Listens on a host and port: on the first address of the host that can be bound, IPv4 before IPv6. A name such as
/// `localhost` has both, and most configurations write 127.0.0.1.
pub async fn listen(host: &str) -> std::io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(host).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut result = Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        result = bind(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // After a restart, the service can bind although connections of its predecessor still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` on `listener` until `stopping` is cancelled, then waits for the requests in progress.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let limits = Limits::of_descriptors(descriptors::limit());
    tracing::debug!(?limits, "connections");
    let connections = Connections::new(limits);
    let host = Host::new(router, stopping.clone());
    let room = Arc::new(Semaphore::new(limits.total()));
    let mut pace = Pace::new(&limits);
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &room, &connections) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { continue };
        let (peer, evicted) = connections.open(address.ip());
        let host = host.clone();
        tokio::spawn(async move {
            host.converse(stream, peer).await;
            drop(permit);
        });
        if evicted {
            pace.keep().await;
        }
    }
    drop(listener);
    let all = u32::try_from(limits.total()).unwrap_or(u32::MAX);
    // Each connection ends within the same time.
    if !matches!(tokio::time::timeout(STOP_TIMEOUT, room.acquire_many(all)).await, Ok(Ok(_))) {
        tracing::warn!("some requests did not end in time");
    }
}

/// Slows accepting down, so that each connection has the time to send a request before newer ones take its place.
struct Pace {
    /// Evictions between two pauses.
    steps: usize,
    step: usize,
}

impl Pace {
    fn new(limits: &Limits) -> Self {
        Self { steps: (limits.per_address / PAUSES_TO_ANSWER).max(1), step: 0 }
    }

    async fn keep(&mut self) {
        self.step = self.step.saturating_add(1);
        if self.step >= self.steps {
            self.step = 0;
            tokio::time::sleep(EVICTION_PAUSE).await;
        }
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>, connections: &Connections) -> Option<Accepted> {
    let permit = permit(room, connections).await?;
    match listener.accept().await {
        Ok((stream, address)) => {
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%error, "a connection could not be prepared");
            }
            Some((stream, address, permit))
        }
        Err(error) => {
            if NOT_ACCEPTED.note() {
                tracing::warn!(%error, "a connection could not be accepted; further ones are counted for a minute");
            }
            let errno = error.raw_os_error();
            if [Errno::MFILE, Errno::NFILE].iter().any(|none_free| errno == Some(none_free.raw_os_error())) {
                connections.make_room();
            }
            tokio::time::sleep(ROOM_PAUSE).await;
            None
        }
    }
}

/// Waits for room for one more connection. Meanwhile connections wait in the kernel's queue.
async fn permit(room: &Arc<Semaphore>, connections: &Connections) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            return Some(permit);
        }
        if !connections.make_room() && FULL.note() {
            tracing::warn!("all connections are at work; new ones wait, and are counted for a minute");
        }
        if let Ok(permit) = tokio::time::timeout(ROOM_PAUSE, Arc::clone(room).acquire_owned()).await {
            // The semaphore is never closed.
            return permit.ok();
        }
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    // Answers are written whole, so Nagle's algorithm would only delay them.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT))
}
