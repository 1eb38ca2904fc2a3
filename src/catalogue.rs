//! The small lists of a policy, prepared for look-ups: the API of a request, the plan of an id, and deny policies.
//!
//! A VM decodes a catalogue once for each generation. Keys, applications and subscriptions, of which there may be
//! millions, are in [`crate::store`].

use std::{cell::LazyCell, iter::successors, net::IpAddr};

use crate::{
    index::{Index, List},
    policy::{
        page::{CatalogueRow, CatalogueRows},
        rows::{Api, DenyPolicy, DenyTarget, Plan},
    },
    request::{
        hostname::{Host, HostPattern, MAX_HOST_BYTES, MAX_SUFFIX_LABELS},
        path::{MAX_PREFIX_SEGMENTS, RequestPath},
    },
};

#[derive(Debug, Default)]
pub struct Catalogue {
    apis: List<Api>,
    /// Number of each exact host.
    exact_hosts: Index,
    /// Number of each suffix, which begins with its dot. Hosts and suffixes have different numbers.
    suffixes: Index,
    /// Path prefixes of all these hosts together. The value is the prefix's place in `of_hosts`. So one look-up of a
    /// path serves all hosts that match the request.
    host_prefixes: Prefixes,
    /// For each prefix: its hosts by number, and the API of each, sorted by number.
    of_hosts: Vec<Vec<(usize, usize)>>,
    any_host: Prefixes,
    plans: List<Plan>,
    deny_policies: List<DenyPolicy>,
    conflicts: Vec<Conflict>,
}

/// Path prefixes, each with a place.
#[derive(Debug, Default)]
struct Prefixes {
    places: Index,
    longest: usize,
}

/// Two APIs have the same match. The API with the smaller id wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Id of the API that wins.
    pub meant: String,
    /// Id of the other API.
    pub shadowed: String,
}

/// An API, and the length of the prefix that matched the request's path.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'c> {
    pub api: &'c Api,
    /// Unique number of the API in this catalogue.
    pub number: u32,
    /// Number of bytes of the request's path that the prefix matched.
    pub prefix: usize,
}

impl Catalogue {
    /// Builds the look-up structures. Of two rows with the same id the last one counts.
    pub fn new(rows: CatalogueRows) -> Self {
        let mut catalogue =
            Self { plans: list_of(rows.plans), deny_policies: list_of(rows.deny_policies), ..Self::default() };
        let apis = list_of(rows.apis);
        for (index, api) in apis.entries() {
            catalogue.index(index, api, &apis);
        }
        catalogue.apis = apis;
        catalogue
    }

    fn index(&mut self, index: usize, api: &Api, apis: &List<Api>) {
        for one in &api.matches {
            let path = one.path.as_bytes();
            let Some(hosts) = &one.hosts else {
                let known = self.any_host.places.get(path);
                let meant = meant(known, index, apis, &mut self.conflicts);
                self.any_host.insert(path, meant);
                continue;
            };
            for host in hosts {
                let number = self.number(host);
                let place = self.host_prefixes.places.get(path).unwrap_or(self.of_hosts.len());
                if place == self.of_hosts.len() {
                    self.host_prefixes.insert(path, place);
                    self.of_hosts.push(Vec::new());
                }
                let Some(hosts) = self.of_hosts.get_mut(place) else { continue };
                match hosts.binary_search_by_key(&number, |(number, _)| *number) {
                    Ok(at) => {
                        let Some((_, known)) = hosts.get_mut(at) else { continue };
                        *known = meant(Some(*known), index, apis, &mut self.conflicts);
                    }
                    Err(at) => hosts.insert(at, (number, index)),
                }
            }
        }
    }

    /// The number of a host. A new host gets the next number.
    fn number(&mut self, host: &HostPattern) -> usize {
        let next = self.exact_hosts.len().saturating_add(self.suffixes.len());
        let (numbers, name) = match host {
            HostPattern::Exact(name) => (&mut self.exact_hosts, name),
            HostPattern::Suffix(suffix) => (&mut self.suffixes, suffix),
        };
        if let Some(number) = numbers.get(name) {
            return number;
        }
        numbers.insert(name, next);
        next
    }

