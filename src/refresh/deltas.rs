//! The steps after a page of a delta: it is worked into the bank in use and takes effect page by page.

use std::time::Duration;

use super::{
    around::Around,
    parts::Parts,
    state::{Next, Purpose, Working},
    work::{Job, Work},
};
use crate::{
    callout::Fetch,
    policy::page::{Header, Page},
    shared::Shared,
    store::{
        delta::{self, Delta},
        error::{BuildError, MergeError},
        manifest::Manifest,
    },
};

impl Parts {
    pub fn take_delta<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        took: Duration,
        around: &mut Around<'_, S>,
    ) -> Next {
        let fits = around.held.base().filter(|held| builds_on(&page.header, held));
        let Some(held) = fits.filter(|_| !around.held.is_unsound()) else {
            return self.begin_anew(fetch, "`base` is not the current revision", around);
        };
        if page.header.revision == page.header.base && page.header.next.is_none() && brings_nothing(&page) {
            self.complaints.say_unknown(&page.unknown, around.report);
            return self.confirm(took, around).into();
        }
        let plans = around.held.catalogue().map(|catalogue| delta::new_plans(&page, catalogue)).unwrap_or_default();
        let (shared, source, max_bytes) = (around.shared, around.held.source(), self.settings.max_bytes);
        let delta = if plans.is_empty() {
            Delta::new(&page, held, shared, source, max_bytes)
        } else {
            Delta::before_plans(&page, plans, held, shared, source, max_bytes)
        };
        self.start_delta(page, delta, &fetch.path, around)
    }

    fn start_delta<S: Shared>(
        &mut self,
        page: Box<Page>,
        delta: Result<Delta, BuildError>,
        path: &str,
        around: &mut Around<'_, S>,
    ) -> Next {
        match delta {
            Ok(delta) => Working::new(Work::new(page, Job::Delta(Box::new(delta))), path).into(),
            Err(error) => self.build_failed(path, error, around),
        }
    }

    /// A page of a delta is in the store. Its second pass, the next page or the end follows.
    pub fn delta_done<S: Shared>(
        &mut self,
        delta: Delta,
        page: Box<Page>,
        path: &str,
        around: &mut Around<'_, S>,
    ) -> Next {
        let is_before_plans = delta.is_before_plans();
        if let Err(error) = self.publish_delta(delta, &page.header, around) {
            return self.build_failed(path, error, around);
        }
        if is_before_plans {
            return self.whole_delta(page, path, around);
        }
        let header = page.header;
        let Some(next) = &header.next else {
            let state = self.applied(around);
            self.say_conflicts(around);
            return state.into();
        };
        let Header { epoch, revision, base, poll, .. } = header.clone();
        let purpose = Purpose::NextDelta { epoch, revision, base, poll };
        self.next_page(next, path, purpose, around)
    }

    /// The plans of a page are known now, so the whole page is worked in.
    fn whole_delta<S: Shared>(&mut self, page: Box<Page>, path: &str, around: &mut Around<'_, S>) -> Next {
        let (shared, source) = (around.shared, around.held.source());
        let overtaken = BuildError::Merge(MergeError::Overtaken);
        let held = around.held.manifest().ok_or(overtaken);
        let delta = held.and_then(|held| Delta::new(&page, held, shared, source, self.settings.max_bytes));
        self.start_delta(page, delta, path, around)
    }

    fn publish_delta<S: Shared>(
        &mut self,
        delta: Delta,
        header: &Header,
        around: &mut Around<'_, S>,
    ) -> Result<(), BuildError> {
        let overtaken = BuildError::Merge(MergeError::Overtaken);
        let generation = self.lead.next_generation().ok_or(overtaken)?;
        let held = around.held.base().ok_or(overtaken)?;
        delta.publish(around.shared, around.held.source(), held, header, generation, around.now_ms)?;
        around.held.look(around.shared);
        Ok(())
    }
}

fn builds_on(header: &Header, held: &Manifest) -> bool {
    header.epoch == held.epoch && header.base.is_some() && header.base == held.revision
}

fn brings_nothing(page: &Page) -> bool {
    page.is_empty() && page.small_rows().next().is_none() && page.removed == Default::default()
}
