//! A sentence for each rule: why it refuses a request, or why it does not.
//!
//! [`of`] is asked about a rule whose result is known, and only puts it into words. It names ids of keys, applications,
//! APIs and plans, but never a key, and nothing of a query.

mod credential;
mod subject;

use keygate::{config::ApiSource, policy::rows::Api};

use crate::{
    Outcome,
    rules::{Rule, Seen},
};

/// The outcome of a rule and the reason for it. `outcome` is what the decision made of the rule: it refused, allowed,
/// or went on (`Passed`).
pub(crate) fn of(rule: Rule, outcome: Outcome, seen: &Seen<'_>) -> (Outcome, String) {
    let refused = outcome == Outcome::Refused;
    match rule {
        Rule::KeyDenied => (outcome, denied(refused, seen)),
        Rule::Emergency => emergency(seen),
        Rule::Preflight => preflight(outcome, seen),
        Rule::Policy if refused => (outcome, "there is no policy that can be read".to_owned()),
        Rule::Policy => (outcome, "there is a policy".to_owned()),
        Rule::Path => (outcome, path(refused, seen)),
        Rule::Readings => {
            (outcome, "a server that drops path parameters (`;`) reads a path that belongs to another API".to_owned())
        }
        Rule::Api => (outcome, api(seen)),
        Rule::UnknownApi => (outcome, "no API has this host and path, and `unknown_api` is allow".to_owned()),
        Rule::ApiBlocked | Rule::ApiState => (outcome, api_state(rule, seen)),
        Rule::Open if outcome == Outcome::Allowed => {
            (outcome, format!("the {} requires no key: its `security` is none", api_name(seen)))
        }
        Rule::Open => (Outcome::Skipped, format!("the {} requires a key", api_name(seen))),
        Rule::CredentialMissing => (outcome, credential::missing(refused, seen)),
        Rule::CredentialMalformed => (outcome, credential::malformed(refused, seen)),
        Rule::CredentialAmbiguous => (outcome, credential::ambiguous(refused, seen)),
        Rule::Age => (Outcome::Unknown, age(seen)),
        Rule::Allowed => (outcome, allowed(seen)),
        rule => subject::of(rule, outcome, seen),
    }
}

fn denied(refused: bool, seen: &Seen<'_>) -> String {
    match (refused, seen.config.emergency.deny_keys.len()) {
        (true, _) => "the digest of a key of the request is in `emergency.deny_keys`".to_owned(),
        (false, 0) => "`emergency.deny_keys` is empty".to_owned(),
        (false, count) => format!("no key of the request is among the {count} of `emergency.deny_keys`"),
    }
}

fn emergency(seen: &Seen<'_>) -> (Outcome, String) {
    if seen.is_emergency {
        let because =
            "the key is in `emergency.allow_keys`, so rules about keys, applications and subscriptions do not apply";
        return (Outcome::Passed, because.to_owned());
    }
    let because = match seen.config.emergency.allow_keys.len() {
        0 => "`emergency.allow_keys` is empty".to_owned(),
        count => format!("the request's key is not among the {count} of `emergency.allow_keys`"),
    };
    (Outcome::Skipped, because)
}

fn preflight(outcome: Outcome, seen: &Seen<'_>) -> (Outcome, String) {
    let because = match (outcome, seen.head.is_preflight()) {
        (Outcome::Allowed, _) => "it is a CORS preflight, and `allow_preflight` is true",
        (_, true) => "it is a CORS preflight, but `allow_preflight` is false",
        (_, false) => "it is no CORS preflight",
    };
    (if outcome == Outcome::Allowed { outcome } else { Outcome::Skipped }, because.to_owned())
}

fn path(refused: bool, seen: &Seen<'_>) -> String {
    if !refused {
        return "every server reads host and path in the same way".to_owned();
    }
    let because = if seen.head.target.is_none() {
        "the request has no path"
    } else if keygate::request::hostname::Host::parse(seen.head.authority).is_none() {
        "the authority is not exactly one host with an optional port"
    } else if !seen.is_one_host() {
        "the header `host` differs from the authority"
    } else {
        "servers could read the path in two ways: look for an escaped slash, backslash or null, two slashes in a row, dot segments, an escaped escape such as %2541, and broken escapes; explain takes the URL as keygate gets it, and Envoy's `normalize_path` and `merge_slashes` may mend dot segments and slashes before"
    };
    because.to_owned()
}

fn api(seen: &Seen<'_>) -> String {
    let found = seen.decision.api.map(|api| api.id.as_str());
    match (&seen.config.api, found) {
        (ApiSource::Match, Some(id)) => format!("host and path match the API {id}"),
        (ApiSource::Match, None) => "no API has a `match` for this host and path".to_owned(),
        (ApiSource::Fixed(id), Some(_)) => format!("`api.fixed` of the configuration is {id}"),
        (ApiSource::Fixed(id), None) => {
            format!("`api.fixed` of the configuration is {id}, and the policy has no such API")
        }
        (ApiSource::RouteMetadata { .. }, Some(id)) => format!("the route's metadata names the API {id}"),
        (ApiSource::RouteMetadata { .. }, None) => "the route's metadata names no API of the policy".to_owned(),
    }
}

fn api_state(rule: Rule, seen: &Seen<'_>) -> String {
    let (name, state) = (api_name(seen), seen.decision.api.and_then(|api| seen.policy.state_of(api.id.as_str())));
    let state = state.unwrap_or_else(|| "PUBLISHED".to_owned());
    match (rule, seen.decision.api.map(|api| api.state)) {
        (Rule::ApiBlocked, Some(keygate::policy::ApiState::Blocked)) => format!("the {name} is BLOCKED"),
        (Rule::ApiBlocked, _) => format!("the {name} is not BLOCKED"),
        (_, Some(keygate::policy::ApiState::NotFound)) => {
            format!("the {name} is in the state {state}, in which no API is served")
        }
        _ => format!("the {name} is in the state {state}, in which APIs are served"),
    }
}

fn age(seen: &Seen<'_>) -> String {
    match seen.config.policy.expire_after {
        None => "only a gateway knows the age of its policy; by this configuration a policy never expires".to_owned(),
        Some(limit) => format!(
            "only a gateway knows the age of its policy; one that was not confirmed for {} s allows nothing",
            limit.as_secs()
        ),
    }
}

fn allowed(seen: &Seen<'_>) -> String {
    if seen.is_emergency {
        return "the key is an emergency key, and no other rule refuses the request".to_owned();
    }
    "no rule refuses the request".to_owned()
}

/// The request's API, as sentences name it.
pub(super) fn api_name(seen: &Seen<'_>) -> String {
    format!("API {}", seen.decision.api.map_or("", |Api { id, .. }| id.as_str()))
}
