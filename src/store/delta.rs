//! Applying a delta to the bank in use, shard by shard. Each rewrite is atomic by itself and may be repeated, so a delta
//! that is cut anywhere is simply applied again.

use super::{
    Entry, Shared, Source,
    batch::{Batch, MergeError, Standing, Target, as_u64},
    build::{BuildError, write_lists, write_manifest},
    lists::Lists,
    manifest::{Manifest, Totals},
};
use crate::policy::page::{Header, Page, RejectedRow};

/// One page of a delta on its way into the bank in use.
#[derive(Debug)]
pub struct Delta {
    batch: Batch,
    totals: Totals,
    /// The small lists after this page, if it changes any.
    lists: Option<Lists>,
}

impl Delta {
    /// Begins with a page that builds on the policy held.
    pub fn new(page: &Page, held: &Manifest, shared: &impl Shared, source: &Source) -> Result<Self, BuildError> {
        let mut batch = Batch::new(Target::from(held));
        batch.add_removed(&page.removed);
        let removed = &page.removed;
        let changes_lists = page.small_rows().next().is_some()
            || !(removed.apis.is_empty() && removed.plans.is_empty() && removed.deny_policies.is_empty());
        let lists = if changes_lists {
            let key = source.key(Entry::Catalogue(held.catalogue_slot));
            let read = shared.get(&key)?.ok_or(MergeError::Damaged)?;
            let mut lists = Lists::read(&key, &read.value, held.catalogue_generation).map_err(MergeError::from)?;
            lists.apply(page)?;
            Some(lists)
        } else {
            None
        };
        Ok(Self { batch, totals: held.totals, lists })
    }

    /// Takes a range of the page's rows.
    pub fn add_rows(&mut self, page: &Page, range: std::ops::Range<usize>, rejected: &mut dyn FnMut(RejectedRow)) {
        self.batch.add_rows(page, range, rejected);
    }

    /// Whether changes should be merged before more rows are taken.
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Rewrites one shard; `false`: all that has arrived is written.
    pub fn merge_next(&mut self, shared: &impl Shared, source: &Source) -> Result<bool, BuildError> {
        Ok(self.batch.merge_next(shared, source, &mut self.totals, |_| Standing::Readable)?)
    }

    /// Makes the page count: the small lists, then the manifest. The revision is held only after the `last` page.
    pub fn publish(
        mut self,
        shared: &impl Shared,
        source: &Source,
        held: &Manifest,
        header: &Header,
        generation: u64,
        now_ms: u64,
    ) -> Result<Manifest, BuildError> {
        let last = header.next.is_none();
        let mut manifest = Manifest {
            sequence: held.sequence.saturating_add(1),
            changed_at_ms: now_ms,
            page: None,
            totals: self.totals,
            ..held.clone()
        };
        if let Some(lists) = self.lists.take() {
            manifest.catalogue_slot = held.catalogue_slot.other();
            manifest.catalogue_generation = generation;
            manifest.totals.apis = as_u64(lists.apis());
            write_lists(shared, source, &lists, manifest.catalogue_slot, generation)?;
        }
        if last {
            manifest.revision = header.revision;
            manifest.confirmed_at_ms = now_ms;
            manifest.poll = header.poll.clone().or_else(|| held.poll.clone());
            manifest.etag = None;
        }
        write_manifest(shared, source, &manifest, Some(held))?;
        Ok(manifest)
    }
}
