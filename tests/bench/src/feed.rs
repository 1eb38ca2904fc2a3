//! The feed: sends the policy to keygate page by page, and never anything new.
//!
//! It has no long polls. A gateway with the current policy gets `304` at once and asks again after its interval, so the
//! feed is silent while requests are measured. It counts its requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Error, Result, population::Population, worst};

/// keygate's own default.
const PATH: &str = "/v1/policy";
const ETAG: &str = "\"bench\"";

/// A running feed. Dropping it ends it.
#[derive(Debug)]
pub struct Feed {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Served {
    population: Population,
    asked: Arc<AtomicU64>,
}

impl Feed {
    /// Starts a feed on a free port of loopback.
    pub async fn start(population: Population) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let asked = Arc::<AtomicU64>::default();
        let served = Served { population, asked: Arc::clone(&asked) };
        let router = Router::new().route(PATH, get(answer)).route(worst::PATH, get(answer_worst)).with_state(served);
        // Ends with this value. An error of the listener shows as a keygate without a policy.
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap_or_default() });
        Ok(Self { address, asked, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of requests it has answered.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(served): State<Served>, query: Query<Vec<(String, usize)>>, headers: HeaderMap) -> Response {
    served.asked.fetch_add(1, Ordering::Relaxed);
    if headers.contains_key(header::IF_NONE_MATCH) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, ETAG)]).into_response();
    }
    let number = query.iter().find(|(name, _)| name == "page").map_or(0, |(_, number)| *number);
    if number >= served.population.pages() {
        return StatusCode::NOT_FOUND.into_response();
    }
    // Writing a page takes milliseconds. The runtime has another thread for that.
    let mut page = served.population.page(number, PATH);
    // The ids of subscriptions are only for the policy service. The filter would count and report them as unknown
    // fields.
    for row in page["subscriptions"].as_array_mut().into_iter().flatten() {
        row.as_object_mut().map(|row| row.remove("id"));
    }
    let page = page.to_string();
    ([(header::CONTENT_TYPE, "application/json"), (header::ETAG, ETAG)], page).into_response()
}

async fn answer_worst(headers: HeaderMap) -> Response {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, ETAG)]).into_response();
    }
    ([(header::CONTENT_TYPE, "application/json"), (header::ETAG, ETAG)], worst::page().to_string()).into_response()
}
