//! Makes the decision and explains it.

use std::collections::BTreeMap;

use keygate::{
    answer::{
        outcome,
        reply::{Prepared, Reply},
    },
    config::{Ambiguous, Config, Fact, Mode},
    credential::{self, Credential as Found},
    decision::{self, Decision, PolicyLookup as _},
    digest::Digest,
    limit::limiter::Limiter,
    shared::memory::Memory,
};
use serde_json::{Value, json};

use crate::{
    Explanation, Verdict,
    facts::{Given, Stored},
    policy::Policy,
    request::{Address, Complete, Credential, NoSource, Request, StandIn},
    rules::{self, Seen},
};

/// What the reader of an explanation may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Everything.
    All,
    /// The request's own API, and what belongs to the key. Deny policies and other APIs are not named.
    OfOneApi,
}

/// Why a request cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    /// The policy has no key with this id, so its digest is not known.
    #[error("the policy has no key with the id {0:?}")]
    NoSuchKey(String),
    /// No client could send the key.
    #[error("none of `credential_sources` can carry this key unchanged")]
    NoSource,
    /// The policy could not be read back.
    #[error("the policy is not there")]
    NoPolicy,
}

impl From<NoSource> for NotExplained {
    fn from(_: NoSource) -> Self {
        Self::NoSource
    }
}

/// Explains a request at the time `now`, in Unix seconds.
pub fn explain(
    policy: &Policy,
    config: &Config,
    request: &Request,
    now: u64,
    view: View,
) -> Result<Explanation, NotExplained> {
    let digest = match &request.credential {
        Credential::AsSent | Credential::Key(_) => None,
        Credential::Digest(digest) => Some(*digest),
        Credential::Id(id) => Some(policy.digest_of(id).ok_or_else(|| NotExplained::NoSuchKey(id.clone()))?),
    };
    let complete = Complete::new(request, digest, config)?;
    let config = &enforced(config, complete.stand_in.as_ref());
    let head = complete.head();
    let stored = Stored {
        lookup: policy.held.lookup(&policy.memory).ok_or(NotExplained::NoPolicy)?,
        stand_in: complete.stand_in.as_ref(),
        catalogue: policy.without_addresses.as_ref().filter(|_| request.address == Address::NotGiven),
        limiter: Limiter::new(policy.held.source().clone()),
        counts: Memory::default(),
    };
    let facts = Given { now, request };
    let decision = decision::decide(&head, &config.config, Some(&stored), &facts);

    let found = credential::find(&head, &config.config.credential_sources);
    let is_emergency = matches!(found.resolve(config.config.ambiguous_credentials),
        Found::Present(key) if config.config.emergency.allow_keys.binary_search(&Digest::of(key)).is_ok());
    let catalogue = stored.catalogue();
    let seen = Seen {
        policy,
        catalogue,
        config: &config.config,
        head: &head,
        found: &found,
        decision: &decision,
        facts: &facts,
        view,
        is_emergency,
    };
    let (steps, mut notes) = (rules::steps(&seen), Vec::new());
    let replies = Prepared::new(&config.config.replies, config.config.policy.refresh_interval);
    let outcome = outcome::follow(&head, &config.config, &replies, &decision);
    let reason = outcome.reason.map_or("allowed", |reason| reason.as_str());
    if config.is_shadow && outcome.reply.is_some() {
        notes.push(format!(
            "`mode` is shadow: the request passes all the same, and is counted as would_deny.{reason}; status and reply are those of the mode enforce"
        ));
    }
    notes.extend(rules::notes(&seen));
    Ok(told(&decision, outcome.reply.as_deref(), reason, steps, notes))
}

/// The digest of the one key that the decision looks up in the policy. `None` if the request has no key, or several. A
/// key must be known by its text or its digest.
pub fn looked_up(config: &Config, request: &Request) -> Result<Option<Digest>, NotExplained> {
    let digest = match &request.credential {
        Credential::Digest(digest) => Some(*digest),
        Credential::AsSent | Credential::Key(_) => None,
        Credential::Id(id) => return Err(NotExplained::NoSuchKey(id.clone())),
    };
    let complete = Complete::new(request, digest, config)?;
    let head = complete.head();
    let found = credential::find(&head, &config.credential_sources);
    Ok(match (found.resolve(config.ambiguous_credentials), &complete.stand_in) {
        (Found::Present(key), Some(stand_in)) if key == stand_in.key => Some(stand_in.digest),
        (Found::Present(key), _) => Some(Digest::of(key)),
        _ => None,
    })
}

/// A configuration as it decides about this request.
struct Deciding {
    config: Config,
    is_shadow: bool,
}

/// The same configuration in the mode enforce, so that a refusal has a reply. A stand-in is in the lists of `emergency`
/// in which the key is that it stands for.
fn enforced(config: &Config, stand_in: Option<&StandIn>) -> Deciding {
    let is_shadow = config.mode == Mode::Shadow;
    let mut config = Config { mode: Mode::Enforce, ..config.clone() };
    if let Some(StandIn { key, digest }) = stand_in {
        for list in [&mut config.emergency.deny_keys, &mut config.emergency.allow_keys] {
            // The request does not have the key itself, so nothing else looks for its digest.
            if let Some(known) = list.iter_mut().find(|known| *known == digest) {
                *known = Digest::of(key);
                list.sort_unstable();
            }
        }
    }
    Deciding { config, is_shadow }
}

fn told(
    decision: &Decision<'_>,
    reply: Option<&Reply>,
    reason: &'static str,
    steps: Vec<crate::Step>,
    notes: Vec<String>,
) -> Explanation {
    let known = decision.known(decision.verdict.ok());
    let fact = |fact| known.fact(fact).map(|text| String::from_utf8_lossy(text).into_owned());
    Explanation {
        verdict: if reply.is_none() { Verdict::Allow } else { Verdict::Deny },
        reason,
        status: reply.map(|reply| if reply.grpc_status.is_some() { 200 } else { reply.status }),
        reply: reply.map(body),
        reply_headers: reply.map(|reply| reply.headers.iter().cloned().collect()).unwrap_or_default(),
        api: fact(Fact::ApiId),
        application: fact(Fact::ApplicationId),
        key_id: fact(Fact::KeyId),
        is_subscribed: decision.subject.as_ref().is_some_and(|subject| subject.subscription.is_some()),
        plan: fact(Fact::Plan),
        steps,
        notes,
    }
}

/// What the client gets as the body, or the status and the message of a gRPC reply.
fn body(reply: &Reply) -> Value {
    let headers: BTreeMap<_, _> = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if let Some(status) = reply.grpc_status {
        return json!({"grpc_status": status, "grpc_message": String::from_utf8_lossy(&reply.body)});
    }
    if let Some(status) = headers.get("grpc-status") {
        let status = status.parse::<u8>().unwrap_or_default();
        let message = headers.get("grpc-message").copied().unwrap_or_default();
        let message = percent_encoding::percent_decode_str(message).decode_utf8_lossy();
        return json!({"grpc_status": status, "grpc_message": message});
    }
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// Whether several different keys are refused.
pub(crate) fn rejects_several(config: &Config) -> bool {
    config.ambiguous_credentials == Ambiguous::Reject
}
