//! Decides when to fetch the policy, how to continue after an answer, when to publish, and what to do after a failure.
//!
//! [`Refresh`] is a state machine without a clock, network or log. The shell passes in the time and the answers,
//! carries out the [`Fetch`]es, and writes the [`Lines`](crate::callout::lines::Lines). One VM of a process holds the
//! lease and fetches. If the host has a VM that serves no requests, that VM should hold the lease. Requests are decided
//! by the current policy until a complete newer one is published.

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

use std::time::Duration;

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

#[derive(Debug)]
pub struct Refresh {
    parts: Parts,
    state: State,
}

impl Refresh {
    /// The VM starts as a follower.
    pub fn new(settings: PolicySource) -> Self {
        Self { parts: Parts::new(settings), state: State::Following }
    }

    /// Whether this VM refreshes.
    pub fn is_leader(&self) -> bool {
        self.parts.lead.is_leader()
    }

    /// The time until the next request is due, if one waits for its time.
    pub fn due_in(&self, now_ms: u64) -> Option<Duration> {
        match &self.state {
            State::Idle(idle) => Some(Duration::from_millis(idle.due_ms.saturating_sub(now_ms))),
            State::Fetching(_) | State::Working(_) | State::Following => None,
        }
    }

    /// Whether work remains that should continue soon.
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
            // The page is requested again when its turn comes.
            State::Working(mut working) => {
                working.ahead.take().into_iter().for_each(|ahead| parts.progress.forget(&ahead.fetch.path));
                working.into()
            }
            State::Idle(_) | State::Following => state.into(),
        });
    }

    /// Continues the work that waited until the fetch was sent.
    pub fn carry_on<S: Shared>(&mut self, context: &mut RefreshContext<'_, S>) -> Option<Fetch> {
        self.step(context, |parts, state, context| match state {
            State::Working(working) => parts.work(working, context),
            State::Fetching(_) | State::Idle(_) | State::Following => state.into(),
        })
    }

    /// Called on each tick. `random` may be any number.
    pub fn tick<S: Shared>(&mut self, random: u64, context: &mut RefreshContext<'_, S>) -> Option<Fetch> {
        self.parts.pacing.stir(random);
        self.parts.began_ms.get_or_insert(context.now_ms);
        if !self.keep_lease(context) {
            return None;
        }
        // After a held poll was cut, only this VM knows that the next poll must ask for no wait. So it keeps the lease
        // for that poll.
        if self.should_offer() && !self.parts.pacing.waits.is_cut() {
            self.offer(context.shared, context.held.source(), context.now_ms);
            return None;
        }
        self.parts.empty(context);
        self.step(context, |parts, state, context| match state {
            _ if parts.repairs(&state, context) => parts.begin(context),
            State::Idle(idle) if idle.is_over(context.now_ms) && !parts.awaits_adoption(context) => {
                parts.begin(context)
            }
            State::Fetching(mut fetching) => match fetching.callout.never_answered(context.now_ms) {
                Some(took) => parts.fail_fetch(&fetching.fetch, took, &Failure::NeverAnswered, None, context),
                None => State::Fetching(fetching).into(),
            },
            State::Working(working) => parts.work(working, context),
            State::Idle(_) | State::Following => state.into(),
        })
    }

    /// A callout was answered. The answer is ignored if it is no longer expected.
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
            // The lease was lost and taken again meanwhile. No fetch of the new lease is in progress yet.
            State::Working(_) | State::Idle(_) | State::Following => state.into(),
        })
    }

    /// This VM serves requests from now on. It gives the lease to a VM that does not, at once or when no work is in
    /// progress.
    pub fn serves_requests<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.begin_to_serve();
        if self.should_offer() {
            self.offer(shared, source, now_ms);
        }
    }

    /// Gives the lease back, because the plugin that this VM refreshes for has ended.
    pub fn resign<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.release(shared, source, now_ms);
        self.state = self.parts.follow();
    }

    /// Performs one step: it takes the state and must return the next one. The parts have no access to the stored
    /// state, so nothing can see it during a step.
    fn step<S: Shared>(
        &mut self,
        context: &mut RefreshContext<'_, S>,
        step: impl FnOnce(&mut Parts, State, &mut RefreshContext<'_, S>) -> Next,
    ) -> Option<Fetch> {
        let Next { state, fetch } = step(&mut self.parts, std::mem::take(&mut self.state), context);
        self.state = state;
        fetch
    }

    /// Keeps the lease, or tries to take it. `false` means that another VM refreshes.
    fn keep_lease<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> bool {
        if self.parts.lead.keep(context) {
            return true;
        }
        if self.is_leader() {
            self.state = self.parts.follow();
        }
        let is_taken = self.parts.lead.acquire(context);
        if is_taken {
            self.state = self.parts.lead(context);
        }
        is_taken
    }

    /// Whether this VM holds the lease, serves requests, and has no work in progress that it would lose.
    fn should_offer(&self) -> bool {
        let is_idle = match &self.state {
            State::Idle(_) => true,
            State::Fetching(fetching) => matches!(fetching.purpose, Purpose::Poll),
            State::Following | State::Working(_) => false,
        };
        self.parts.lead.is_to_offer() && is_idle && !self.parts.progress.is_emptying()
    }

    /// Gives the lease to a VM that serves no requests, if there is one. Otherwise this VM takes it again after a
    /// while.
    fn offer<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.parts.lead.offer(shared, source, now_ms);
        self.state = State::Following;
    }
}