    /// The API of a request's host and path. Of all matches, the most specific host wins, then the longest path.
    pub fn find(&self, host: &Host<'_>, path: &RequestPath<'_>) -> Option<Addressed<'_>> {
        let path = path.as_bytes();
        let (index, prefix) = self.find_by_host(host.as_bytes(), path).or_else(|| self.any_host.longest(path))?;
        self.addressed(index, prefix)
    }

    fn find_by_host(&self, host: &[u8], path: &[u8]) -> Option<(usize, usize)> {
        if self.of_hosts.is_empty() {
            return None;
        }
        let wanted = if self.suffixes.is_empty() { &[][..] } else { host };
        let suffixes = suffixes_of(wanted).filter_map(|suffix| self.suffixes.get(suffix));
        let mut numbers = self.exact_hosts.get(host).into_iter().chain(suffixes).peekable();
        // Most requests end here if only some APIs have hosts.
        numbers.peek()?;
        let prefixes: Vec<_> = self.host_prefixes.all(path).collect();
        numbers.find_map(|number| prefixes.iter().find_map(|&(place, end)| Some((self.of_host(place, number)?, end))))
    }

    /// The API of a host for the prefix at this place.
    fn of_host(&self, place: usize, number: usize) -> Option<usize> {
        let hosts = self.of_hosts.get(place)?;
        let at = hosts.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        hosts.get(at).map(|(_, api)| *api)
    }

    /// The API with this id. The prefix is the longest of its own prefixes that the path begins with; operations are
    /// relative to it.
    pub fn find_by_id(&self, id: &str, path: Option<&RequestPath<'_>>) -> Option<Addressed<'_>> {
        let index = self.apis.place(id.as_bytes())?;
        let api = self.apis.at(index)?;
        let path = path.map(RequestPath::as_bytes).unwrap_or_default();
        let prefixes = api.matches.iter().map(|one| one.path.as_bytes());
        let prefix = prefixes.filter(|prefix| is_prefix(prefix, path)).map(<[u8]>::len).max().unwrap_or(0);
        self.addressed(index, prefix)
    }

    #[inline(always)]
    fn addressed(&self, index: usize, prefix: usize) -> Option<Addressed<'_>> {
        Some(Addressed { api: self.apis.at(index)?, number: u32::try_from(index).ok()?, prefix })
    }

    pub fn plan(&self, id: &[u8]) -> Option<&Plan> {
        self.plans.get(id)
    }

    pub fn has_deny_policies(&self) -> bool {
        !self.deny_policies.is_empty()
    }

    /// Whether a deny policy matches. The address is requested only if a deny policy has a range. An unknown address
    /// could be in any range, so it is denied.
    pub fn denies(
        &self,
        application: &[u8],
        api: &str,
        owner: Option<&[u8]>,
        address: impl FnOnce() -> Option<IpAddr>,
    ) -> bool {
        let address = LazyCell::new(address);
        self.deny_policies.entries().any(|(_, policy)| {
            let matches = match &policy.target {
                DenyTarget::Application(id) => id.as_bytes() == application,
                DenyTarget::Api(id) => id.as_str() == api,
                DenyTarget::Owner(name) => owner == Some(name.as_bytes()),
                DenyTarget::Range(range) => match *address {
                    Some(address) => range.contains(&address),
                    None => return true,
                },
            };
            matches != policy.invert
        })
    }

    /// Matches that belong to two APIs.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    pub fn api_count(&self) -> usize {
        self.apis.len()
    }
}

impl Prefixes {
    fn insert(&mut self, path: &[u8], place: usize) {
        self.longest = self.longest.max(path.len());
        self.places.insert(path, place);
    }

    /// Place and length of the longest prefix that ends at a segment boundary of `path`.
    fn longest(&self, path: &[u8]) -> Option<(usize, usize)> {
        self.longest_within(path, bounded(path, path.len().min(self.longest)))
    }

    /// Like [`Prefixes::longest`], with at most `end` bytes.
    #[inline(always)]
    fn longest_within(&self, path: &[u8], mut end: usize) -> Option<(usize, usize)> {
        loop {
            if matches!(path.get(end), None | Some(b'/'))
                && let Some(place) = self.places.get(path.get(..end)?)
            {
                return Some((place, end));
            }
            end = end.checked_sub(1)?;
        }
    }

    /// Places and lengths of all matching prefixes, longest first.
    fn all<'p>(&'p self, path: &'p [u8]) -> impl Iterator<Item = (usize, usize)> + 'p {
        successors(self.longest(path), |(_, end)| self.longest_within(path, end.checked_sub(1)?))
    }
}

/// Limits the search for a prefix to the first segments of a path, because prefixes have few segments. A segment with
/// its slash has at least two bytes, except that the last one may be empty. So a short path is within the limit anyway.
fn bounded(path: &[u8], longest: usize) -> usize {
    if longest < 2 * MAX_PREFIX_SEGMENTS {
        return longest;
    }
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.nth(MAX_PREFIX_SEGMENTS).unwrap_or(longest).min(longest)
}

fn list_of<T: CatalogueRow>(rows: Vec<T>) -> List<T> {
    let mut list = List::default();
    for row in rows {
        let id = row.id().to_owned();
        list.insert(&id, row);
    }
    list
}

fn is_prefix(prefix: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The suffixes of a host that begin with a dot, longest first. Suffixes that are too long for a pattern are skipped.
fn suffixes_of(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    let longest = host.len().saturating_sub(MAX_HOST_BYTES).max(1);
    let mut dots = host.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let first = dots.nth(MAX_SUFFIX_LABELS.saturating_sub(1)).unwrap_or(0);
    (longest.max(first)..host.len())
        .filter(|&start| host.get(start) == Some(&b'.'))
        .filter_map(|start| host.get(start..))
}

/// Of two APIs with the same match, the one with the smaller id. Notes the conflict.
fn meant(known: Option<usize>, index: usize, apis: &List<Api>, conflicts: &mut Vec<Conflict>) -> usize {
    let Some(known) = known.filter(|known| *known != index) else { return index };
    let (Some(old), Some(new)) = (apis.at(known), apis.at(index)) else { return known };
    let (place, meant, shadowed) = if new.id < old.id { (index, new, old) } else { (known, old, new) };
    conflicts.push(Conflict { meant: meant.id.as_str().to_owned(), shadowed: shadowed.id.as_str().to_owned() });
    place
}

#[cfg(test)]
mod tests;
