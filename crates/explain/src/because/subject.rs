//! Sentences about the key, its application, the subscription and the plans.

use keygate::{
    decision::Facts as _,
    limit::LimitOwner,
    policy::{
        SubscriptionState,
        rows::{DenyPolicy, DenyTarget, Limit, Plan, Unit},
    },
    subject::{Restrictions, Subject, Subscription},
};

use super::api_name;
use crate::{
    Outcome, View,
    request::Address,
    rules::{Rule, Seen},
    times::shown,
};

/// The outcome of a rule about a key and what belongs to it, and the reason for it.
pub fn of(rule: Rule, outcome: Outcome, seen: &Seen<'_>) -> (Outcome, String) {
    let refused = outcome == Outcome::Refused;
    let Some(subject) = seen.subject() else { return (outcome, without_subject(rule, refused, seen)) };
    match rule {
        Rule::KeyUnknown => {
            let kind = subject.key.key_type.as_str();
            (outcome, format!("the policy has this key: {}, of type {kind}", key(subject)))
        }
        Rule::KeyRevoked if refused => (outcome, format!("the key {} is not ACTIVE", key(subject))),
        Rule::KeyRevoked => (outcome, format!("the key {} is ACTIVE", key(subject))),
        Rule::KeyNotYetValid => (outcome, begins(subject, seen.facts.now)),
        Rule::KeyExpired => (outcome, ends(subject, seen.facts.now)),
        Rule::DenyPolicies => deny_policies(outcome, subject, seen),
        Rule::Address => (outcome, address(refused, subject, seen)),
        Rule::Referer => (outcome, referer(refused, subject, seen)),
        Rule::KeyApis => (outcome, apis(refused, subject, seen)),
        Rule::Application if refused => (
            outcome,
            format!("the key belongs to the application {}, which the policy does not have", application(subject)),
        ),
        Rule::Application => (outcome, format!("the key belongs to the application {}", application(subject))),
        Rule::ApplicationBlocked => {
            let is = if refused { "is not ACTIVE" } else { "is ACTIVE" };
            (outcome, format!("the application {} {is}", application(subject)))
        }
        Rule::Subscription => (outcome, subscription(refused, subject, seen)),
        Rule::SubscriptionBlocked => blocked(outcome, subject, seen.facts.now),
        Rule::SubscriptionInactive => (outcome, inactive(refused, subject, seen)),
        Rule::Endpoint => (outcome, endpoint(refused, subject.key.key_type.as_str(), seen)),
        Rule::OperationReadings => (
            outcome,
            "a server that drops path parameters (`;`) reads a path that is another operation of the plan".to_owned(),
        ),
        Rule::Operation => operation(outcome, subject, seen),
        Rule::Burst => limit(LimitOwner::Burst, outcome, subject, seen),
        Rule::Quota => limit(LimitOwner::Subscription, outcome, subject, seen),
        Rule::ApplicationQuota => limit(LimitOwner::Application, outcome, subject, seen),
        _ => (outcome, String::new()),
    }
}

