//! The decision: turns the facts about a request, the policy and the time into a permit or a denial.
//!
//! [`decide`] checks the rules one after the other, in the order of `docs/decision.md`. The first rule that applies decides.
//! The result depends only on the arguments. The decision asks the policy through [`PolicyLookup`]. It asks for facts that
//! cost a host call (the time, the client's address, route metadata) through [`Facts`], and only if a rule needs them.

mod again;
mod facts;
mod identity;
mod restrictions;
mod rules;
mod verdict;

pub use again::decide_again;
pub use facts::{Facts, PolicyLookup, Unreadable, parse_address};
pub use identity::{EMERGENCY, Identity};
use rules::{
    check_deny_policies, check_endpoint, check_key, check_limits, check_state, check_subscription, find_operation,
};
pub use verdict::{Decision, Denial, Permit};

use crate::{
    catalogue::Addressed,
    config::{ApiSource, Config, OnPolicyUnavailable, UnknownApi},
    credential::{self, Candidates, Credential},
    digest::Digest,
    limit::{Taking, quota::Plans},
    policy::{
        KeyType, Security,
        rows::{Api, Operation},
    },
    reason::Reason,
    request::{head::Head, hostname::Host, path::RequestPath},
    subject::Subject,
};

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
        let plans = check_subscription(subject, api, self.policy.catalogue(), self.facts)?;
        check_endpoint(api, subject.key.key_type)?;
        if let Some(operations) = plans.subscription.and_then(|plan| plan.operations.as_ref()) {
            self.check_operations(operations, addressed)?;
        }
        known.limits = self.spend_tokens(subject, api, &plans);
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
    fn spend_tokens(&self, subject: &Subject, api: &Api, plans: &Plans<'_>) -> Taking {
        if plans.subscription.is_none() && plans.application.is_none() {
            return Taking::default();
        }
        let quotas = self.policy.quotas(subject, api.id.as_str(), plans);
        if quotas.is_empty() {
            return Taking::default();
        }
        let passes = !self.policy.is_expired() || self.config.on_policy_unavailable == OnPolicyUnavailable::Allow;
        self.policy.spend_tokens(quotas, self.facts.now(), passes)
    }
}
