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

/// The pages of the latest revision: what was asked for (epoch, which also names the scope, and revision held) → page.
#[derive(Debug, Default)]
pub struct Answers(Mutex<(i64, HashMap<(String, Option<i64>), Cell>)>);

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
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (latest, cells) = &mut *held;
        if revision > *latest {
            *latest = revision;
            cells.clear();
        }
        if revision < *latest {
            return None;
        }
        if !cells.contains_key(&key) && cells.len() >= MAX_PAGES {
            return None;
        }
        Some(Arc::clone(cells.entry(key).or_default()))
    }
}

async fn make(store: &Store, source: &Source, ask: &Ask) -> Result<Page, Error> {
    page::build(source, &mut store.reader().await?, ask).await
}
