//! How far the fetching of a policy has come: which pages were there, what was begun and is not published, what is to be
//! emptied, and whether only the full policy will do.

use super::budget::Budget;
use crate::{
    callout::{Fetch, answer::Failure},
    index::Index,
    shared::{Shared, key::SourceId},
    store::{batch::Target, emptying::Emptying, manifest::Manifest},
};

/// Pages of one revision. 10,000 pages of 5,000 rows are 50 million.
pub(super) const MAX_PAGES: usize = 10_000;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The policy held cannot be built on, so the next fetch is a full one.
    pub wants_full: bool,
    /// Pages of this refresh, by their paths.
    visited: Index,
    /// Where a full policy was begun and not published yet.
    building: Option<Target>,
    emptying: Option<Emptying>,
    /// The last cursor failed, in a way that another try may not mend.
    cursor_failed: bool,
}

/// Why a page is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotVisited {
    TooMany,
    Again,
}

impl Progress {
    /// A refresh begins.
    pub fn begin(&mut self) {
        self.visited.clear();
    }

    /// Notes a page that will be asked for.
    pub fn visit(&mut self, path: &str) -> Result<(), NotVisited> {
        if self.visited.len() >= MAX_PAGES {
            return Err(NotVisited::TooMany);
        }
        if self.visited.contains(path.as_bytes()) {
            return Err(NotVisited::Again);
        }
        self.visited.insert(path.as_bytes(), 0);
        Ok(())
    }

    /// A page was not asked for after all.
    pub fn forget(&mut self, path: &str) {
        self.visited.remove(path.as_bytes());
    }

    /// Whether a cursor has failed for the second time in a row, so that only the beginning of the feed, at `beginning`,
    /// can help. Other failures may be due to something on the way, or may be over soon, so they do not count.
    pub fn gives_up_cursor(&mut self, fetch: &Fetch, failure: &Failure, beginning: &str) -> bool {
        let is_about_it = matches!(failure, Failure::Status(400 | 414 | 431 | 500) | Failure::Refused(403));
        let fails = is_about_it && fetch.path != beginning;
        let gives_up = fails && self.cursor_failed;
        self.cursor_failed = fails && !gives_up;
        gives_up
    }

    /// The service answered something usable.
    pub fn recover(&mut self) {
        self.cursor_failed = false;
    }

    /// A full policy is built here.
    pub fn build(&mut self, target: Target) {
        self.building = Some(target);
    }

    /// A full policy that was begun will not be finished. `generation`: the last that was made under the lease.
    pub fn give_up_build(&mut self, generation: Option<u64>) {
        if let Some(target) = self.building.take() {
            self.emptying.get_or_insert_default().add_unfinished(target);
            self.empty_runs(generation);
        }
    }

    /// Frees what full policies that will not be finished have laid down, of this lease or an older one.
    pub fn empty_runs(&mut self, generation: Option<u64>) {
        let Some(generation) = generation else { return };
        self.emptying.get_or_insert_default().add_runs(generation);
    }

    /// A full policy decides, instead of `old`, which is emptied.
    pub fn published(&mut self, old: Option<&Manifest>) {
        self.building = None;
        self.emptying = old.map(Emptying::of);
        self.wants_full = false;
    }

    /// Whether something is to be emptied.
    pub fn is_emptying(&self) -> bool {
        self.emptying.is_some()
    }

    /// Empties as much as the budget allows.
    pub fn empty(&mut self, shared: &impl Shared, source: &SourceId, budget: &mut Budget) {
        while let Some(emptying) = &mut self.emptying
            && budget.is_left()
        {
            budget.spend_shard();
            // What cannot be emptied now is overwritten by the next build, or emptied when it is done.
            if !emptying.empty_next(shared, source).unwrap_or(false) {
                self.emptying = None;
            }
        }
    }

    /// Somebody else refreshes: what was begun is theirs to end.
    pub fn drop_begun(&mut self) {
        self.building = None;
        self.emptying = None;
    }
}
