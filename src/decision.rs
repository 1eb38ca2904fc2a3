//! The decision: what is known of a request, the policy and the time, to a permit or a denial.
//!
//! [`decide`] is one straight line through the rules, in the order in which the README lists them; the first that applies
//! decides. It is a function of its arguments: the policy is asked through [`Policy`], and what costs a call of the host
//! (the time, the client's address, route metadata) through [`Facts`], only when a rule needs it.

mod again;
mod identity;
mod restrictions;

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

pub use again::decide_again;
use identity::Caller;
pub use identity::{EMERGENCY, Identity};

use crate::{
    catalogue::{Addressed, Catalogue},
    config::{ApiSource, Config, OnPolicyUnavailable, UnknownApi},
    credential::{self, Carried, Credential, Found},
    digest::Digest,
    limit::{
        Level, Taking,
        quota::{Plans, Quotas},
    },
    policy::{
        ApiState, ApplicationState, KeyState, KeyType, Security, SubscriptionState,
        rows::{Api, Operation},
    },
    reason::Reason,
    request::{head::Head, hostname::Host, path::RequestPath, template::Segments},
    subject::{Key, Subject},
};

/// What of a request costs a call of the host.
pub trait Facts {
    /// Now, in Unix seconds.
    fn now(&self) -> u64;
    /// The client's address; `None` if the host does not know it.
    fn address(&self) -> Option<IpAddr>;
    /// A value of the route's metadata.
    fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>>;
}

/// The policy held, as the decision asks it.
pub trait Policy {
    /// Its small lists.
    fn catalogue(&self) -> &Catalogue;
    /// Whether it is so old that it allows nothing any more.
    fn is_expired(&self) -> bool;
    /// What is known of a key, as its client sends it, and its application's subscription to an API of this catalogue.
    fn subject(&self, key: &[u8], api: Addressed<'_>) -> Result<Option<Rc<Subject>>, Unreadable>;
    /// The same of a key that only its digest is known of, whatever is remembered.
    fn subject_of(&self, key: &Digest, api: &str) -> Result<Option<Rc<Subject>>, Unreadable>;
    /// The limits of its plans, bound to their counters.
    fn quotas<'s>(&self, subject: &'s Subject, api: &str, plans: &Plans<'_>) -> &'s Quotas;
    /// Counts a request; one that does not pass, for a reason of its own or for another, is not counted.
    fn take(&self, quotas: &Quotas, now: u64, passes: bool) -> Taking;
}

/// The policy's data cannot be read: damaged, or written by someone else. Nothing is allowed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// What was decided, and what became known on the way.
#[derive(Debug)]
pub struct Decision<'p> {
    /// Whether the request passes.
    pub verdict: Result<Permit, Denial>,
    /// The API that it belongs to.
    pub api: Option<&'p Api>,
    /// Who asks.
    pub subject: Option<Rc<Subject>>,
    /// How far the limits of its plans are used up.
    pub limits: Taking,
    /// Where it carries credentials.
    pub carried: Carried,
}

/// Why a request passes. Only [`decide`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// A CORS preflight.
    Preflight,
    /// It belongs to no API, and that is let through.
    UnknownApi,
    /// The API asks for no credential.
    Open,
    /// An emergency key.
    Emergency,
    /// The policy allows this key.
    Key,
    /// There is no policy, and the configuration lets requests pass then.
    WithoutPolicy,
}

impl Permit {
    /// Whether a credential was looked at, so that it is taken out of the request.
    pub fn looked_at_credential(self) -> bool {
        matches!(self, Self::Emergency | Self::Key | Self::WithoutPolicy)
    }
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A rule says no.
    Rule(Reason),
    /// There is no policy yet.
    NoPolicy,
    /// The policy would allow it, but it has expired.
    Expired(Permit),
    /// The policy's data cannot be read.
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
    /// A refusal of which nothing else is known.
    pub fn of(denial: Denial) -> Self {
        Self { verdict: Err(denial), api: None, subject: None, limits: Taking::default(), carried: Carried::default() }
    }

    /// Whether something was not found that a newer policy may have.
    pub fn is_miss(&self) -> bool {
        matches!(
            self.verdict,
            Err(Denial::NoPolicy
                | Denial::Unreadable
                | Denial::Rule(
                    Reason::KeyUnknown
                    | Reason::SubscriptionMissing
                    | Reason::ApiNotFound
                    // It may name a plan that came with it.
                    | Reason::SubscriptionInactive,
                ))
        )
    }

