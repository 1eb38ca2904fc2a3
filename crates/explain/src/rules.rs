//! The rules in the order of the decision, and which of them decided.
//!
//! A rule that refuses has the name of its reason, so some names occur twice. Each rule before the deciding one passed,
//! or did not apply: the decision goes straight through them. The sentences stand in [`crate::because`].

use keygate::{
    catalogue::Catalogue,
    config::Config,
    credential::Candidates,
    decision::{Decision, Denial, Permit},
    reason::Reason,
    request::{head::Head, hostname::Host, path::RequestPath},
    subject::Subject,
};

use crate::{Outcome, Step, View, because, facts::Given, policy::Policy, request::Address};

/// A decision and what it was made from.
pub(crate) struct Seen<'a> {
    pub policy: &'a Policy,
    pub catalogue: &'a Catalogue,
    pub config: &'a Config,
    pub head: &'a Head<'a>,
    pub found: &'a Candidates<'a>,
    pub decision: &'a Decision<'a>,
    pub facts: &'a Given<'a>,
    pub view: View,
    pub is_emergency: bool,
}

impl Seen<'_> {
    pub fn subject(&self) -> Option<&Subject> {
        self.decision.subject.as_deref()
    }

    /// Whether a server could read authority and path in one way only.
    pub fn is_place_clear(&self) -> bool {
        self.head.target.is_some_and(|target| RequestPath::of(target).is_ok())
            && Host::parse(self.head.authority).is_some()
            && self.is_one_host()
    }

    pub fn is_one_host(&self) -> bool {
        self.head.values(b"host").all(|host| host.eq_ignore_ascii_case(self.head.authority))
    }
}

/// Defines [`Rule`]. Each entry has a variant and its name.
macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:expr),* $(,)?) => {
        /// A rule of the decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $variant),* }

        impl Rule {
            /// All rules, in the order of the decision.
            pub const ALL: &[Rule] = &[$(Rule::$variant),*];

            /// The reason that it gives if it refuses. A rule that only lets requests pass has a name of its own.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name),* }
            }
        }
    };
}

rules! {
    KeyDenied = Reason::KeyDenied.as_str(),
    /// Lets emergency keys past the rules about keys.
    Emergency = "emergency",
    Preflight = "preflight",
    /// There is a policy.
    Policy = Reason::PolicyUnavailable.as_str(),
    Path = Reason::PathAmbiguous.as_str(),
    /// The readings of a path with parameters belong to one API.
    Readings = Reason::PathAmbiguous.as_str(),
    Api = Reason::ApiNotFound.as_str(),
    UnknownApi = "unknown_api",
    ApiBlocked = Reason::ApiBlocked.as_str(),
    ApiState = Reason::ApiNotFound.as_str(),
    /// The API requires a key.
    Open = "security_none",
    CredentialMissing = Reason::CredentialMissing.as_str(),
    CredentialMalformed = Reason::CredentialMalformed.as_str(),
    CredentialAmbiguous = Reason::CredentialAmbiguous.as_str(),
    KeyUnknown = Reason::KeyUnknown.as_str(),
    KeyRevoked = Reason::KeyRevoked.as_str(),
    KeyNotYetValid = Reason::KeyNotYetValid.as_str(),
    KeyExpired = Reason::KeyExpired.as_str(),
    DenyPolicies = Reason::DeniedByPolicy.as_str(),
    Address = Reason::AddressNotPermitted.as_str(),
    Referer = Reason::RefererNotPermitted.as_str(),
    KeyApis = Reason::KeyNotForApi.as_str(),
    /// The policy knows the key's application.
    Application = Reason::SubscriptionMissing.as_str(),
    ApplicationBlocked = Reason::ApplicationBlocked.as_str(),
    Subscription = Reason::SubscriptionMissing.as_str(),
    SubscriptionBlocked = Reason::SubscriptionBlocked.as_str(),
    SubscriptionInactive = Reason::SubscriptionInactive.as_str(),
    Endpoint = Reason::EndpointMissing.as_str(),
    /// The readings of a path with parameters belong to one operation.
    OperationReadings = Reason::PathAmbiguous.as_str(),
    Operation = Reason::OperationNotPermitted.as_str(),
    Burst = Reason::BurstExceeded.as_str(),
    Quota = Reason::QuotaExceeded.as_str(),
    ApplicationQuota = Reason::ApplicationQuotaExceeded.as_str(),
    /// The policy is young enough.
    Age = Reason::PolicyUnavailable.as_str(),
    Allowed = "allowed",
}

impl Rule {
    /// Whether the rule does not apply to emergency keys.
    fn spares_emergency_keys(self) -> bool {
        (Self::KeyUnknown..=Self::SubscriptionInactive).contains(&self)
            || (Self::OperationReadings..=Self::Age).contains(&self)
            || self == Self::Policy
    }

    /// Whether the rule is told only if it decides. Most requests have nothing to do with it.
    fn is_told_only_if_it_decides(self) -> bool {
        matches!(self, Self::Readings | Self::OperationReadings | Self::UnknownApi)
    }
}

