//! The steps after an answer: reading its pages, publishing the policy, and confirming the current one.

use super::{
    context::RefreshContext,
    event::RefreshEvent,
    meaning::Meaning,
    parts::Parts,
    size,
    state::{Ahead, Fetching, Next, Purpose, State, Working},
    work::{Job, Work},
};
use crate::{
    callout::{
        Fetch, Pending,
        answer::{Answer, Failure},
        lines::{Lines, Severity},
    },
    held::Look,
    policy::page::{Header, Page},
    shared::Shared,
    store::{
        batch,
        build::{self, Build},
        error::{BuildError, MergeError},
        manifest::Manifest,
    },
};
use std::time::Duration;

impl Parts {
    /// A request was answered. The work on its page begins at once, unless another request is sent first.
    pub fn answered<S: Shared>(
        &mut self,
        fetching: Fetching,
        answer: Answer,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let Fetching { fetch, purpose, callout } = fetching;
        let took = callout.took(context.now_ms);
        // Nobody holds a further page. Whether the service holds answers is known from the poll before it.
        if !matches!(purpose, Purpose::NextFull(_) | Purpose::NextDelta { .. }) {
            self.pacing.answered(fetch.wait, took, answer.waited(), context.now_ms);
        }
        match self.go_on(&fetch, purpose, answer, took, context) {
            Next { state: State::Working(working), fetch: None } => self.work(working, context),
            next => next,
        }
    }

    /// Decides what follows an answer: another request, work, or a pause.
    fn go_on<S: Shared>(
        &mut self,
        fetch: &Fetch,
        purpose: Purpose,
        answer: Answer,
        took: Duration,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let conditional = matches!(purpose, Purpose::Poll);
        match Meaning::of(answer, context.now_ms / 1000) {
            Meaning::NotModified if conditional => self.confirm(took, context).into(),
            Meaning::NotModified => self.fail(&fetch.path, &Failure::UnaskedNotModified, None, context),
            Meaning::Gone(status) if matches!(purpose, Purpose::Full) || fetch.path == self.settings.path => {
                self.fail(&fetch.path, &Failure::Status(status), None, context)
            }
            Meaning::Gone(status) => self.begin_anew(fetch, &format!("the cursor is gone ({status})"), context),
            Meaning::Failure(failure, _) if self.progress.gives_up_cursor(fetch, &failure, &self.settings.path) => {
                let why = format!("the cursor failed twice in a row, last with: {failure}");
                self.begin_anew(fetch, &why, context)
            }
            Meaning::Failure(failure, retry_after) => {
                if matches!(failure, Failure::Page(_)) {
                    self.complaints.refused = Some((0, "page"));
                }
                self.fail_fetch(fetch, took, &failure, retry_after, context)
            }
            Meaning::Page(mut page, etag) => {
                page.header.resolve_cursors(&fetch.path);
                self.accept_page(fetch, purpose, page, etag, took, context)
            }
        }
    }

    fn accept_page<S: Shared>(
        &mut self,
        fetch: &Fetch,
        purpose: Purpose,
        mut page: Box<Page>,
        etag: Option<String>,
        took: Duration,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        match purpose {
            Purpose::NextFull(build) => {
                if !build.goes_on(&page.header) {
                    return self.refused(
                        &fetch.path,
                        "the page is of another revision than the one before it",
                        context,
                    );
                }
                self.start_full(fetch, page, build, context)
            }
            Purpose::NextDelta { epoch, revision, base, poll } => {
                let header = &mut page.header;
                if header.epoch != epoch || header.revision != revision || header.base != base {
                    return self.refused(
                        &fetch.path,
                        "the page is of another revision than the one before it",
                        context,
                    );
                }
                // Any page may set the cursor of the next poll.
                header.poll = header.poll.take().or(poll);
                self.accept_delta(fetch, page, took, context)
            }
            Purpose::Full | Purpose::Poll if page.header.base.is_none() => {
                self.accept_full(fetch, page, etag, took, context)
            }
            Purpose::Poll => self.accept_delta(fetch, page, took, context),
            Purpose::Full => {
                self.refused(&fetch.path, "`base` is set, so this is a delta, but a full policy was requested", context)
            }
        }
    }