/// Without a subject, the key is unknown or an emergency key.
fn without_subject(rule: Rule, refused: bool, seen: &Seen<'_>) -> String {
    match rule {
        Rule::Endpoint => endpoint(refused, "PRODUCTION", seen),
        _ => "the policy has no key with this digest".to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn key(subject: &Subject) -> String {
    text(subject.key_id())
}

fn application(subject: &Subject) -> String {
    text(subject.application_id())
}

fn begins(subject: &Subject, now: u64) -> String {
    match subject.key.not_before {
        None => format!("the key {} has no `not_before`", key(subject)),
        Some(begin) => format!("the key {} is valid from {}; the time is {}", key(subject), shown(begin), shown(now)),
    }
}

fn ends(subject: &Subject, now: u64) -> String {
    match subject.key.expires_at {
        None => format!("the key {} has no `expires_at`", key(subject)),
        Some(end) => format!("the key {} is valid until {}; the time is {}", key(subject), shown(end), shown(now)),
    }
}

fn deny_policies(outcome: Outcome, subject: &Subject, seen: &Seen<'_>) -> (Outcome, String) {
    let is_checked = |row: &DenyPolicy| {
        seen.facts.request.address != Address::NotGiven || !matches!(row.target, DenyTarget::Range(_))
    };
    let api = seen.decision.api.map_or("", |api| api.id.as_str());
    let policies = &seen.policy.deny_policies;
    if outcome == Outcome::Refused {
        let denies = |row: &DenyPolicy, alone: &keygate::catalogue::Catalogue| {
            is_checked(row) && alone.denies(subject.application_id(), api, subject.owner(), || seen.facts.address())
        };
        let matching = policies.iter().filter(|(row, alone)| denies(row, alone)).map(|(row, _)| target(row));
        return match seen.view {
            View::All => (outcome, format!("denied by {}", matching.collect::<Vec<_>>().join("; "))),
            View::OfOneApi => (outcome, "a deny policy of the operator matches".to_owned()),
        };
    }
    let left = policies.iter().filter(|(row, _)| !is_checked(row)).count();
    if left > 0 && seen.view == View::All {
        let because =
            format!("no address is given, so {left} deny policies of addresses were not checked; no other matches");
        return (Outcome::Unknown, because);
    }
    if left > 0 {
        return (Outcome::Unknown, "no address is given, so deny policies of addresses were not checked".to_owned());
    }
    (outcome, "no deny policy matches".to_owned())
}

fn target(row: &DenyPolicy) -> String {
    let target = match &row.target {
        DenyTarget::Range(range) => format!("the addresses {range}"),
        DenyTarget::Application(id) => format!("the application {}", id.as_str()),
        DenyTarget::Api(id) => format!("the API {}", id.as_str()),
        DenyTarget::Owner(name) => format!("applications of {}", name.as_str()),
    };
    let all_but = if row.invert { "everything but " } else { "" };
    format!("the deny policy {}, which denies {all_but}{target}", row.id.as_str())
}

fn restrictions(subject: &Subject) -> Option<&Restrictions> {
    subject.key.restrictions.as_deref()
}

fn address(refused: bool, subject: &Subject, seen: &Seen<'_>) -> String {
    if restrictions(subject).is_none_or(|lists| lists.permitted_ips.is_none()) {
        return format!("the key {} may be used from any address", key(subject));
    }
    match (refused, seen.facts.request.address) {
        (true, Address::Known(address)) => format!("{address} is not in `permitted_ips` of the key {}", key(subject)),
        (true, Address::NotGiven) => {
            format!(
                "the key {} has `permitted_ips`, and no address is given; give the client's `address`",
                key(subject)
            )
        }
        (true, Address::Unknown) => {
            format!("the key {} has `permitted_ips`, and the address is not known", key(subject))
        }
        (false, _) => format!("the address is in `permitted_ips` of the key {}", key(subject)),
    }
}

fn referer(refused: bool, subject: &Subject, seen: &Seen<'_>) -> String {
    if restrictions(subject).is_none_or(|lists| lists.permitted_referers.is_none()) {
        return format!("the key {} may be used with any referer", key(subject));
    }
    match (refused, seen.head.has(b"referer")) {
        (true, false) => format!("the key {} has `permitted_referers`, and the request has no referer", key(subject)),
        (true, true) => format!("the referer matches none of `permitted_referers` of the key {}", key(subject)),
        (false, _) => format!("the referer matches one of `permitted_referers` of the key {}", key(subject)),
    }
}

fn apis(refused: bool, subject: &Subject, seen: &Seen<'_>) -> String {
    if restrictions(subject).is_none_or(|lists| lists.apis.is_none()) {
        return format!("the key {} is bound to no API", key(subject));
    }
    let is = if refused { "is not" } else { "is" };
    format!("the {} {is} among `apis` of the key {}", api_name(seen), key(subject))
}

fn subscription(refused: bool, subject: &Subject, seen: &Seen<'_>) -> String {
    let (application, api) = (application(subject), api_name(seen));
    match (refused, &subject.subscription) {
        (_, Some(row)) if row.state == SubscriptionState::LeftOut => {
            format!(
                "gateways leave out the subscription of the application {application} to the {api}: its row is invalid"
            )
        }
        (_, Some(_)) => format!("the application {application} has a subscription to the {api}"),
        (true, None) => format!("the application {application} has no subscription to the {api}"),
        (false, None) => format!("the {api} requires no subscription, and the application {application} has none"),
    }
}

/// The state's word in a row.
fn word(state: SubscriptionState) -> &'static str {
    let known = SubscriptionState::WORDS.iter().find(|(_, known)| *known == state);
    known.map_or("a state that keygate does not know", |(word, _)| word)
}

fn blocked(outcome: Outcome, subject: &Subject, now: u64) -> (Outcome, String) {
    let Some(subscription) = &subject.subscription else {
        return (Outcome::Skipped, "there is no subscription that could be blocked".to_owned());
    };
    let (state, kind) = (subscription.state_at(|| now), subject.key.key_type.as_str());
    let because = match (outcome, state) {
        (Outcome::Refused, SubscriptionState::ProdOnlyBlocked) => {
            format!("the subscription is PROD_ONLY_BLOCKED, and the key is of type {kind}")
        }
        (_, SubscriptionState::ProdOnlyBlocked) => {
            format!("the subscription is PROD_ONLY_BLOCKED, which does not concern keys of type {kind}")
        }
        (_, state) => format!("the state of the subscription is {}", word(state)),
    };
    (outcome, format!("{because}{}", times(subscription, now)))
}

/// The times of a block, as a further part of a sentence.
fn times<T>(subscription: &Subscription<T>, now: u64) -> String {
    let Some(block) = &subscription.block else { return String::new() };
    let begin = block.from.map(|from| {
        let begins = if now < from { "begins" } else { "began" };
        format!("; the planned block ({}) {begins} at {}", word(block.planned), shown(from))
    });
    let end = block.until.map(|until| {
        let ends = if now < until { "ends" } else { "ended" };
        format!("; the block {ends} at {}", shown(until))
    });
    begin.into_iter().chain(end).collect()
}

fn inactive(refused: bool, subject: &Subject, seen: &Seen<'_>) -> String {
    use SubscriptionState::{DeletePending, ProdOnlyBlocked, TierUpdatePending, Unblocked};
    let state = subject.subscription.as_ref().map(|row| row.state_at(|| seen.facts.now));
    let is_active =
        state.is_none_or(|of| matches!(of, Unblocked | TierUpdatePending | DeletePending | ProdOnlyBlocked));
    if let Some(state) = state.filter(|_| refused && !is_active) {
        return format!("the state of the subscription is {}, in which requests do not pass", word(state));
    }
    let plans = [subject.application_plan(), subject.plan()];
    let missing: Vec<_> =
        plans.into_iter().flatten().filter(|id| seen.catalogue.plan(id).is_none()).map(text).collect();
    if refused {
        return format!("the policy does not have the plan {}", missing.join(" and the plan "));
    }
    match state {
        Some(state) => format!("the state of the subscription is {}, and the policy has its plans", word(state)),
        None => "there is no subscription that could be inactive".to_owned(),
    }
}

fn endpoint(refused: bool, kind: &str, seen: &Seen<'_>) -> String {
    let has = if refused { "has no endpoint" } else { "has an endpoint" };
    format!("the {} {has} for keys of type {kind}", api_name(seen))
}

fn plan<'a>(id: Option<&[u8]>, seen: &Seen<'a>) -> Option<&'a Plan> {
    seen.catalogue.plan(id?)
}

