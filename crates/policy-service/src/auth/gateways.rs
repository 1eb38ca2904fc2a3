//! The configured gateways. Each request is compared with all of them, so the time of an answer reveals nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use keygate::policy::Text;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use subtle::ConstantTimeEq as _;

use super::{
    administrator::Administrator,
    gateway::Gateway,
    invalid::{InvalidCredentials, MAX_GATEWAYS},
    secret::{MAX_CREDENTIAL_BYTES, SecretDigest},
};
use management::port::Scope;

/// All configured gateways.
#[derive(Clone, Debug)]
pub struct Gateways(Vec<Configured>);

#[derive(Clone, Debug)]
struct Configured {
    gateway: Gateway,
    secret: SecretDigest,
}

impl Gateways {
    /// Parses `client_id:client_secret[,…]` and, as JSON, the APIs of the limited gateways. A client id may appear
    /// twice with different secrets, so that an operator can change secrets one gateway at a time. `None` configures no
    /// gateway. An empty text is an error, because it is what a missing secret of a template leaves.
    pub fn parse(gateways: Option<&str>, limits: Option<&str>) -> Result<Self, InvalidCredentials> {
        let limits = parse_limits(limits.unwrap_or_default())?;
        let mut parsed: Vec<Configured> = Vec::new();
        for (number, entry) in (1_usize..).zip(gateways.into_iter().flat_map(|gateways| gateways.split(','))) {
            let gateway = parse_gateway(entry).ok_or(InvalidCredentials::Gateway(number))?;
            for other in &parsed {
                if other.gateway.client_id != gateway.gateway.client_id
                    && bool::from(other.secret.matches(&gateway.secret))
                {
                    return Err(InvalidCredentials::SharedSecret(
                        other.gateway.client_id.clone(),
                        gateway.gateway.client_id,
                    ));
                }
            }
            parsed.push(gateway);
            if parsed.len() > MAX_GATEWAYS {
                return Err(InvalidCredentials::TooManyGateways);
            }
        }
        for gateway in &mut parsed {
            if let Some(apis) = limits.get(&gateway.gateway.client_id) {
                gateway.gateway.scope = Scope::Apis(Arc::clone(apis));
            }
        }
        match limits.keys().find(|client_id| !parsed.iter().any(|gateway| gateway.gateway.client_id == **client_id)) {
            Some(unknown) => Err(InvalidCredentials::UnknownGateway(unknown.clone())),
            None => Ok(Self(parsed)),
        }
    }

    /// Rejects a gateway whose secret is the administrator's token.
    pub fn check_apart(&self, administrator: &Administrator) -> Result<(), InvalidCredentials> {
        match self.0.iter().find(|gateway| administrator.has(&gateway.secret)) {
            Some(gateway) => Err(InvalidCredentials::AdministratorsToken(gateway.gateway.client_id.clone())),
            None => Ok(()),
        }
    }

    /// Returns the gateway with this secret. `client_id` is `None` if the request does not name one.
    pub fn find(&self, client_id: Option<&str>, secret: &SecretDigest) -> Option<Gateway> {
        let mut found = None;
        for configured in &self.0 {
            let name = configured.gateway.client_id.as_bytes();
            let named = client_id.is_none_or(|id| id.as_bytes().ct_eq(name).into());
            if bool::from(configured.secret.matches(secret)) & named {
                found = Some(&configured.gateway);
            }
        }
        found.cloned()
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

fn parse_gateway(entry: &str) -> Option<Configured> {
    let (client_id, secret) = entry.split_once(':')?;
    // Blanks around a name or a secret would become part of it, and a Bearer header cannot carry them.
    let good = |text: &str| {
        !text.is_empty()
            && text.len() <= MAX_CREDENTIAL_BYTES
            && !text.contains(char::is_control)
            && text.trim() == text
    };
    (good(client_id) && good(secret)).then(|| Configured {
        gateway: Gateway { client_id: client_id.to_owned(), scope: Scope::All, row: None },
        secret: SecretDigest::of(secret),
    })
}
