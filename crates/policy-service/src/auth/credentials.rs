//! The credentials of all callers. A request is compared with the configured credentials before the database is asked.

use std::sync::Arc;

use axum::http::HeaderMap;
use management::{
    access,
    accounts::{hash, is_good},
    port::{
        Actor, Error, Kind, Principal, Role, Store,
        accounts::{Credential, SecretHash, Token},
    },
};

use super::{
    administrator::Administrator,
    gateway::{Gateway, Row},
    gateways::Gateways,
    given::{Given, given},
    identity::{Flaw, Identity},
    secret::SecretDigest,
};
use crate::clock::unix_seconds;

/// The credentials of all callers.
#[derive(Clone, Debug)]
pub struct Credentials {
    administrator: Administrator,
    gateways: Arc<Gateways>,
    store: Store,
}

impl Credentials {
    /// The credentials of the configuration, and those in the database.
    pub fn new(administrator: Administrator, gateways: Gateways, store: Store) -> Self {
        Self { administrator, gateways: Arc::new(gateways), store }
    }

    /// Identifies the sender of a request with these headers.
    pub async fn identify(&self, headers: &HeaderMap) -> Identity {
        let (client_id, secret) = match given(headers) {
            Given::Nothing => return Identity::Nobody(Flaw::Missing),
            Given::Unusable => return Identity::Nobody(Flaw::Unreadable),
            Given::Basic { user, password } => (Some(user), password),
            Given::Bearer(secret) => (None, secret),
        };
        // The database has hashes of secrets with 256 random bits, so the time of its look-ups reveals none of them.
        let stored = hash(&secret);
        let secret = SecretDigest::of(&secret);
        if client_id.is_none() && self.administrator.has(&secret) {
            let principal = Principal { role: Role::Administrator, subject: Actor::FIRST.to_owned() };
            return Identity::Principal { principal, expires_at: None };
        }
        if let Some(gateway) = self.gateways.find(client_id.as_deref(), &secret) {
            return Identity::Gateway(gateway);
        }
        match self.find(client_id.as_deref(), &stored).await {
            Ok(found) => found.unwrap_or(Identity::Nobody(Flaw::Wrong)),
            Err(error) => Identity::Unknown(Box::new(error.into())),
        }
    }

    /// Whether a principal sees the row of `kind` with this id.
    pub async fn sees(&self, principal: Principal, kind: Kind, id: &str) -> Result<bool, Error> {
        self.store.sees(kind, id, &access::sight(&Actor::Principal(principal), kind)).await
    }

    /// Whose the secret is among those in the database. It is looked up at each request, so what is revoked is so at once.
    async fn find(&self, client_id: Option<&str>, secret: &SecretHash) -> Result<Option<Identity>, Error> {
        let now = unix_seconds();
        if client_id.is_none()
            && let Some(Token { principal, expires_at, .. }) = self.store.token_of(secret).await?
        {
            return Ok(is_good(expires_at, now).then_some(Identity::Principal { principal, expires_at }));
        }
        let found = self.store.credential_of(secret).await?.filter(|it| is_good(it.expires_at, now));
        let named = found.filter(|credential| client_id.is_none_or(|id| id == credential.client_id));
        Ok(named.map(|Credential { id, client_id, scope, expires_at, .. }| {
            Identity::Gateway(Gateway { client_id, scope, row: Some(Row { id, expires_at }) })
        }))
    }
}
