//! The HTTP server: routes in this file, connections and their limits in the modules.
//!
//! hyper serves the connections directly, because `axum::serve` has no limits: a client that does not send its request,
//! does not read its answer, or opens connections without end must not take the service from others. [`listener`]
//! accepts connections. [`budget`] decides which of them may stay, and [`idle`] for how long. [`peer`] applies both
//! decisions to the open connections. [`connection`] serves one connection.

pub mod budget;
pub mod connection;
pub mod descriptors;
pub mod idle;
mod listener;
mod paced;
pub mod peer;
mod tally;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use listener::{bind, listen, serve};

use self::peer::{Busy, Peer};
use crate::{
    auth::{Credentials, permission},
    clock::act_of_service,
    feed::{self, Feed},
    guesses::{self, Guesses},
    http::{openapi, problem::Problem, request_id},
    routes::{self, usage},
};
use management::port::Store;

/// All routes.
pub fn router(store: Store, feed: Feed, credentials: Credentials) -> Router {
    let management = routes::router()
        .merge(usage::billing())
        .layer(middleware::from_fn(routes::told::log))
        .layer(middleware::from_fn(routes::run_to_completion))
        .with_state(store.clone());
    let reporting = usage::reporting().layer(middleware::from_fn(routes::run_to_completion)).with_state(store.clone());
    let health = OpenApiRouter::new().routes(routes!(health)).routes(routes!(writer_health)).with_state(store);
    let feed = OpenApiRouter::new().routes(routes!(feed::policy)).with_state(feed);
    let (router, openapi) = OpenApiRouter::with_openapi(openapi::description())
        .merge(health)
        .merge(feed)
        .merge(reporting)
        .merge(management)
        .split_for_parts();
    // One text for all answers, so that frequent requests for it take no memory.
    let openapi = Bytes::from(openapi::document(&openapi, permission::described).to_string());
    router
        .route(
            "/openapi.json",
            get(move || {
                let body = openapi.clone();
                async move { ([(header::CONTENT_TYPE, "application/json")], body) }
            }),
        )
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no route has this path; see /openapi.json") })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = format!("{} is not possible here; the allow header says what is", request.method());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(middleware::from_fn_with_state(credentials, prove))
        .layer(middleware::from_fn_with_state(Guesses::default(), guesses::slow))
        .layer(middleware::map_response(secure))
        .layer(middleware::from_fn(request_id::name))
}

/// Finds out who sends a request, and takes a connection out of the budget of unproven ones if a request carries a valid credential.
///
/// An unproven connection is busy only until its request is decided. While a wrong credential is delayed, or while the
/// client reads its answer, the connection counts as idle and may be evicted.
async fn prove(State(credentials): State<Credentials>, mut request: Request, next: Next) -> Response {
    let identity = credentials.identify(request.headers()).await;
    let is_proven = identity.is_proven();
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(credentials);
    // Handlers may outlive the connection, so they do not get the peer.
    let Some(peer) = request.extensions_mut().remove::<Arc<Peer>>() else { return next.run(request).await };
    let busy = Busy::new(&peer);
    if is_proven && !peer.is_proven() {
        peer.prove();
    }
    let mut response = next.run(request).await;
    if peer.is_proven() {
        response.extensions_mut().insert(Arc::new(busy));
    }
    response
}

/// Whether the service answers.
///
/// A full disk does not change the answer. The service still feeds gateways then, so a load balancer must keep it.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "check_health", security(()), responses(
    (status = 200, description = "the service answers", body = String, content_type = "text/plain", example = "ok\n"),
))]
async fn health() -> &'static str {
    "ok\n"
}

/// Whether changes can be written.
#[utoipa::path(get, path = "/healthz/write", tag = "health", operation_id = "check_writer", security(()), responses(
    (status = 200, description = "changes can be written", body = String, content_type = "text/plain",
        example = "ok\n"),
    (status = 503, description = "another program has held the lock for more than a second, or the database file was \
        removed or replaced; gateways are still served", body = Problem),
    (status = 507, description = "the disk is full; gateways are still served", body = Problem),
))]
async fn writer_health(State(store): State<Store>) -> Result<&'static str, Problem> {
    store.check_writer(&act_of_service()).await?;
    Ok("ok\n")
}

async fn secure(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
