//! What follows from a decision: what is counted, what changes in the request, what is annotated, what is answered.
//!
//! [`follow`] is where `mode`, `on_policy_unavailable` and `forward.credential` have their effect, so that what reaches
//! the upstream is settled without a host. The shell carries the outcome out, in the order of its fields. Whether a
//! request waits for the very first policy is the shell's affair: it needs a clock.

use std::borrow::Cow;

use super::{
    edit::{self, Edit},
    reply::{self, Prepared, Reply},
};
use crate::{
    config::{Config, Mode, OnPolicyUnavailable, ReplyFormat},
    credential::{self, Carried},
    decision::{Decision, Denial, Identity, Permit},
    limit::Taking,
    reason::Reason,
    request::head::{Head, Kind},
};

/// What follows from a decision.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// What is counted; a request counts once.
    pub counted: Counted,
    /// What changes in the request.
    pub change: Change<'a>,
    /// Why the request passes; `None` where it does not, or in shadow mode would not.
    pub permit: Option<Permit>,
    /// Why it does not pass, or in shadow mode would not.
    pub reason: Option<Reason>,
    /// What is answered instead of the upstream; `None` lets the request pass.
    pub reply: Option<Cow<'a, Reply>>,
}

/// What changes in a request; [`Change::edits`] says it in full.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change<'a> {
    /// The credentials of these sources go.
    pub without: Carried,
    /// What the `forward` headers say from now on; `None` leaves them alone, since nothing goes upstream.
    pub identity: Option<Identity<'a>>,
}

impl Change<'_> {
    /// Hands over each change of the request's headers, in its order.
    pub fn edits(&self, head: &Head<'_>, config: &Config, mut edit: impl FnMut(Edit<'_>)) {
        edit::remove_credentials(head, &config.credential_sources, self.without, &mut edit);
        if let Some(identity) = &self.identity {
            edit::set_identity(head, &config.forward, identity, &mut edit);
        }
    }
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

/// What follows from `decision` on a request; `replies` are those of `config`.
pub fn follow<'a>(head: &Head<'_>, config: &Config, replies: &'a Prepared, decision: &'a Decision<'_>) -> Outcome<'a> {
    let denial = match decision.verdict {
        Ok(permit) => return pass(config, decision, Counted::Allowed, permit),
        Err(denial) => denial,
    };
    if config.mode == Mode::Shadow {
        return would_refuse(denial.reason());
    }
    if config.on_policy_unavailable == OnPolicyUnavailable::Allow {
        match denial {
            Denial::NoPolicy => return pass(config, decision, Counted::AllowedWithoutPolicy, Permit::WithoutPolicy),
            Denial::Expired(permit) => return pass(config, decision, Counted::AllowedWithoutPolicy, permit),
            Denial::Rule(_) | Denial::Unreadable => {}
        }
    }
    refuse_by(head, config, replies, denial.reason(), decision.limits, decision.carried)
}

#[inline(always)]
fn pass<'a>(config: &Config, decision: &'a Decision<'_>, counted: Counted, permit: Permit) -> Outcome<'a> {
    let goes = permit.looked_at_credential() && config.mode == Mode::Enforce && !config.forward.credential;
    let without = if goes { decision.carried } else { Carried::default() };
    let change = Change { without, identity: Some(decision.identity(permit)) };
    Outcome { counted, change, permit: Some(permit), reason: None, reply: None }
}

/// In shadow mode: it passes like any other, but nobody is known.
fn would_refuse<'a>(reason: Reason) -> Outcome<'a> {
    let change = Change { identity: Some(Identity::default()), ..Change::default() };
    Outcome { counted: Counted::Refused(reason), change, permit: None, reason: Some(reason), reply: None }
}

/// A refusal, whatever the mode.
pub fn refuse<'a>(head: &Head<'_>, config: &Config, replies: &'a Prepared, reason: Reason) -> Outcome<'a> {
    let carried = credential::find(head, &config.credential_sources).carried;
    refuse_by(head, config, replies, reason, Taking::default(), carried)
}

/// The credential goes here too: no access log is to hold it.
fn refuse_by<'a>(
    head: &Head<'_>,
    config: &Config,
    replies: &'a Prepared,
    reason: Reason,
    limits: Taking,
    carried: Carried,
) -> Outcome<'a> {
    let kind = head.kind();
    // What a limit says of itself is new with each request.
    let is_usual = kind == Kind::Http && limits.refusal.is_none();
    let prepared = replies.find(reason).filter(|_| is_usual).map(Cow::Borrowed);
    let make = || Cow::Owned(reply::refuse(reason, &config.replies, kind, config.policy.refresh_interval, limits));
    let change = Change { without: carried, identity: None };
    let mut reply = prepared.unwrap_or_else(make);
    if kind == Kind::Http
        && config.replies.format == ReplyFormat::Problem
        && let Some(id) = head.values(b"x-request-id").next()
    {
        reply::name_instance(reply.to_mut(), id);
    }
    let reply = Some(reply);
    Outcome { counted: Counted::Refused(reason), change, permit: None, reason: Some(reason), reply }
}
