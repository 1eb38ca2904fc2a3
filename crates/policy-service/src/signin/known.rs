//! What is known of the identity provider: its discovery document and its keys, fetched at the first use and refreshed.
//!
//! An identity provider that is away keeps neither the service from starting nor anybody else from being served. Who
//! waits for its documents waits for one fetch, which all share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
    url::Url,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    ask::{Asking, NoAnswer},
    refusal::Refusal,
    settings::Provider,
};

/// The documents are fetched again after ten minutes: a changed address or a withdrawn key takes that long to show. A new
/// key is fetched when a token needs it.
const FRESH: Duration = Duration::from_secs(600);
/// Documents of this age still serve while the provider gives no new ones.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// After a failure nobody asks again for this long, so that those who waited fail at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What the library does not read of the discovery document.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct More {
    /// The provider names itself in its answers (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// The discovery document with the keys.
pub type Documents = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

#[derive(Debug, Default)]
struct State {
    held: Option<(Arc<Documents>, Instant)>,
    failed: Option<(Refusal, Instant)>,
}

/// What is known of one provider.
#[derive(Debug)]
pub struct Known {
    provider: Provider,
    asking: Asking,
    state: Mutex<State>,
}

impl Known {
    /// Nothing yet.
    pub fn new(provider: Provider, asking: Asking) -> Self {
        Self { provider, asking, state: Mutex::default() }
    }

    /// The documents, at most [`FRESH`] old if the provider answers.
    pub async fn documents(&self) -> Result<Arc<Documents>, Refusal> {
        let mut state = self.state.lock().await;
        if let Some((held, since)) = &state.held
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(held));
        }
        match self.fetch(&mut state).await {
            Ok(documents) => Ok(documents),
            Err(refusal) => match &state.held {
                Some((held, since)) if since.elapsed() < STALE => Ok(Arc::clone(held)),
                _ => Err(refusal),
            },
        }
    }

    /// Documents that are newer than `used`, because a token is signed by a key that `used` does not have. Only the
    /// provider itself can cause this, by its tokens.
    pub async fn newer(&self, used: &Arc<Documents>) -> Result<Arc<Documents>, Refusal> {
        let mut state = self.state.lock().await;
        match &state.held {
            Some((held, _)) if !Arc::ptr_eq(held, used) => Ok(Arc::clone(held)),
            _ => self.fetch(&mut state).await,
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<Arc<Documents>, Refusal> {
        if let Some((refusal, since)) = &state.failed
            && since.elapsed() < PAUSE
        {
            return Err(refusal.clone());
        }
        match self.discover().await {
            Ok(documents) => {
                let documents = Arc::new(documents);
                *state = State { held: Some((Arc::clone(&documents), Instant::now())), failed: None };
                Ok(documents)
            }
            Err(why) => {
                let refusal = Refusal::Away(why);
                state.failed = Some((refusal.clone(), Instant::now()));
                tracing::warn!(issuer = self.provider.issuer.as_str(), "{refusal}");
                Err(refusal)
            }
        }
    }

    async fn discover(&self) -> Result<Documents, String> {
        let asking = self.asking.clone();
        let send = move |request| asking.clone().send(request);
        let found = Documents::discover_async(self.provider.issuer.clone(), &send).await;
        let documents = found.map_err(|error: DiscoveryError<NoAnswer>| match error {
            DiscoveryError::Request(why) => why.to_string(),
            error => format!("its discovery document or its keys: {error}"),
        })?;
        check(&documents)?;
        Ok(documents)
    }
}

/// A provider that is asked by https must not lead elsewhere by http.
fn check(documents: &Documents) -> Result<(), String> {
    let is_https = |url: &Url| url.scheme() == "https";
    let must_be_https = is_https(documents.issuer().url());
    let token = documents.token_endpoint().ok_or("its discovery document names no token endpoint")?;
    let addresses =
        [Some(documents.authorization_endpoint().url()), Some(token.url()), Some(documents.jwks_uri().url())];
    let about_people = documents.userinfo_endpoint().map(|endpoint| endpoint.url());
    let mut all = addresses.into_iter().chain([about_people]).flatten();
    if must_be_https && !all.all(is_https) {
        return Err("its discovery document names an address that is not https".to_owned());
    }
    Ok(())
}
