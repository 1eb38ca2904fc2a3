//! Whether an open stream may stay open: checks the rules that a change of the policy can affect.
//!
//! Limits and the request's own path, method and headers are not checked again. They were checked when the stream
//! began.

use super::{
    facts::{Facts, PolicyLookup},
    rules::{check_deny_policies, check_endpoint, check_key, check_state, check_subscription},
    verdict::Denial,
};
use crate::{digest::Digest, policy::Security, reason::Reason};

/// Decides again about an open stream of this key to this API. If the policy cannot be read, the stream stays open.
pub fn decide_again<P: PolicyLookup>(key: &Digest, api: &str, policy: &P, facts: &impl Facts) -> Result<(), Reason> {
    match check(key, api, policy, facts) {
        Err(Denial::Rule(reason)) => Err(reason),
        Ok(()) | Err(Denial::NoPolicy | Denial::Expired(_) | Denial::Unreadable) => Ok(()),
    }
}

fn check<P: PolicyLookup>(key: &Digest, api: &str, policy: &P, facts: &impl Facts) -> Result<(), Denial> {
    let catalogue = policy.catalogue();
    let api = catalogue.find_by_id(api, None).ok_or(Reason::ApiNotFound)?.api;
    check_state(api)?;
    if api.security == Security::None {
        return Ok(());
    }
    let subject = policy.subject_of(key, api.id.as_str())?.ok_or(Reason::KeyUnknown)?;
    check_key(&subject.key, facts)?;
    check_deny_policies(&subject, api, catalogue, facts)?;
    check_subscription(&subject, api, catalogue, facts)?;
    check_endpoint(api, subject.key.key_type)?;
    Ok(())
}
