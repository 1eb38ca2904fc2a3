//! Applies a delta to the current bank, shard by shard. Each rewrite is atomic and may be repeated. So a delta that is
//! interrupted anywhere is simply applied again.
//!
//! Shards and catalogue are separate writes, and a request may come between them. Suppose a subscription moves to a
//! plan of the same page. It must not be refused meanwhile because its plan is not known yet. And a subscription that
//! already names such a plan, and is blocked by the same page, must not be allowed meanwhile. So a page with new plans
//! is applied twice: first without the rows that must wait for the plans ([`Delta::before_plans`]), then as a whole.

use super::{
    batch::{Batch, Target},
    build::{Step, write_lists, write_manifest},
    error::{BuildError, MergeError},
    lists::CatalogueJson,
    manifest::{Manifest, Totals},
    merge::Precondition,
};
use crate::{
    catalogue::Catalogue,
    index::Index,
    policy::{
        ApplicationState, Text,
        differing::Differing,
        error::RejectedRow,
        list::CatalogueList,
        page::{Header, Page, Row},
        unknown::UnknownFields,
    },
    shared::{
        Shared, as_u64,
        key::{SharedEntry, SourceId},
    },
};

/// One page of a delta that is being applied to the current bank.
#[derive(Debug)]
pub struct Delta {
    batch: Batch,
    totals: Totals,
    /// The small lists after this page, if the page changes them, and their size before it.
    lists: Option<(CatalogueJson, u64)>,
    part: Part,
}

/// The part of the page that is applied.
#[derive(Debug)]
enum Part {
    Whole,
    /// The new plans, and all rows that do not have to wait for them.
    Before(Index),
}

impl Part {
    /// Whether this row must wait: it allows something and names one of the plans. A row that refuses never waits.
    fn leaves(&self, row: &Row<'_>) -> bool {
        let Self::Before(plans) = self else { return false };
        let named =
            |plan: &Option<Text<'_>>| plan.as_ref().is_some_and(|plan| plans.contains(plan.as_str().as_bytes()));
        match row {
            Row::Key(_) => false,
            Row::Application(row) => {
                row.state == ApplicationState::Active && row.used_up_until.is_none() && named(&row.plan)
            }
            Row::Subscription(row) => {
                // A row with a block must not wait, because its state may change while it waits.
                row.state.passes() && row.block.is_none() && row.used_up_until.is_none() && named(&row.plan)
            }
        }
    }
}

/// Plans of this page that the current policy does not have. Empty if the page has no other rows.
pub fn new_plans(page: &Page, held: &Catalogue) -> Index {
    let rows = page.catalogue_rows().filter(|_| !page.is_empty());
    rows.filter(|(list, id, _)| *list == CatalogueList::Plans && held.plan(id.as_bytes()).is_none())
        .map(|(_, id, _)| id)
        .collect()
}

impl Delta {
    /// Begins with a page that builds on the current policy. Once the packed policy has `max_bytes`, no new record is
    /// made.
    pub fn new(
        page: &Page,
        held: &Manifest,
        shared: &impl Shared,
        source: &SourceId,
        max_bytes: u64,
    ) -> Result<Self, BuildError> {
        let removed = &page.removed;
        let changes_lists = page.catalogue_rows().next().is_some()
            || !(removed.apis.is_empty() && removed.plans.is_empty() && removed.deny_policies.is_empty());
        let lists = if changes_lists {
            let (mut lists, bytes) = read_lists(held, shared, source)?;
            lists.apply(page)?;
            Some((lists, bytes))
        } else {
            None
        };
        Ok(Self::of(page, held, lists, Part::Whole, max_bytes))
    }

    /// Begins with the part of the page that does not have to wait for these plans. Removals never wait.
    pub fn before_plans(
        page: &Page,
        plans: Index,
        held: &Manifest,
        shared: &impl Shared,
        source: &SourceId,
        max_bytes: u64,
    ) -> Result<Self, BuildError> {
        let (mut lists, bytes) = read_lists(held, shared, source)?;
        lists.add(page, |list, id| list == CatalogueList::Plans && plans.contains(id.as_bytes()))?;
        Ok(Self::of(page, held, Some((lists, bytes)), Part::Before(plans), max_bytes))
    }

    fn of(page: &Page, held: &Manifest, lists: Option<(CatalogueJson, u64)>, part: Part, max_bytes: u64) -> Self {
        let mut batch = Batch::bounded(Target::from(held), max_bytes);
        batch.add_removed(&page.removed);
        Self { batch, totals: held.totals, lists, part }
    }

    /// Whether this is the first pass, so that the whole page must follow.
    pub fn is_before_plans(&self) -> bool {
        matches!(self.part, Part::Before(_))
    }

    /// Rows of the page that differ from an earlier row for the same thing.
    pub fn take_differing(&mut self) -> Differing {
        self.batch.take_differing()
    }

    /// Takes a range of the page's rows.
    pub fn add_rows(
        &mut self,
        page: &Page,
        range: std::ops::Range<usize>,
        rejected: &mut dyn FnMut(RejectedRow),
        unknown: &mut UnknownFields,
    ) {
        match &self.part {
            Part::Whole => self.batch.add_rows(page, range, |_| true, rejected, unknown),
            // Rejected rows are reported by the second pass.
            part => self.batch.add_rows(page, range, |row| !part.leaves(row), &mut |_| {}, unknown),
        }
    }

    /// Whether changes should be merged before more rows are taken.
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Rewrites one shard, until all changes have been written.
    pub fn merge_next(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        rejected: &mut dyn FnMut(RejectedRow),
    ) -> Result<Step, BuildError> {
        let is_written =
            self.batch.merge_next(shared, source, &mut self.totals, |_| Precondition::Readable, rejected)?;
        Ok(if is_written { Step::Shard } else { Step::Done })
    }

    /// Publishes the page: writes the small lists, then the manifest. Only the last page sets the revision.
    pub fn publish(
        mut self,
        shared: &impl Shared,
        source: &SourceId,
        held: &Manifest,
        header: &Header,
        generation: u64,
        now_ms: u64,
    ) -> Result<Manifest, BuildError> {
        let last = matches!(self.part, Part::Whole) && header.next.is_none();
        let mut manifest = Manifest {
            sequence: held.sequence.saturating_add(1),
            changed_at_ms: now_ms,
            page: None,
            totals: self.totals,
            ..held.clone()
        };
        if let Some((lists, before)) = self.lists.take() {
            manifest.catalogue_slot = held.catalogue_slot.other();
            manifest.catalogue_generation = generation;
            manifest.totals.apis = as_u64(lists.apis());
            let bytes = write_lists(shared, source, &lists, manifest.catalogue_slot, generation, u64::MAX)?;
            manifest.totals.bytes = manifest.totals.bytes.saturating_sub(before).saturating_add(bytes);
        }
        if last {
            manifest.revision = header.revision;
            manifest.confirmed_at_ms = now_ms;
            manifest.poll.clone_from(&header.poll);
            manifest.etag = None;
        }
        write_manifest(shared, source, &manifest, Some(held))?;
        Ok(manifest)
    }
}

fn read_lists(held: &Manifest, shared: &impl Shared, source: &SourceId) -> Result<(CatalogueJson, u64), BuildError> {
    let key = source.key(SharedEntry::Catalogue(held.catalogue_slot));
    let read = shared.get(&key)?.ok_or(MergeError::Damaged)?;
    let lists = CatalogueJson::read(&key, &read.value, held.catalogue_generation).map_err(MergeError::from)?;
    Ok((lists, as_u64(read.value.len())))
}
