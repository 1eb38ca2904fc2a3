//! How a refresh goes on with an answer, and how it ends.

use super::{
    AT_ONCE, Ahead, Around, MAX_PAGES, Purpose, Refresh, RefreshEvent, State,
    meaning::Meaning,
    size,
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
        emptying::Emptying,
        error::{BuildError, MergeError},
        manifest::Manifest,
    },
};
use std::time::Duration;

impl Refresh {
    /// What an answer leads to: another request, work, or a pause.
    pub(super) fn go_on<S: Shared>(
        &mut self,
        fetch: Fetch,
        purpose: Purpose,
        answer: Answer,
        took: Duration,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        let at_once = took < AT_ONCE;
        let conditional = matches!(purpose, Purpose::Poll);
        match Meaning::of(answer, around.now_ms / 1000) {
            Meaning::NotModified if conditional => {
                self.confirm(at_once, around);
                None
            }
            Meaning::NotModified => self.fail(&fetch.path, &Failure::UnaskedNotModified, None, around),
            Meaning::Gone(status) if matches!(purpose, Purpose::Full) || fetch.path == self.settings.path => {
                self.fail(&fetch.path, &Failure::Status(status), None, around)
            }
            Meaning::Gone(status) => self.begin_anew(&fetch, &format!("the cursor is gone ({status})"), around),
            Meaning::Failure(failure, _) if self.gives_up_cursor(&fetch, &failure) => self.begin_anew(
                &fetch,
                &format!("twice in a row the cursor led nowhere, last by this: {failure}"),
                around,
            ),
            Meaning::Failure(failure, retry_after) => self.fail_fetch(&fetch, took, &failure, retry_after, around),
            Meaning::Page(mut page, etag) => {
                page.header.resolve_cursors(&fetch.path);
                self.take_page(&fetch, purpose, page, etag, at_once, around)
            }
        }
    }

    /// Whether a cursor has failed for the second time in a row, so that only the beginning of the feed can help. Other
    /// failures may be due to something on the way, or may be over soon, so they do not count.
    fn gives_up_cursor(&mut self, fetch: &Fetch, failure: &Failure) -> bool {
        let is_about_it = matches!(failure, Failure::Status(400 | 414 | 431 | 500) | Failure::Refused(403));
        let fails = is_about_it && fetch.path != self.settings.path;
        let gives_up = fails && self.cursor_failed;
        self.cursor_failed = fails && !gives_up;
        gives_up
    }

    pub(super) fn refused<S: Shared>(&mut self, path: &str, what: &str, around: &mut Around<'_, S>) -> Option<Fetch> {
        around.report.event(RefreshEvent::Refused);
        self.complain(Severity::Warn, path, what, None, around);
        None
    }

    /// A full policy from the beginning of the feed: at once, but not more often than the interval.
    pub(super) fn begin_anew<S: Shared>(
        &mut self,
        fetch: &Fetch,
        why: &str,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        self.wants_full = true;
        self.give_up_build();
        if !self.restarts.may(self.settings.refresh_interval, around.now_ms) {
            let what = format!("{why}, although the feed was only just begun anew");
            return self.refused(&fetch.path, &what, around);
        }
        let line = format!("the full policy is fetched: after GET {}, {why}", fetch.path);
        around.report.lines.extend(self.said.again(around.now_ms, Severity::Info, line));
        self.visited.clear();
        Some(self.fetch(self.settings.path.clone(), None, None, Purpose::Full, around))
    }

    fn take_page<S: Shared>(
        &mut self,
        fetch: &Fetch,
        purpose: Purpose,
        mut page: Box<Page>,
        etag: Option<String>,
        at_once: bool,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        match purpose {
            Purpose::NextFull(build) => {
                if !build.goes_on(&page.header) {
                    return self.refused(&fetch.path, "the page is of another revision than the one before it", around);
                }
                self.start_full(fetch, page, build, around)
            }
            Purpose::NextDelta { epoch, revision, base, poll } => {
                let header = &mut page.header;
                if header.epoch != epoch || header.revision != revision || header.base != base {
                    return self.refused(&fetch.path, "the page is of another revision than the one before it", around);
                }
                // Where to ask next time may be said on any page.
                header.poll = header.poll.take().or(poll);
                self.take_delta(fetch, page, at_once, around)
            }
            Purpose::Full | Purpose::Poll if page.header.base.is_none() => {
                self.take_full(fetch, page, etag, at_once, around)
            }
            Purpose::Poll => self.take_delta(fetch, page, at_once, around),
            Purpose::Full => self.refused(
                &fetch.path,
                "`base` is set, so this is a delta, where a full policy was asked for",
                around,
            ),
        }
    }

