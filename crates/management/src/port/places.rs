//! Hosts and paths of APIs, to find APIs that the same requests would match.
//!
//! The filter's own parser reads the row, so hosts and paths are compared here as the filter compares them. The rules
//! decide whether a clash is rejected.

use keygate::{
    policy::{rows, wire},
    request::hostname::HostPattern,
};

/// One host and one path of an API, in the form in which they are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A name, or a suffix that begins with a dot; empty for any host.
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

/// Two APIs with the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The API with the smaller id. Gateways send the requests to this one.
    pub meant: String,
    /// The other API.
    pub shadowed: String,
    /// The place that both have.
    pub place: Place,
}

/// The distinct places of an API. `document` is its row. A row that the filter cannot read has none.
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

/// The parser accepts only ASCII.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
