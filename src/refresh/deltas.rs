//! The steps after a page of a delta: it is worked into the bank in use and takes effect page by page.

use std::time::Duration;

use super::{
    context::RefreshContext,
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
    pub fn accept_delta<S: Shared>(
        &mut self,
        fetch: &Fetch,
        page: Box<Page>,
        took: Duration,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let fits = context.held.base().filter(|held| builds_on(&page.header, held));
        let Some(held) = fits.filter(|_| !context.held.is_unsound()) else {
            return self.begin_anew(fetch, "`base` is not the current revision", context);
        };
        if page.header.revision == page.header.base && page.header.next.is_none() && brings_nothing(&page) {
            self.complaints.say_unknown(&page.unknown, context.report);
            return self.confirm(took, context).into();
        }
        let plans = context.held.catalogue().map(|catalogue| delta::new_plans(&page, catalogue)).unwrap_or_default();
        let (shared, source, max_bytes) = (context.shared, context.held.source(), self.settings.max_bytes);
        let delta = if plans.is_empty() {
            Delta::new(&page, held, shared, source, max_bytes)
        } else {
            Delta::before_plans(&page, plans, held, shared, source, max_bytes)
        };
        self.start_delta(page, delta, &fetch.path, context)
    }

    fn start_delta<S: Shared>(
        &mut self,
        page: Box<Page>,
        delta: Result<Delta, BuildError>,
        path: &str,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        match delta {
            Ok(delta) => Working::new(Work::new(page, Job::Delta(Box::new(delta))), path).into(),
            Err(error) => self.build_failed(path, error, context),
        }
    }

    /// A page of a delta is in the store. Its second pass, the next page or the end follows.
    pub fn delta_done<S: Shared>(
        &mut self,
        delta: Delta,
        page: Box<Page>,
        path: &str,
        context: &mut RefreshContext<'_, S>,
    ) -> Next {
        let is_before_plans = delta.is_before_plans();
        if let Err(error) = self.publish_delta(delta, &page.header, context) {
            return self.build_failed(path, error, context);
        }
        if is_before_plans {
            return self.whole_delta(page, path, context);
        }
        let header = page.header;
        let Some(next) = &header.next else {
            let state = self.applied(context);
            self.say_conflicts(context);
            return state.into();
        };
        let Header { epoch, revision, base, poll, .. } = header.clone();
        let purpose = Purpose::NextDelta { epoch, revision, base, poll };
        self.next_page(next, path, purpose, context)
    }

    /// The plans of a page are known now, so the whole page is worked in.
    fn whole_delta<S: Shared>(&mut self, page: Box<Page>, path: &str, context: &mut RefreshContext<'_, S>) -> Next {
        let (shared, source) = (context.shared, context.held.source());
        let overtaken = BuildError::Merge(MergeError::Overtaken);
        let held = context.held.manifest().ok_or(overtaken);
        let delta = held.and_then(|held| Delta::new(&page, held, shared, source, self.settings.max_bytes));
        self.start_delta(page, delta, path, context)
    }

    fn publish_delta<S: Shared>(
        &mut self,
        delta: Delta,
        header: &Header,
        context: &mut RefreshContext<'_, S>,
    ) -> Result<(), BuildError> {
        let overtaken = BuildError::Merge(MergeError::Overtaken);
        let generation = self.lead.next_generation().ok_or(overtaken)?;
        let held = context.held.base().ok_or(overtaken)?;
        delta.publish(context.shared, context.held.source(), held, header, generation, context.now_ms)?;
        context.held.look(context.shared);
        Ok(())
    }
}

fn builds_on(header: &Header, held: &Manifest) -> bool {
    header.epoch == held.epoch && header.base.is_some() && header.base == held.revision
}

fn brings_nothing(page: &Page) -> bool {
    page.is_empty() && page.catalogue_rows().next().is_none() && page.removed == Default::default()
}
