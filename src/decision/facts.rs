//! The inputs of a decision: facts about a request, and the current policy.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use crate::{
    catalogue::{Addressed, Catalogue},
    digest::Digest,
    limit::{
        Taking,
        quota::{Plans, Quotas},
    },
    subject::Subject,
};

/// Facts about a request that cost a host call.
pub trait Facts {
    /// Now, in Unix seconds.
    fn now(&self) -> u64;
    /// The client's address. `None` if the host does not know it.
    fn address(&self) -> Option<IpAddr>;
    fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>>;
}

/// The current policy, as the decision sees it.
pub trait PolicyLookup {
    /// The small lists of the policy.
    fn catalogue(&self) -> &Catalogue;
    /// Whether the policy is so old that it allows nothing any more.
    fn is_expired(&self) -> bool;
    /// The policy's data about a key and about its application's subscription to `api`, an API of this catalogue. `key`
    /// is the key as the client sent it.
    fn subject(&self, key: &[u8], api: Addressed<'_>) -> Result<Option<Rc<Subject>>, Unreadable>;
    /// Like [`PolicyLookup::subject`], for a key of which only the digest is known. Does not use the cache.
    fn subject_of(&self, key: &Digest, api: &str) -> Result<Option<Rc<Subject>>, Unreadable>;
    /// The limits of the plans, bound to their counters.
    fn quotas<'s>(&self, subject: &'s Subject, api: &str, plans: &Plans<'_>) -> &'s Quotas;
    /// Counts a request. A request that does not pass, because of a limit or another rule (`passes` is false), is not
    /// counted.
    fn spend_tokens(&self, quotas: &Quotas, now: u64, passes: bool) -> Taking;
}

/// The policy's data cannot be read: it is damaged, or another program wrote it. Such data allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Parses Envoy's `source.address`: an address with a port. An IPv4-mapped IPv6 address becomes the IPv4 address.
/// `None` if the text is no address, such as the path of a socket.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<SocketAddr>() {
        Ok(socket) => socket.ip(),
        Err(_) => text.parse().ok()?,
    };
    Some(address.to_canonical())
}
