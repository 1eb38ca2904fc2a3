//! The decision: turns the facts about a request, the policy and the time into a permit or a denial.
//!
//! [`decide`] checks the rules one after the other, in the order of `docs/decision.md`. The first rule that applies decides.
//! The result depends only on the arguments. The decision asks the policy through [`PolicyLookup`]. It asks for facts that
//! cost a host call (the time, the client's address, route metadata) through [`Facts`], and only if a rule needs them.

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
    credential::{self, Candidates, Carried, Credential},
    digest::Digest,
    limit::{
        LimitOwner, Taking,
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
    fn take(&self, quotas: &Quotas, now: u64, passes: bool) -> Taking;
}

/// The policy's data cannot be read: it is damaged, or another program wrote it. Such data allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

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

/// Why a request passes. Only [`decide`] makes a permit.
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

/// Parses Envoy's `source.address`: an address with a port. An IPv4-mapped IPv6 address becomes the IPv4 address.
/// `None` if the text is no address, such as the path of a socket.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<SocketAddr>() {
        Ok(socket) => socket.ip(),
        Err(_) => text.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// Decides one request. `policy` is `None` as long as there is no policy.
pub fn decide<'p, P: PolicyLookup>(
    head: &Head<'_>,
    config: &Config,
    policy: Option<&'p P>,
    facts: &impl Facts,
) -> Decision<'p> {
    // `check` fills in the facts. Until it returns a verdict, the decision refuses.
    let mut decision = Decision::of(Denial::NoPolicy);
    decision.verdict = check(head, config, policy, facts, &mut decision);
    decision
}

fn check<'p, P: PolicyLookup>(
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

/// The rules without a policy. If requests may pass without a policy, or an emergency key may, a request is still
/// refused for the reasons that need no policy.
fn check_without_policy(
    found: &Candidates<'_>,
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

fn is_emergency(found: &Candidates<'_>, config: &Config) -> bool {
    let keys = &config.emergency.allow_keys;
    !keys.is_empty()
        && matches!(found.resolve(config.ambiguous_credentials),
            Credential::Present(key) if keys.binary_search(&Digest::of(key)).is_ok())
}

/// Host and path of a request. An error if a server could read them in another way.
#[inline(always)]
fn place_of<'a>(head: &Head<'a>) -> Result<(Host<'a>, RequestPath<'a>), Reason> {
    let path = head.target.and_then(|target| RequestPath::of(target).ok());
    // `host` must equal `:authority`, because a server may read either of them.
    let is_one_host = head.values(b"host").all(|host| host.eq_ignore_ascii_case(head.authority));
    match (Host::parse(head.authority), path) {
        (Some(host), Some(path)) if is_one_host => Ok((host, path)),
        _ => Err(Reason::PathAmbiguous),
    }
}

/// Whether a server that drops path parameters reads the path differently from a server that keeps them.
#[inline(always)]
fn readings_differ<T: PartialEq>(path: &RequestPath<'_>, read: impl Fn(&RequestPath<'_>) -> T) -> bool {
    path.has_parameters() && {
        let kept = read(path);
        path.without_parameters().any(|dropped| read(&dropped) != kept)
    }
}

/// A request, the policy, and the facts that are known before the API.
struct Asked<'a, 'p, P, F> {
    head: &'a Head<'a>,
    config: &'a Config,
    policy: &'p P,
    facts: &'a F,
    host: Host<'a>,
    path: RequestPath<'a>,
    found: Candidates<'a>,
    /// Whether the request has an emergency key.
    emergency: bool,
}

impl<'p, P: PolicyLookup, F: Facts> Asked<'_, 'p, P, F> {
    /// Checks the rules from the API on.
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

    /// [`Asked::find_api`], not inlined, for the few paths that have several readings.
    #[inline(never)]
    fn find_api_anew(&self, path: &RequestPath<'_>) -> Option<Addressed<'p>> {
        self.find_api(path)
    }

    /// Checks the rules from the API's state on.
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

    /// Refuses a request that no operation of the plan permits.
    fn check_operations(&self, operations: &[Operation], addressed: Addressed<'p>) -> Result<(), Reason> {
        let find = |path: &RequestPath<'_>, prefix| find_operation(operations, self.head, path.below(prefix));
        let find_anew = |path: &RequestPath<'_>| self.find_api_anew(path).and_then(|found| find(path, found.prefix));
        if readings_differ(&self.path, find_anew) {
            return Err(Reason::PathAmbiguous);
        }
        find(&self.path, addressed.prefix).ok_or(Reason::OperationNotPermitted)?;
        Ok(())
    }

    /// Counts a request that no rule has refused so far.
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

/// Position of the first operation that permits the method and the rest of the path behind the API's prefix.
fn find_operation(operations: &[Operation], head: &Head<'_>, rest: &[u8]) -> Option<usize> {
    // HEAD is permitted where GET is, because a server answers it with the header fields of a GET.
    let is_open = |method: &String| method.as_bytes() == head.method || head.method == b"HEAD" && method == "GET";
    let opens = |methods: &Option<Vec<String>>| methods.as_ref().is_none_or(|methods| methods.iter().any(is_open));
    let segments = Segments::of(rest);
    operations.iter().position(|operation| operation.path.matches(&segments) && opens(&operation.methods))
}

fn check_limits(limits: Taking) -> Result<(), Reason> {
    Err(match limits.refusal.map(|refusal| refusal.level) {
        None => return Ok(()),
        Some(LimitOwner::Burst) => Reason::BurstExceeded,
        Some(LimitOwner::Subscription) => Reason::QuotaExceeded,
        Some(LimitOwner::Application) => Reason::ApplicationQuotaExceeded,
    })
}
