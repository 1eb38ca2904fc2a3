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
pub mod tls;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use listener::{Door, bind, listen, serve, serve_all};

use self::peer::{Busy, Peer};
use crate::{
    auth::{Credentials, Identity, permission},
    clock::act_of_service,
    console::Console,
    feed::{self, Feed},
    guesses::{self, Guesses},
    http::{openapi, problem::Problem, request_id},
    metrics::{self, Metrics},
    routes::{self, receipts::Receipts, usage},
    signin::SignIn,
};
use management::port::Store;

/// What is served.
#[derive(Clone, Debug)]
pub struct Served {
    pub store: Store,
    pub feed: Feed,
    pub credentials: Credentials,
    pub metrics: Metrics,
    /// Sign-in to the console; `None` if the console is off.
    pub sign_in: Option<SignIn>,
}

/// All routes.
pub fn router(served: Served) -> Router {
    let Parts { around, document, health, management, feed, console } = Parts::new(served);
    around.put(Router::new().merge(health).merge(management).merge(feed).merge(document).merge(console))
}

/// The routes of two listeners: management, and the feed with the reports of usage. Both tell their health.
pub fn routers(served: Served) -> (Router, Router) {
    let Parts { around, document, health, management, feed, console } = Parts::new(served);
    let mut managing = Router::new().merge(health).merge(management).merge(document).merge(console);
    for path in [feed::ask::PATH, usage::PATH] {
        let detail =
            format!("{path} is served at another address, that of --feed-listen (POLICY_FEED_LISTEN); ask there");
        managing = managing.route(path, any(move || async move { Problem::new(StatusCode::NOT_FOUND, detail) }));
    }
    let feeding = Router::new().merge(feed).route("/healthz", get(self::health));
    (around.put(managing), around.put(feeding))
}

/// The routes, by the listeners that may serve them.
struct Parts {
    around: Around,
    document: Router,
    health: Router,
    management: Router,
    feed: Router,
    console: Router,
}

impl Parts {
    fn new(served: Served) -> Self {
        let Served { store, feed, credentials, metrics, sign_in } = served;
        metrics.watch(&store);
        let credentials = match &sign_in {
            Some(sign_in) => credentials.with_sessions(sign_in.sessions()),
            None => credentials,
        };
        let around = Around { credentials, guesses: Guesses::new(metrics.clone()), metrics: metrics.clone() };
        let receipts = Receipts::new(store.clone(), feed.clone());
        let managing = |router: OpenApiRouter<Store>| {
            router
                .layer(Extension(receipts.clone()))
                .layer(Extension(feed.clone()))
                .layer(middleware::from_fn_with_state(store.clone(), routes::once::guard))
                .layer(middleware::from_fn_with_state(metrics.clone(), routes::told::log))
                .layer(middleware::from_fn(routes::run_to_completion))
                // Outside of the above: the wait ends with the connection, and no log line waits for it.
                .layer(middleware::from_fn_with_state((receipts.clone(), store.clone()), routes::receipts::attach))
                .with_state(store.clone())
        };
        let reporting =
            usage::reporting().layer(middleware::from_fn(routes::run_to_completion)).with_state(store.clone());
        let health = OpenApiRouter::new().routes(routes!(health)).routes(routes!(writer_health));
        let counted = (store.clone(), feed.clone(), metrics.clone());
        let counted = OpenApiRouter::new().routes(routes!(read_metrics)).with_state(counted);
        let feeding = OpenApiRouter::new().routes(routes!(feed::policy)).with_state(feed.clone());
        let mut openapi = openapi::description();
        let mut described = |router: OpenApiRouter| {
            let (router, part) = router.split_for_parts();
            openapi.merge(part);
            router
        };
        let health = described(health.with_state(store.clone()).merge(counted));
        let billing = described(managing(usage::billing()));
        let feed = described(feeding.merge(reporting)).merge(billing.clone());
        let management = described(managing(routes::router()));
        let v1 = management.clone().merge(billing);
        let console = sign_in.map_or_else(Router::new, |sign_in| Console::new(sign_in, store, v1).router());
        Self { around, document: document(&openapi), health, management, feed, console }
    }
}

