//! The parts of the state machine that do not depend on the current state, and the steps that begin, fail and finish a
//! refresh. The steps after an answer are in `apply.rs` and `deltas.rs`.

use std::time::Duration;

use super::{
    budget::Budget,
    complaints::Complaints,
    context::RefreshContext,
    event::RefreshEvent,
    lead::Lead,
    neighbours::Neighbours,
    pacing::Pacing,
    progress::{MAX_PAGES, NotVisited, Progress},
    state::{Fetching, Idle, Next, Purpose, State},
    waits::Cut,
    waits::SHORTEST,
};
use crate::{
    callout::{Fetch, Pending, answer::Failure, lines::Severity},
    config::PolicySource,
    shared::{
        Shared,
        place::{self, Survey},
    },
};

/// How long after its first tick a VM waits before it tells the service of the VMs, in milliseconds. The VMs that began
/// with it take their places at their first tick, within 100 ms.
const ARRIVAL_MS: u64 = 150;
/// How long after its first tick a VM that knows of no other asks for short waits only, in milliseconds. A request that is
/// held would tell the service for long that there are no workers, if their VMs come late, as on a busy machine.
const SETTLING_MS: u64 = 1_000;
/// How long a request waits at most until all VMs have adopted the policy that its cursor names, in milliseconds.
const ADOPTION_MS: u64 = 1_000;

/// The state machine without its current state.
#[derive(Debug)]
pub(super) struct Parts {
    pub settings: PolicySource,
    pub lead: Lead,
    pub complaints: Complaints,
    pub pacing: Pacing,
    pub progress: Progress,
    pub neighbours: Neighbours,
    /// When this VM ticked first, in milliseconds of Unix time.
    pub began_ms: Option<u64>,
}

impl Parts {
    pub fn new(settings: PolicySource) -> Self {
        Self {
            lead: Lead::new(settings.proof_tag()),
            complaints: Complaints::default(),
            pacing: Pacing::new(&settings),
            progress: Progress::default(),
            neighbours: Neighbours::default(),
            began_ms: None,
            settings,
        }
    }

    /// Another VM refreshes.
    pub fn follow(&mut self) -> State {
        self.lead.lose();
        self.progress.drop_begun();
        self.neighbours = Neighbours::default();
        State::Following
    }

    /// The lease was just taken.
    pub fn lead<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> State {
        self.progress.empty_runs(self.lead.last_generation());
        let mut due_ms = self.first_due(context);
        if context.held.manifest().is_some() {
            let began_ms = self.began_ms.unwrap_or(context.now_ms).min(context.now_ms);
            due_ms = due_ms.max(began_ms.saturating_add(ARRIVAL_MS));
        }
        State::Idle(Idle::new(context.now_ms, due_ms))
    }

    /// When the first request of a new leader is due. It is due at once if there is no policy. It is also due at once
    /// if the service may hold its answer, because no poll of the previous leader is held any more. Otherwise it is due
    /// when the current policy is an interval old.
    fn first_due<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> u64 {
        if self.may_probe(context) {
            return context.now_ms;
        }
        let interval = u64::try_from(self.settings.refresh_interval.as_millis()).unwrap_or(u64::MAX);
        let confirmed = context.held.manifest().filter(|_| !context.held.is_unsound());
        confirmed.map_or(context.now_ms, |manifest| {
            manifest.confirmed_at_ms.min(context.now_ms).saturating_add(interval).max(context.now_ms)
        })
    }

    /// Whether a poll may follow a full policy at once. If the service holds its answer, the poll learns of the next
    /// change as soon as it happens.
    pub fn may_probe<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> bool {
        let pollable = context.held.manifest().is_some_and(|held| held.poll.is_some() || held.etag.is_some());
        pollable && !self.progress.wants_full && self.pacing.may_probe(context.now_ms)
    }

    pub fn budget(&self) -> Budget {
        if self.lead.serves() { Budget::SHARING } else { Budget::ALONE }
    }

    /// Removes what is no longer used from this store and from abandoned stores.
    pub fn empty<S: Shared>(&mut self, context: &RefreshContext<'_, S>) {
        let mut budget = self.budget();
        let (shared, source) = (context.shared, context.held.source());
        self.progress.empty(shared, source, &mut budget);
        self.neighbours.tick(shared, source.id(), context.now_ms, &mut budget);
    }

