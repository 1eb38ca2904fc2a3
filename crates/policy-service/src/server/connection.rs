//! Serves one connection, and ends it when it was idle for too long or its place is needed.
//!
//! hyper's own time-outs are not enough. They begin only after the first bytes have told HTTP/1 from HTTP/2, and in
//! HTTP/2 they only check whether the client answers pings. So [`idle`](super::idle) decides by requests, in both
//! protocols.

use std::{convert::Infallible, pin::Pin, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Response, StatusCode},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    idle::{Activity, IDLE_TIMEOUT},
    paced::Paced,
    peer::{Busy, Peer, Working},
};
use crate::{
    guesses,
    http::{
        problem::Problem,
        request_id::{self, REQUEST_ID},
    },
};

/// How long a connection may take to end after the shutdown began and its requests were answered.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests may take to end after the service begins to stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Maximum number of concurrent requests on one HTTP/2 connection. A client that needs more opens another connection. A
/// refused request takes about 2 KB, so the 4,096 unproven connections take at most 800 MB.
const MAX_STREAMS: u32 = 100;

/// What all connections share.
#[derive(Clone)]
pub struct Host {
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    stopping: CancellationToken,
}

/// Why a connection has to end.
enum End {
    Evicted,
    Expired,
    Stopping,
}

impl Host {
    /// Serves `router` until `stopping` is cancelled.
    pub fn new(router: Router, stopping: CancellationToken) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(IDLE_TIMEOUT))
            .max_concurrent_streams(Some(MAX_STREAMS));
        Self { builder, router, stopping }
    }

    /// Makes the handshake of TLS, within the time for the first request, and serves the connection to its end.
    pub async fn converse_over_tls(self, stream: TcpStream, acceptor: TlsAcceptor, peer: Arc<Peer>) {
        let stopping = self.stopping.clone();
        let shaken = tokio::select! {
            shaken = shake_hands(stream, acceptor) => shaken,
            () = peer.evicted() => None,
            () = peer.expired() => None,
            () = stopping.cancelled() => None,
        };
        if let Some(stream) = shaken {
            self.converse(stream, peer).await;
        }
    }

    /// Serves a connection until it ends. `stream` may be any stream of bytes.
    pub async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Arc<Peer>) {
        let answering = Arc::clone(&peer);
        let router = self.router;
        let service = service_fn(move |request| answer(router.clone(), Arc::clone(&answering), request));
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service).into_owned());
        let end = tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            () = peer.evicted() => End::Evicted,
            () = peer.expired() => End::Expired,
            () = self.stopping.cancelled() => End::Stopping,
        };
        // A client that never sent a request loses no answer.
        if peer.activity() == Activity::Silent {
            return;
        }
        match end {
            // The place is needed at once, so nothing more is sent.
            End::Evicted if !peer.is_proven() => {}
            End::Evicted | End::Expired => {
                connection.as_mut().graceful_shutdown();
                finish(connection, &peer, &self.stopping).await;
            }
            End::Stopping => {
                connection.as_mut().graceful_shutdown();
                // The listener logs that some requests did not end.
                let _ = tokio::time::timeout(STOP_TIMEOUT, connection).await;
            }
        }
    }
}

/// The first byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 22;

/// The stream inside TLS; `None` if the handshake fails.
async fn shake_hands(stream: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let mut first = [HANDSHAKE];
    stream.peek(&mut first).await.ok()?;
    // Every method of HTTP begins with a letter.
    if first.iter().all(u8::is_ascii_alphabetic) {
        tell_of_tls(stream).await;
        return None;
    }
    match acceptor.accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// Answers a client that speaks plain HTTP, without reading its request.
async fn tell_of_tls(mut stream: TcpStream) {
    let id = request_id::made();
    let problem = Problem::new(StatusCode::BAD_REQUEST, "this port speaks TLS; ask it by https:").with_request_id(&id);
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n{REQUEST_ID}: {id}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The client may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    // Closing a socket with unread bytes resets it, and the client loses the answer.
    let _ = tokio::io::copy(&mut stream.take(MAX_HEAD_BYTES as u64), &mut tokio::io::sink()).await;
}

/// Waits for a connection that is shutting down. A poll that arrived at the last moment is held like any other.
async fn finish(mut connection: Pin<&mut impl Future>, peer: &Peer, stopping: &CancellationToken) {
    loop {
        let ended = tokio::time::timeout(END_TIMEOUT, connection.as_mut()).await.is_ok();
        if ended || stopping.is_cancelled() || peer.activity() != Activity::Working {
            return;
        }
    }
}

async fn answer(
    router: Router,
    peer: Arc<Peer>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Paced>, Infallible> {
    let working = Working::new(&peer);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(guesses::Peer(peer.address()));
    request.extensions_mut().insert(Arc::clone(&peer));
    let Ok(mut response) = router.oneshot(request).await;
    drop(working);
    let busy = response.extensions_mut().remove::<Arc<Busy>>();
    Ok(response.map(|body| Paced::new(body, peer, busy)))
}
