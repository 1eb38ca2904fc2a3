//! First pages that many gateways ask for at once: each is made once per revision.
//!
//! After a change all waiting gateways that hold the same revision want the same delta. The first makes it, the others
//! wait for it. Only first pages are kept, few of them, and only those of the latest revision.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::{
    ask::Ask,
    page::{self, Page, Source},
};
use crate::store::{Store, as_of::Error};

/// Pages kept at once. At most 8 MiB each, and usually below 1 KiB.
const MAX_PAGES: usize = 8;

type Cell = Arc<OnceCell<Page>>;

/// The pages of the latest revision.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    revision: i64,
    /// By what was asked for: the epoch, which also names what the gateway sees, and the revision that it holds.
    pages: HashMap<(String, Option<i64>), Cell>,
}

impl Answers {
    /// The first page of what is asked for, of `revision` or a later one.
    pub async fn first_page(&self, store: &Store, source: &Source, revision: i64, ask: &Ask) -> Result<Page, Error> {
        match self.cell(revision, (source.epoch.clone(), ask.since)) {
            Some(cell) => cell.get_or_try_init(|| make(store, source, ask)).await.cloned(),
            None => make(store, source, ask).await,
        }
    }

    /// The place of a page of `revision`; `None` if that is not the latest, or no place is left.
    fn cell(&self, revision: i64, key: (String, Option<i64>)) -> Option<Cell> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if revision > latest.revision {
            *latest = Latest { revision, pages: HashMap::new() };
        }
        let room = latest.pages.len() < MAX_PAGES || latest.pages.contains_key(&key);
        (revision == latest.revision && room).then(|| Arc::clone(latest.pages.entry(key).or_default()))
    }
}

async fn make(store: &Store, source: &Source, ask: &Ask) -> Result<Page, Error> {
    page::build(source, &mut store.reader().await?, ask).await
}
