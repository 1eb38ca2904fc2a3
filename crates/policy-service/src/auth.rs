//! Authentication of the administrator and of the gateways.
//!
//! The service keeps secrets as SHA-256 digests. It compares each request in constant time with all of them, so the
//! time of an answer reveals nothing. `Debug` shows no secret. A gateway's [`Scope`] says which APIs it sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use keygate::policy::Text;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::http::problem::Problem;
use management::port::Scope;

/// Maximum length of a client id or a secret, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 1_024;
/// Maximum number of gateways. Each request to the feed is compared with all of them.
pub const MAX_GATEWAYS: usize = 1_000;

const ADMINISTRATOR_CHALLENGE: &str = "Bearer realm=\"policy-service management\"";
const GATEWAY_CHALLENGE: &str = "Basic realm=\"policy-service feed\", charset=\"UTF-8\", Bearer";

#[derive(Clone, Copy)]
struct SecretDigest([u8; 32]);

impl SecretDigest {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Why the credentials in the configuration are rejected. The message names clients, never secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The administrator's token is empty, too long, or not visible ASCII.
    #[error(
        "--admin-token (POLICY_ADMIN_TOKEN): expected a token of 1 to {MAX_CREDENTIAL_BYTES} visible ASCII characters"
    )]
    Token,
    /// An entry of the list of gateways is malformed.
    #[error(
        "--gateways (POLICY_GATEWAYS): gateway {0} (counted from 1) is not client_id:client_secret, each of 1 to \
         {MAX_CREDENTIAL_BYTES} bytes, without blanks around them"
    )]
    Gateway(usize),
    /// The list of gateways is too long.
    #[error("--gateways (POLICY_GATEWAYS): there are more than {MAX_GATEWAYS} gateways")]
    TooManyGateways,
    /// Two gateways have the same secret.
    #[error(
        "--gateways (POLICY_GATEWAYS): gateways {0:?} and {1:?} have the same secret; sent as Bearer it would not tell \
         them apart"
    )]
    SharedSecret(String, String),
    /// A gateway's secret is the administrator's token.
    #[error(
        "--gateways (POLICY_GATEWAYS): the secret of gateway {0:?} is the administrator's token \
         (POLICY_ADMIN_TOKEN); expected another"
    )]
    AdministratorsToken(String),
    /// The list of limited gateways is not the expected JSON.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): expected a JSON object of lists of API ids, as {{\"edge-1\": [\"payments-1.0\"]}}: {0}"
    )]
    Limits(String),
    /// A limited gateway lists an API id that no API can have.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): an API of gateway {0:?} is {1:?}, expected an id of 1 to 256 bytes \
         without control characters"
    )]
    Api(String, String),
    /// A limit names a gateway that does not exist.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): gateway {0:?} is limited to some APIs, but no gateway has that client_id"
    )]
    UnknownGateway(String),
}

/// The administrator, known by a token.
#[derive(Clone)]
pub struct Administrator(SecretDigest);

impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Administrator")
    }
}

impl Administrator {
    /// Checks the token's length and characters.
    pub fn new(token: &str) -> Result<Self, InvalidCredentials> {
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > MAX_CREDENTIAL_BYTES || !visible {
            return Err(InvalidCredentials::Token);
        }
        Ok(Self(SecretDigest::of(token)))
    }

    /// Accepts a request if its `authorization: Bearer` header is the administrator's token.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refuse = |detail: &str| Err(Problem::unauthorized(ADMINISTRATOR_CHALLENGE, detail));
        match given(headers) {
            Given::Bearer(token) if SecretDigest::of(&token).matches(&self.0).into() => Ok(()),
            Given::Nothing => refuse("send the administrator's token as authorization: Bearer"),
            Given::Unusable => refuse("the authorization header cannot be read; send Bearer and the token"),
            Given::Bearer(_) | Given::Basic { .. } => refuse("this is not the administrator's token"),
        }
    }
}

/// A gateway that may read the feed.
#[derive(Clone)]
pub struct Gateway {
    client_id: String,
    secret: SecretDigest,
    /// Which APIs it sees.
    pub scope: Scope,
}

impl Gateway {
    /// The name in its credentials.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("client_id", &self.client_id).field("scope", &self.scope).finish()
    }
}

/// All configured gateways.
#[derive(Clone, Debug)]
pub struct Gateways(Vec<Gateway>);

