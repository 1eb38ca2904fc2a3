//! What follows from a decision: what is counted, what changes in the request, what is annotated, what is answered.
//!
//! [`follow`] is where `mode`, `on_policy_unavailable` and `forward.credential` have their effect, so that what reaches
//! the upstream is settled without a host. The shell carries the outcome out, in the order of its fields. Whether a
//! request waits for the very first policy is the shell's affair: it needs a clock.

use crate::{
    config::{Config, Mode, OnPolicyUnavailable},
    decision::{Decision, Denial, Permit},
    edit::{self, Edit},
    head::Head,
    limit::Taking,
    reason::Reason,
    reply::{self, Reply},
};

/// What follows from a decision.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// What is counted; a request counts once.
    pub counted: Counted,
    /// What changes in the request.
    pub edits: Vec<Edit<'a>>,
    /// Why the request passes; `None` where it does not, or in shadow mode would not.
    pub permit: Option<Permit>,
    /// Why it does not pass, or in shadow mode would not.
    pub reason: Option<Reason>,
    /// What is answered instead of the upstream; `None` lets the request pass.
    pub reply: Option<Reply>,
}

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// `allowed`.
    Allowed,
    /// `allowed_without_policy`.
    AllowedWithoutPolicy,
    /// `denied.<reason>`, or `would_deny.<reason>` in shadow mode.
    Refused(Reason),
}

/// What follows from `decision` on a request.
pub fn follow<'a>(head: &'a Head<'a>, config: &'a Config, decision: &'a Decision<'_>) -> Outcome<'a> {
    let denial = match decision.verdict {
        Ok(permit) => return pass(head, config, decision, Counted::Allowed, permit),
        Err(denial) => denial,
    };
    if config.mode == Mode::Shadow {
        return would_refuse(head, config, denial.reason());
    }
    if config.on_policy_unavailable == OnPolicyUnavailable::Allow {
        match denial {
            Denial::NoPolicy => {
                return pass(head, config, decision, Counted::AllowedWithoutPolicy, Permit::WithoutPolicy);
            }
            Denial::Expired(permit) => {
                return pass(head, config, decision, Counted::AllowedWithoutPolicy, permit);
            }
            Denial::Rule(_) | Denial::Unreadable => {}
        }
    }
    refuse_after(head, config, denial.reason(), decision.limits)
}

fn pass<'a>(
    head: &Head<'a>,
    config: &'a Config,
    decision: &'a Decision<'_>,
    counted: Counted,
    permit: Permit,
) -> Outcome<'a> {
    let mut edits = Vec::new();
    if permit.looked_at_credential() && config.mode == Mode::Enforce && !config.forward.credential {
        edit::remove_credentials(head, &config.credential_sources, &mut edits);
    }
    edit::set_identity(head, &config.forward, &decision.identity(permit), &mut edits);
    Outcome { counted, edits, permit: Some(permit), reason: None, reply: None }
}

/// In shadow mode: it passes like any other, but nobody is known.
fn would_refuse<'a>(head: &Head<'a>, config: &'a Config, reason: Reason) -> Outcome<'a> {
    let mut edits = Vec::new();
    edit::set_identity(head, &config.forward, &edit::Identity::default(), &mut edits);
    Outcome { counted: Counted::Refused(reason), edits, permit: None, reason: Some(reason), reply: None }
}

/// A refusal, whatever the mode. The credential goes here too: no access log is to hold it.
pub fn refuse<'a>(head: &'a Head<'a>, config: &'a Config, reason: Reason) -> Outcome<'a> {
    refuse_after(head, config, reason, Taking::default())
}

fn refuse_after<'a>(head: &'a Head<'a>, config: &'a Config, reason: Reason, limits: Taking) -> Outcome<'a> {
    let mut edits = Vec::new();
    edit::remove_credentials(head, &config.credential_sources, &mut edits);
    let reply = reply::refuse(reason, &config.replies, head.kind(), config.policy.refresh_interval, limits);
    Outcome { counted: Counted::Refused(reason), edits, permit: None, reason: Some(reason), reply: Some(reply) }
}
