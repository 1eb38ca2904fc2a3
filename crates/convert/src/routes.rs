//! Routes of another product as matches of APIs, as far as both take the same requests.
//!
//! keygate matches a host and a prefix that ends at a segment; the longest wins. Where the other product's route takes
//! other requests, some requests change from one API to another. A route has a match only if no such request is open to
//! a key that could not open it before ([`Fit::Widens`] otherwise).

use std::collections::{BTreeMap, BTreeSet};

use keygate::{
    digest::Digest,
    request::{hostname::HostPattern, path::PathPrefix},
};
use management::apis::Match;

/// Who may call a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Everyone, without a key.
    All,
    /// The holders of these keys.
    Keys(BTreeSet<Digest>),
}

impl Callers {
    /// Whether everyone who is among these is among `others`.
    fn are_among(&self, others: &Self) -> bool {
        match (self, others) {
            (_, Self::All) => true,
            (Self::All, Self::Keys(_)) => false,
            (Self::Keys(one), Self::Keys(other)) => one.is_subset(other),
        }
    }
}

/// The paths that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOf {
    /// All that begin with this text, within a segment too.
    Prefix(String),
    /// This path and those below it.
    Segments(String),
    /// This path alone.
    Exact(String),
    /// Something that keygate has no match for.
    Other,
}

/// A route, in the order in which the other product looks at them.
#[derive(Clone, Debug)]
pub struct Route {
    /// `None`: any.
    pub hosts: Option<Vec<String>>,
    pub path: PathOf,
    /// It takes only some of the requests to its hosts and paths: those with a method or a header.
    pub has_conditions: bool,
    pub callers: Callers,
    /// The API that it belongs to.
    pub api: String,
}

/// How a match fits a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Both take the same requests.
    Same,
    /// Some requests are refused that passed.
    Narrows(String),
    /// Some requests would pass that were refused.
    Widens(String),
    /// An earlier route takes all its requests.
    Shadowed,
}

impl Route {
    fn text(&self) -> Option<&str> {
        match &self.path {
            PathOf::Prefix(text) | PathOf::Segments(text) | PathOf::Exact(text) => Some(text),
            PathOf::Other => None,
        }
    }

    /// The match, if keygate has one.
    pub fn as_match(&self) -> Option<Match> {
        let path = self.text()?;
        PathPrefix::parse(path)?;
        let hosts = self.hosts.iter().flatten();
        hosts
            .clone()
            .all(|host| is_host(host))
            .then(|| Match { hosts: self.hosts.clone(), path: canonical(path).to_owned() })
    }

    /// Whether requests that this route takes on all its hosts lie below `path`, apart from the segment's end.
    fn covers(&self, path: &str) -> bool {
        match &self.path {
            PathOf::Prefix(text) => path.starts_with(text.as_str()),
            PathOf::Segments(text) => is_below(path, text),
            PathOf::Exact(_) | PathOf::Other => false,
        }
    }

    fn shares_hosts(&self, other: &Self) -> bool {
        match (&self.hosts, &other.hosts) {
            (Some(one), Some(other)) => one.iter().any(|host| other.iter().any(|other| hosts_meet(host, other))),
            _ => true,
        }
    }

    fn has_hosts_of(&self, other: &Self) -> bool {
        match (&self.hosts, &other.hosts) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => other.iter().all(|host| one.contains(host)),
        }
    }
}

/// Whether keygate has this host. Others have stars at other places too.
pub fn is_host(host: &str) -> bool {
    !host.strip_prefix("*.").unwrap_or(host).contains('*') && HostPattern::parse(host).is_some()
}

/// The path without a slash at its end, as keygate compares it.
pub fn canonical(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(canonical(prefix).trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn hosts_meet(one: &str, other: &str) -> bool {
    let ends = |host: &str, pattern: &str| pattern.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
    one == other || ends(one, other) || ends(other, one)
}

/// How a match fits each of the routes. Of two routes with the same host and path only the first can have a match.
pub fn fits(routes: &[Route]) -> Vec<Fit> {
    let mut taken: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut fits = Vec::with_capacity(routes.len());
    for (number, route) in routes.iter().enumerate() {
        let mut found = fit(routes, number);
        if let (Fit::Same | Fit::Narrows(_), Some(Match { hosts, path })) = (&found, route.as_match()) {
            for host in hosts.unwrap_or_else(|| vec!["*".to_owned()]) {
                let other = taken.entry((host.to_lowercase(), path.clone())).or_insert(&route.api);
                if *other != route.api {
                    found = Fit::Widens(format!("another route has the same host and path, and belongs to {other:?}"));
                }
            }
        }
        fits.push(found);
    }
    fits
}

fn fit(routes: &[Route], number: usize) -> Fit {
    let Some(route) = routes.get(number) else { return Fit::Same };
    let earlier = routes.get(..number).unwrap_or_default();
    let Some(path) = route.text() else {
        return Fit::Widens("keygate has no match for such a route".to_owned());
    };
    if earlier.iter().any(|other| !other.has_conditions && other.covers(path) && other.has_hosts_of(route)) {
        return Fit::Shadowed;
    }
    if route.as_match().is_none() {
        return Fit::Widens("keygate has no match for its host or path".to_owned());
    }
    let others: Vec<&Route> =
        routes.iter().filter(|other| other.api != route.api && other.shares_hosts(route)).collect();
    let around: Vec<&&Route> = others.iter().filter(|other| other.covers(path)).collect();
    if route.has_conditions {
        if let Some(wide) = around.iter().find(|other| !route.callers.are_among(&other.callers)) {
            let why = "requests without its method or headers are requests to";
            return Fit::Widens(format!("{why} {:?}, but would be some to this API", wide.api));
        }
        return match around.is_empty() {
            true => Fit::Same,
            false => Fit::Narrows("keygate looks at host and path only, not at methods and headers".to_owned()),
        };
    }
    match &route.path {
        PathOf::Prefix(text) if !text.ends_with('/') => {
            let like = format!("{text}x");
            if let Some(wide) = around.iter().find(|other| !other.callers.are_among(&route.callers)) {
                return Fit::Widens(format!(
                    "{like} is a request to this route, but would be one to the API {:?}",
                    wide.api
                ));
            }
            Fit::Narrows(format!("{like} is a request to this route, but not to the API, which ends at a segment"))
        }
        PathOf::Prefix(text) if text == "/" => Fit::Same,
        PathOf::Prefix(text) => {
            let bare = canonical(text);
            if let Some(wide) = around.iter().find(|other| !route.callers.are_among(&other.callers)) {
                return Fit::Widens(format!("{bare} is a request to {:?}, but would be one to this API", wide.api));
            }
            Fit::Same
        }
        PathOf::Exact(text) => {
            if let Some(wide) = around.iter().find(|other| !route.callers.are_among(&other.callers)) {
                let below = format!("{}/x", canonical(text).trim_end_matches('/'));
                return Fit::Widens(format!("{below} is a request to {:?}, but would be one to this API", wide.api));
            }
            match around.is_empty() {
                true => Fit::Same,
                false => Fit::Narrows(format!(
                    "requests below {text} are requests to this API now, and open to its callers alone"
                )),
            }
        }
        PathOf::Segments(_) | PathOf::Other => Fit::Same,
    }
}