impl Gateways {
    /// Parses `client_id:client_secret[,…]` and, as JSON, the APIs of the limited gateways. A client id may appear
    /// twice with different secrets, so that an operator can change secrets one gateway at a time.
    pub fn parse(gateways: &str, limits: Option<&str>) -> Result<Self, InvalidCredentials> {
        let limits = parse_limits(limits.unwrap_or_default())?;
        let mut parsed: Vec<Gateway> = Vec::new();
        for (number, entry) in (1_usize..).zip(gateways.split(',')) {
            let gateway = parse_gateway(entry).ok_or(InvalidCredentials::Gateway(number))?;
            for other in &parsed {
                if other.client_id != gateway.client_id && bool::from(other.secret.matches(&gateway.secret)) {
                    return Err(InvalidCredentials::SharedSecret(other.client_id.clone(), gateway.client_id));
                }
            }
            parsed.push(gateway);
            if parsed.len() > MAX_GATEWAYS {
                return Err(InvalidCredentials::TooManyGateways);
            }
        }
        for gateway in &mut parsed {
            if let Some(apis) = limits.get(&gateway.client_id) {
                gateway.scope = Scope::Apis(Arc::clone(apis));
            }
        }
        match limits.keys().find(|client_id| !parsed.iter().any(|gateway| gateway.client_id == **client_id)) {
            Some(unknown) => Err(InvalidCredentials::UnknownGateway(unknown.clone())),
            None => Ok(Self(parsed)),
        }
    }

    /// Rejects a gateway whose secret is the administrator's token.
    pub fn check_apart(&self, administrator: &Administrator) -> Result<(), InvalidCredentials> {
        match self.0.iter().find(|gateway| gateway.secret.matches(&administrator.0).into()) {
            Some(gateway) => Err(InvalidCredentials::AdministratorsToken(gateway.client_id.clone())),
            None => Ok(()),
        }
    }

    /// Returns the gateway that sends a request. It identifies itself by HTTP Basic, or by its secret as Bearer.
    pub fn check(&self, headers: &HeaderMap) -> Result<&Gateway, Problem> {
        let refuse = |detail: &str| Err(Problem::unauthorized(GATEWAY_CHALLENGE, detail));
        let (client_id, secret) = match given(headers) {
            Given::Basic { user, password } => (Some(user), password),
            Given::Bearer(secret) => (None, secret),
            Given::Nothing => return refuse("send the gateway's credentials: HTTP Basic, or its secret as Bearer"),
            Given::Unusable => return refuse("the authorization header cannot be read; send Basic or Bearer"),
        };
        let secret = SecretDigest::of(&secret);
        let mut found = None;
        for gateway in &self.0 {
            let named = client_id.as_ref().is_none_or(|id| id.as_bytes().ct_eq(gateway.client_id.as_bytes()).into());
            if bool::from(gateway.secret.matches(&secret)) & named {
                found = Some(gateway);
            }
        }
        found.map_or_else(|| refuse("these are not the credentials of a gateway"), Ok)
    }
}

/// Parses the APIs of the limited gateways. An empty text limits no gateway.
fn parse_limits(text: &str) -> Result<BTreeMap<String, Arc<BTreeSet<String>>>, InvalidCredentials> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let Limits(limits) = serde_json::from_str(text).map_err(|error| InvalidCredentials::Limits(error.to_string()))?;
    for (client_id, apis) in &limits {
        if let Some(api) = apis.iter().find(|api| Text::new(api.as_str()).is_err()) {
            return Err(InvalidCredentials::Api(client_id.clone(), api.clone()));
        }
    }
    let set = |apis: Vec<String>| Arc::new(apis.into_iter().collect());
    Ok(limits.into_iter().map(|(client_id, apis)| (client_id, set(apis))).collect())
}

/// Lists of APIs by client id. A client id that appears twice is an error, because one of its two lists would have no
/// effect.
struct Limits(BTreeMap<String, Vec<String>>);

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lists;

        impl<'de> Visitor<'de> for Lists {
            type Value = BTreeMap<String, Vec<String>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut lists = BTreeMap::new();
                while let Some((client_id, apis)) = map.next_entry::<String, Vec<String>>()? {
                    if lists.contains_key(&client_id) {
                        return Err(serde::de::Error::custom(format_args!("{client_id:?} appears twice")));
                    }
                    lists.insert(client_id, apis);
                }
                Ok(lists)
            }
        }

        deserializer.deserialize_map(Lists).map(Self)
    }
}

fn parse_gateway(entry: &str) -> Option<Gateway> {
    let (client_id, secret) = entry.split_once(':')?;
    // Blanks around a name or a secret would become part of it, and a Bearer header cannot carry them.
    let good = |text: &str| {
        !text.is_empty()
            && text.len() <= MAX_CREDENTIAL_BYTES
            && !text.contains(char::is_control)
            && text.trim() == text
    };
    (good(client_id) && good(secret)).then(|| Gateway {
        client_id: client_id.to_owned(),
        secret: SecretDigest::of(secret),
        scope: Scope::All,
    })
}

/// The credential of a request: missing, unreadable, or something to check.
enum Given {
    Nothing,
    Unusable,
    Bearer(String),
    Basic { user: String, password: String },
}

fn given(headers: &HeaderMap) -> Given {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Given::Nothing };
    if values.next().is_some() {
        return Given::Unusable;
    }
    let Some((scheme, rest)) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')) else {
        return Given::Unusable;
    };
    let rest = rest.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Given::Bearer(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Given::Unusable;
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Given::Basic { user: user.to_owned(), password: password.to_owned() },
        None => Given::Unusable,
    }
}
