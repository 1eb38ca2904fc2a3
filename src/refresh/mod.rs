//! Refreshing the policy: when to fetch, how to go on with an answer, when to publish, and what to do when anything on
//! the way fails.
//!
//! [`Refresh`] is a state machine without clock, network or log: the shell tells it what time it is and what was answered,
//! and carries out the [`Fetch`]es and writes the [`Lines`] that it asks for. One VM of a process holds the lease and
//! fetches; it is to be one that serves no requests, where the host has such a VM. Until a complete newer policy is
//! published, nothing here touches what requests are decided by.

mod apply;
mod budget;
mod deltas;
mod event;
mod lead;
mod meaning;
mod names;
mod neighbours;
mod pacing;
mod size;
mod waits;
mod work;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use budget::Budget;
pub use event::RefreshEvent;
use names::Names;
use neighbours::Neighbours;
use pacing::Pacer;
use waits::{Cut, Waits};
use work::Work;

use crate::{
    callout::{
        Fetch, Pending,
        answer::{Answer, Failure},
        lines::{Lines, Said, Severity},
        schedule,
    },
    config::PolicySource,
    held::Held,
    index::Index,
    shared::{Shared, lease::Lease},
    store::{batch::Target, build::Build, emptying::Emptying},
};

/// Pages of one revision. 10,000 pages of 5,000 rows are 50 million.
pub const MAX_PAGES: usize = 10_000;
/// Different failures in a row that are remembered as said.
const MAX_COMPLAINTS: usize = 16;
/// An answer that came sooner was not held back, whatever it says.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What a request is for.
#[derive(Debug)]
enum Purpose {
    /// A policy from the beginning of the feed.
    Full,
    /// What came since the policy held.
    Poll,
    /// The next page of a full policy.
    NextFull(Box<Build>),
    /// The next page of a delta of this revision.
    NextDelta { epoch: String, revision: Option<u64>, base: Option<u64>, poll: Option<String> },
}

#[derive(Debug)]
enum State {
    /// Somebody else refreshes. `free_since_ms`: the lease has been free since.
    Follower { free_since_ms: Option<u64> },
    /// Waiting until it is time. A clock that is set back makes it time.
    Idle { since_ms: u64, due_ms: u64 },
    /// Waiting for an answer.
    Fetching { fetch: Fetch, purpose: Purpose, callout: Pending },
    /// Working a page into the store, while the one behind it may be on its way.
    Working { work: Box<Work>, path: String, ahead: Option<Ahead> },
}

/// The next page of a full policy, asked for before the work on this one begins: so the service is busy with it
/// meanwhile. Its answer, at most [`crate::policy::MAX_PAGE_BYTES`], waits until its turn.
#[derive(Debug)]
struct Ahead {
    fetch: Fetch,
    callout: Pending,
    answer: Option<Answer>,
}

/// The state machine.
#[derive(Debug)]
pub struct Refresh {
    settings: PolicySource,
    /// Of what this VM proves itself with to the policy service.
    proof_tag: u64,
    state: State,
    lease: Option<Lease>,
    /// This VM has served requests.
    serves: bool,
    /// It offered the lease to others once.
    offered: bool,
    failures: u32,
    /// What was said since the last refresh that went well.
    complaints: VecDeque<String>,
    said: Said,
    /// Names of unknown fields that were said.
    names: Names,
    /// The policy held cannot be built on, so the next fetch is a full one.
    wants_full: bool,
    /// When the first request of this refresh was sent; the wait of a long poll is not counted.
    began_ms: u64,
    visited: Index,
    emptying: Option<Emptying>,
    neighbours: Neighbours,
    /// Where a full policy was begun and not published yet.
    building: Option<Target>,
    /// How long polls ask for their answer to be held.
    waits: Waits,
    /// The last cursor failed, in a way that another try may not mend.
    cursor_failed: bool,
    /// The service held the last answer back, so the next poll may follow at once.
    held_back: bool,
    /// Polls that followed a full policy at once, to find out whether the service holds answers back.
    probes: Pacer,
    /// Full policies that were fetched at once because something did not fit.
    restarts: Pacer,
    random: u64,
}