/// The rule that decided, and its outcome.
fn deciding(seen: &Seen<'_>) -> (Rule, Outcome) {
    match seen.decision.verdict {
        Ok(permit) => (letting_pass(permit), Outcome::Allowed),
        Err(Denial::Rule(reason)) => (refusing(reason, seen), Outcome::Refused),
        Err(Denial::NoPolicy | Denial::Unreadable) => (Rule::Policy, Outcome::Refused),
        Err(Denial::Expired(_)) => (Rule::Age, Outcome::Refused),
    }
}

fn letting_pass(permit: Permit) -> Rule {
    match permit {
        Permit::Preflight => Rule::Preflight,
        Permit::UnknownApi => Rule::UnknownApi,
        Permit::Open => Rule::Open,
        Permit::Emergency | Permit::Key | Permit::WithoutPolicy => Rule::Allowed,
    }
}

/// The rule that gave this reason. What the decision had found by then tells rules with the same reason apart.
fn refusing(reason: Reason, seen: &Seen<'_>) -> Rule {
    let has_api = seen.decision.api.is_some();
    let has_application = seen.subject().is_some_and(|subject| subject.application.is_some());
    match reason {
        Reason::KeyDenied => Rule::KeyDenied,
        Reason::PolicyUnavailable => Rule::Policy,
        Reason::PathAmbiguous if has_api => Rule::OperationReadings,
        Reason::PathAmbiguous if seen.is_place_clear() => Rule::Readings,
        Reason::PathAmbiguous => Rule::Path,
        Reason::ApiNotFound if has_api => Rule::ApiState,
        Reason::ApiNotFound => Rule::Api,
        Reason::ApiBlocked => Rule::ApiBlocked,
        Reason::CredentialMissing => Rule::CredentialMissing,
        Reason::CredentialMalformed => Rule::CredentialMalformed,
        Reason::CredentialAmbiguous => Rule::CredentialAmbiguous,
        Reason::KeyUnknown => Rule::KeyUnknown,
        Reason::KeyRevoked => Rule::KeyRevoked,
        Reason::KeyNotYetValid => Rule::KeyNotYetValid,
        Reason::KeyExpired => Rule::KeyExpired,
        Reason::DeniedByPolicy => Rule::DenyPolicies,
        Reason::AddressNotPermitted => Rule::Address,
        Reason::RefererNotPermitted => Rule::Referer,
        Reason::KeyNotForApi => Rule::KeyApis,
        Reason::SubscriptionMissing if has_application => Rule::Subscription,
        Reason::SubscriptionMissing => Rule::Application,
        Reason::ApplicationBlocked => Rule::ApplicationBlocked,
        Reason::SubscriptionBlocked => Rule::SubscriptionBlocked,
        Reason::SubscriptionInactive => Rule::SubscriptionInactive,
        Reason::EndpointMissing => Rule::Endpoint,
        Reason::OperationNotPermitted => Rule::Operation,
        Reason::BurstExceeded => Rule::Burst,
        Reason::QuotaExceeded => Rule::Quota,
        Reason::ApplicationQuotaExceeded => Rule::ApplicationQuota,
    }
}

/// The rules up to the one that decided.
pub(crate) fn steps(seen: &Seen<'_>) -> Vec<Step> {
    let (last, outcome) = deciding(seen);
    let mut steps = Vec::new();
    for &rule in Rule::ALL.iter().take_while(|rule| **rule <= last) {
        let (outcome, because) = if rule == last {
            (outcome, because::of(rule, outcome, seen).1)
        } else if rule.is_told_only_if_it_decides() {
            continue;
        } else if seen.is_emergency && rule.spares_emergency_keys() {
            (Outcome::Skipped, "it does not apply to keys of `emergency.allow_keys`".to_owned())
        } else {
            because::of(rule, Outcome::Passed, seen)
        };
        steps.push(Step { rule: rule.name(), outcome, because });
    }
    steps
}

/// What no explanation can know.
pub(crate) fn notes(seen: &Seen<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let decided = deciding(seen).0;
    if seen.facts.request.address == Address::NotGiven && decided >= Rule::DenyPolicies && !seen.is_emergency {
        notes.push(
            "no client address is given, so deny policies of addresses were not checked; a gateway knows the address"
                .to_owned(),
        );
    }
    if decided == Rule::Allowed {
        notes.push(
            "each Envoy counts the limits of plans itself and knows how old its policy is; neither is known here"
                .to_owned(),
        );
    }
    if decided >= Rule::KeyUnknown {
        notes.extend(seen.policy.left_out.iter().cloned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reason's place in the decision is that of its rules, so steps are told in the order of the decision.
    #[test]
    fn the_rules_stand_in_the_order_of_the_reasons() {
        let named = Rule::ALL.iter().filter_map(|rule| Some((rule, Reason::parse(rule.name())?)));
        // These reasons have a second rule later on.
        let again = [Rule::Readings, Rule::ApiState, Rule::Subscription, Rule::OperationReadings, Rule::Age];
        let first: Vec<_> = named.clone().filter(|(rule, _)| !again.contains(rule)).map(|(_, reason)| reason).collect();
        assert_eq!(first, Reason::ALL, "the first rule of each reason");
        assert_eq!(named.count(), Reason::ALL.len() + again.len());
    }
}
