//! The progress of a fetch: the pages that were visited, the build that is not published, the data to remove, and
//! whether a full policy is needed.

use super::budget::Budget;
use crate::{
    callout::{Fetch, answer::Failure},
    index::Index,
    shared::{Shared, key::SourceId},
    store::{batch::Target, emptying::Emptying, manifest::Manifest},
};

/// The maximum number of pages of one revision. 10,000 pages of 5,000 rows are 50 million rows.
pub(super) const MAX_PAGES: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the next fetch must be a full one, because a delta cannot be applied to the current policy.
    pub wants_full: bool,
    /// The paths of the pages of this refresh.
    visited: Index,
    /// Where a full policy is built that is not published yet.
    building: Option<Target>,
    emptying: Option<Emptying>,
    /// Whether the last cursor failed in a way that another attempt may not fix.
    cursor_failed: bool,
}

/// Why a page is not requested.
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

    /// Records a page that will be requested.
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

    /// The page was not requested after all.
    pub fn forget(&mut self, path: &str) {
        self.visited.remove(path.as_bytes());
    }

    /// Whether a cursor has failed for the second time in a row, so that only the beginning of the feed, at
    /// `beginning`, can help. Other failures do not count: a proxy may have caused them, or they may be over soon.
    pub fn gives_up_cursor(&mut self, fetch: &Fetch, failure: &Failure, beginning: &str) -> bool {
        let is_about_it = matches!(failure, Failure::Status(400 | 414 | 431 | 500) | Failure::Refused(403));
        let fails = is_about_it && fetch.path != beginning;
        let gives_up = fails && self.cursor_failed;
        self.cursor_failed = fails && !gives_up;
        gives_up
    }

    /// A refresh has succeeded.
    pub fn recover(&mut self) {
        self.cursor_failed = false;
    }

    /// A full policy is being built here.
    pub fn build(&mut self, target: Target) {
        self.building = Some(target);
    }

    /// The full policy in progress will not be finished. `generation` is the last one that was made under the lease.
    pub fn give_up_build(&mut self, generation: Option<u64>) {
        if let Some(target) = self.building.take() {
            self.emptying.get_or_insert_default().add_unfinished(target);
            self.empty_runs(generation);
        }
    }

    /// Frees the runs of full policies that will not be finished, of this lease or an older one.
    pub fn empty_runs(&mut self, generation: Option<u64>) {
        let Some(generation) = generation else { return };
        self.emptying.get_or_insert_default().add_runs(generation);
    }

    /// A full policy was published and replaces `old`, whose shards are removed.
    pub fn published(&mut self, old: Option<&Manifest>) {
        self.building = None;
        self.emptying = old.map(Emptying::of);
        self.wants_full = false;
    }

    /// Whether data is to be removed.
    pub fn is_emptying(&self) -> bool {
        self.emptying.is_some()
    }

    /// Removes as much as the budget allows.
    pub fn empty(&mut self, shared: &impl Shared, source: &SourceId, budget: &mut Budget) {
        while let Some(emptying) = &mut self.emptying
            && budget.is_left()
        {
            budget.spend_shard();
            // What cannot be removed now is overwritten by the next build, or removed after it.
            if !emptying.empty_next(shared, source).unwrap_or(false) {
                self.emptying = None;
            }
        }
    }

    /// Another VM refreshes and finishes or removes what was begun.
    pub fn drop_begun(&mut self) {
        self.building = None;
        self.emptying = None;
    }
}
