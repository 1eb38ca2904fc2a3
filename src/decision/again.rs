//! Whether a stream that was let through may stay open: the rules that an edit of the policy can turn against it.
//!
//! Neither limits nor the request's own path, method and headers count again; they were checked when the stream began.

use super::{Denial, Facts, Policy, check_deny_policies, check_endpoint, check_key, check_state, check_subscription};
use crate::{digest::Digest, policy::Security, reason::Reason};

/// Decides anew on an open stream of this key to this API. A policy that cannot be read says nothing against the stream.
pub fn decide_again<P: Policy>(key: &Digest, api: &str, policy: &P, facts: &impl Facts) -> Result<(), Reason> {
    match check(key, api, policy, facts) {
        Err(Denial::Rule(reason)) => Err(reason),
        Ok(()) | Err(Denial::NoPolicy | Denial::Expired(_) | Denial::Unreadable) => Ok(()),
    }
}

fn check<P: Policy>(key: &Digest, api: &str, policy: &P, facts: &impl Facts) -> Result<(), Denial> {
    let catalogue = policy.catalogue();
    let api = catalogue.find_by_id(api, None).ok_or(Reason::ApiNotFound)?.api;
    check_state(api)?;
    if api.security == Security::None {
        return Ok(());
    }
    let subject = policy.subject_of(key, api.id.as_str())?.ok_or(Reason::KeyUnknown)?;
    check_key(&subject.key, facts)?;
    check_deny_policies(&subject, api, catalogue, facts)?;
    check_subscription(&subject, api, catalogue)?;
    check_endpoint(api, subject.key.key_type)?;
    Ok(())
}
