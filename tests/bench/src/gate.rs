//! A gate between Envoy and the policy service. It counts the bytes that pass, holds requests until it is opened, and
//! can make a gateway fetch the whole policy again.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{Error, Result};

/// The answer of a service that no longer knows the gateway's revision. The gateway then fetches everything.
const GONE: &[u8] = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// Bytes that are passed on at once.
const CHUNK: usize = 64 * 1024;

/// A running gate. Dropping it ends it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    requests: AtomicU64,
    /// Time of the first request since the gate was opened, or since the policy was last forgotten.
    began: Mutex<Option<Instant>>,
    /// When the service last sent something.
    answered: Mutex<Option<Instant>>,
    /// Whether a request has passed that was not answered yet. keygate has one at a time.
    waits: AtomicBool,
    /// The notification is kept until a poll waits, because the poll after a load may not have come yet.
    forget: Notify,
}

impl Gate {
    /// Starts a closed gate in front of `service`, on a free port of loopback.
    pub async fn start(service: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let (open, opened) = watch::channel(false);
        let shared = Arc::<Shared>::default();
        let known = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((envoy, _)) = listener.accept().await {
                let (mut opened, shared) = (opened.clone(), Arc::clone(&known));
                tokio::spawn(async move {
                    if opened.wait_for(|open| *open).await.is_ok() {
                        // Envoy or the service has closed the connection.
                        let _ = pass(envoy, service, &shared).await;
                    }
                });
            }
        });
        Ok(Self { address, open, shared, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Tells the gateway that its revision is unknown, as soon as its poll waits.
    pub fn forget(&self) {
        *self.began() = None;
        self.shared.forget.notify_one();
    }

    /// Bytes that the service has sent.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Number of requests that have passed.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Whether a request has passed that the service has not answered yet.
    pub fn waits(&self) -> bool {
        self.shared.waits.load(Ordering::Relaxed)
    }

    /// When the service last sent something.
    pub fn answered(&self) -> Option<Instant> {
        *self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the current or the last load began.
    pub fn load_began(&self) -> Option<Instant> {
        *self.began()
    }

    fn began(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.shared.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Passes everything on in both directions. Assumes that one read has a whole request, which holds for Envoy's
/// callouts.
async fn pass(mut envoy: TcpStream, service: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let mut service = TcpStream::connect(service).await?;
    envoy.set_nodelay(true)?;
    service.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut waits = false;
    loop {
        tokio::select! {
            read = envoy.read(&mut asked) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                shared.requests.fetch_add(1, Ordering::Relaxed);
                shared.began.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                service.write_all(asked.get(..read).unwrap_or_default()).await?;
                waits = true;
                shared.waits.store(true, Ordering::Relaxed);
            }
            read = service.read(&mut answered) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                *shared.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                shared.bytes.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
                envoy.write_all(answered.get(..read).unwrap_or_default()).await?;
                waits = false;
                shared.waits.store(false, Ordering::Relaxed);
            }
            () = shared.forget.notified(), if waits => {
                envoy.write_all(GONE).await?;
                return envoy.shutdown().await;
            }
        }
    }
}
