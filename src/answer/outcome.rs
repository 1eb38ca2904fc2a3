//! The consequences of a decision: the count, the changes of the request, the annotations and the reply.
//!
//! [`follow`] applies `mode`, `on_policy_unavailable` and `forward.credential`. So the core settles what reaches the
//! upstream, without a host. The shell carries out the fields of an outcome in their order. The shell also decides
//! whether a request waits for the very first policy, because that needs a clock.

use std::borrow::Cow;

use super::{
    edit::{self, Edit},
    reply::{self, Details, Prepared, Reply},
};
use crate::{
    config::{Config, Mode, OnPolicyUnavailable, ReplyFormat},
    credential::{self, Carried},
    decision::{Decision, Denial, Identity, Permit},
    reason::Reason,
    request::head::{Head, ReplyKind},
};

/// The consequences of a decision.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// What the metrics count. Each request counts once.
    pub counted: Counted,
    /// Changes of the request's headers.
    pub change: RequestEdits<'a>,
    /// Why the request passes. `None` if it does not pass, or would not outside shadow mode.
    pub permit: Option<Permit>,
    /// Why the request does not pass, or would not outside shadow mode.
    pub reason: Option<Reason>,
    /// The reply to the client. `None` lets the request pass to the upstream.
    pub reply: Option<Cow<'a, Reply>>,
}

/// Changes of a request. [`RequestEdits::edits`] lists them in full.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RequestEdits<'a> {
    /// Sources whose credentials are removed.
    pub without: Carried,
    /// The identity to set in the `forward` headers. `None` leaves these headers alone, because the request does not go
    /// upstream.
    pub identity: Option<Identity<'a>>,
}

impl RequestEdits<'_> {
    /// Calls `edit` for each change of the request's headers, in order.
    pub fn edits(&self, head: &Head<'_>, config: &Config, mut edit: impl FnMut(Edit<'_>)) {
        edit::remove_credentials(head, &config.credential_sources, self.without, &mut edit);
        if let Some(identity) = &self.identity {
            edit::set_identity(head, &config.forward, identity, &mut edit);
        }
    }
}

/// What the metrics count a request as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// `allowed`.
    Allowed,
    /// `allowed_without_policy`.
    AllowedWithoutPolicy,
    /// `denied.<reason>`, or `would_deny.<reason>` in shadow mode.
    Refused(Reason),
}

/// The consequences of `decision` for a request. `replies` must be made from `config`.
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
    let reason = denial.reason();
    let (until, note) = decision.block(reason).unwrap_or_default();
    let details = Details { limits: decision.limits, until, note: note.and_then(|note| str::from_utf8(note).ok()) };
    refuse_by(head, config, replies, reason, details, decision.carried)
}

#[inline(always)]
fn pass<'a>(config: &Config, decision: &'a Decision<'_>, counted: Counted, permit: Permit) -> Outcome<'a> {
    let goes = permit.looked_at_credential() && config.mode == Mode::Enforce && !config.forward.credential;
    let without = if goes { decision.carried } else { Carried::default() };
    let change = RequestEdits { without, identity: Some(decision.identity(permit)) };
    Outcome { counted, change, permit: Some(permit), reason: None, reply: None }
}

/// In shadow mode a request that would be refused passes without an identity.
fn would_refuse<'a>(reason: Reason) -> Outcome<'a> {
    let change = RequestEdits { identity: Some(Identity::default()), ..RequestEdits::default() };
    Outcome { counted: Counted::Refused(reason), change, permit: None, reason: Some(reason), reply: None }
}

/// A refusal, whatever the mode.
pub fn refuse<'a>(head: &Head<'_>, config: &Config, replies: &'a Prepared, reason: Reason) -> Outcome<'a> {
    let carried = credential::find(head, &config.credential_sources).carried;
    refuse_by(head, config, replies, reason, Details::default(), carried)
}

/// Removes the credential here too, so that no access log contains it.
fn refuse_by<'a>(
    head: &Head<'_>,
    config: &Config,
    replies: &'a Prepared,
    reason: Reason,
    details: Details<'_>,
    carried: Carried,
) -> Outcome<'a> {
    let kind = head.kind();
    let is_usual = kind == ReplyKind::Http && details.are_usual();
    let prepared = replies.find(reason).filter(|_| is_usual).map(Cow::Borrowed);
    let make = || Cow::Owned(reply::refuse(reason, &config.replies, kind, config.policy.refresh_interval, details));
    let change = RequestEdits { without: carried, identity: None };
    let mut reply = prepared.unwrap_or_else(make);
    if kind == ReplyKind::Http
        && config.replies.format == ReplyFormat::Problem
        && let Some(id) = head.values(b"x-request-id").next()
    {
        reply::name_instance(reply.to_mut(), id);
    }
    let reply = Some(reply);
    Outcome { counted: Counted::Refused(reason), change, permit: None, reason: Some(reason), reply }
}
