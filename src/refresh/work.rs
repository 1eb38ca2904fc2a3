//! Works a page into the store in slices.

use super::{budget::Budget, event::RefreshEvent};
use crate::{
    callout::lines::Lines,
    policy::{error::RejectedRow, page::Page, rows::Problem, unknown::UnknownFields},
    shared::{Shared, as_u64, key::SourceId},
    store::{
        build::{Build, Step},
        delta::Delta,
        error::BuildError,
        manifest::Manifest,
    },
};

/// The rows that are left out and named in the log, for each page. The others are only counted.
const LOGGED_ROWS: u64 = 5;

/// The build or delta that takes the page.
#[derive(Debug)]
pub(super) enum Job {
    Full(Box<Build>),
    Delta(Box<Delta>),
}

/// A page that is being worked into the store.
#[derive(Debug)]
pub(super) struct Work {
    pub page: Box<Page>,
    pub job: Job,
    next_row: usize,
    rejected: u64,
    /// The unknown fields of the whole page, complete after its rows are taken.
    pub unknown: UnknownFields,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Rows,
    Merge,
    Check,
    Done,
}

impl Work {
    pub fn new(page: Box<Page>, job: Job) -> Self {
        let unknown = page.unknown.clone();
        Self { page, job, next_row: 0, rejected: 0, unknown, stage: Stage::Rows }
    }

    /// Works until the budget is used up. Returns `true` when the page is done.
    pub fn slice(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        held: Option<&Manifest>,
        budget: &mut Budget,
        report: &mut Lines<RefreshEvent>,
    ) -> Result<bool, BuildError> {
        while budget.is_left() {
            match self.stage {
                Stage::Rows => self.take_rows(budget, report),
                Stage::Merge => self.merge(shared, source, budget, report)?,
                Stage::Check => self.check(shared, source, held, budget)?,
                Stage::Done => break,
            }
        }
        let done = self.stage == Stage::Done;
        if done {
            self.tell(report);
        }
        Ok(done)
    }

    /// Logs what was noticed about the page as a whole. A page that is worked in twice is logged the second time.
    fn tell(&mut self, report: &mut Lines<RefreshEvent>) {
        let mut differing = match &mut self.job {
            Job::Delta(delta) if delta.is_before_plans() => return,
            Job::Delta(delta) => delta.take_differing(),
            Job::Full(build) => build.take_differing(),
        };
        differing.add(self.page.differing());
        if !differing.is_empty() {
            report.warn(format!("in the policy {differing}"));
        }
        let parts = self.page.left_out.iter();
        parts.for_each(|row| leave_out(&mut self.rejected, row, report));
        if self.rejected > LOGGED_ROWS {
            let more = self.rejected.saturating_sub(LOGGED_ROWS);
            report.warn(format!("{more} more rows of this page are left out"));
        }
    }

    fn take_rows(&mut self, budget: &mut Budget, report: &mut Lines<RefreshEvent>) {
        let end = self.next_row.saturating_add(budget.rows()).min(self.page.len());
        let rows = self.next_row..end;
        budget.spend_rows(rows.len());
        let mut reject = |row| leave_out(&mut self.rejected, &row, report);
        let is_full = match &mut self.job {
            Job::Full(build) => {
                build.add_rows(&self.page, rows, &mut reject, &mut self.unknown);
                build.is_full()
            }
            Job::Delta(delta) => {
                delta.add_rows(&self.page, rows, &mut reject, &mut self.unknown);
                delta.is_full()
            }
        };
        self.next_row = end;
        if end >= self.page.len() || is_full {
            self.stage = Stage::Merge;
        }
    }

    fn merge(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        budget: &mut Budget,
        report: &mut Lines<RefreshEvent>,
    ) -> Result<(), BuildError> {
        let has_all_rows = self.next_row >= self.page.len();
        let is_last = has_all_rows && self.page.header.next.is_none();
        let then = if has_all_rows { Stage::Done } else { Stage::Rows };
        let mut reject = |row| leave_out(&mut self.rejected, &row, report);
        let (step, then) = match &mut self.job {
            Job::Delta(delta) => (delta.merge_next(shared, source, &mut reject)?, then),
            Job::Full(build) if is_last => (build.merge_next(shared, source, &mut reject)?, Stage::Check),
            // The rows of a full policy wait for its last page, as long as there is room for them.
            Job::Full(build) if has_all_rows && !build.is_full() => (Step::Done, then),
            Job::Full(build) => (build.spill_next(shared, source)?, then),
        };
        budget.spend(step);
        if step == Step::Done {
            self.stage = then;
        }
        Ok(())
    }

    fn check(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        held: Option<&Manifest>,
        budget: &mut Budget,
    ) -> Result<(), BuildError> {
        budget.spend_shard();
        let Job::Full(build) = &mut self.job else {
            self.stage = Stage::Done;
            return Ok(());
        };
        if !build.check_next(shared, source, held)? {
            self.stage = Stage::Done;
        }
        Ok(())
    }
}

/// Counts a row, or parts of a row, that is left out, and logs the first ones of a page.
fn leave_out(rejected: &mut u64, row: &RejectedRow, report: &mut Lines<RefreshEvent>) {
    let (what, count) = match row.why.problem {
        Problem::NeverApply(parts) => ("parts of a row of the policy are left out, and permit nothing", as_u64(parts)),
        _ => ("a row of the policy is left out, so its key, application or subscription is not allowed", 1),
    };
    report.event(RefreshEvent::RowsRejected(count));
    if *rejected < LOGGED_ROWS {
        report.warn(format!("{what}: {row}"));
    }
    *rejected = rejected.saturating_add(1);
}
