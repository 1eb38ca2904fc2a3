//! A small HTTP/1.1 client in which a connection is a value: a test chooses the connection of a request, and with it
//! the worker that has accepted the connection.

use std::{fmt, net::SocketAddr};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{Error, Result};

/// A request with an empty body or a JSON body.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Bytes>,
}

impl Ask {
    /// A request with `method` for `target` (a path with its query).
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: None }
    }

    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header. Its value may be any bytes that HTTP can carry.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Adds an API key in `x-api-key`.
    pub fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// Sets a JSON body.
    pub fn json(self, body: Value) -> Self {
        self.text(body.to_string())
    }

    /// Sets a body that is already JSON text.
    pub fn text(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn request(&self, host: &str) -> Result<Request<Full<Bytes>>> {
        let mut builder = Request::builder().method(self.method).uri(&self.target);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            builder = builder.header("host", host);
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value.as_slice());
        }
        let mut body = Bytes::new();
        if let Some(json) = &self.body {
            builder = builder.header("content-type", "application/json");
            body = json.clone();
        }
        builder.body(Full::new(body)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl fmt::Display) -> Error {
        Error::Http { what: self.to_string(), error: error.to_string() }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body. Bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Answer {
    /// The value of a header, if it exists and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, or null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The `code` of a refusal in the default format.
    pub fn code(&self) -> Option<String> {
        Some(self.json().get("code")?.as_str()?.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.body)
    }
}

/// An open connection.
pub struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens a connection. Nothing is sent yet.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let failed = |error: &dyn fmt::Display| Error::Http {
            what: format!("connecting to {address}"),
            error: error.to_string(),
        };
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // The task ends with the connection. Its errors reach the caller that waits for an answer.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer> {
        let request = ask.request(&self.address.to_string())?;
        self.sender.ready().await.map_err(|error| ask.failed(error))?;
        let response = self.sender.send_request(request).await.map_err(|error| ask.failed(error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| ask.failed(error))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Sends one request over a connection of its own.
pub async fn send(address: SocketAddr, ask: &Ask) -> Result<Answer> {
    Connection::open(address).await?.send(ask).await
}
