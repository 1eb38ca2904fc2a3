//! An upstream that answers with the request that it received (method, path with query, headers) and with the name of
//! its endpoint.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{Json, Router, extract::Request};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Error, Result};

/// A running upstream. It ends when this value is dropped.
pub struct Upstream {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Starts an upstream on `port` of loopback (0: a free one) with the name `endpoint`.
    pub async fn start(endpoint: &'static str, port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).await.map_err(Error::io(format!("listening on {port}")))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let router = Router::new().fallback(async move |request: Request| echo(endpoint, &request));
        let server = tokio::spawn(async move {
            // It serves until it is aborted. An error of one connection ends only that connection.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, server })
    }

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