    /// All that is known of who asks for what.
    pub fn known(&self, permit: Option<Permit>) -> Identity<'_> {
        let caller = match &self.subject {
            _ if permit == Some(Permit::Emergency) => Caller::Emergency,
            Some(subject) => Caller::Subject(subject),
            // The one rule that an emergency key is held against, and no other refusal by it is without a subject.
            None if self.verdict == Err(Denial::Rule(Reason::EndpointMissing)) => Caller::Emergency,
            None => Caller::Unknown,
        };
        Identity { caller, api: self.api }
    }

    /// What goes upstream with a request that passes: nothing, unless a key was checked.
    pub fn identity(&self, permit: Permit) -> Identity<'_> {
        match permit {
            Permit::Key | Permit::Emergency => self.known(Some(permit)),
            Permit::Preflight | Permit::UnknownApi | Permit::Open | Permit::WithoutPolicy => Identity::default(),
        }
    }
}

/// The address in Envoy's `source.address`: with a port, and an IPv4 address that is mapped into IPv6 as what it is.
/// `None` for what is no address, as the path of a socket.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<SocketAddr>() {
        Ok(socket) => socket.ip(),
        Err(_) => text.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// Decides one request. `policy` is `None` while there is none.
pub fn decide<'p, P: Policy>(
    head: &Head<'_>,
    config: &Config,
    policy: Option<&'p P>,
    facts: &impl Facts,
) -> Decision<'p> {
    // Filled where it is returned; until there is a verdict it refuses.
    let mut decision = Decision::of(Denial::NoPolicy);
    decision.verdict = check(head, config, policy, facts, &mut decision);
    decision
}

fn check<'p, P: Policy>(
    head: &Head<'_>,
    config: &Config,
    policy: Option<&'p P>,
    facts: &impl Facts,
    known: &mut Decision<'p>,
) -> Result<Permit, Denial> {
    let found = credential::find(head, &config.credential_sources);
    known.carried = found.carried;
    if found.any_in(&config.emergency.deny_keys) {
        return Err(Reason::KeyDenied.into());
    }
    if config.allow_preflight && head.is_preflight() {
        return Ok(Permit::Preflight);
    }
    let emergency = is_emergency(&found, config);
    let place = place_of(head);
    let Some(policy) = policy else { return check_without_policy(&found, config, emergency, place.is_ok()) };
    let (host, path) = place?;
    let asked = Asked { head, config, policy, facts, host, path, found, emergency };
    let permit = asked.check(known)?;
    if policy.is_expired() && !emergency {
        return Err(Denial::Expired(permit));
    }
    Ok(permit)
}

/// The rules while there is no policy. Where requests pass then, or an emergency key would, what needs no policy to be
/// refused is refused.
fn check_without_policy(
    found: &Found<'_>,
    config: &Config,
    emergency: bool,
    place_is_clear: bool,
) -> Result<Permit, Denial> {
    let has_emergency_key = found.any_in(&config.emergency.allow_keys);
    if !has_emergency_key && config.on_policy_unavailable == OnPolicyUnavailable::Deny {
        return Err(Denial::NoPolicy);
    }
    if !place_is_clear {
        return Err(Reason::PathAmbiguous.into());
    }
    if emergency {
        return Ok(Permit::Emergency);
    }
    match found.resolve(config.ambiguous_credentials) {
        Credential::Malformed if has_emergency_key => Err(Reason::CredentialMalformed.into()),
        Credential::Ambiguous if has_emergency_key => Err(Reason::CredentialAmbiguous.into()),
        _ => Err(Denial::NoPolicy),
    }
}

fn is_emergency(found: &Found<'_>, config: &Config) -> bool {
    let keys = &config.emergency.allow_keys;
    !keys.is_empty()
        && matches!(found.resolve(config.ambiguous_credentials),
            Credential::Present(key) if keys.binary_search(&Digest::of(key)).is_ok())
}

/// Host and path of a request, if nobody can read them another way.
#[inline(always)]
fn place_of<'a>(head: &Head<'a>) -> Result<(Host<'a>, RequestPath<'a>), Reason> {
    let path = head.target.and_then(|target| RequestPath::of(target).ok());
    // A `host` beside `:authority` is for whoever reads that one.
    let is_one_host = head.values(b"host").all(|host| host.eq_ignore_ascii_case(head.authority));
    match (Host::parse(head.authority), path) {
        (Some(host), Some(path)) if is_one_host => Ok((host, path)),
        _ => Err(Reason::PathAmbiguous),
    }
}

