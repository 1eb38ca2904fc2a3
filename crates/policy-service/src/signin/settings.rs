//! The configuration of sign-in: the arguments, checked together.
//!
//! Half a configuration is refused at the start. Whether the identity provider can be reached shows at the first sign-in.

use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl, url::Url};

use crate::cli::SignIn;

/// Where the identity provider leads people back to.
pub const CALLBACK: &str = "/console/callback";
const SUBJECT_CLAIM: &str = "sub";
const ROLE_CLAIM: &str = "role";
/// Maximum length of the name of a claim, in bytes. Providers write URLs of theirs there.
const MAX_CLAIM_NAME_BYTES: usize = 256;

/// Why the configuration is refused. The message names arguments, never the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A part is given and another one that it needs is not.
    #[error(
        "{given} needs {missing}: sign-in by OpenID Connect takes an issuer, a client id, a client secret and the public URL"
    )]
    Half { given: &'static str, missing: &'static str },
    /// An address cannot be used.
    #[error("{argument}: expected {expected}")]
    Address { argument: &'static str, expected: &'static str },
    /// A name of a claim cannot be used.
    #[error("{0}: expected the name of a claim, 1 to {MAX_CLAIM_NAME_BYTES} visible ASCII characters")]
    Claim(&'static str),
    /// The scopes cannot be used.
    #[error("{SCOPES}: expected scopes with blanks between them, `openid` among them")]
    Scopes,
}

const PUBLIC_URL: &str = "--public-url (POLICY_PUBLIC_URL)";
const ISSUER: &str = "--oidc-issuer (POLICY_OIDC_ISSUER)";
const CLIENT_ID: &str = "--oidc-client-id (POLICY_OIDC_CLIENT_ID)";
const CLIENT_SECRET: &str = "POLICY_OIDC_CLIENT_SECRET";
const SUBJECT: &str = "--oidc-subject-claim (POLICY_OIDC_SUBJECT_CLAIM)";
const ROLE: &str = "--oidc-role-claim (POLICY_OIDC_ROLE_CLAIM)";
const SCOPES: &str = "--oidc-scopes (POLICY_OIDC_SCOPES)";

/// How people sign in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the console is served.
    pub console: bool,
    /// The address at which browsers reach the service.
    pub public: Option<Url>,
    /// Whether browsers reach the service by https.
    pub is_secure: bool,
    /// The identity provider.
    pub provider: Option<Provider>,
}

/// The identity provider, and how its claims are read.
#[derive(Clone, Debug)]
pub struct Provider {
    pub issuer: IssuerUrl,
    pub client_id: ClientId,
    pub client_secret: ClientSecret,
    pub redirect: RedirectUrl,
    pub subject_claim: String,
    pub role_claim: String,
    /// The scopes that the operator chose.
    pub scopes: Option<Vec<String>>,
}

impl Provider {
    /// What sessions depend on: with another issuer, client or claim, other people may have other roles.
    pub fn description(&self) -> String {
        let parts = [self.issuer.as_str(), self.client_id.as_str(), &self.subject_claim, &self.role_claim];
        // No part contains a line break.
        parts.join("\n")
    }
}

impl Settings {
    /// Checks the arguments. `speaks_tls`: the service itself speaks TLS.
    pub fn new(arguments: &SignIn, speaks_tls: bool) -> Result<Self, Invalid> {
        let public = given(&arguments.public_url).map(public_url).transpose()?;
        let is_secure = public.as_ref().map_or(speaks_tls, |url| url.scheme() == "https");
        let provider = provider(arguments, public.as_ref())?;
        Ok(Self { console: arguments.console, public, is_secure, provider })
    }

    /// Whether browsers reach the service over a network without TLS.
    pub fn is_open_to_the_network(&self) -> bool {
        self.public.as_ref().is_some_and(|url| url.scheme() == "http" && !is_loopback(url))
    }

    /// The part of the address before `/console`, without a slash at its end.
    pub fn prefix(&self) -> &str {
        self.public.as_ref().map_or("", |url| url.path().trim_end_matches('/'))
    }
}

/// An empty value counts as none, as manifests write one that is not set.
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

fn provider(arguments: &SignIn, public: Option<&Url>) -> Result<Option<Provider>, Invalid> {
    let parts = [
        (ISSUER, given(&arguments.oidc_issuer)),
        (CLIENT_ID, given(&arguments.oidc_client_id)),
        (CLIENT_SECRET, given(&arguments.oidc_client_secret)),
    ];
    let ways = [
        (SUBJECT, given(&arguments.oidc_subject_claim)),
        (ROLE, given(&arguments.oidc_role_claim)),
        (SCOPES, given(&arguments.oidc_scopes)),
    ];
    let Some((first, _)) = parts.iter().chain(&ways).find(|(_, value)| value.is_some()) else { return Ok(None) };
    let half = |missing| Invalid::Half { given: first, missing };
    let [issuer, client_id, client_secret] = parts.map(|(name, value)| value.ok_or_else(|| half(name)));
    let (issuer, client_id, client_secret) = (issuer?, client_id?, client_secret?);
    let public = public.ok_or_else(|| half(PUBLIC_URL))?;
    let [(_, subject), (_, role), (_, scopes)] = ways;
    let callback = format!("{}{CALLBACK}", public.as_str().trim_end_matches('/'));
    Ok(Some(Provider {
        issuer: issuer_url(issuer)?,
        client_id: ClientId::new(client_id.to_owned()),
        client_secret: ClientSecret::new(client_secret.to_owned()),
        redirect: RedirectUrl::new(callback).map_err(|_| Invalid::Address { argument: PUBLIC_URL, expected: A_URL })?,
        subject_claim: claim(SUBJECT, subject.unwrap_or(SUBJECT_CLAIM))?,
        role_claim: claim(ROLE, role.unwrap_or(ROLE_CLAIM))?,
        scopes: scopes.map(parse_scopes).transpose()?,
    }))
}

const A_URL: &str = "an http or https URL without user, query and fragment, such as https://keygate.example.com";
const AN_ISSUER: &str = "an https URL without user, query and fragment, as the provider's discovery document names it; \
                         http only on this machine (localhost, 127.0.0.1, [::1])";

fn is_plain(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.has_host()
}

fn public_url(text: &str) -> Result<Url, Invalid> {
    let url = Url::parse(text).ok().filter(|url| is_plain(url) && ["http", "https"].contains(&url.scheme()));
    url.ok_or(Invalid::Address { argument: PUBLIC_URL, expected: A_URL })
}

fn issuer_url(text: &str) -> Result<IssuerUrl, Invalid> {
    let invalid = || Invalid::Address { argument: ISSUER, expected: AN_ISSUER };
    let url = Url::parse(text).ok().filter(is_plain).ok_or_else(invalid)?;
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !is_private {
        return Err(invalid());
    }
    IssuerUrl::new(text.to_owned()).map_err(|_| invalid())
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    use openidconnect::url::Host;
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn claim(argument: &'static str, name: &str) -> Result<String, Invalid> {
    let is_name = name.len() <= MAX_CLAIM_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(name.to_owned()) } else { Err(Invalid::Claim(argument)) }
}

fn parse_scopes(text: &str) -> Result<Vec<String>, Invalid> {
    let scopes: Vec<_> = text.split_ascii_whitespace().map(str::to_owned).collect();
    let is_scope = |scope: &String| scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    let is_good = scopes.iter().all(is_scope) && scopes.iter().any(|scope| scope == "openid");
    if is_good { Ok(scopes) } else { Err(Invalid::Scopes) }
}

#[cfg(test)]
mod tests;