/// What a call of the state machine works on: the time, the policy held, shared data, and what is to be said.
pub struct Around<'a, S> {
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
    /// The policy as this VM holds it.
    pub held: &'a mut Held,
    /// Shared data.
    pub shared: &'a S,
    /// What is to be said.
    pub report: &'a mut Lines<RefreshEvent>,
}

impl Refresh {
    /// Follows at first.
    pub fn new(settings: PolicySource) -> Self {
        Self {
            waits: Waits::new(settings.long_poll),
            proof_tag: settings.proof_tag(),
            settings,
            state: State::follower(),
            lease: None,
            serves: false,
            offered: false,
            failures: 0,
            complaints: VecDeque::new(),
            said: Said::default(),
            names: Names::default(),
            wants_full: false,
            began_ms: 0,
            visited: Index::default(),
            emptying: None,
            neighbours: Neighbours::default(),
            building: None,
            cursor_failed: false,
            held_back: false,
            probes: Pacer::default(),
            restarts: Pacer::default(),
            random: 0,
        }
    }

    /// Whether this VM refreshes.
    pub fn is_leader(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether the next request is due within so many milliseconds.
    pub fn is_due_within(&self, milliseconds: u64, now_ms: u64) -> bool {
        matches!(self.state, State::Idle { due_ms, .. } if due_ms <= now_ms.saturating_add(milliseconds))
    }

    /// Whether work waits that should go on soon.
    pub fn is_busy(&self) -> bool {
        self.lease.is_some() && (matches!(self.state, State::Working { .. }) || self.emptying.is_some())
    }

    /// The callout of the last fetch has this token.
    pub fn sent(&mut self, token: u32) {
        match &mut self.state {
            State::Fetching { callout, .. } | State::Working { ahead: Some(Ahead { callout, .. }), .. } => {
                callout.sent(token);
            }
            State::Working { ahead: None, .. } | State::Idle { .. } | State::Follower { .. } => {}
        }
    }

    /// The callout of the last fetch could not be made.
    pub fn not_sent<S: Shared>(&mut self, failure: Failure, around: &mut Around<'_, S>) {
        match &mut self.state {
            State::Fetching { fetch, .. } => {
                let path = fetch.path.clone();
                self.fail(&path, &failure, None, around);
            }
            // It is asked for again when it is its turn.
            State::Working { ahead, .. } => {
                ahead.take().into_iter().for_each(|ahead| _ = self.visited.remove(ahead.fetch.path.as_bytes()));
            }
            State::Idle { .. } | State::Follower { .. } => {}
        }
    }

    /// What a fetch kept waiting goes on, now that it was sent.
    pub fn carry_on<S: Shared>(&mut self, around: &mut Around<'_, S>) -> Option<Fetch> {
        self.work(around)
    }

    /// Time has passed. `random` may be any number.
    pub fn tick<S: Shared>(&mut self, random: u64, around: &mut Around<'_, S>) -> Option<Fetch> {
        self.random = random;
        if !self.keep_lease(around) {
            return None;
        }
        // The poll behind one that was cut is this VM's, which alone knows that it has to ask without a wait.
        if self.should_offer() && !self.waits.is_cut() {
            self.offer(around.shared, around.held.source(), around.now_ms);
            return None;
        }
        self.empty(around);
        if let Some(fetch) = self.repair(around) {
            return Some(fetch);
        }
        match &mut self.state {
            State::Idle { since_ms, due_ms } if around.now_ms >= *due_ms || around.now_ms < *since_ms => {
                Some(self.begin(around))
            }
            State::Fetching { fetch, callout, .. } => {
                let took = callout.never_answered(around.now_ms)?;
                let fetch = fetch.clone();
                self.fail_fetch(&fetch, took, &Failure::NeverAnswered, None, around)
            }
            State::Working { .. } => self.work(around),
            State::Idle { .. } | State::Follower { .. } => None,
        }
    }

    /// A callout was answered. What nobody waits for any more is ignored.
    pub fn answered<S: Shared>(&mut self, token: u32, answer: Answer, around: &mut Around<'_, S>) -> Option<Fetch> {
        if let State::Working { ahead: Some(ahead), .. } = &mut self.state
            && ahead.callout.is_answered_by(token)
        {
            ahead.answer = Some(answer);
            return None;
        }
        if !matches!(&self.state, State::Fetching { callout, .. } if callout.is_answered_by(token)) {
            return None;
        }
        // A lease that was lost meanwhile and is taken again begins anew: nothing is being fetched under it.
        if !self.keep_lease(around) || !matches!(self.state, State::Fetching { .. }) {
            return None;
        }
        let State::Fetching { fetch, purpose, callout } = std::mem::replace(&mut self.state, State::follower()) else {
            return None;
        };
        let took = callout.took(around.now_ms);
        // `preference-applied` is optional (RFC 7240), and a proxy may drop it: an answer that took half the wait was held.
        self.held_back = fetch.wait.is_some_and(|wait| answer.waited() || took.saturating_mul(2) >= wait);
        if let Some(wait) = fetch.wait {
            self.began_ms = around.now_ms;
            self.waits.held(wait, took);
        }
        let next = self.go_on(fetch, purpose, answer, took, around);
        next.or_else(|| self.work(around))
    }

    /// Fetches the full policy at once where a VM has met damage in the one held.
    fn repair<S: Shared>(&mut self, around: &mut Around<'_, S>) -> Option<Fetch> {
        let can = match &self.state {
            State::Idle { .. } => self.failures == 0,
            State::Fetching { purpose, .. } => matches!(purpose, Purpose::Poll),
            State::Follower { .. } | State::Working { .. } => false,
        };
        if !can || !around.held.is_damaged(around.shared) {
            return None;
        }
        if !self.restarts.may(self.settings.refresh_interval, around.now_ms) {
            return None;
        }
        around.report.warn("a part of the policy in shared data is damaged; it is fetched and built anew".to_owned());
        self.wants_full = true;
        Some(self.begin(around))
    }

    fn empty<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        let mut budget = self.budget();
        let (shared, source) = (around.shared, around.held.source());
        while let Some(emptying) = &mut self.emptying
            && budget.is_left()
        {
            budget.spend_shard();
            // What cannot be emptied now is overwritten by the next build, or emptied when it is done.
            if !emptying.empty_next(shared, source).unwrap_or(false) {
                self.emptying = None;
            }
        }
        self.neighbours.tick(shared, source.id(), around.now_ms, &mut budget);
    }