/// Whether a server that drops path parameters reads something else from the path than one that keeps them.
#[inline(always)]
fn readings_differ<T: PartialEq>(path: &RequestPath<'_>, read: impl Fn(&RequestPath<'_>) -> T) -> bool {
    path.has_parameters() && {
        let kept = read(path);
        path.without_parameters().any(|dropped| read(&dropped) != kept)
    }
}

/// A request that a policy is asked about, with what is known of it before its API is.
struct Asked<'a, 'p, P, F> {
    head: &'a Head<'a>,
    config: &'a Config,
    policy: &'p P,
    facts: &'a F,
    host: Host<'a>,
    path: RequestPath<'a>,
    found: Found<'a>,
    /// It carries an emergency key.
    emergency: bool,
}

impl<'p, P: Policy, F: Facts> Asked<'_, 'p, P, F> {
    /// The rules from the API on.
    #[inline(always)]
    fn check(&self, known: &mut Decision<'p>) -> Result<Permit, Denial> {
        let addressed = self.find_api(&self.path);
        if readings_differ(&self.path, |path| self.find_api_anew(path).map(|found| found.number)) {
            return Err(Reason::PathAmbiguous.into());
        }
        match addressed {
            None if self.config.unknown_api == UnknownApi::Deny => Err(Reason::ApiNotFound.into()),
            None => Ok(Permit::UnknownApi),
            Some(addressed) => {
                known.api = Some(addressed.api);
                self.check_api(addressed, known)
            }
        }
    }

    #[inline(always)]
    fn find_api(&self, path: &RequestPath<'_>) -> Option<Addressed<'p>> {
        let catalogue = self.policy.catalogue();
        match &self.config.api {
            ApiSource::Match => catalogue.find(&self.host, path),
            ApiSource::Fixed(id) => catalogue.find_by_id(id, Some(path)),
            ApiSource::RouteMetadata { namespace, key } => {
                let id = self.facts.route_metadata(namespace, key)?;
                catalogue.find_by_id(std::str::from_utf8(&id).ok()?, Some(path))
            }
        }
    }

    /// The same for a path that has several readings, as few have.
    #[inline(never)]
    fn find_api_anew(&self, path: &RequestPath<'_>) -> Option<Addressed<'p>> {
        self.find_api(path)
    }

    /// The rules from the API's state on.
    #[inline(always)]
    fn check_api(&self, addressed: Addressed<'p>, known: &mut Decision<'p>) -> Result<Permit, Denial> {
        let api = addressed.api;
        check_state(api)?;
        if api.security == Security::None {
            return Ok(Permit::Open);
        }
        if self.emergency {
            check_endpoint(api, KeyType::Production)?;
            return Ok(Permit::Emergency);
        }
        let key = match self.found.resolve(self.config.ambiguous_credentials) {
            Credential::Absent => return Err(Reason::CredentialMissing.into()),
            Credential::Malformed => return Err(Reason::CredentialMalformed.into()),
            Credential::Ambiguous => return Err(Reason::CredentialAmbiguous.into()),
            Credential::Present(key) => key,
        };
        let subject = self.policy.subject(key, addressed)?.ok_or(Reason::KeyUnknown)?;
        let subject: &Subject = known.subject.insert(subject);
        check_key(&subject.key, self.facts)?;
        check_deny_policies(subject, api, self.policy.catalogue(), self.facts)?;
        restrictions::check(subject, api, self.head, self.facts)?;
        let plans = check_subscription(subject, api, self.policy.catalogue())?;
        check_endpoint(api, subject.key.key_type)?;
        if let Some(operations) = plans.subscription.and_then(|plan| plan.operations.as_ref()) {
            self.check_operations(operations, addressed)?;
        }
        known.limits = self.take(subject, api, &plans);
        check_limits(known.limits)?;
        Ok(Permit::Key)
    }

    /// Refuses what no operation of the plan opens.
    fn check_operations(&self, operations: &[Operation], addressed: Addressed<'p>) -> Result<(), Reason> {
        let find = |path: &RequestPath<'_>, prefix| find_operation(operations, self.head, path.below(prefix));
        let find_anew = |path: &RequestPath<'_>| self.find_api_anew(path).and_then(|found| find(path, found.prefix));
        if readings_differ(&self.path, find_anew) {
            return Err(Reason::PathAmbiguous);
        }
        find(&self.path, addressed.prefix).ok_or(Reason::OperationNotPermitted)?;
        Ok(())
    }

    /// Counts a request that no rule so far refuses.
    fn take(&self, subject: &Subject, api: &Api, plans: &Plans<'_>) -> Taking {
        if plans.subscription.is_none() && plans.application.is_none() {
            return Taking::default();
        }
        let quotas = self.policy.quotas(subject, api.id.as_str(), plans);
        if quotas.is_empty() {
            return Taking::default();
        }
        let passes = !self.policy.is_expired() || self.config.on_policy_unavailable == OnPolicyUnavailable::Allow;
        self.policy.take(quotas, self.facts.now(), passes)
    }
}

fn check_state(api: &Api) -> Result<(), Reason> {
    match api.state {
        ApiState::Blocked => Err(Reason::ApiBlocked),
        ApiState::NotFound => Err(Reason::ApiNotFound),
        ApiState::Served => Ok(()),
    }
}

fn check_key<T>(key: &Key<T>, facts: &impl Facts) -> Result<(), Reason> {
    if key.state == KeyState::Revoked {
        return Err(Reason::KeyRevoked);
    }
    if key.not_before.is_none() && key.expires_at.is_none() {
        return Ok(());
    }
    let now = facts.now();
    if key.not_before.is_some_and(|begin| now < begin) {
        return Err(Reason::KeyNotYetValid);
    }
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(Reason::KeyExpired);
    }
    Ok(())
}

