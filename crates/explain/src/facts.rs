//! What the decision asks of the host and of the policy, answered for an explanation.

use std::{net::IpAddr, rc::Rc};

use keygate::{
    catalogue::{Addressed, Catalogue},
    decision::{Facts, PolicyLookup, Unreadable},
    digest::Digest,
    held::Lookup,
    limit::{
        Taking,
        limiter::Limiter,
        quota::{Plans, Quotas, Subscriber},
    },
    shared::memory::Memory,
    subject::Subject,
};

use crate::request::{Address, Request, StandIn};

/// The facts of a request.
pub(crate) struct Given<'a> {
    pub now: u64,
    pub request: &'a Request,
}

impl Facts for Given<'_> {
    fn now(&self) -> u64 {
        self.now
    }

    fn address(&self) -> Option<IpAddr> {
        match self.request.address {
            Address::Known(address) => Some(address),
            Address::Unknown | Address::NotGiven => None,
        }
    }

    fn route_metadata(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        self.request.route.clone()
    }
}

/// The policy, in which a stand-in is the key that it stands for.
pub(crate) struct Stored<'a> {
    pub lookup: Lookup<'a, Memory>,
    pub stand_in: Option<&'a StandIn>,
    /// The small lists instead of those of the policy, if some deny policies cannot be checked.
    pub catalogue: Option<&'a Catalogue>,
    /// Counts of this request alone, as if it were the first.
    pub limiter: Limiter,
    pub counts: Memory,
}

impl PolicyLookup for Stored<'_> {
    fn catalogue(&self) -> &Catalogue {
        self.catalogue.unwrap_or_else(|| self.lookup.catalogue())
    }

    fn is_expired(&self) -> bool {
        self.lookup.is_expired()
    }

    fn subject(&self, key: &[u8], api: Addressed<'_>) -> Result<Option<Rc<Subject>>, Unreadable> {
        match self.stand_in {
            Some(stand_in) if stand_in.key == key => self.subject_of(&stand_in.digest, api.api.id.as_str()),
            _ => self.lookup.subject(key, api),
        }
    }

    fn subject_of(&self, key: &Digest, api: &str) -> Result<Option<Rc<Subject>>, Unreadable> {
        self.lookup.subject_of(key, api)
    }

    fn quotas<'s>(&self, subject: &'s Subject, api: &str, plans: &Plans<'_>) -> &'s Quotas {
        self.limiter.quotas(&subject.quotas, Subscriber { application: subject.application_id(), api }, plans)
    }

    fn spend_tokens(&self, quotas: &Quotas, now: u64, passes: bool) -> Taking {
        self.limiter.spend_tokens(&self.counts, quotas, now, passes)
    }
}
