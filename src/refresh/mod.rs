//! Refreshing the policy: when to fetch, how to go on with an answer, when to publish, and what to do when anything on
//! the way fails.
//!
//! [`Refresh`] is a state machine without clock, network or log: the shell tells it what time it is and what was answered,
//! and carries out the [`Fetch`]es and writes the [`Lines`](crate::callout::lines::Lines) that it asks for. One VM of a
//! process holds the lease and fetches; it is to be one that serves no requests, where the host has such a VM. Until a
//! complete newer policy is published, nothing here touches what requests are decided by.

mod apply;
mod budget;
mod complaints;
mod context;
mod deltas;
mod event;
mod lead;
mod meaning;
mod names;
mod neighbours;
mod pacing;
mod parts;
mod progress;
mod size;
mod state;
mod waits;
mod work;

#[cfg(test)]
mod tests;

pub use context::RefreshContext;
pub use event::RefreshEvent;
use parts::Parts;
use state::{Next, Purpose, State};

use crate::{
    callout::{
        Fetch,
        answer::{Answer, Failure},
    },
    config::PolicySource,
    shared::{Shared, key::SourceId},
};

/// The state machine.
#[derive(Debug)]
pub struct Refresh {
    parts: Parts,
    state: State,
}

impl Refresh {
    /// Follows at first.
    pub fn new(settings: PolicySource) -> Self {
        Self { parts: Parts::new(settings), state: State::Following }
    }

    /// Whether this VM refreshes.
    pub fn is_leader(&self) -> bool {
        self.parts.lead.is_leader()
    }

    /// Whether the next request is due within so many milliseconds.
    pub fn is_due_within(&self, milliseconds: u64, now_ms: u64) -> bool {
        matches!(&self.state, State::Idle(idle) if idle.due_ms <= now_ms.saturating_add(milliseconds))
    }

    /// Whether work waits that should go on soon.
    pub fn is_busy(&self) -> bool {
        self.is_leader() && (matches!(self.state, State::Working(_)) || self.parts.progress.is_emptying())
    }

    /// The callout of the last fetch has this token.
    pub fn sent(&mut self, token: u32) {
        match &mut self.state {
            State::Fetching(fetching) => fetching.callout.sent(token),
            State::Working(working) => working.ahead.iter_mut().for_each(|ahead| ahead.callout.sent(token)),
            State::Idle(_) | State::Following => {}
        }
    }

    /// The callout of the last fetch could not be made.
    pub fn not_sent<S: Shared>(&mut self, failure: Failure, context: &mut RefreshContext<'_, S>) {
        self.step(context, |parts, state, context| match state {
            State::Fetching(fetching) => parts.fail(&fetching.fetch.path, &failure, None, context),
            // It is asked for again when it is its turn.
            State::Working(mut working) => {
                working.ahead.take().into_iter().for_each(|ahead| parts.progress.forget(&ahead.fetch.path));
                working.into()
            }
            State::Idle(_) | State::Following => state.into(),
        });
    }

    /// What a fetch kept waiting goes on, now that it was sent.
    pub fn carry_on<S: Shared>(&mut self, context: &mut RefreshContext<'_, S>) -> Option<Fetch> {
        self.step(context, |parts, state, context| match state {
            State::Working(working) => parts.work(working, context),
            State::Fetching(_) | State::Idle(_) | State::Following => state.into(),
        })
    }

    /// Time has passed. `random` may be any number.
    pub fn tick<S: Shared>(&mut self, random: u64, context: &mut RefreshContext<'_, S>) -> Option<Fetch> {
        self.parts.pacing.stir(random);
        if !self.keep_lease(context) {
            return None;
        }
        // The poll behind one that was cut is this VM's, which alone knows that it has to ask without a wait.
        if self.should_offer() && !self.parts.pacing.waits.is_cut() {
            self.offer(context.shared, context.held.source(), context.now_ms);
            return None;
        }
        self.parts.empty(context);
        self.step(context, |parts, state, context| match state {
            _ if parts.repairs(&state, context) => parts.begin(context),
            State::Idle(idle) if idle.is_over(context.now_ms) => parts.begin(context),
            State::Fetching(mut fetching) => match fetching.callout.never_answered(context.now_ms) {
                Some(took) => parts.fail_fetch(&fetching.fetch, took, &Failure::NeverAnswered, None, context),
                None => State::Fetching(fetching).into(),
            },
            State::Working(working) => parts.work(working, context),
            State::Idle(_) | State::Following => state.into(),
        })
    }

    /// A callout was answered. What nobody waits for any more is ignored.
    pub fn answered<S: Shared>(
        &mut self,
        token: u32,
        answer: Answer,
        context: &mut RefreshContext<'_, S>,
    ) -> Option<Fetch> {
        if let State::Working(working) = &mut self.state
            && let Some(ahead) = working.ahead.as_mut().filter(|ahead| ahead.callout.is_answered_by(token))
        {
            ahead.answer = Some(answer);
            return None;
        }
        let is_awaited = matches!(&self.state, State::Fetching(fetching) if fetching.callout.is_answered_by(token));
        if !is_awaited || !self.keep_lease(context) {
            return None;
        }
        self.step(context, |parts, state, context| match state {
            State::Fetching(fetching) => parts.answered(fetching, answer, context),
            // The lease was lost meanwhile and is taken again: nothing is being fetched under it.
            State::Working(_) | State::Idle(_) | State::Following => state.into(),
        })
    }

    /// This VM serves requests from now on: it gives the lease to one that does not, now or when nothing is half done.
    pub fn serves_requests<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.begin_to_serve();
        if self.should_offer() {
            self.offer(shared, source, now_ms);
        }
    }

    /// Gives the lease back: what this VM was to refresh for has ended.
    pub fn resign<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.release(shared, source, now_ms);
        self.state = self.parts.follow();
    }

    /// One step: from a state, which it takes, to the next, which it must return. The parts do not see the state that is
    /// stored here, so nothing sees it between the two.
    fn step<S: Shared>(
        &mut self,
        context: &mut RefreshContext<'_, S>,
        step: impl FnOnce(&mut Parts, State, &mut RefreshContext<'_, S>) -> Next,
    ) -> Option<Fetch> {
        let Next { state, fetch } = step(&mut self.parts, std::mem::take(&mut self.state), context);
        self.state = state;
        fetch
    }

    /// Holds the lease, or tries to; `false`: somebody else refreshes.
    fn keep_lease<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> bool {
        if self.parts.lead.keep(context) {
            return true;
        }
        if self.is_leader() {
            self.state = self.parts.follow();
        }
        let is_taken = self.parts.lead.take(context);
        if is_taken {
            self.state = self.parts.lead(context);
        }
        is_taken
    }

    /// Whether it holds the lease, serves requests, and would lose nothing that is half done.
    fn should_offer(&self) -> bool {
        let is_idle = match &self.state {
            State::Idle(_) => true,
            State::Fetching(fetching) => matches!(fetching.purpose, Purpose::Poll),
            State::Following | State::Working(_) => false,
        };
        self.parts.lead.is_to_offer() && is_idle && !self.parts.progress.is_emptying()
    }

    /// Gives the lease to a VM that serves no requests, if there is one; after a while it takes it again.
    fn offer<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.offer(shared, source, now_ms);
        self.state = State::Following;
    }
}
