//! Hosts and paths of APIs: which two APIs would be meant by the same requests.
//!
//! A row of an API is read with the filter's own parser, so hosts and paths are compared here as the filter compares
//! them. Whether a clash is refused is decided by the rules.

use keygate::{
    policy::{rows, wire},
    request::hostname::HostPattern,
};

/// One host and one path of an API, in the form in which they are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A name, or a suffix that begins with a dot; empty: any host.
    pub host: String,
    /// The path, without a slash at its end.
    pub path: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.host.starts_with('.') { "*" } else { "" };
        let host = if self.host.is_empty() { "any host" } else { &self.host };
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{star}{host} with the path {path}")
    }
}

/// Two APIs at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The API with the smaller id, which gateways take to be meant.
    pub meant: String,
    /// The other one.
    pub shadowed: String,
    /// Where.
    pub place: Place,
}

/// The places of an API, each once; `document` is its row. A row that the filter cannot read has none.
pub fn places(document: &str) -> Vec<Place> {
    let row = serde_json::from_str::<wire::ApiRow<'_>>(document).ok();
    let Some(api) = row.and_then(|row| rows::Api::try_from(row).ok()) else { return Vec::new() };
    let mut places = Vec::new();
    for one in &api.matches {
        let path = text(one.path.as_bytes());
        match &one.hosts {
            None => places.push(Place { host: String::new(), path }),
            Some(hosts) => places.extend(hosts.iter().map(|host| {
                let (HostPattern::Exact(host) | HostPattern::Suffix(host)) = host;
                Place { host: text(host), path: path.clone() }
            })),
        }
    }
    places.sort();
    places.dedup();
    places
}

/// The parser lets through only ASCII.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
