//! HTTP/1.1 byte by byte: requests are sent unchanged, and answers are read as they arrive. Also HTTP/2, as far as a
//! client can express a request in it.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// The names are in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| &**value)
    }
}

/// A request's head: the request line and the headers, with names and values unchanged.
pub fn head(method: &str, target: &[u8], headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in headers {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

/// Sends a request over a connection of its own, and reads the answer to the end of its body. Envoy keeps the
/// connection open for a second after the answer.
pub async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Envoy may answer a bad request and close the connection before the request is written completely.
    let _ = stream.write_all(request).await;
    let read = tokio::time::timeout(WITHIN, answer(&mut stream, request.starts_with(b"HEAD "))).await;
    read.unwrap_or_else(|_| panic!("no end of the answer to {}", request.escape_ascii()))
}

/// Reads one answer.
pub async fn answer(stream: &mut TcpStream, to_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&bytes) {
            let length =
                answer.header("content-length").map(|text| std::str::from_utf8(text).unwrap().parse().unwrap());
            let length = if to_head || answer.status < 200 { Some(0) } else { length };
            if length.is_some_and(|length: usize| answer.body.len() >= length) {
                return answer;
            }
        }
        match stream.read(&mut piece).await.unwrap() {
            0 => return parse(&bytes).unwrap_or_else(|| panic!("no answer: {}", bytes.escape_ascii())),
            size => bytes.extend_from_slice(&piece[..size]),
        }
    }
}

/// Sends a request over HTTP/2 with a connection of its own. `None` if HTTP/2 cannot express it.
pub async fn send_http2(
    address: SocketAddr,
    method: &str,
    authority: &str,
    target: &[u8],
    headers: &[(&str, &[u8])],
) -> Option<Answer> {
    let target = std::str::from_utf8(target).ok().filter(|target| target.starts_with('/'))?;
    // Envoy closes a connection whose `:authority` has user information, before any filter runs.
    if authority.contains('@') {
        return None;
    }
    // HTTP/2 has one host, `:authority`. Envoy drops a `host` header beside it.
    if headers.iter().filter(|(name, _)| *name == "host").count() > 1 {
        return None;
    }
    let uri: hyper::Uri = format!("http://{authority}{target}").parse().ok()?;
    // If the parser reads the URI in another way, the client would send another request.
    let same =
        uri.path_and_query().is_some_and(|given| given.as_str() == target) && uri.authority()?.as_str() == authority;
    let mut request = hyper::Request::builder().method(method).uri(uri);
    for (name, value) in headers.iter().filter(|(name, _)| !["host", "connection"].contains(name)) {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).ok().filter(|_| same)?;
    Some(exchange_http2(address, request).await)
}

/// Sends a request over an HTTP/2 connection of its own, and reads the answer. Of a tunnel it reads only the head.
pub async fn exchange_http2(address: SocketAddr, request: hyper::Request<Empty<Bytes>>) -> Answer {
    let tunnel = request.method() == hyper::Method::CONNECT;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    // The task ends with the connection. Its errors reach the caller that waits for an answer.
    let connection = tokio::spawn(connection);
    let asked = format!("{request:?}");
    let response = tokio::time::timeout(WITHIN, sender.send_request(request))
        .await
        .expect("an answer in time")
        .unwrap_or_else(|error| panic!("{error}: {asked}"));
    let (head, body) = response.into_parts();
    let body = if tunnel && head.status.is_success() { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
    connection.abort();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Answer { status: head.status.as_u16(), headers: headers.collect(), body: body.to_vec() }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = std::str::from_utf8(lines.next()?).ok()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.map(header).collect::<Option<_>>()?;
    Some(Answer { status, headers, body: bytes[end + 4..].to_vec() })
}

/// One line of a head.
pub fn header(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.to_ascii_lowercase();
    Some((name, line[colon + 1..].trim_ascii().to_vec()))
}
