//! The credentials of all callers. A request is compared with the configured credentials before the database is asked.

use std::sync::Arc;

use axum::http::HeaderMap;
use management::{
    access,
    accounts::{hash, is_good, reserved},
    port::{
        Actor, Error, Kind, Principal, Role, Store,
        accounts::{Credential, SecretHash, Token},
        sessions::Source,
    },
};

use super::{
    administrator::Administrator,
    gateway::{Gateway, Row},
    gateways::Gateways,
    given::{Given, given},
    identity::{Flaw, Identity},
    secret::SecretDigest,
    session::Sessions,
};
use crate::clock::unix_seconds;

/// The credentials of all callers.
#[derive(Clone, Debug)]
pub struct Credentials {
    administrator: Administrator,
    gateways: Arc<Gateways>,
    store: Store,
    sessions: Option<Sessions>,
}

/// What a good token proves.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Whose token it is.
    pub principal: Principal,
    /// When it expires, Unix time; `None` if it does not.
    pub expires_at: Option<i64>,
    /// The token's id; `None` for the administrator's token in the configuration.
    pub token: Option<String>,
}

impl Credentials {
    /// The configured credentials, and those in the database. No session is accepted.
    pub fn new(administrator: Administrator, gateways: Gateways, store: Store) -> Self {
        Self { administrator, gateways: Arc::new(gateways), store, sessions: None }
    }

    /// Accepts sessions, too.
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// Identifies the sender of a request with these headers.
    pub async fn identify(&self, headers: &HeaderMap) -> Identity {
        let (client_id, secret) = match (given(headers), &self.sessions) {
            (Given::Nothing, Some(sessions)) => {
                return sessions.identify(&self.store, &self.administrator, headers).await;
            }
            (Given::Nothing, None) => return Identity::Nobody(Flaw::Missing),
            (Given::Unusable, _) => return Identity::Nobody(Flaw::Unreadable),
            (Given::Basic { user, password }, _) => (Some(user), password),
            (Given::Bearer(secret), _) => (None, secret),
        };
        // The database looks up hashes of secrets with 256 random bits, so its timing reveals no secret.
        let stored = hash(&secret);
        let digest = SecretDigest::of(&secret);
        if client_id.is_none() && self.administrator.has(&digest) {
            return principal(first());
        }
        if let Some(gateway) = self.gateways.find(client_id.as_deref(), &digest) {
            return Identity::Gateway(gateway);
        }
        match self.find(client_id.as_deref(), &stored).await {
            Ok(found) => found.unwrap_or(Identity::Nobody(Flaw::Wrong)),
            Err(error) => Identity::Unknown(Box::new(error.into())),
        }
    }

    /// What a token proves; `None` if it is wrong.
    pub async fn prove(&self, token: &str) -> Result<Option<Proof>, Error> {
        if self.administrator.has(&SecretDigest::of(token)) {
            return Ok(Some(first()));
        }
        self.find_token(&hash(token)).await
    }

    /// The source of a session that begins with the rights of `proof`. `secret` is the session's.
    pub fn source(&self, proof: &Proof, secret: &str) -> Source {
        match &proof.token {
            Some(id) => Source::Token(id.clone()),
            None => Source::Configured(self.administrator.keyed(secret)),
        }
    }

    /// Whether a principal sees the row of `kind` with this id.
    pub async fn sees(&self, principal: Principal, kind: Kind, id: &str) -> Result<bool, Error> {
        self.store.sees(kind, id, &access::sight(&Actor::Principal(principal), kind)).await
    }

    /// Finds the owner of a secret in the database. It is looked up for each request, so a revocation takes effect at
    /// once.
    async fn find(&self, client_id: Option<&str>, secret: &SecretHash) -> Result<Option<Identity>, Error> {
        if client_id.is_none()
            && let Some(proof) = self.find_token(secret).await?
        {
            return Ok(Some(principal(proof)));
        }
        let now = unix_seconds();
        let found = self.store.credential_of(secret).await?.filter(|it| is_good(it.expires_at, now));
        let named = found.filter(|credential| client_id.is_none_or(|id| id == credential.client_id));
        Ok(named.map(|Credential { id, client_id, scope, expires_at, .. }| {
            Identity::Gateway(Gateway { client_id, scope, row: Some(Row { id, expires_at }) })
        }))
    }

    async fn find_token(&self, secret: &SecretHash) -> Result<Option<Proof>, Error> {
        let now = unix_seconds();
        let found = self.store.token_of(secret).await?.filter(|token| is_good(token.expires_at, now));
        // An earlier version may have stored a token with a subject that nobody may choose any more.
        let found = found.filter(|token| reserved(&token.principal.subject).is_none());
        Ok(found.map(|Token { id, principal, expires_at, .. }| Proof { principal, expires_at, token: Some(id) }))
    }
}

/// What the administrator's token in the configuration proves.
fn first() -> Proof {
    let principal = Principal { role: Role::Administrator, subject: Actor::FIRST.to_owned() };
    Proof { principal, expires_at: None, token: None }
}

fn principal(proof: Proof) -> Identity {
    Identity::Principal { principal: proof.principal, expires_at: proof.expires_at, session: None }
}
