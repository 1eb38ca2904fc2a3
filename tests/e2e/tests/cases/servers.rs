//! The two servers behind Envoy: a policy service with a page at each path, and upstreams that answer with the request
//! that they received.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::wire;

/// The header of an upstream's answer that has the request's head in hexadecimal digits.
pub const ECHO: &str = "x-echo";
/// The header that names the upstream.
pub const ENDPOINT: &str = "x-endpoint";

/// An upstream answers by a redirect if the request line has this target.
pub const MOVED: &str = " /api/moved";

/// The answers at one path of the feed.
#[derive(Clone, Debug)]
pub enum Page {
    /// Always this page.
    Always(Value),
    /// This page once, then no usable answer.
    Once(Value),
    /// A full policy of revision 1, then the delta after each revision, and no changes after the last one.
    Revisions(Vec<Value>),
}

/// A policy service with a page at each path, and 503 everywhere else.
pub struct Feed {
    pub address: SocketAddr,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    server: JoinHandle<()>,
}

impl Feed {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Arc<Mutex<BTreeMap<String, Page>>> = Arc::default();
        let asked = Arc::clone(&pages);
        let router = Router::new().fallback(async move |request: Request| {
            let mut pages = asked.lock().unwrap();
            let path = request.uri().path();
            let page = match pages.get(path) {
                Some(Page::Always(page)) => page.to_string(),
                Some(Page::Once(page)) => {
                    let page = page.to_string();
                    pages.remove(path);
                    page
                }
                Some(Page::Revisions(pages)) => {
                    let since = request.uri().query().and_then(|query| query.strip_prefix("since="));
                    let since: usize = since.map_or(0, |since| since.parse().unwrap());
                    match pages.get(since) {
                        Some(page) => page.to_string(),
                        None => return StatusCode::NOT_MODIFIED.into_response(),
                    }
                }
                None => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            };
            ([(CONTENT_TYPE, "application/json")], page).into_response()
        });
        let server = tokio::spawn(async move {
            // It serves until it is aborted. An error of one connection ends only that connection.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, pages, server }
    }

    /// Sets the answers at `path` from now on.
    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An upstream that accepts any bytes as a request and returns its head in [`ECHO`].
pub struct Upstream {
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Upstream {
    pub async fn start(endpoint: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move { converse(stream, endpoint).await.ok() });
            }
        });
        Self { address, server }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse(mut stream: TcpStream, endpoint: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            size => head.extend_from_slice(&piece[..size]),
        }
    }
    let upgrade = head.to_ascii_lowercase().windows(18).any(|window| window == b"upgrade: websocket");
    let moved = head.windows(MOVED.len()).any(|window| window == MOVED.as_bytes());
    let status = if moved {
        "302 Found\r\nlocation: http://gateway.test/api/there"
    } else if upgrade {
        "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket"
    } else {
        "200 OK"
    };
    let echo: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
    let close = if upgrade { "" } else { "content-length: 0\r\nconnection: close\r\n" };
    let answer = format!("HTTP/1.1 {status}\r\n{ENDPOINT}: {endpoint}\r\n{ECHO}: {echo}\r\n{close}\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The request that an upstream received: the target of its request line, and its headers.
#[derive(Clone, Debug)]
pub struct Got {
    pub endpoint: String,
    pub target: Vec<u8>,
    /// The names are in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The request that the upstream received, if the answer came from an upstream.
pub fn got(answer: &wire::Answer) -> Option<Got> {
    let endpoint = String::from_utf8(answer.header(ENDPOINT)?.to_vec()).unwrap();
    let (pairs, _) = answer.header(ECHO)?.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let head: Vec<u8> = pairs.iter().map(byte).collect();
    let head = head.strip_suffix(b"\r\n\r\n").unwrap();
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.next().unwrap();
    let (first, last) =
        (line.iter().position(|&byte| byte == b' ').unwrap(), line.iter().rposition(|&byte| byte == b' ').unwrap());
    let headers = lines.map(|line| wire::header(line).unwrap()).collect();
    Some(Got { endpoint, target: line[first + 1..last].to_vec(), headers })
}
