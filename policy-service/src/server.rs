//! The HTTP server: routes, limits and time-outs, an orderly end.
//!
//! Connections are served by hyper directly, because `axum::serve` has no limits of its own: a client that does not send
//! its request, does not read its answer, or opens connections without end must not take the service from others.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware,
    response::Response,
    routing::get,
};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::Administrator,
    feed::{self, Feed},
    guesses::{self, Guesses, Peer},
    management, openapi,
    problem::Problem,
    store::Store,
    usage,
};

/// Connections at once: some thousand gateways, each with one or two. At about 20 KB each, 200 MB.
const MAX_CONNECTIONS: usize = 10_000;
/// How long a client may take for the head of a request, and leave a connection idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long sent bytes may wait for the client to take them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may take to end after the service was told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, say for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All routes.
pub fn router(store: Store, feed: Feed, administrator: Administrator) -> Router {
    let management = management::router()
        .merge(usage::billing())
        .layer(middleware::from_fn(management::finish))
        .layer(middleware::from_fn_with_state(administrator, management::authorize))
        .with_state(store.clone());
    let reporting = usage::reporting()
        .layer(middleware::from_fn(management::finish))
        .layer(middleware::from_fn_with_state(feed.gateways(), usage::authorize))
        .with_state(store.clone());
    let health = OpenApiRouter::new().routes(routes!(health)).routes(routes!(writer_health)).with_state(store);
    let feed = OpenApiRouter::new().routes(routes!(feed::policy)).with_state(feed);
    let (router, openapi) = OpenApiRouter::with_openapi(openapi::description())
        .merge(health)
        .merge(feed)
        .merge(reporting)
        .merge(management)
        .split_for_parts();
    let openapi = openapi::document(&openapi);
    router
        .route(
            "/openapi.json",
            get(move || {
                let body = openapi.to_string();
                async move { ([(header::CONTENT_TYPE, "application/json")], body) }
            }),
        )
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path; see /openapi.json") })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = format!("{} is not possible here; the allow header says what is", request.method());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(middleware::from_fn_with_state(Guesses::default(), guesses::slow))
        .layer(middleware::map_response(secure))
}

/// Whether the service answers.
///
/// The feed goes on when nothing can be written, so a full disk is no reason to take the service from its gateways.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "check_health", security(()), responses(
    (status = 200, description = "it does", body = String, content_type = "text/plain", example = "ok\n"),
))]
async fn health() -> &'static str {
    "ok\n"
}

/// Whether changes can be written.
#[utoipa::path(get, path = "/healthz/write", tag = "health", operation_id = "check_writer", security(()), responses(
    (status = 200, description = "they can, as far as is known", body = String, content_type = "text/plain",
        example = "ok\n"),
    (status = 503, description = "they cannot; the feed goes on", body = Problem),
    (status = 507, description = "the disk is full; the feed goes on", body = Problem),
))]
async fn writer_health(State(store): State<Store>) -> Result<&'static str, Problem> {
    store.check_writer().await?;
    Ok("ok\n")
}

async fn secure(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// Serves `router` on `listener` until `stopping` is cancelled, then lets what has begun come to its end.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(HEAD_TIMEOUT))
        .max_concurrent_streams(Some(1_000));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            routes.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // Without room, connections wait in the kernel's queue. The semaphore is never closed.
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%error, "a connection could not be prepared");
            }
            Some((stream, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    // Answers are written whole: nothing is gained by waiting for more.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT))
}
