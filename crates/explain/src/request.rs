//! The request to explain, as a gateway would see it.
//!
//! A key is put where a client would send it: at the first of the configured sources that can carry it. Of a key that
//! is known only by its digest, a stand-in is sent, and [`crate::facts`] looks the digest up instead.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keygate::{
    config::{BasicPart, Config, CredentialSource},
    credential::{self, MAX_CREDENTIAL_BYTES},
    digest::Digest,
    request::head::Head,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::url::{ANY_AUTHORITY, InvalidUrl, Url};

/// Headers of a request. Envoy's own limit, unless an operator raises it.
pub const MAX_HEADERS: usize = 100;
/// Maximum length of the URL and of all headers together, in bytes. Envoy's own limit.
pub const MAX_HEAD_BYTES: usize = 60 << 10;
/// Maximum length of a method, in bytes. The longest registered one, UPDATEREDIRECTREF, has 17.
pub const MAX_METHOD_BYTES: usize = 32;

/// A request.
#[derive(Clone, Default)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Host and port.
    pub authority: String,
    /// The path with its query. `None` for a request that has none, such as CONNECT.
    pub path: Option<Vec<u8>>,
    /// In order, names in lower case, without pseudo headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The client's address.
    pub address: Address,
    /// The value that the route's metadata has at the place that the configuration names.
    pub route: Option<Vec<u8>>,
    /// The key that the client sends, beside those in its headers and its query.
    pub credential: Credential,
}

/// The client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// The gateway knows it.
    Known(IpAddr),
    /// The gateway does not know it.
    Unknown,
    /// Nobody said what it is. Deny policies of addresses cannot be checked.
    #[default]
    NotGiven,
}

/// A key. No text of an explanation contains it.
#[derive(Clone, Default)]
pub enum Credential {
    /// The request has only what its headers and its query hold.
    #[default]
    AsSent,
    /// The key as clients send it.
    Key(Vec<u8>),
    /// Its digest.
    Digest(Digest),
    /// Its public id.
    Id(String),
}

/// Why a request cannot be sent as it is described. The messages repeat no value, because any may hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The method.
    #[error("expected a method such as GET, at most {MAX_METHOD_BYTES} bytes")]
    Method,
    /// The URL.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The name of a header.
    #[error("expected the name of a header; pseudo headers follow from `method` and `url`")]
    Name(String),
    /// The value of a header.
    #[error("the value has a line break or another control character")]
    Value(String),
    /// Too many headers.
    #[error("expected at most {MAX_HEADERS} headers")]
    TooMany,
    /// Too many bytes.
    #[error("expected at most {MAX_HEAD_BYTES} bytes of URL and headers together")]
    TooLong,
}

