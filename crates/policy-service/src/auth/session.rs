//! Sessions of people who signed in: from the cookie of a request to the principal.
//!
//! The secret of a session is in the cookie alone; the database has its digest. Everything else that a session needs is
//! derived from the secret: the CSRF token of the console's pages, and a digest of the part of the configuration that
//! the session's rights come from. So a session ends when that part changes, and the database alone tells nothing about
//! it. Each request looks its session up, so a sign-out takes effect on every replica at once.

use std::sync::Arc;

use axum::http::HeaderMap;
use management::{
    accounts::{OIDC_PREFIX, hash},
    port::{
        Actor, Error, Store,
        accounts::SecretHash,
        sessions::{Session, Source},
    },
    sessions::{is_use_due, is_valid, note_use},
};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::{
    administrator::Administrator,
    cookies::{Cookies, Purpose},
    held::{CSRF_TOKEN, CsrfToken, Held},
    identity::{Flaw, Identity},
    secret::keyed,
};
use crate::clock::{act, unix_seconds};

/// Accepts sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    cookies: Cookies,
    /// What the identity provider's sessions come from: its issuer, and how its claims are read.
    provider: Option<Arc<str>>,
    /// One use is noted at a time. What another request finds due meanwhile, a later one notes.
    noting: Arc<Semaphore>,
}

impl Sessions {
    /// `provider` describes the identity provider, if there is one.
    pub fn new(cookies: Cookies, provider: Option<&str>) -> Self {
        Self { cookies, provider: provider.map(Into::into), noting: Arc::new(Semaphore::new(1)) }
    }

    /// The source of sessions that the identity provider's people begin.
    pub fn of_provider(&self, secret: &str) -> Option<Source> {
        Some(Source::Configured(keyed(secret, "provider", self.provider.as_deref()?.as_bytes())))
    }

    /// The sender of a request without another credential.
    pub(super) async fn identify(&self, store: &Store, administrator: &Administrator, headers: &HeaderMap) -> Identity {
        let Some(secret) = self.cookies.read(headers, Purpose::Session).filter(|secret| !secret.is_empty()) else {
            return Identity::Nobody(Flaw::Missing);
        };
        match self.find(store, administrator, &secret).await {
            Ok(Some((hash, session))) => {
                let csrf = CsrfToken::of(&secret);
                let given = headers.get(CSRF_TOKEN).and_then(|value| value.to_str().ok());
                let has_csrf_token = given.is_some_and(|given| csrf.is(given));
                Identity::Principal {
                    principal: session.principal,
                    expires_at: Some(session.expires_at),
                    session: Some(Held { hash, has_csrf_token, csrf_token: csrf }),
                }
            }
            Ok(None) => Identity::Nobody(Flaw::Ended),
            Err(error) => Identity::Unknown(Box::new(error.into())),
        }
    }

    async fn find(
        &self,
        store: &Store,
        administrator: &Administrator,
        secret: &str,
    ) -> Result<Option<(SecretHash, Session)>, Error> {
        let (hash, now) = (hash(secret), unix_seconds());
        let found = store.session_of(&hash).await?.filter(|session| is_valid(session, now));
        let found = found.filter(|session| self.is_still_configured(session, administrator, secret));
        let Some(session) = found else { return Ok(None) };
        if is_use_due(&session, now) {
            self.note(store, &session, hash.clone());
        }
        Ok(Some((hash, session)))
    }

    /// Whether what the session's rights come from is still configured. The database has checked a token.
    fn is_still_configured(&self, session: &Session, administrator: &Administrator, secret: &str) -> bool {
        let Source::Configured(stored) = &session.source else { return true };
        let expected = if session.principal.subject.starts_with(OIDC_PREFIX) {
            self.of_provider(secret)
        } else {
            Some(Source::Configured(administrator.keyed(secret)))
        };
        let Some(Source::Configured(expected)) = expected else { return false };
        stored.as_bytes().ct_eq(expected.as_bytes()).into()
    }

    /// Notes the use of a session, beside the request. If that fails, the next request tries again.
    fn note(&self, store: &Store, session: &Session, hash: SecretHash) {
        let Ok(turn) = Arc::clone(&self.noting).try_acquire_owned() else { return };
        let (store, actor) = (store.clone(), Actor::Principal(session.principal.clone()));
        let noted = async move {
            let noted = async {
                let mut change = store.begin(act(actor)).await?;
                note_use(&mut *change, &hash).await?;
                change.commit().await?;
                Ok::<_, management::error::Error>(())
            };
            if let Err(error) = noted.await {
                tracing::debug!(%error, "the use of a session was not noted");
            }
            drop(turn);
        };
        tokio::spawn(noted.in_current_span());
    }
}