    /// The first request of a refresh.
    pub fn begin<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> Next {
        self.pacing.begin(context.now_ms);
        self.progress.begin();
        let held = context.held.base().filter(|_| !self.progress.wants_full && !context.held.is_unsound());
        let poll = held.and_then(|held| held.poll.clone());
        let etag = held.filter(|_| poll.is_none()).and_then(|held| held.etag.clone());
        // Long polling needs a revision to wait from. After a failure, an answer without a wait shows that the feed
        // works again. A VM without a policy and the poll after a cut one need an answer without a wait, too.
        let can_wait = context.held.manifest().is_some()
            && held.is_some()
            && self.complaints.failures() == 0
            && !self.pacing.waits.is_cut();
        let wait = if can_wait { self.pacing.waits.next(context.now_ms) } else { None };
        let purpose = if held.is_some() { Purpose::Poll } else { Purpose::Full };
        let path = poll.unwrap_or_else(|| self.settings.path.clone());
        self.fetch(path, etag, wait, purpose, context)
    }

    /// Whether to fetch the full policy at once because a VM has found damage in the current one.
    pub fn repairs<S: Shared>(&mut self, state: &State, context: &mut RefreshContext<'_, S>) -> bool {
        let can = match state {
            State::Idle(_) => self.complaints.failures() == 0,
            State::Fetching(fetching) => matches!(fetching.purpose, Purpose::Poll),
            State::Following | State::Working(_) => false,
        };
        let repairs = can && context.held.is_damaged(context.shared) && self.pacing.may_restart(context.now_ms);
        if repairs {
            let line = "a part of the policy in shared data is damaged; the full policy is fetched again";
            context.report.warn(line.to_owned());
            self.progress.wants_full = true;
        }
        repairs
    }

    /// Fetches the full policy at once, but at most once in an interval.
    pub fn begin_anew<S: Shared>(&mut self, fetch: &Fetch, why: &str, context: &mut RefreshContext<'_, S>) -> Next {
        self.progress.wants_full = true;
        self.progress.give_up_build(self.lead.last_generation());
        if !self.pacing.may_restart(context.now_ms) {
            let what = format!("{why}, although the full policy was fetched less than an interval ago");
            return self.refused(&fetch.path, &what, context);
        }
        let line = format!("the full policy is fetched: after GET {}, {why}", fetch.path);
        self.complaints.say(context.now_ms, Severity::Info, line, context.report);
        self.progress.begin();
        self.fetch(self.settings.path.clone(), None, None, Purpose::Full, context)
    }

    fn fetch<S: Shared>(
        &mut self,
        path: String,
        etag: Option<String>,
        wait: Option<Duration>,
        purpose: Purpose,
        context: &RefreshContext<'_, S>,
    ) -> Next {
        let fetch = self.fetch_of(path, etag, wait, context);
        let timeout = fetch.timeout;
        Next::send(Fetching { fetch, purpose, callout: Pending::new(timeout, context.now_ms) })
    }

    /// A request that says which VMs decide by the current policy.
    pub fn fetch_of<S: Shared>(
        &self,
        path: String,
        etag: Option<String>,
        wait: Option<Duration>,
        context: &RefreshContext<'_, S>,
    ) -> Fetch {
        let Survey { vms, lagging, expires_after } = survey(context);
        // The answer tells nothing of VMs that lag or come later. So the next request follows soon.
        let is_early = self.began_ms.is_none_or(|began| context.now_ms.saturating_sub(began) < SETTLING_MS);
        let is_short = lagging > 0 || (is_early && vms <= 1);
        let wait = wait.map(|wait| if is_short { wait.min(SHORTEST) } else { wait });
        let timeout = self.settings.timeout.saturating_add(wait.unwrap_or_default());
        // One of the VMs is that of the main thread.
        let workers = vms.saturating_sub(1);
        let refused = self.complaints.refused;
        Fetch { path, etag, wait, timeout, workers, lagging, expires_after, refused }
    }

    /// Whether the next request must wait, because its cursor would say that all VMs decide by the current policy.
    pub fn awaits_adoption<S: Shared>(&self, context: &RefreshContext<'_, S>) -> bool {
        let changed_ms = context.held.manifest().map_or(0, |manifest| manifest.changed_at_ms);
        let is_new = context.now_ms.checked_sub(changed_ms).is_some_and(|since| since < ADOPTION_MS);
        is_new && survey(context).lagging > 0
    }