fn operation(outcome: Outcome, subject: &Subject, seen: &Seen<'_>) -> (Outcome, String) {
    match plan(subject.plan(), seen).filter(|plan| plan.operations.is_some()) {
        None => (Outcome::Skipped, "no plan of the subscription lists operations".to_owned()),
        Some(plan) if outcome == Outcome::Refused => {
            let because = "lists operations, and none has this method and this path behind the API's own";
            (outcome, format!("the plan {} {because}", plan.id.as_str()))
        }
        Some(plan) => (outcome, format!("the plan {} has an operation with this method and path", plan.id.as_str())),
    }
}

/// Limits are counted in each Envoy. Only a mark of the service, that a plan is used up, is part of the policy.
fn limit(owner: LimitOwner, outcome: Outcome, subject: &Subject, seen: &Seen<'_>) -> (Outcome, String) {
    let of_application = subject.application.as_ref().and_then(|row| row.used_up_until);
    let of_subscription = subject.subscription.as_ref().and_then(|row| row.used_up_until);
    let application = (plan(subject.application_plan(), seen), of_application);
    let subscription = (plan(subject.plan(), seen), of_subscription);
    let (plans, kind, used_up_until) = match owner {
        LimitOwner::Burst => (vec![subscription.0, application.0], "a `burst`", None),
        LimitOwner::Subscription => (vec![subscription.0], "`limits`", subscription.1),
        LimitOwner::Application => (vec![application.0], "`limits`", application.1),
    };
    let plans: Vec<_> = plans.into_iter().flatten().collect();
    let names: Vec<_> = plans.iter().map(|plan| plan.id.as_str()).collect();
    let names = names.join(" and the plan ");
    if outcome == Outcome::Refused {
        let until = used_up_until.map_or_else(String::new, |until| format!(" until {}", shown(until)));
        return (outcome, format!("the plan {names} is used up{until}"));
    }
    let limits_of = |plan: &'_ Plan| match owner {
        LimitOwner::Burst => plan.burst.iter().map(told).collect(),
        LimitOwner::Subscription | LimitOwner::Application => plan.limits.iter().map(told).collect::<Vec<_>>(),
    };
    let limits: Vec<String> = plans.iter().flat_map(|plan| limits_of(plan)).collect();
    if limits.is_empty() {
        let whose = if owner == LimitOwner::Application { "application" } else { "subscription" };
        return (Outcome::Skipped, format!("no plan of the {whose} has {kind}"));
    }
    let limits = limits.join(" and ");
    if owner != LimitOwner::Burst && plans.iter().all(|plan| !plan.stop_on_quota_reach) {
        return (
            outcome,
            format!("the plan {names} counts {limits}, and refuses nothing: its `stop_on_quota_reach` is false"),
        );
    }
    let unknown = "only each Envoy knows how many requests it has let pass";
    (Outcome::Unknown, format!("the plan {names} permits {limits}; {unknown}"))
}

fn told(limit: &Limit) -> String {
    let requests = if limit.requests == 1 { "request" } else { "requests" };
    format!("{} {requests} a {}", limit.requests, unit(limit.per))
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "second",
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Month => "month",
    }
}