fn check_deny_policies(subject: &Subject, api: &Api, catalogue: &Catalogue, facts: &impl Facts) -> Result<(), Reason> {
    if catalogue.has_deny_policies()
        && catalogue.denies(subject.application_id(), api.id.as_str(), subject.owner(), || facts.address())
    {
        return Err(Reason::DeniedByPolicy);
    }
    Ok(())
}

#[inline(always)]
fn check_subscription<'p>(subject: &Subject, api: &Api, catalogue: &'p Catalogue) -> Result<Plans<'p>, Reason> {
    let application = subject.application.as_ref().ok_or(Reason::SubscriptionMissing)?;
    if application.state == ApplicationState::Blocked {
        return Err(Reason::ApplicationBlocked);
    }
    if subject.subscription.is_none() && api.subscription_required {
        return Err(Reason::SubscriptionMissing);
    }
    if let Some(subscription) = &subject.subscription {
        match subscription.state {
            SubscriptionState::Unblocked | SubscriptionState::TierUpdatePending | SubscriptionState::DeletePending => {}
            SubscriptionState::Blocked => return Err(Reason::SubscriptionBlocked),
            SubscriptionState::ProdOnlyBlocked if subject.key.key_type == KeyType::Sandbox => {}
            SubscriptionState::ProdOnlyBlocked => return Err(Reason::SubscriptionBlocked),
            SubscriptionState::OnHold | SubscriptionState::Rejected | SubscriptionState::Unknown => {
                return Err(Reason::SubscriptionInactive);
            }
            SubscriptionState::LeftOut => return Err(Reason::SubscriptionMissing),
        }
    }
    let find_plan = |id: Option<&[u8]>| match id {
        None => Ok(None),
        Some(id) => catalogue.plan(id).map(Some).ok_or(Reason::SubscriptionInactive),
    };
    Ok(Plans {
        application: find_plan(subject.application_plan())?,
        application_used_up_until: application.used_up_until,
        subscription: find_plan(subject.plan())?,
        subscription_used_up_until: subject.subscription.as_ref().and_then(|subscription| subscription.used_up_until),
    })
}

fn check_endpoint(api: &Api, key_type: KeyType) -> Result<(), Reason> {
    let has_endpoint = match key_type {
        KeyType::Production => api.production,
        KeyType::Sandbox => api.sandbox,
    };
    if has_endpoint { Ok(()) } else { Err(Reason::EndpointMissing) }
}

/// The place of the first operation that opens what stands behind the API's prefix.
fn find_operation(operations: &[Operation], head: &Head<'_>, rest: &[u8]) -> Option<usize> {
    // A server answers HEAD with the head of its answer to GET.
    let is_open = |method: &String| method.as_bytes() == head.method || head.method == b"HEAD" && method == "GET";
    let opens = |methods: &Option<Vec<String>>| methods.as_ref().is_none_or(|methods| methods.iter().any(is_open));
    let segments = Segments::of(rest);
    operations.iter().position(|operation| operation.path.matches(&segments) && opens(&operation.methods))
}

fn check_limits(limits: Taking) -> Result<(), Reason> {
    Err(match limits.refusal.map(|refusal| refusal.level) {
        None => return Ok(()),
        Some(Level::Burst) => Reason::BurstExceeded,
        Some(Level::Subscription) => Reason::QuotaExceeded,
        Some(Level::Application) => Reason::ApplicationQuotaExceeded,
    })
}