/// The description of all routes. All answers share one text, so that frequent requests for it take no memory.
fn document(openapi: &utoipa::openapi::OpenApi) -> Router {
    let text = Bytes::from(openapi::document(openapi, permission::described, say).to_string());
    Router::new().route(
        "/openapi.json",
        get(move || {
            let body = text.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], body) }
        }),
    )
}

/// Adds the limits of values and the receipts to the document.
fn say(document: &mut serde_json::Value) {
    routes::bounds::say(document);
    routes::blocks::say(document);
    routes::receipts::say(document);
}

/// The layers around the routes of each listener.
#[derive(Clone)]
struct Around {
    credentials: Credentials,
    guesses: Guesses,
    metrics: Metrics,
}

impl Around {
    fn put(&self, router: Router) -> Router {
        router
            .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no route has this path; see /openapi.json") })
            .method_not_allowed_fallback(|request: Request| async move {
                let detail = format!("{} is not possible here; the allow header says what is", request.method());
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
            })
            .layer(middleware::from_fn_with_state(self.credentials.clone(), prove))
            .layer(middleware::from_fn_with_state(self.guesses.clone(), guesses::slow))
            .layer(middleware::map_response(secure))
            .layer(middleware::from_fn_with_state(self.metrics.clone(), metrics::count))
            .layer(middleware::from_fn(request_id::name))
            .layer(middleware::map_request(by_cookie_alone))
    }
}

/// Takes the `authorization` header off a request for the console. A person is known there by the session's cookie alone:
/// browsers add the header for a proxy in front by themselves. So it neither helps, nor hurts, nor counts as a guess.
async fn by_cookie_alone(mut request: Request) -> Request {
    if Console::has(request.uri().path()) {
        request.headers_mut().remove(header::AUTHORIZATION);
    }
    request
}

/// Finds out who sends a request, and takes a connection out of the budget of unproven ones if a request carries a valid credential.
///
/// An unproven connection is busy only until its request is decided. While a wrong credential is delayed, or while the
/// client reads its answer, the connection counts as idle and may be evicted.
async fn prove(State(credentials): State<Credentials>, mut request: Request, next: Next) -> Response {
    let identity = credentials.identify(request.headers()).await;
    let is_proven = identity.is_proven();
    let is_session = matches!(identity, Identity::Principal { session: Some(_), .. });
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(credentials);
    // Handlers may outlive the connection, so they do not get the peer.
    let Some(peer) = request.extensions_mut().remove::<Arc<Peer>>() else { return next.run(request).await };
    let busy = Busy::new(&peer);
    if is_proven && !peer.is_proven() {
        peer.prove();
    }
    let mut response = next.run(request).await;
    // Nobody reads it out of the browser's cache after the sign-out.
    if is_session {
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    }
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
    let Err(error) = store.check_writer(&act_of_service()).await else { return Ok("ok\n") };
    let problem = Problem::from(error);
    // Whatever is wrong with the database, this says that no change is taken now.
    Err(match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => Problem::new(StatusCode::SERVICE_UNAVAILABLE, problem.to_string()),
        _ => problem,
    })
}

/// How long the metrics wait for the check of the writer. That waits a second for a lock, and Prometheus waits ten for the
/// metrics.
const WRITER_CHECK: Duration = Duration::from_secs(3);

/// The service's metrics for Prometheus. They name no client, no application and no API.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "read_metrics", security(()), responses(
    (status = 200, description = "all metrics, in Prometheus's text format", body = String, content_type = "text/plain"),
))]
async fn read_metrics(State((store, feed, metrics)): State<(Store, Feed, Metrics)>) -> Result<Response, Problem> {
    metrics.set_gateways(feed.gateways().figures().await);
    let writer = tokio::time::timeout(WRITER_CHECK, store.check_writer(&act_of_service())).await;
    let text = metrics.text(&store, matches!(writer, Ok(Ok(())))).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

async fn secure(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