    fn accept_full<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        etag: Option<String>,
        took: Duration,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        if let Some(held) = context.held.manifest_found() {
            if falls_back(&page.header, held) && context.held.unconfirmed().is_none() {
                self.complaints.refused = page.header.revision.map(|revision| (revision, "rollback"));
                context.report.event(RefreshEvent::RefusedRollback);
                let what = "`revision` is below the current one, and the epoch is the same; expected a higher `revision` or another `epoch`";
                return self.refused(&fetch.path, what, context);
            }
            let same = held.page.is_some() && page.header.next.is_none() && held.page == Some(page.digest());
            if same && !self.progress.wants_full && !context.held.is_unsound() {
                return self.confirm(took, context).into();
            }
        }
        if let Some(what) = size::announced_too_large(&page.header, self.settings.max_bytes) {
            return self.refused(&fetch.path, &what, context);
        }
        let Some(generation) = self.lead.next_generation() else { return self.follow().into() };
        let build = Build::new(
            &page,
            etag,
            context.held.manifest_found(),
            generation,
            self.settings.max_bytes,
            context.held.secret(),
        );
        self.start_full(fetch, page, Box::new(build), context)
    }

    /// Adds a page, the first or a later one, to its build.
    fn start_full<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        mut build: Box<Build>,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        self.progress.build(build.target());
        if let Err(error) = build.begin_page(&page) {
            return self.build_failed(&fetch.path, error, context);
        }
        let next = page.header.next.clone();
        let working = Working::new(Work::new(page, Job::Full(build)), &fetch.path);
        self.ask_ahead(working, next, context)
    }

    /// Requests the next page before the work on this one begins. If it may not be requested, the error is reported
    /// when its turn comes.
    fn ask_ahead<S: Shared>(
        &mut self,
        mut working: Working,
        next: Option<String>,
        context: &RefreshContext<'_, S>,
    ) -> Next {
        let Some(path) = next.filter(|path| self.progress.visit(path).is_ok()) else { return working.into() };
        let fetch = self.fetch_of(path, None, None, context);
        let callout = Pending::new(fetch.timeout, context.now_ms);
        working.ahead = Some(Ahead { fetch: fetch.clone(), callout, answer: None });
        Next { state: State::Working(working), fetch: Some(fetch) }
    }

    /// One slice of work.
    pub fn work<S: Shared>(&mut self, mut working: Working, context: &mut RefreshContext<'_, S>) -> Next {
        let mut budget = self.budget();
        let held = context.held.manifest_found();
        let mut report = Lines::default();
        let done = working.work.slice(context.shared, context.held.source(), held, &mut budget, &mut report);
        context.report.events.append(&mut report.events);
        for (severity, line) in report.lines {
            self.complaints.say(context.now_ms, severity, line, context.report);
        }
        match done {
            Ok(false) => working.into(),
            Ok(true) => self.page_done(working, context),
            Err(error) => self.build_failed(&working.path, error, context),
        }
    }

    /// A page is in the store. The next page follows, or the policy is published.
    fn page_done<S: Shared>(&mut self, working: Working, context: &mut RefreshContext<'_, S>) -> Next {
        let Working { work, path, ahead } = working;
        let Work { page, job, unknown, .. } = *work;
        // A page that is worked in twice is logged the second time.
        if !matches!(&job, Job::Delta(delta) if delta.is_before_plans()) {
            self.complaints.say_unknown(&unknown, context.report);
        }
        match job {
            Job::Full(build) => match &page.header.next {
                Some(next) => self.next_of_full(next, &path, build, ahead, context),
                None => self.publish_full(*build, &path, context),
            },
            Job::Delta(delta) => self.delta_done(*delta, page, &path, context),
        }
    }

    /// The next page of a full policy: not requested yet, on its way, or already here.
    fn next_of_full<S: Shared>(
        &mut self,
        next: &str,
        path: &str,
        build: Box<Build>,
        ahead: Option<Ahead>,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let purpose = Purpose::NextFull(build);
        match ahead {
            None => self.next_page(next, path, purpose, context),
            Some(Ahead { fetch, callout, answer: None }) => {
                State::Fetching(Fetching { fetch, purpose, callout }).into()
            }
            Some(Ahead { fetch, answer: Some(answer), .. }) => {
                self.go_on(&fetch, purpose, answer, Duration::MAX, context)
            }
        }
    }

    fn publish_full<S: Shared>(&mut self, mut build: Build, path: &str, context: &mut RefreshContext<'_, S>) -> Next {
        let held = context.held.manifest_found();
        // A policy that was never confirmed does not limit what the next one may drop.
        let known = held.filter(|_| context.held.unconfirmed().is_none());
        if let Some(shrunk) = build.drops_too_many(known, self.settings.max_removed_percent) {
            self.complaints.refused = Some((build.revision().unwrap_or_default(), "shrink"));
            context.report.event(RefreshEvent::RefusedShrink);
            let what = format!(
                "it would drop {} of {} known keys, more than `policy.max_removed_percent` ({}); a policy with \
                 `\"confirm_removal\": true` is accepted",
                shrunk.dropped, shrunk.known, self.settings.max_removed_percent
            );
            return self.refused(path, &what, context);
        }
        match build.publish(context.shared, context.held.source(), held, context.now_ms) {
            Ok(_) => {
                self.progress.published(held);
                // A pause follows even if the service held this answer. Otherwise a feed could be polled without a
                // pause.
                self.pacing.forget_held_back();
                let state = self.applied(context);
                self.say_applied(context);
                state.into()
            }
            Err(error) => self.build_failed(path, error, context),
        }
    }

    /// A newer policy was published.
    pub fn applied<S: Shared>(&mut self, context: &mut RefreshContext<'_, S>) -> State {
        let look = context.held.look(context.shared);
        context.report.event(RefreshEvent::Applied);
        context.report.event(RefreshEvent::Took(self.pacing.took(context.now_ms)));
        self.progress.wants_full |= context.held.manifest().is_some_and(batch::is_crowded) || look == Look::Unreadable;
        let at_once = self.pacing.is_held_back() || self.may_probe(context);
        self.finish(at_once, context)
    }

    fn say_applied<S: Shared>(&mut self, context: &mut RefreshContext<'_, S>) {
        let Some(manifest) = context.held.manifest() else { return };
        let revision = manifest.revision.map_or("without revision".to_owned(), |number| format!("revision {number}"));
        let totals = manifest.totals;
        let line = format!(
            "the policy decides, {revision}: {} APIs, {} applications, {} keys, {} subscriptions, {} bytes",
            totals.apis, totals.applications, totals.keys, totals.subscriptions, totals.bytes
        );
        self.complaints.say(context.now_ms, Severity::Info, line, context.report);
        self.say_conflicts(context);
    }

    /// Names the APIs that have the same match. Only one of them is used.
    pub fn say_conflicts<S: Shared>(&mut self, context: &mut RefreshContext<'_, S>) {
        let Some(catalogue) = context.held.catalogue() else { return };
        for conflict in catalogue.conflicts().iter().take(10) {
            let line = format!(
                "APIs \"{}\" and \"{}\" have the same match; \"{}\" is used",
                conflict.meant, conflict.shadowed, conflict.meant
            );
            self.complaints.say(context.now_ms, Severity::Warn, line, context.report);
        }
    }

    /// The current policy is up to date. `took` is how long the answer took that confirmed it.
    pub fn confirm<S: Shared>(&mut self, took: Duration, context: &mut RefreshContext<'_, S>) -> State {
        let (shared, source) = (context.shared, context.held.source());
        let confirmed = context.held.base().map(|held| {
            let manifest = Manifest { confirmed_at_ms: context.now_ms, ..held.clone() };
            build::write_manifest(shared, source, &manifest, Some(held))
        });
        match confirmed {
            Some(Ok(())) => {
                context.held.look(shared);
                context.report.event(RefreshEvent::NotModified);
                self.finish(self.pacing.polls_after(took), context)
            }
            Some(Err(MergeError::Overtaken)) => self.follow(),
            // The confirmation could not be written, or the policy is missing after all. The next fetch is a full one.
            Some(Err(MergeError::Damaged | MergeError::Host)) | None => {
                self.progress.wants_full = true;
                self.finish(false, context)
            }
        }
    }

    /// A page could not be worked into the store.
    pub fn build_failed<S: Shared>(
        &mut self,
        path: &str,
        error: BuildError,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        match error {
            BuildError::Merge(MergeError::Overtaken) => self.follow().into(),
            BuildError::Merge(MergeError::Damaged) => {
                self.progress.wants_full = true;
                self.refused(
                    path,
                    "an earlier part of the policy in shared data is damaged; the full policy is fetched again",
                    context,
                )
            }
            BuildError::Merge(MergeError::Host) => {
                self.refused(path, "Envoy's shared data could not be read or written", context)
            }
            BuildError::TooLarge => {
                let what = format!("packed, it takes more than `policy.max_bytes` ({})", self.settings.max_bytes);
                self.refused(path, &what, context)
            }
            BuildError::TooLong(what) => {
                self.refused(path, &format!("`{}` is longer than its limit of {}", what.list, what.limit), context)
            }
        }
    }
}

/// Whether the revision falls within one epoch. If either side has no revision, it does not.
fn falls_back(header: &Header, held: &Manifest) -> bool {
    header.epoch == held.epoch && matches!((header.revision, held.revision), (Some(new), Some(known)) if new < known)
}
