//! A minimal server of Envoy's rate limit protocol. The protocol comes from `envoy-types`, the counting from
//! `limitador`, and limits are written as in Limitador's own file. The counts are only in Redis, so several servers
//! enforce one quota.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use envoy_types::pb::envoy::service::ratelimit::v3::{
    RateLimitRequest, RateLimitResponse,
    rate_limit_response::Code,
    rate_limit_service_server::{RateLimitService, RateLimitServiceServer},
};
use limitador::{
    AsyncRateLimiter,
    limit::{Context, Limit},
    storage::redis::AsyncRedisStorage,
};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use crate::redis::Redis;

/// A running server. It ends when it is killed or dropped.
pub struct RateLimitServer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl RateLimitServer {
    /// Starts a server on a free port of loopback with this limit and with its own connection to `redis`. Limitador has
    /// a storage that keeps counts for a while before it sends them to Redis. This server asks Redis each time.
    pub async fn start(limit: Limit, redis: &Redis) -> Self {
        let storage = AsyncRedisStorage::new(&redis.url()).await.unwrap();
        let limiter = AsyncRateLimiter::new_with_storage(Box::new(storage));
        limiter.add_limit(limit);
        let service = RateLimitServiceServer::new(Service(Arc::new(limiter)));
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

struct Service(Arc<AsyncRateLimiter>);

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
        let checked = self.0.check_rate_limited_and_update(&request.domain.into(), &context, hits).await;
        let limited = checked.map_err(|error| Status::internal(error.to_string()))?.limited;
        let overall_code = if limited { Code::OverLimit } else { Code::Ok }.into();
        Ok(Response::new(RateLimitResponse { overall_code, ..RateLimitResponse::default() }))
    }
}