impl Request {
    /// A request as a client sends it. A header `host` takes the place of the URL's host, as it does for a client. A URL
    /// that is only a path belongs to the host `localhost`.
    pub fn new(method: &str, url: &str, headers: Vec<(String, Vec<u8>)>) -> Result<Self, InvalidRequest> {
        if method.len() > MAX_METHOD_BYTES || !is_name(method) {
            return Err(InvalidRequest::Method);
        }
        if headers.len() > MAX_HEADERS {
            return Err(InvalidRequest::TooMany);
        }
        let parts = Url::parse(url)?;
        let (mut bytes, mut sent, mut host) = (url.len(), Vec::new(), None);
        for (name, value) in headers {
            if !is_name(&name) {
                return Err(InvalidRequest::Name(name));
            }
            if !value.iter().all(|byte| is_of_a_value(*byte)) {
                return Err(InvalidRequest::Value(name));
            }
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            match String::from_utf8(value) {
                Ok(value) if name.eq_ignore_ascii_case("host") => host = Some(value),
                Ok(value) => sent.push((name.to_ascii_lowercase(), value.into_bytes())),
                Err(error) => sent.push((name.to_ascii_lowercase(), error.into_bytes())),
            }
        }
        if bytes > MAX_HEAD_BYTES {
            return Err(InvalidRequest::TooLong);
        }
        let authority = host.unwrap_or_else(|| parts.authority.unwrap_or(ANY_AUTHORITY).to_owned());
        let path = (method != "CONNECT").then(|| parts.path().into_bytes());
        Ok(Self { method: method.to_owned(), authority, path, headers: sent, ..Self::default() })
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A request in the form in which the host hands it over.
pub(crate) struct Complete {
    headers: Vec<(String, Vec<u8>)>,
    pub stand_in: Option<StandIn>,
}

/// A key that is sent instead of one that only its digest tells.
#[derive(Clone)]
pub(crate) struct StandIn {
    pub key: Vec<u8>,
    /// The digest of the key that it stands for.
    pub digest: Digest,
}

/// No source of the configuration can carry the key.
pub(crate) struct NoSource;

impl Complete {
    /// Completes the request with its credential. `digest` is that of a key that is not known in clear.
    pub fn new(request: &Request, digest: Option<Digest>, config: &Config) -> Result<Self, NoSource> {
        let mut headers: Vec<(String, Vec<u8>)> = vec![
            (":authority".to_owned(), request.authority.clone().into_bytes()),
            (":method".to_owned(), request.method.clone().into_bytes()),
        ];
        headers.extend(request.path.iter().map(|path| (":path".to_owned(), path.clone())));
        headers.extend(request.headers.iter().cloned());
        let sent = Self { headers, stand_in: None };
        match (&request.credential, digest) {
            (Credential::Key(key), _) => sent.with_key(key, Digest::of(key), config),
            (_, Some(digest)) => {
                if sent.holds(digest, config) {
                    return Ok(sent);
                }
                let key = sent.stand_in();
                let complete = sent.with_key(&key, Digest::of(&key), config)?;
                Ok(Self { stand_in: Some(StandIn { key, digest }), ..complete })
            }
            (_, None) => Ok(sent),
        }
    }

    pub fn head(&self) -> Head<'_> {
        Head::new(self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect())
    }

    fn holds(&self, digest: Digest, config: &Config) -> bool {
        credential::find(&self.head(), &config.credential_sources).any_in(&[digest])
    }

    /// A key that the request does not have yet.
    fn stand_in(&self) -> Vec<u8> {
        let mut key = b"stand-in".to_vec();
        let has =
            |key: &[u8]| self.headers.iter().any(|(_, value)| value.windows(key.len().max(1)).any(|part| part == key));
        while has(&key) {
            key.push(b'x');
        }
        key
    }

    /// Adds a key at the first source that carries it unchanged.
    fn with_key(self, key: &[u8], digest: Digest, config: &Config) -> Result<Self, NoSource> {
        if self.holds(digest, config) {
            return Ok(self);
        }
        for source in &config.credential_sources {
            let mut headers = self.headers.clone();
            if add(&mut headers, source, key).is_none() {
                continue;
            }
            let with = Self { headers, stand_in: None };
            // The filter does not look at the bytes of a key that is too long.
            if key.len() > MAX_CREDENTIAL_BYTES || with.holds(digest, config) {
                return Ok(with);
            }
        }
        Err(NoSource)
    }
}

/// Adds a key where a client would put it. `None` if the source cannot carry it.
fn add(headers: &mut Vec<(String, Vec<u8>)>, source: &CredentialSource, key: &[u8]) -> Option<()> {
    let (name, value) = match source {
        CredentialSource::Header { name } => (name.clone(), key.to_vec()),
        CredentialSource::Scheme { name, scheme } => (name.clone(), [scheme.as_bytes(), b" ", key].concat()),
        CredentialSource::Cookie { name } => ("cookie".to_owned(), [name.as_bytes(), b"=", key].concat()),
        CredentialSource::Basic { part } => {
            let pair = match part {
                BasicPart::Username => [key, b":"].concat(),
                BasicPart::Password => [b":", key].concat(),
            };
            ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(pair)).into_bytes())
        }
        CredentialSource::Query { name } => {
            let (_, path) = headers.iter_mut().find(|(name, _)| name == ":path")?;
            let separator = if path.contains(&b'?') { "&" } else { "?" };
            let name = percent_encode(name.as_bytes(), NON_ALPHANUMERIC);
            let argument = format!("{separator}{name}={}", percent_encode(key, NON_ALPHANUMERIC));
            path.extend_from_slice(argument.as_bytes());
            return Some(());
        }
    };
    if !value.iter().all(|byte| is_of_a_value(*byte)) {
        return None;
    }
    headers.push((name, value));
    Some(())
}

/// Whether a header's value may have this byte (RFC 9110, 5.5).
pub fn is_of_a_value(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// Whether this is a header's name (RFC 9110, 5.1).
pub fn is_name(name: &str) -> bool {
    let is_of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_a_token)
}
