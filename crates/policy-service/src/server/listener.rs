//! Accepts connections, within one budget for all listeners, until the service is told to stop.

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
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    budget::Limits,
    connection::{Host, STOP_TIMEOUT},
    descriptors,
    peer::Connections,
    tally::Tally,
    tls::Tls,
};
use crate::metrics::Metrics;

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

/// A listener, and what it serves.
pub struct Door {
    /// Where connections come in.
    pub listener: TcpListener,
    /// What is served on them.
    pub router: Router,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// Serves `router` on `listener` in plain HTTP until `stopping` is cancelled, then lets what has begun come to its end.
pub async fn serve(listener: TcpListener, router: Router, metrics: Metrics, stopping: CancellationToken) {
    serve_all(vec![Door { listener, router, tls: None }], metrics, stopping).await;
}

/// Serves all `doors` until `stopping` is cancelled, then lets what has begun come to its end. They share the budget of
/// connections, since they share the descriptors.
pub async fn serve_all(doors: Vec<Door>, metrics: Metrics, stopping: CancellationToken) {
    let limits = Limits::of_descriptors(descriptors::limit());
    tracing::debug!(?limits, "connections");
    let shared = Arc::new(Shared {
        connections: Connections::new(limits, metrics),
        room: Arc::new(Semaphore::new(limits.total())),
        pace: Mutex::new(Pace::new(&limits)),
    });
    let accepting: JoinSet<()> =
        doors.into_iter().map(|door| accept_all(door, Arc::clone(&shared), stopping.clone())).collect();
    accepting.join_all().await;
    let all = u32::try_from(limits.total()).unwrap_or(u32::MAX);
    // Each connection ends itself within the same time.
    if !matches!(tokio::time::timeout(STOP_TIMEOUT, shared.room.acquire_many(all)).await, Ok(Ok(_))) {
        tracing::warn!("some requests did not end in time");
    }
}

/// The state that all listeners share.
struct Shared {
    connections: Arc<Connections>,
    room: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

/// Accepts the connections of one door.
async fn accept_all(door: Door, shared: Arc<Shared>, stopping: CancellationToken) {
    let Door { listener, router, tls } = door;
    let host = Host::new(router, stopping.clone());
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &shared.room, &shared.connections) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { continue };
        let (peer, evicted) = shared.connections.open(address.ip());
        let (host, tls) = (host.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => host.converse_over_tls(stream, tls.acceptor(), peer).await,
                None => host.converse(stream, peer).await,
            }
            drop(permit);
        });
        if evicted {
            shared.pace.lock().await.keep().await;
        }
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
