//! Annotations: facts about a decision in Envoy's filter state, for access logs and for later filters.
//!
//! If a request has no `reason`, it did not pass through the filter. A guard behind the filter checks this. Unknown
//! facts are left out.

use std::borrow::Cow;

use crate::{
    config::Fact,
    decision::{Decision, Permit},
    reason::Reason,
};

/// Facts that a refusal always carries if they are known, whatever the configuration lists.
const OF_REFUSALS: [Fact; 3] = [Fact::ApplicationId, Fact::KeyId, Fact::ApiId];

/// Calls `set` with the path and the value of each fact. `permit` says why the request passes; `reason` says why it
/// does not, or would not outside shadow mode. `revision` is called only if that fact is wanted.
pub fn annotate<'a>(
    facts: &[Fact],
    decision: &'a Decision<'_>,
    permit: Option<Permit>,
    reason: Option<Reason>,
    revision: impl Fn() -> Option<u64>,
    mut set: impl FnMut(&'static str, Cow<'a, [u8]>),
) {
    let of_refusals: &[Fact] = if reason.is_some() { &OF_REFUSALS } else { &[] };
    let more = of_refusals.iter().filter(|fact| !facts.contains(fact));
    let known = decision.known(permit);
    for fact in facts.iter().chain(more) {
        let remaining = decision.limits.remaining;
        let value = match fact {
            Fact::Reason => Some(Cow::Borrowed(reason.map_or("allowed", Reason::as_str).as_bytes())),
            Fact::Revision => revision().map(number),
            Fact::Limit => remaining.map(|remaining| number(remaining.limit)),
            Fact::Remaining => remaining.map(|remaining| number(remaining.remaining)),
            Fact::BlockedUntil => reason.and_then(|reason| decision.block(reason)?.0).map(number),
            Fact::Reset => remaining.map(|remaining| number(remaining.reset)),
            about_caller => known.fact(*about_caller).map(Cow::Borrowed),
        };
        if let Some(value) = value {
            set(path(*fact), value);
        }
    }
}

/// Annotates why an open stream is closed.
pub fn annotate_reason(reason: Reason, set: impl FnOnce(&'static str, &[u8])) {
    set(path(Fact::Reason), reason.as_str().as_bytes());
}

fn number(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// The path of a fact. The host adds `wasm.` before it.
fn path(fact: Fact) -> &'static str {
    match fact {
        Fact::Reason => "keygate.reason",
        Fact::ApplicationId => "keygate.application_id",
        Fact::ApplicationName => "keygate.application_name",
        Fact::Owner => "keygate.owner",
        Fact::KeyId => "keygate.key_id",
        Fact::ApiId => "keygate.api_id",
        Fact::KeyType => "keygate.key_type",
        Fact::Plan => "keygate.plan",
        Fact::Revision => "keygate.revision",
        Fact::Limit => "keygate.limit",
        Fact::Remaining => "keygate.remaining",
        Fact::Reset => "keygate.reset",
        Fact::BlockedUntil => "keygate.blocked_until",
    }
}
