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

impl Place {
    /// Whether some request that belongs to an API at `other` would belong to one at this place: a more specific host wins,
    /// then the longer path.
    pub fn takes_from(&self, other: &Self) -> bool {
        let (host, path) = (covers(&other.host, &self.host), is_below(&self.path, &other.path));
        // The same host: only a path inside the other one wins. A more specific one: any path that both have.
        host && (path || (self.host != other.host && is_below(&other.path, &self.path)))
    }
}

/// Whether `wide` has all hosts that `narrow` has.
fn covers(wide: &str, narrow: &str) -> bool {
    wide.is_empty() || wide == narrow || (wide.starts_with('.') && narrow.ends_with(wide))
}

/// Whether each path that begins with `inner` begins with `outer`.
fn is_below(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        let (host, path) = text.split_once('/').map_or((text, ""), |(host, _)| text.split_at(host.len()));
        Place { host: host.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn a_place_takes_requests_where_it_is_the_more_specific_of_two_that_meet() {
        for (new, other, takes) in [
            ("/a/b", "/a", true),
            ("/a", "/a", true),
            ("/a", "", true),
            ("", "/a", false),
            ("/ab", "/a", false),
            ("/a", "/a/b", false),
            ("h.example/a", "/a", true),
            ("h.example", "/a", true),
            ("h.example/a/b", "/a", true),
            ("h.example/b", "/a", false),
            ("/a/b", "h.example/a", false),
            ("a.b.example/x", ".b.example/x", true),
            (".a.b.example", ".b.example/x", true),
            (".b.example/x/y", ".a.b.example/x", false),
            ("b.example/x", ".b.example/x", false),
            ("ab.example/x", ".b.example/x", false),
            ("h.example/a", "i.example/a", false),
        ] {
            assert_eq!(place(new).takes_from(&place(other)), takes, "{new} from {other}");
        }
    }
}
