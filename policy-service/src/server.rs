//! The HTTP server: routes, limits and time-outs, an orderly end.
//!
//! Connections are served by hyper directly, because `axum::serve` has no limits of its own: a client that does not send
//! its request, does not read its answer, or opens connections without end must not take the service from others.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware,
    response::Response,
    routing::get,
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
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::Administrator,
    feed::{self, Feed},
    management,
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

#[derive(OpenApi)]
#[openapi(
    info(title = "keygate policy service", description = "Management of APIs, applications, keys and subscriptions, and the feed for gateways."),
    security(("administrator" = [])),
    modifiers(&Schemes),
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let http = |scheme, description: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
        };
        components.add_security_scheme("administrator", http(HttpAuthScheme::Bearer, "the administrator's token"));
        components
            .add_security_scheme("gateway", http(HttpAuthScheme::Basic, "a gateway's client_id and client_secret"));
        components.add_security_scheme("gateway_secret", http(HttpAuthScheme::Bearer, "a gateway's client_secret"));
    }
}

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
        .with_state(store);
    let feed = OpenApiRouter::new().routes(routes!(feed::policy)).with_state(feed);
    let (router, mut openapi) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(feed)
        .merge(reporting)
        .merge(management)
        .split_for_parts();
    // Answers of 4xx and 5xx are problems, not plain JSON.
    describe_problems(&mut openapi);
    name_operations(&mut openapi);
    open_schemas(&mut openapi);
    let openapi: Arc<str> = openapi.to_json().unwrap_or_default().into();
    router
        .route("/healthz", get(|| async { "ok\n" }))
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
        .layer(middleware::map_response(secure))
}

/// The six kinds of things have handlers of the same names; an operation's id has to be its own.
fn name_operations(openapi: &mut utoipa::openapi::OpenApi) {
    for operation in operations(openapi) {
        let tag = operation.tags.iter().flatten().next().map(|tag| tag.replace(' ', "_")).unwrap_or_default();
        operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_{tag}"));
    }
}

/// A body with a field that is not known is refused, but an answer may have more than what was sent: a schema that serves
/// for both must not forbid it.
fn open_schemas(openapi: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::{RefOr, Schema};
    for schema in openapi.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.additional_properties = None;
        }
    }
}

fn operations(openapi: &mut utoipa::openapi::OpenApi) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    openapi.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().filter_map(Option::as_mut)
    })
}

fn describe_problems(openapi: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::RefOr;
    for operation in operations(openapi) {
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response
                && status.starts_with(['4', '5'])
                && let Some(content) = response.content.shift_remove("application/json")
            {
                response.content.insert("application/problem+json".to_owned(), content);
            }
        }
    }
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
        let service = TowerToHyperService::new(router.clone());
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