    fn take_full<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        etag: Option<String>,
        at_once: bool,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        if let Some(held) = around.held.standing() {
            if falls_back(&page.header, held) && around.held.unconfirmed().is_none() {
                around.report.event(RefreshEvent::RefusedRollback);
                let what = "`revision` is below the one held, and the epoch is the same; expected a higher `revision` or another `epoch`";
                return self.refused(&fetch.path, what, around);
            }
            let same = held.page.is_some() && page.header.next.is_none() && held.page == Some(page.digest());
            if same && !self.wants_full && !around.held.is_unsound() {
                self.confirm(at_once, around);
                return None;
            }
        }
        if let Some(what) = size::announced_too_large(&page.header, self.settings.max_bytes) {
            return self.refused(&fetch.path, &what, around);
        }
        let generation = self.lease.as_mut().map(|lease| lease.next_generation())?;
        let build =
            Build::new(&page, etag, around.held.standing(), generation, self.settings.max_bytes, around.held.secret());
        let build = Box::new(build);
        self.start_full(fetch, page, build, around)
    }

    /// Takes one page, the first or a later one, into the build that it belongs to.
    fn start_full<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        mut build: Box<Build>,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        self.building = Some(build.target());
        match build.begin_page(&page) {
            Ok(()) => {
                let next = page.header.next.clone();
                self.start(Work::new(page, Job::Full(build)), &fetch.path);
                self.ask_ahead(next?, around)
            }
            Err(error) => self.build_failed(&fetch.path, error, around),
        }
    }

    /// Asks for the next page before the work on this one begins. What forbids it is said when it is its turn.
    fn ask_ahead<S: Shared>(&mut self, next: String, around: &Around<'_, S>) -> Option<Fetch> {
        let State::Working { ahead, .. } = &mut self.state else { return None };
        if self.visited.len() >= MAX_PAGES || self.visited.contains(next.as_bytes()) {
            return None;
        }
        self.visited.insert(next.as_bytes(), 0);
        let fetch = Fetch { path: next, etag: None, wait: None, timeout: self.settings.timeout };
        *ahead =
            Some(Ahead { callout: Pending::new(fetch.timeout, around.now_ms), fetch: fetch.clone(), answer: None });
        Some(fetch)
    }

    pub(super) fn start(&mut self, work: Work, path: &str) {
        self.state = State::Working { work: Box::new(work), path: path.to_owned(), ahead: None };
    }

    /// One slice of work.
    pub(super) fn work<S: Shared>(&mut self, around: &mut Around<'_, S>) -> Option<Fetch> {
        let mut budget = self.budget();
        let State::Working { work, path, .. } = &mut self.state else { return None };
        let held = around.held.standing();
        let mut report = Lines::default();
        let done = work.slice(around.shared, around.held.source(), held, &mut budget, &mut report);
        around.report.events.append(&mut report.events);
        let lines = report.lines.into_iter().filter_map(|(level, line)| self.said.again(around.now_ms, level, line));
        around.report.lines.extend(lines);
        match done {
            Ok(false) => None,
            Ok(true) => self.page_done(around),
            Err(error) => {
                let path = std::mem::take(path);
                self.build_failed(&path, error, around)
            }
        }
    }

    /// A page is in the store: the next one, or the end.
    fn page_done<S: Shared>(&mut self, around: &mut Around<'_, S>) -> Option<Fetch> {
        let before = std::mem::replace(&mut self.state, State::follower());
        let State::Working { work, path, ahead } = before else { return None };
        let Work { page, job, unknown, .. } = *work;
        // A page that is worked in twice is told of with the second time.
        if !matches!(&job, Job::Delta(delta) if delta.is_before_plans()) {
            self.names.say(&unknown, around.report);
        }
        match job {
            Job::Full(build) => match &page.header.next {
                Some(next) => self.next_of_full(next, &path, build, ahead, around),
                None => self.publish_full(*build, &path, around),
            },
            Job::Delta(delta) => self.delta_done(*delta, page, &path, around),
        }
    }

    fn next_of_full<S: Shared>(
        &mut self,
        next: &str,
        path: &str,
        build: Box<Build>,
        ahead: Option<Ahead>,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        let purpose = Purpose::NextFull(build);
        match ahead {
            None => self.next_page(next, path, purpose, around),
            Some(Ahead { fetch, answer: Some(answer), .. }) => {
                self.go_on(fetch, purpose, answer, Duration::MAX, around)
            }
            Some(Ahead { fetch, callout, answer: None }) => {
                self.state = State::Fetching { fetch, purpose, callout };
                None
            }
        }
    }

    pub(super) fn next_page<S: Shared>(
        &mut self,
        next: &str,
        path: &str,
        purpose: Purpose,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        if self.visited.len() >= MAX_PAGES {
            return self.refused(path, &format!("the policy has more than {MAX_PAGES} pages"), around);
        }
        if self.visited.insert(next.as_bytes(), 0).is_some() {
            return self.refused(path, "`next` leads to a page that was there before", around);
        }
        Some(self.fetch(next.to_owned(), None, None, purpose, around))
    }

    fn publish_full<S: Shared>(&mut self, mut build: Build, path: &str, around: &mut Around<'_, S>) -> Option<Fetch> {
        let held = around.held.standing();
        // A policy that waits to be confirmed says nothing of what the next one may drop.
        let known = held.filter(|_| around.held.unconfirmed().is_none());
        if let Some(shrunk) = build.drops_too_many(known, self.settings.max_removed_percent) {
            around.report.event(RefreshEvent::RefusedShrink);
            let what = format!(
                "it would drop {} of {} known keys, more than `policy.max_removed_percent` ({}); a policy that says \
                 `\"confirm_removal\": true` is let through",
                shrunk.dropped, shrunk.known, self.settings.max_removed_percent
            );
            return self.refused(path, &what, around);
        }
        match build.publish(around.shared, around.held.source(), held, around.now_ms) {
            Ok(_) => {
                self.building = None;
                self.emptying = held.map(Emptying::of);
                self.wants_full = false;
                // The poll after a full policy is paced even if the service held this answer, so that no feed is loaded
                // all the time.
                self.held_back = false;
                self.applied(around);
                self.say_applied(around);
                None
            }
            Err(error) => self.build_failed(path, error, around),
        }
    }

    pub(super) fn applied<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        let look = around.held.look(around.shared);
        around.report.event(RefreshEvent::Applied);
        let took = Duration::from_millis(around.now_ms.saturating_sub(self.began_ms));
        around.report.event(RefreshEvent::Took(took));
        self.wants_full |= around.held.manifest().is_some_and(batch::is_crowded) || look == Look::Unreadable;
        let at_once = self.held_back || self.may_probe(around);
        self.finish(at_once, around);
    }

    fn say_applied<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        let Some(manifest) = around.held.manifest() else { return };
        let revision = manifest.revision.map_or("without revision".to_owned(), |number| format!("revision {number}"));
        let totals = manifest.totals;
        let line = format!(
            "the policy decides, {revision}: {} APIs, {} applications, {} keys, {} subscriptions, {} bytes",
            totals.apis, totals.applications, totals.keys, totals.subscriptions, totals.bytes
        );
        around.report.lines.extend(self.said.again(around.now_ms, Severity::Info, line));
        self.say_conflicts(around);
    }

    /// Names APIs with the same match, of which only one is meant.
    pub(super) fn say_conflicts<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        let Some(catalogue) = around.held.catalogue() else { return };
        for conflict in catalogue.conflicts().iter().take(10) {
            let line = format!(
                "APIs \"{}\" and \"{}\" have the same match; \"{}\" is meant",
                conflict.meant, conflict.shadowed, conflict.meant
            );
            around.report.lines.extend(self.said.again(around.now_ms, Severity::Warn, line));
        }
    }

    /// The policy held is what there is: it is fresh.
    pub(super) fn confirm<S: Shared>(&mut self, at_once: bool, around: &mut Around<'_, S>) {
        let (shared, source) = (around.shared, around.held.source());
        let confirmed = around.held.base().map(|held| {
            let manifest = Manifest { confirmed_at_ms: around.now_ms, ..held.clone() };
            build::write_manifest(shared, source, &manifest, Some(held))
        });
        match confirmed {
            Some(Ok(())) => {
                around.held.look(shared);
                around.report.event(RefreshEvent::NotModified);
                self.finish(self.held_back && !at_once, around);
            }
            Some(Err(MergeError::Overtaken)) => self.follow(),
            // It cannot be noted down, or there is none after all: the next fetch is a full one.
            Some(Err(MergeError::Damaged | MergeError::Host)) | None => {
                self.wants_full = true;
                self.finish(false, around);
            }
        }
    }

    pub(super) fn build_failed<S: Shared>(
        &mut self,
        path: &str,
        error: BuildError,
        around: &mut Around<'_, S>,
    ) -> Option<Fetch> {
        match error {
            BuildError::Merge(MergeError::Overtaken) => {
                self.follow();
                None
            }
            BuildError::Merge(MergeError::Damaged) => {
                self.wants_full = true;
                self.refused(path, "what was written to shared data before is damaged; it is built anew", around)
            }
            BuildError::Merge(MergeError::Host) => {
                self.refused(path, "Envoy's shared data could not be read or written", around)
            }
            BuildError::TooLarge => {
                let what = format!("packed, it takes more than `policy.max_bytes` ({})", self.settings.max_bytes);
                self.refused(path, &what, around)
            }
            BuildError::TooLong(what) => {
                self.refused(path, &format!("`{}` is longer than its limit of {}", what.list, what.limit), around)
            }
        }
    }
}

/// Within one epoch revisions never fall. Where either side has none, what comes later counts.
fn falls_back(header: &Header, held: &Manifest) -> bool {
    header.epoch == held.epoch && matches!((header.revision, held.revision), (Some(new), Some(known)) if new < known)
}
