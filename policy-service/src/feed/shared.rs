//! Pages that were made a moment ago, or are being made: for gateways that ask for the same, and ahead of those that will
//! ask for the next.
//!
//! After a change all waiting gateways that hold the same revision want the same delta: the first makes it, the others
//! wait for it. While a gateway reads a page of a full policy, the next one is made. What a page says never changes, as
//! its revision is part of what is asked, so nothing here becomes wrong; it only becomes old, and the oldest goes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::{
    ask::Ask,
    page::{self, Page, Source},
};
use crate::store::{Store, as_of::Error};

/// Pages kept at once. At most 8 MiB each and usually half of one, so 8 MB.
const MAX_PAGES: usize = 16;

/// What was asked, as of which revision. The epoch in it also names what the gateway sees.
type Key = (i64, Ask);
type Cell = Arc<OnceCell<Page>>;

/// The latest pages.
#[derive(Debug, Default)]
pub struct Pages(Mutex<VecDeque<(Key, Cell)>>);

impl Pages {
    /// The page that is asked for; a first page is of `revision` or a later one.
    pub async fn page(
        self: &Arc<Self>,
        store: &Store,
        source: &Source,
        revision: i64,
        ask: &Ask,
    ) -> Result<Page, Error> {
        let page = self.make(store, source, revision, ask.clone()).await?;
        if let Some(place) = page.next {
            let (pages, store, source) = (Arc::clone(self), store.clone(), source.clone());
            let next = Ask { place: Some(place), ..ask.clone() };
            // Whoever asks for it will hear of an error.
            tokio::spawn(async move { pages.make(&store, &source, place.revision, next).await.map(drop) });
        }
        Ok(page)
    }

    async fn make(&self, store: &Store, source: &Source, revision: i64, ask: Ask) -> Result<Page, Error> {
        let ask = Ask { epoch: Some(source.epoch.clone()), ..ask };
        let revision = ask.place.map_or(revision, |place| place.revision);
        let cell = self.cell((revision, ask.clone()));
        let made = cell.get_or_try_init(async || page::build(source, &mut store.reader().await?, &ask).await).await?;
        Ok(made.clone())
    }

    fn cell(&self, key: Key) -> Cell {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = pages.iter().find(|(held, _)| *held == key) {
            return Arc::clone(cell);
        }
        if pages.len() >= MAX_PAGES {
            pages.pop_front();
        }
        let cell = Cell::default();
        pages.push_back((key, Arc::clone(&cell)));
        cell
    }
}