    fn budget(&self) -> Budget {
        if self.serves { Budget::SHARING } else { Budget::ALONE }
    }

    /// The first request of a refresh.
    fn begin<S: Shared>(&mut self, around: &mut Around<'_, S>) -> Fetch {
        self.began_ms = around.now_ms;
        self.visited.clear();
        let held = around.held.base().filter(|_| !self.wants_full && !around.held.is_unsound());
        let poll = held.and_then(|held| held.poll.clone());
        let etag = held.filter(|_| poll.is_none()).and_then(|held| held.etag.clone());
        // Long-polling needs a revision to wait from. After a failure an answer at once says that the feed is well again.
        // So does an answer to whoever waits for the first policy, and one after a held poll that failed.
        let can_wait = around.held.manifest().is_some() && held.is_some() && self.failures == 0 && !self.waits.is_cut();
        let wait = if can_wait { self.waits.next(around.now_ms) } else { None };
        let purpose = if held.is_some() { Purpose::Poll } else { Purpose::Full };
        let path = poll.unwrap_or_else(|| self.settings.path.clone());
        self.fetch(path, etag, wait, purpose, around)
    }

    fn fetch<S: Shared>(
        &mut self,
        path: String,
        etag: Option<String>,
        wait: Option<Duration>,
        purpose: Purpose,
        around: &Around<'_, S>,
    ) -> Fetch {
        let timeout = self.settings.timeout.saturating_add(wait.unwrap_or_default());
        let fetch = Fetch { path, etag, wait, timeout };
        self.state = State::Fetching { fetch: fetch.clone(), purpose, callout: Pending::new(timeout, around.now_ms) };
        fetch
    }

