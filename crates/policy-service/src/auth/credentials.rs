//! The credentials of all callers. A request is compared with the configured credentials before the database is asked.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::{
    administrator::Administrator,
    gateways::Gateways,
    given::{Given, given},
    identity::{Flaw, Identity},
    secret::SecretDigest,
};
use management::port::{Actor, Principal, Role};

/// The credentials of all callers.
#[derive(Clone, Debug)]
pub struct Credentials {
    administrator: Administrator,
    gateways: Arc<Gateways>,
}

impl Credentials {
    /// The credentials in the configuration.
    pub fn new(administrator: Administrator, gateways: Arc<Gateways>) -> Self {
        Self { administrator, gateways }
    }

    /// Identifies the sender of a request with these headers.
    pub async fn identify(&self, headers: &HeaderMap) -> Identity {
        let (client_id, secret) = match given(headers) {
            Given::Nothing => return Identity::Nobody(Flaw::Missing),
            Given::Unusable => return Identity::Nobody(Flaw::Unreadable),
            Given::Basic { user, password } => (Some(user), password),
            Given::Bearer(secret) => (None, secret),
        };
        let secret = SecretDigest::of(&secret);
        if client_id.is_none() && self.administrator.has(&secret) {
            let principal = Principal { role: Role::Administrator, subject: Actor::FIRST.to_owned() };
            return Identity::Principal { principal, expires_at: None };
        }
        if let Some(gateway) = self.gateways.find(client_id.as_deref(), &secret) {
            return Identity::Gateway(gateway);
        }
        Identity::Nobody(Flaw::Wrong)
    }
}
