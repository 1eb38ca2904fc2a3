//! A network between the service and PostgreSQL that can be made slow or silent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Listens on a port of its own, and hands all bytes on.
pub struct Proxy {
    pub port: u16,
    /// How long each answer of the server takes, in milliseconds.
    delay: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let delay = Arc::new(AtomicU64::new(0));
        let held = Arc::clone(&delay);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(hand_on(from_client, to_server, Arc::default()));
                tokio::spawn(hand_on(from_server, to_client, Arc::clone(&held)));
            }
        });
        Self { port, delay }
    }

    /// From now on each answer of the server takes so long. A shorter time holds for answers that wait, too.
    pub fn slow_down(&self, to: Duration) {
        self.delay.store(u64::try_from(to.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

async fn hand_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<AtomicU64>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let arrived = Instant::now();
        while arrived.elapsed() < Duration::from_millis(delay.load(Ordering::Relaxed)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
