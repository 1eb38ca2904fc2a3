//! An upstream that answers with what it got: method, path with query, headers, and which endpoint it is.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{Json, Router, extract::Request};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Error, Result};

/// A running upstream; it ends when this value is dropped.
pub struct Upstream {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Starts one on `port` of loopback (0: a free one) that calls itself `endpoint`.
    pub async fn start(endpoint: &'static str, port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).await.map_err(Error::io(format!("listening on {port}")))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let router = Router::new().fallback(async move |request: Request| echo(endpoint, &request));
        let server = tokio::spawn(async move {
            // Serves until it is aborted; an error of one connection ends only that.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn echo(endpoint: &str, request: &Request) -> Json<serde_json::Value> {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in request.headers() {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let path = request.uri().path_and_query().map(ToString::to_string);
    Json(json!({"endpoint": endpoint, "method": request.method().as_str(), "path": path, "headers": headers}))
}
