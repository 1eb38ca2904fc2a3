//! A minimal server of Envoy's rate limit protocol. The protocol comes from `envoy-types`, the counting from
//! `limitador`, and limits are written as in Limitador's own file. The counts are in memory, and servers that are given
//! the same counts enforce one quota. It needs no other program, so it runs with all tests; `envoys_ratelimit.rs` has the
//! real server.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use envoy_types::pb::envoy::service::ratelimit::v3::{
    RateLimitRequest, RateLimitResponse,
    rate_limit_response::Code,
    rate_limit_service_server::{RateLimitService, RateLimitServiceServer},
};
use limitador::{
    RateLimiter,
    limit::{Context, Limit},
};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// How many counts are kept. A test has four.
const COUNTS: u64 = 100;

/// The counts of these limits, which stand as in Limitador's file.
pub fn counts(limits: &str) -> Arc<RateLimiter> {
    let limits: Vec<Limit> = serde_norway::from_str(limits).expect("limits as in Limitador's file");
    assert!(!limits.is_empty(), "no limit");
    let counts = RateLimiter::new(COUNTS);
    for limit in limits {
        counts.add_limit(limit);
    }
    Arc::new(counts)
}

/// A running server. It ends when it is killed or dropped.
pub struct RateLimitServer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl RateLimitServer {
    /// Starts a server on a free port of loopback.
    pub fn start(counts: &Arc<RateLimiter>) -> Self {
        let service = RateLimitServiceServer::new(Service(Arc::clone(counts)));
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        Self { address, server: tokio::spawn(async move { serving.await.unwrap() }) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RateLimitServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service(Arc<RateLimiter>);

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        let entries = request.descriptors.into_iter().map(|descriptor| descriptor.entries);
        let descriptors = entries.map(|entries| entries.into_iter().map(|entry| (entry.key, entry.value)).collect());
        let mut context = Context::from(HashMap::new());
        context.list_binding("descriptors".to_owned(), descriptors.collect());
        // Envoy sends 0 when it means 1.
        let hits = u64::from(request.hits_addend).max(1);
        let checked = self.0.check_rate_limited_and_update(&request.domain.into(), &context, hits);
        let limited = checked.map_err(|error| Status::internal(error.to_string()))?.limited;
        let overall_code = if limited { Code::OverLimit } else { Code::Ok }.into();
        Ok(Response::new(RateLimitResponse { overall_code, ..RateLimitResponse::default() }))
    }
}
