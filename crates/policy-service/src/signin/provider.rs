//! Sign-in by OpenID Connect at one identity provider: the address that a person is led to, and what its answer proves.
//!
//! The library checks the ID token: issuer, audience, signature, expiry and nonce. Tokens without a signature, and those
//! that are signed with the client's secret, are never accepted.

use std::{sync::Arc, time::Duration};

use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, Client,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IdTokenVerifier,
    Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, TokenResponse as _,
    UserInfoClaims, UserInfoError,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
    url::Url,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    ask::{Asking, NoAnswer},
    claims::{self, Claims},
    known::{Documents, Known},
    refusal::Refusal,
    settings::Provider,
    ticket::Ticket,
};

/// Codes that are exchanged at the same time. Anybody can send a code; each costs one request to the provider, and a
/// good one two or three. With 5 s for each answer, the provider gets at most some requests a second from wrong ones.
const MAX_EXCHANGES: usize = 16;
/// How long an answer waits for its turn.
const EXCHANGE_TURN: Duration = Duration::from_secs(5);
/// Signatures of ID tokens that are accepted, if the provider uses them: those with a key that only the provider has.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// All claims that the library does not know.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct More {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for More {}

type Fields = IdTokenFields<
    More,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Answer = StandardTokenResponse<Fields, CoreTokenType>;
type OfProvider = Client<
    More,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Signs people in at one identity provider.
#[derive(Debug)]
pub struct AtProvider {
    provider: Provider,
    asking: Asking,
    known: Known,
    turns: Semaphore,
}

impl AtProvider {
    /// Nothing is asked yet.
    pub fn new(provider: Provider) -> Result<Self, String> {
        let asking = Asking::new(provider.issuer.url().scheme() == "https")?;
        let known = Known::new(provider.clone(), asking.clone());
        Ok(Self { provider, asking, known, turns: Semaphore::new(MAX_EXCHANGES) })
    }