    /// Requests the next page of the same revision. `path` is the path of the current page.
    pub fn next_page<S: Shared>(
        &mut self,
        next: &str,
        path: &str,
        purpose: Purpose,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        match self.progress.visit(next) {
            Ok(()) => self.fetch(next.to_owned(), None, None, purpose, context),
            Err(NotVisited::TooMany) => {
                self.refused(path, &format!("the policy has more than {MAX_PAGES} pages"), context)
            }
            Err(NotVisited::Again) => self.refused(path, "`next` leads to a page that was fetched before", context),
        }
    }

    /// A fetch failed. A held poll that failed says nothing about the feed, so the next poll follows with the next tick
    /// and asks for no wait. It is not sent within this call: Envoy is still reporting the end of the connection, and
    /// its pool would put a new HTTP/2 request on that same connection.
    pub fn fail_fetch<S: Shared>(
        &mut self,
        fetch: &Fetch,
        took: Duration,
        failure: &Failure,
        retry_after: Option<Duration>,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        match fetch.wait {
            Some(asked) if failure.may_be_a_cut() && retry_after.is_none() => {
                self.pacing.waits.cut(Cut { asked, held: took, by: failure.to_string() });
                Idle::pause(context.now_ms, Duration::ZERO).into()
            }
            _ => self.fail(&fetch.path, failure, retry_after, context),
        }
    }

    /// No usable answer came. The current policy stays in use, and the pauses between attempts grow.
    pub fn fail<S: Shared>(
        &mut self,
        path: &str,
        failure: &Failure,
        retry_after: Option<Duration>,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let is_refused = matches!(failure, Failure::Refused(_));
        let is_loud = is_refused || *failure == Failure::NoCluster;
        let severity = if is_loud { Severity::Error } else { Severity::Warn };
        context.report.event(RefreshEvent::Failed);
        let idle = self.complain(severity, path, &failure.to_string(), retry_after, context);
        if is_refused { self.give_up_lease(idle, context).into() } else { idle.into() }
    }

    /// The policy service refused the credentials of this VM. If the policy has a name, other VMs may have other
    /// credentials, so this VM gives the lease up to them. It tries again after its pause if no other VM has taken the
    /// lease.
    fn give_up_lease<S: Shared>(&mut self, idle: Idle, context: &RefreshContext<'_, S>) -> State {
        if self.settings.name.is_none() {
            return State::Idle(idle);
        }
        self.lead.release_refused(idle.due_ms, context);
        self.follow()
    }

    /// The answer cannot be used.
    pub fn refused<S: Shared>(&mut self, path: &str, what: &str, context: &mut RefreshContext<'_, S>) -> Next {
        self.complaints.refused.get_or_insert((0, "other"));
        context.report.event(RefreshEvent::Refused);
        self.complain(Severity::Warn, path, what, None, context).into()
    }

    /// Logs the failure, once until a refresh succeeds, and pauses.
    fn complain<S: Shared>(
        &mut self,
        severity: Severity,
        path: &str,
        what: &str,
        retry_after: Option<Duration>,
        context: &mut RefreshContext<'_, S>,
    ) -> Idle {
        self.complaints.add_failure();
        self.pacing.waits.forget_cut();
        self.pacing.forget_held_back();
        self.progress.give_up_build(self.lead.last_generation());
        let pause = self.pacing.pause(self.complaints.failures(), retry_after);
        if self.complaints.is_new(what) {
            let consequence = match context.held.manifest() {
                Some(_) => "the current policy stays in use",
                None => "there is no policy yet, so requests are answered 503",
            };
            let line = format!(
                "the policy was not refreshed: GET {path} of cluster \"{}\": {what}; {consequence}; next try in {} ms",
                self.settings.cluster,
                pause.as_millis(),
            );
            context.report.line(severity, line);
        }
        Idle::pause(context.now_ms, pause)
    }

    /// A refresh has succeeded. If `poll_at_once`, the service holds its answers, so no pause is needed.
    pub fn finish<S: Shared>(&mut self, poll_at_once: bool, context: &mut RefreshContext<'_, S>) -> State {
        self.complaints.recover(context.report);
        self.progress.recover();
        let poll_at_once = self.pacing.shorten_waits(context.now_ms, context.report) || poll_at_once;
        let pause = if poll_at_once { Duration::ZERO } else { self.pacing.pause(0, None) };
        State::Idle(Idle::pause(context.now_ms, pause))
    }
}

/// The VMs that decide by this policy.
fn survey<S: Shared>(context: &RefreshContext<'_, S>) -> Survey {
    let sequence = context.held.manifest().map_or(0, |manifest| manifest.sequence);
    place::survey(context.shared, context.held.source(), context.now_ms, sequence)
}