    /// A fetch failed. A held poll that failed says nothing about the feed, so the next poll follows with the next tick and
    /// asks without a wait. Not now: while Envoy still tells of the connection's end, its pool would give a request over
    /// HTTP/2 to that same connection.
    fn fail_fetch<S: Shared>(
        &mut self,
        fetch: &Fetch,
        took: Duration,
        failure: &Failure,
        retry_after: Option<Duration>,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        match fetch.wait {
            Some(asked) if failure.may_be_a_cut() && retry_after.is_none() => {
                self.waits.cut(Cut { asked, held: took, by: failure.to_string() });
                self.state = idle(around.now_ms, Duration::ZERO);
                None
            }
            _ => self.fail(&fetch.path, failure, retry_after, around),
        }
    }

    /// Nothing usable came: the policy held serves on, and the next try comes later and later.
    fn fail<S: Shared>(
        &mut self,
        path: &str,
        failure: &Failure,
        retry_after: Option<Duration>,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        let level =
            if matches!(failure, Failure::Refused(_) | Failure::NoCluster) { Severity::Error } else { Severity::Warn };
        around.report.event(RefreshEvent::Failed);
        self.complain(level, path, &failure.to_string(), retry_after, around);
        if matches!(failure, Failure::Refused(_)) {
            self.give_up_lease(around);
        }
        None
    }

    /// Says what is wrong, once until a refresh goes well, and waits.
    fn complain<S: Shared>(
        &mut self,
        level: Severity,
        path: &str,
        what: &str,
        retry_after: Option<Duration>,
        around: &mut Around<'_, S>,
    ) {
        self.failures = self.failures.saturating_add(1);
        self.waits.forget_cut();
        self.held_back = false;
        self.give_up_build();
        let pause = schedule::pause(self.settings.refresh_interval, self.failures, retry_after, self.random);
        if !self.complaints.iter().any(|known| known == what) {
            let consequence = match around.held.manifest() {
                Some(_) => "the policy held serves on",
                None => "there is no policy yet, so requests are answered 503",
            };
            let line = format!(
                "the policy was not refreshed: GET {path} of cluster \"{}\": {what}; {consequence}; next try in {} ms",
                self.settings.cluster,
                pause.as_millis(),
            );
            around.report.lines.push((level, line));
            if self.complaints.len() >= MAX_COMPLAINTS {
                self.complaints.pop_front();
            }
            self.complaints.push_back(what.to_owned());
        }
        self.state = idle(around.now_ms, pause);
    }

    /// The service answered something usable.
    fn recover<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        if self.failures > 0 {
            let line = format!("the policy is refreshed again, after {} failures", self.failures);
            around.report.lines.push((Severity::Info, line));
        }
        self.failures = 0;
        self.cursor_failed = false;
        self.complaints.clear();
    }

    /// Whether a poll may follow a full policy at once: a service that holds its answer back then tells the next change
    /// as soon as it happens. Not more often than the interval, whatever the feed answers.
    fn may_probe<S: Shared>(&mut self, around: &Around<'_, S>) -> bool {
        let pollable = around.held.manifest().is_some_and(|held| held.poll.is_some() || held.etag.is_some());
        self.settings.long_poll.is_some()
            && pollable
            && !self.wants_full
            && self.probes.may(self.settings.refresh_interval, around.now_ms)
    }

    /// A refresh is over; `poll_at_once`: the service holds its answers back, so there is nothing to wait for.
    fn finish<S: Shared>(&mut self, poll_at_once: bool, around: &mut Around<'_, S>) {
        self.recover(around);
        let poll_at_once = self.shorten_waits(around) || poll_at_once;
        let pause = if poll_at_once {
            Duration::ZERO
        } else {
            schedule::pause(self.settings.refresh_interval, 0, None, self.random)
        };
        self.state = idle(around.now_ms, pause);
    }
}

impl State {
    /// Of somebody else who refreshes.
    fn follower() -> Self {
        Self::Follower { free_since_ms: None }
    }
}

fn idle(now_ms: u64, pause: Duration) -> State {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    State::Idle { since_ms: now_ms, due_ms: now_ms.saturating_add(pause) }
}
