//! A policy service whose answers a test chooses, down to the bytes. It records the requests.
//!
//! It speaks just enough HTTP/1.1 for Envoy's requests, and closes each connection after its answer, so that an answer
//! can be truncated.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Error, Result};

/// The longest request head that is read. Envoy's callouts have a few hundred bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A running feed. It ends when this value is dropped.
pub struct Feed {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    answer: Vec<u8>,
    asked: Vec<String>,
}

impl Feed {
    /// Starts a feed on a free port of loopback. Until it has an answer, it closes every connection without one.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the bytes that every later request gets.
    pub fn answer(&self, bytes: impl Into<Vec<u8>>) {
        lock(&self.state).answer = bytes.into();
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The answer with this page.
pub fn page(page: &Value) -> Vec<u8> {
    answer("200 OK", "application/json", &page.to_string())
}

/// A whole answer.
pub fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// The first half of `answer`. Its head promises more bytes than come.
pub fn truncated(mut answer: Vec<u8>) -> Vec<u8> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |at| at.saturating_add(4));
    let body = answer.len().saturating_sub(head);
    answer.truncate(head.saturating_add(body / 2));
    answer
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        // A broken connection is seen by the other side, and by the test that waits for its answer.
        tokio::spawn(async move { converse(stream, &state).await.ok() });
    }
}

async fn converse(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(()),
        }
    }
    let answer = {
        let mut state = lock(state);
        state.asked.push(String::from_utf8_lossy(&head).into_owned());
        state.answer.clone()
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    // A poisoned lock means that another test failed. The data is whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
