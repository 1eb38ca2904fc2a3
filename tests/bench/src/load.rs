//! The load: a closed loop over a few connections.
//!
//! Each connection has one request under way. Answers are read in the order in which Envoy's single worker gives them,
//! and each is followed by the next request. The cost of this process does not count: only Envoy's CPU time is
//! measured.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{Error, Result};

/// Connections of the closed loop.
pub const CONNECTIONS: usize = 16;
/// Time limit for an answer. The slowest wait for the first policy.
const ANSWERING: Duration = Duration::from_secs(30);
/// Size limit of a head or a body in bytes. Envoy's own answers have a few hundred.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Maximum number of headers of an answer.
const MAX_HEADERS: usize = 64;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The headers that are text.
    pub headers: Vec<(String, String)>,
    /// The body, if it is text.
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(Error::io(format!("connecting to {address}")))?;
        stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
        stream.set_read_timeout(Some(ANSWERING)).map_err(Error::io("setting a timeout"))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends the bytes of a request.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).map_err(Error::io("sending a request"))
    }

    /// Reads a whole answer. Returns its status.
    pub fn status(&mut self) -> Result<u16> {
        self.receive(|head, _| head.code.unwrap_or_default())
    }

    /// Reads a whole answer.
    pub fn answer(&mut self) -> Result<Answer> {
        self.receive(|head, body| Answer {
            status: head.code.unwrap_or_default(),
            headers: head
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
                .collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        })
    }

    fn receive<T>(&mut self, read: impl FnOnce(&httparse::Response<'_, '_>, &[u8]) -> T) -> Result<T> {
        self.buffer.clear();
        loop {
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).map_err(Error::io("reading an answer"))?;
            if count == 0 || self.buffer.len() > MAX_ANSWER_BYTES {
                let found = format!("its end after {} bytes", self.buffer.len());
                return Err(Error::unexpected("an answer", "a whole one", found));
            }
            self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            let parsed = head.parse(&self.buffer).map_err(|error| not_http(&error))?;
            if let httparse::Status::Complete(size) = parsed
                && let Some(body) = self.buffer.get(size..size + content_length(&head))
            {
                return Ok(read(&head, body));
            }
        }
    }
}

fn content_length(head: &httparse::Response<'_, '_>) -> usize {
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok()).unwrap_or(0)
}

fn not_http(error: &httparse::Error) -> Error {
    Error::unexpected("an answer", "HTTP/1.1", error.to_string())
}

/// The connections to one listener.
#[derive(Debug)]
pub struct Loop {
    connections: Vec<Connection>,
}

impl Loop {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { connections: (0..CONNECTIONS).map(|_| Connection::open(address)).collect::<Result<_>>()? })
    }

    /// Sends this many requests, which `next` writes. Every answer must have this status.
    pub fn run(&mut self, requests: usize, status: u16, mut next: impl FnMut() -> Vec<u8>) -> Result<()> {
        let mut to_send = requests;
        let mut waiting = std::collections::VecDeque::with_capacity(self.connections.len());
        for (index, connection) in self.connections.iter_mut().enumerate().take(requests) {
            connection.send(&next())?;
            waiting.push_back(index);
            to_send -= 1;
        }
        while let Some(index) = waiting.pop_front() {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let found = connection.status()?;
            if found != status {
                return Err(Error::unexpected("a request", status.to_string(), found.to_string()));
            }
            if to_send > 0 {
                connection.send(&next())?;
                waiting.push_back(index);
                to_send -= 1;
            }
        }
        Ok(())
    }
}

/// A request with ten headers, like those of a client's library.
pub fn request(host: &str, path: &str, key: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\n\
         host: {host}\r\n\
         user-agent: bench/1.0 (closed loop; 16 connections)\r\n\
         accept: application/json\r\n\
         accept-encoding: gzip, br\r\n\
         accept-language: en-GB,en;q=0.9\r\n\
         cache-control: no-cache\r\n\
         x-api-key: {key}\r\n\
         x-correlation-id: 5f0c7b3e-6f55-4a5e-9d0c-0d5b5b0f7e11\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
         referer: https://app.example.com/orders\r\n\
         \r\n"
    )
    .into_bytes()
}
