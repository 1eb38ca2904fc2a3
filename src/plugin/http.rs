//! A request: from its head to a permit or a reply, in one straight line.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use super::{
    host::{self, LocalResponse, SharedData},
    instance::{FAST_TICK, HeldRequest, Plugin},
};
use crate::{
    answer::{
        annotation,
        edit::Edit,
        outcome::{self, Counted, Outcome},
        reply::{self, Details, Reply},
    },
    config::{Mode, Replies},
    credential::{self, Credential},
    decision::{self, Decision, Denial, Facts, Permit},
    digest::Digest,
    open::{OpenStream, OpenStreams, STREAMS_OF_A_TICK},
    reason::Reason,
    request::head::{Head, ReplyKind},
};

/// What the host does with the request next. The numbers are those of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Action {
    /// The request continues.
    Continue = 0,
    /// The request waits, or has been answered.
    Pause = 1,
}

/// Whether a request is new, or has waited for the very first policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    Waited,
}

/// Handles a new request.
pub(super) fn answer(plugin: &Plugin, context: u32) -> Action {
    handle(plugin, context, Arrival::New)
}

/// Handles a request that has waited. Its context must be the effective one.
pub(super) fn go_on(plugin: &Plugin, context: u32) {
    if handle(plugin, context, Arrival::Waited) == Action::Continue {
        host::continue_request();
    }
}

fn handle(plugin: &Plugin, context: u32, arrival: Arrival) -> Action {
    let bytes = host::request_headers().unwrap_or_default();
    let Ok(head) = Head::parse(&bytes) else {
        // If the headers cannot be parsed we cannot strip forged identity headers, so refuse even in shadow mode.
        let (head, reason) = (Head::default(), Reason::PathAmbiguous);
        let outcome = outcome::refuse(&head, &plugin.config, &plugin.replies, reason);
        return carry_out(plugin, context, &head, &Decision::of(reason.into()), &outcome);
    };
    plugin.look_if_late();
    let mut has_looked = false;
    loop {
        let held = plugin.held.borrow();
        let view = held.lookup(&SharedData);
        let decision = decision::decide(&head, &plugin.config, view.as_ref(), &HostFacts);
        // The missing data may be in a newer policy that this VM has not looked at yet.
        if has_looked || !decision.is_miss() || held.is_current(&SharedData) {
            return conclude(plugin, context, arrival, &head, &decision);
        }
        drop(decision);
        drop(held);
        plugin.look(host::now_ms());
        has_looked = true;
    }
}

fn conclude(plugin: &Plugin, context: u32, arrival: Arrival, head: &Head<'_>, decision: &Decision<'_>) -> Action {
    let config = &plugin.config;
    let may_wait = arrival == Arrival::New && config.mode == Mode::Enforce && !config.policy.startup_hold.is_zero();
    if may_wait && decision.verdict == Err(Denial::NoPolicy) {
        return wait(plugin, context);
    }
    if decision.verdict == Err(Denial::Unreadable) {
        plugin.held.borrow().report_damage(&SharedData);
    }
    carry_out(plugin, context, head, decision, &outcome::follow(head, config, &plugin.replies, decision))
}

fn carry_out(plugin: &Plugin, context: u32, head: &Head<'_>, decision: &Decision<'_>, outcome: &Outcome<'_>) -> Action {
    match outcome.counted {
        Counted::Allowed => plugin.metrics.allowed(),
        Counted::AllowedWithoutPolicy => plugin.metrics.allowed_without_policy(),
        Counted::Refused(reason) => plugin.metrics.refused(reason),
    }
    if outcome.permit == Some(Permit::Key)
        && let Some(open) = &plugin.open
    {
        remember(&mut open.borrow_mut(), plugin, context, head, decision);
    }
    if let Some(usage) = &plugin.usage {
        usage.borrow_mut().count(decision, outcome);
    }
    outcome.change.edits(head, &plugin.config, |edit| match edit {
        Edit::Remove(name) => host::remove_request_header(name),
        Edit::Set(name, value) => host::set_request_header(name, value),
    });
    annotate(plugin, decision, outcome.permit, outcome.reason);
    match &outcome.reply {
        None => Action::Continue,
        Some(reply) => {
            send(reply);
            Action::Pause
        }
    }
}