    /// The address to which a person is led.
    pub async fn address(&self, ticket: &Ticket) -> Result<Url, Refusal> {
        let documents = self.known.documents().await?;
        let client = self.client(&documents).disable_openid_scope();
        let (state, nonce) = (ticket.state(), ticket.nonce());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(ticket.verifier()));
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let scopes = self.scopes(&documents).into_iter().map(Scope::new);
        let (address, _, _) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        Ok(address)
    }

    /// Checks who answered: the provider names itself in the answer if it says that it does (RFC 9207).
    pub async fn check_issuer(&self, named: Option<&str>) -> Result<(), Refusal> {
        match named {
            Some(issuer) if issuer == self.provider.issuer.as_str() => Ok(()),
            Some(_) => Err(Refusal::OtherIssuer),
            None => {
                let documents = self.known.documents().await?;
                match documents.additional_metadata().authorization_response_iss_parameter_supported {
                    true => Err(Refusal::OtherIssuer),
                    false => Ok(()),
                }
            }
        }
    }

    /// Exchanges the code for the claims of the person.
    pub async fn claims(&self, code: String, ticket: &Ticket) -> Result<Claims, Refusal> {
        let turn = timeout(EXCHANGE_TURN, self.turns.acquire()).await;
        // The semaphore is never closed.
        let _turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        let documents = self.known.documents().await?;
        let answer = self.exchange(&documents, code, ticket).await?;
        let mut claims = self.verified(&documents, &answer, &Nonce::new(ticket.nonce())).await?;
        if !claims::are_complete(&claims, &self.provider) {
            self.add_info(&documents, answer.access_token().clone(), &mut claims).await?;
        }
        Ok(claims)
    }

    fn client(&self, documents: &Documents) -> OfProvider {
        let Provider { client_id, client_secret, redirect, .. } = &self.provider;
        let client =
            OfProvider::from_provider_metadata(documents.clone(), client_id.clone(), Some(client_secret.clone()));
        let methods = documents.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
        let by_body = takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
        let auth_type = if by_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        client.set_auth_type(auth_type).set_redirect_uri(redirect.clone())
    }

    /// The scopes to ask for. A provider may refuse one that it does not have.
    fn scopes(&self, documents: &Documents) -> Vec<String> {
        if let Some(scopes) = &self.provider.scopes {
            return scopes.clone();
        }
        let mut wanted = vec!["openid", "profile", "email"];
        let Some(supported) = documents.scopes_supported() else {
            return wanted.into_iter().map(str::to_owned).collect();
        };
        wanted.extend([self.provider.subject_claim.as_str(), self.provider.role_claim.as_str()]);
        let is_there = |scope: &&str| *scope == "openid" || supported.iter().any(|other| other.as_str() == *scope);
        let mut scopes: Vec<_> = wanted.into_iter().filter(is_there).map(str::to_owned).collect();
        scopes.dedup();
        scopes
    }

    async fn exchange(&self, documents: &Documents, code: String, ticket: &Ticket) -> Result<Answer, Refusal> {
        let client = self.client(documents);
        let send = self.sender();
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| Refusal::Away(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(ticket.verifier()));
        request.request_async(&send).await.map_err(|error| match error {
            // The code alone: a description is the provider's free text.
            RequestTokenError::ServerResponse(answer) => match answer.error() {
                CoreErrorResponseType::InvalidGrant => Refusal::Denied(code_of(answer.error().as_ref())),
                error => Refusal::Away(format!("it refuses this client: {}", code_of(error.as_ref()))),
            },
            RequestTokenError::Request(why) => Refusal::Away(why.to_string()),
            RequestTokenError::Parse(error, _) => {
                Refusal::Away(format!("the answer of its token endpoint cannot be read at {}", error.path()))
            }
            RequestTokenError::Other(_) => {
                Refusal::Away("its token endpoint gave no answer of the protocol".to_owned())
            }
        })
    }

    /// The claims of a good ID token. If no known key fits, the keys may have been replaced.
    async fn verified(&self, documents: &Arc<Documents>, answer: &Answer, nonce: &Nonce) -> Result<Claims, Refusal> {
        match self.verify(documents, answer, nonce) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => {
                let newer = self.known.newer(documents).await?;
                self.verify(&newer, answer, nonce)
            }
            verified => verified,
        }
        .map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(why) => Refusal::Token(format!("signature: {why}")),
            // The nonce, and what else the provider wrote, stay out of the log.
            ClaimsVerificationError::InvalidNonce(_) => {
                Refusal::Token("nonce: it is not that of this sign-in".to_owned())
            }
            error => Refusal::Token(error.to_string()),
        })
    }

    fn verify(&self, documents: &Documents, answer: &Answer, nonce: &Nonce) -> Result<Claims, ClaimsVerificationError> {
        let other = |why: &str| ClaimsVerificationError::Other(why.to_owned());
        let token = answer.id_token().ok_or_else(|| other("there is none"))?;
        let supported = documents.id_token_signing_alg_values_supported();
        let signatures = SIGNATURES.into_iter().filter(|signature| supported.contains(signature));
        // Made without the client's secret, so no token can be signed with it.
        let verifier = IdTokenVerifier::new_public_client(
            self.provider.client_id.clone(),
            self.provider.issuer.clone(),
            documents.jwks().clone(),
        )
        .set_allowed_algs(signatures);
        let claims = token.claims(&verifier, nonce)?;
        if let Some(expected) = claims.access_token_hash() {
            let signature = token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?;
            let key = token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
            let found = AccessTokenHash::from_token(answer.access_token(), signature, key);
            if found.map_err(|_| other("at_hash cannot be checked"))? != *expected {
                return Err(other("it belongs to another access token (at_hash)"));
            }
        }
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(other("its claims cannot be read")),
        }
    }

    /// Adds the claims that the ID token does not have: providers may keep them for their userinfo endpoint.
    async fn add_info(&self, documents: &Documents, token: AccessToken, claims: &mut Claims) -> Result<(), Refusal> {
        let (client, send) = (self.client(documents), self.sender());
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Ok(request) = client.user_info(token, Some(SubjectIdentifier::new(subject))) else { return Ok(()) };
        let info: UserInfoClaims<More, CoreGenderClaim> =
            request.request_async(&send).await.map_err(|error| match error {
                UserInfoError::Request(why) => Refusal::Away(why.to_string()),
                UserInfoError::ClaimsVerification(why) => Refusal::Token(format!("userinfo: {why}")),
                _ => Refusal::Away("the answer of its userinfo endpoint cannot be used".to_owned()),
            })?;
        if let Ok(Value::Object(info)) = serde_json::to_value(info) {
            for (name, value) in info {
                if claims.get(&name).is_none_or(Value::is_null) {
                    claims.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn sender(&self) -> impl Fn(openidconnect::HttpRequest) -> Sending + use<> {
        let asking = self.asking.clone();
        move |request| Box::pin(asking.clone().send(request))
    }
}

type Sending = std::pin::Pin<Box<dyn Future<Output = Result<openidconnect::HttpResponse, NoAnswer>> + Send>>;

/// An error code of the protocol, as the log and the page may show it: at most 64 characters of RFC 6749, 5.2.
pub fn code_of(error: &str) -> String {
    let is_plain = |char: &char| char.is_ascii_lowercase() || *char == '_';
    error.chars().take(64).filter(is_plain).collect()
}
