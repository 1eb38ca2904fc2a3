//! A proxy in front of the policy service that ends answers which take too long, in the ways in which proxies and
//! networks do that: with an answer of its own, a close, a reset, or silence. It also records the requests.
//!
//! It speaks HTTP/1.1 and closes each connection after its answer. It never changes an answer of the policy service.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use crate::{Error, Result};

/// The longest request head. A callout of the filter has a few hundred bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The longest request body: the largest usage report that the policy service accepts.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The size of the buffer in which an answer is passed on.
const BUFFER_BYTES: usize = 16 * 1024;

/// How an answer ends that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The proxy answers itself, with this status and body.
    Answer(u16, &'static str),
    /// The connection is closed (FIN).
    Close,
    /// The connection is reset (RST).
    Reset,
    /// The connection stays open and nothing arrives any more, as if a NAT or firewall had forgotten it.
    Silence,
}

impl Cut {
    /// Every way, with the bodies that proxies send.
    pub const ALL: [Self; 10] = [
        Self::Answer(408, ""),
        Self::Answer(502, "<html><head><title>502 Bad Gateway</title></head></html>"),
        Self::Answer(503, ""),
        Self::Answer(504, ""),
        Self::Answer(504, "<html><head><title>504 Gateway Time-out</title></head></html>"),
        Self::Answer(504, "upstream request timeout"),
        Self::Answer(504, "stream timeout"),
        Self::Close,
        Self::Reset,
        Self::Silence,
    ];
}

impl Cut {
    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer(408, _) => "cut by 408",
            Self::Answer(502, _) => "cut by 502",
            Self::Answer(503, _) => "cut by 503",
            Self::Answer(..) => "cut by 504",
            Self::Close => "cut by a close",
            Self::Reset => "cut by a reset",
            Self::Silence => "cut silently",
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When its head was read.
    pub at: Instant,
    pub head: String,
    /// When its answer was cut. `None` if it was not cut, or not yet.
    pub cut_at: Option<Instant>,
}

impl Asked {
    /// The target: path and query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A running proxy. It ends when this value is dropped.
pub struct Cutter {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    service: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How an answer ends that takes longer than the time.
    rule: Option<(Cut, Duration)>,
    asked: Vec<Asked>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means that another test failed. The data is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cutter {
    /// Starts a proxy on a free port of loopback, in front of `service`. At first it passes everything on.
    pub async fn start(service: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let shared = Arc::new(Shared { service, state: Mutex::default() });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how later requests are cut whose answer has not begun after the time.
    pub fn cut(&self, rule: Option<(Cut, Duration)>) {
        self.shared.open().rule = rule;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.open().asked.clone()
    }

    /// The number of answers that were cut so far.
    pub fn cuts(&self) -> usize {
        self.shared.open().asked.iter().filter(|asked| asked.cut_at.is_some()).count()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A broken connection is seen by the client.
        tokio::spawn(async move { converse(client, &shared).await.ok() });
    }
}

async fn converse(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let head = read_head(&mut client).await?;
    let (number, rule) = {
        let mut state = shared.open();
        state.asked.push(Asked { at: Instant::now(), head: head.clone(), cut_at: None });
        (state.asked.len().saturating_sub(1), state.rule)
    };
    let mut body = vec![0; body_bytes(&head)?];
    client.read_exact(&mut body).await?;
    let mut service = TcpStream::connect(shared.service).await?;
    service.write_all(last_on_its_connection(&head).as_bytes()).await?;
    service.write_all(&body).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let read = match rule {
        None => service.read(&mut buffer).await?,
        Some((cut, after)) => match timeout(after, service.read(&mut buffer)).await {
            Ok(read) => read?,
            Err(_) => {
                if let Some(asked) = shared.open().asked.get_mut(number) {
                    asked.cut_at = Some(Instant::now());
                }
                drop(service);
                return end(client, cut).await;
            }
        },
    };
    client.write_all(buffer.get(..read).unwrap_or_default()).await?;
    tokio::io::copy(&mut service, &mut client).await?;
    client.shutdown().await
}

async fn end(mut client: TcpStream, cut: Cut) -> io::Result<()> {
    match cut {
        Cut::Answer(status, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Cut\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await
        }
        Cut::Close => client.shutdown().await,
        Cut::Reset => client.set_zero_linger(),
        // Until the client gives up.
        Cut::Silence => tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop),
    }
}

async fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(client.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn body_bytes(head: &str) -> io::Result<usize> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap_or(usize::MAX))
    });
    match length.unwrap_or(0) {
        length if length <= MAX_BODY_BYTES => Ok(length),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Adds a header that makes the service close the connection, so that the end of its answer is the end of the stream.
fn last_on_its_connection(head: &str) -> String {
    head.replacen("\r\n", "\r\nconnection: close\r\n", 1)
}