/// Adds a stream to the open streams, if a key let it through.
fn remember(open: &mut OpenStreams, plugin: &Plugin, context: u32, head: &Head<'_>, decision: &Decision<'_>) {
    let found = credential::find(head, &plugin.config.credential_sources);
    if let (Credential::Present(key), Some(api)) = (found.resolve(plugin.config.ambiguous_credentials), decision.api) {
        open.add(context, OpenStream { key: Digest::of(key), api: api.id.as_str().into() });
    }
}

/// Decides some open streams again. Returns those that are no longer allowed, each with the reason.
pub(super) fn decide_again(plugin: &Plugin, open: &mut OpenStreams) -> Vec<(u32, Reason)> {
    let held = plugin.held.borrow();
    let Some(view) = held.lookup(&SharedData) else { return Vec::new() };
    let mut refused = Vec::new();
    for _ in 0..STREAMS_OF_A_TICK {
        let Some((context, stream)) = open.take_next() else { break };
        // `HostFacts` reads the client's address from the effective context.
        if host::set_effective_context(context)
            && let Err(reason) = decision::decide_again(&stream.key, &stream.api, &view, &HostFacts)
        {
            refused.push((context, reason));
        }
    }
    refused
}

/// Resets the stream of the effective context.
pub(super) fn close(plugin: &Plugin, reason: Reason) {
    plugin.metrics.stream_closed();
    annotation::annotate_reason(reason, host::set_property);
    host::close_stream();
}

/// Holds the request until there is a policy, but no longer than `policy.startup_hold_ms`.
fn wait(plugin: &Plugin, context: u32) -> Action {
    let hold = u64::try_from(plugin.config.policy.startup_hold.as_millis()).unwrap_or(u64::MAX);
    let since_ms = host::now_ms();
    let until_ms = since_ms.saturating_add(hold);
    plugin.waiting.borrow_mut().push(HeldRequest { context, since_ms, until_ms });
    plugin.tick_every(FAST_TICK);
    Action::Pause
}

fn annotate(plugin: &Plugin, decision: &Decision<'_>, permit: Option<Permit>, reason: Option<Reason>) {
    let revision = || plugin.held.borrow().manifest().and_then(|manifest| manifest.revision);
    annotation::annotate(&plugin.config.annotate, decision, permit, reason, revision, |path, value: Cow<'_, [u8]>| {
        host::set_property(path, &value);
    });
}

/// The host must not start a plugin without a valid configuration. If it does, the plugin refuses every request.
pub(super) fn refuse_unconfigured() -> Action {
    send(&reply::refuse(
        Reason::PolicyUnavailable,
        &Replies::default(),
        ReplyKind::Http,
        Duration::from_secs(1),
        Details::default(),
    ));
    Action::Pause
}

fn send(reply: &Reply) {
    host::send_local_response(LocalResponse {
        status: reply.status,
        details: &reply.details,
        headers: &reply.headers,
        body: &reply.body,
        grpc_status: reply.grpc_status,
    });
}

/// Facts about a request that cost a host call.
struct HostFacts;

impl Facts for HostFacts {
    fn now(&self) -> u64 {
        host::now_ns() / 1_000_000_000
    }

    fn address(&self) -> Option<IpAddr> {
        let bytes = host::property(b"source\0address")?;
        decision::parse_address(std::str::from_utf8(&bytes).ok()?)
    }

    fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let path = ["xds", "route_metadata", "filter_metadata", namespace, key].join("\0");
        host::property(path.as_bytes())
    }
}
