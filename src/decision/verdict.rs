//! The output of a decision: a permit or a denial, and the facts found on the way. It decides nothing.

use std::rc::Rc;

use super::{
    facts::Unreadable,
    identity::{Caller, Identity},
};
use crate::{credential::Carried, limit::Taking, policy::rows::Api, reason::Reason, subject::Subject};

/// The result of a decision, and the facts found on the way.
#[derive(Debug)]
pub struct Decision<'p> {
    /// Whether the request passes.
    pub verdict: Result<Permit, Denial>,
    /// The API of the request.
    pub api: Option<&'p Api>,
    /// The key, its application and the subscription.
    pub subject: Option<Rc<Subject>>,
    /// State of the limits of the plans.
    pub limits: Taking,
    /// The sources that carry a credential.
    pub carried: Carried,
}

/// Why a request passes. Only [`decide`](super::decide) makes a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    Preflight,
    /// The request belongs to no API, and the configuration allows such requests.
    UnknownApi,
    /// The API requires no credential.
    Open,
    /// The request has an emergency key.
    Emergency,
    Key,
    /// There is no policy, and the configuration lets requests pass without one.
    WithoutPolicy,
}

impl Permit {
    /// Whether the decision used the credential. Such a credential is removed from the request.
    pub fn looked_at_credential(self) -> bool {
        matches!(self, Self::Emergency | Self::Key | Self::WithoutPolicy)
    }
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A rule refuses the request.
    Rule(Reason),
    NoPolicy,
    /// The policy would allow the request, but it has expired.
    Expired(Permit),
    Unreadable,
}

impl Denial {
    /// The reason that clients and logs see.
    pub fn reason(self) -> Reason {
        match self {
            Self::Rule(reason) => reason,
            Self::NoPolicy | Self::Expired(_) | Self::Unreadable => Reason::PolicyUnavailable,
        }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::Rule(reason)
    }
}

impl From<Unreadable> for Denial {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl<'p> Decision<'p> {
    /// A refusal without further facts.
    pub fn of(denial: Denial) -> Self {
        Self { verdict: Err(denial), api: None, subject: None, limits: Taking::default(), carried: Carried::default() }
    }

    /// Whether the decision did not find something that a newer policy may have.
    pub fn is_miss(&self) -> bool {
        matches!(
            self.verdict,
            Err(Denial::NoPolicy
                | Denial::Unreadable
                | Denial::Rule(
                    Reason::KeyUnknown
                    | Reason::SubscriptionMissing
                    | Reason::ApiNotFound
                    // The subscription may name a plan that is new in the same policy.
                    | Reason::SubscriptionInactive,
                ))
        )
    }

    /// End and note of the block, if a block is the reason of the refusal.
    pub fn block(&self, reason: Reason) -> Option<(Option<u64>, Option<&[u8]>)> {
        self.subject.as_ref().filter(|_| reason == Reason::SubscriptionBlocked)?.block()
    }

    /// The identity of the caller, as far as it is known.
    pub fn known(&self, permit: Option<Permit>) -> Identity<'_> {
        let caller = match &self.subject {
            _ if permit == Some(Permit::Emergency) => Caller::Emergency,
            Some(subject) => Caller::Subject(subject),
            // Only an emergency key can fail this rule without a subject. The decision knows the subject of any other key
            // before it checks the endpoint.
            None if self.verdict == Err(Denial::Rule(Reason::EndpointMissing)) => Caller::Emergency,
            None => Caller::Unknown,
        };
        Identity { caller, api: self.api }
    }

    /// The identity for the upstream if the request passes. It is empty unless a key was checked.
    pub fn identity(&self, permit: Permit) -> Identity<'_> {
        match permit {
            Permit::Key | Permit::Emergency => self.known(Some(permit)),
            Permit::Preflight | Permit::UnknownApi | Permit::Open | Permit::WithoutPolicy => Identity::default(),
        }
    }
}
