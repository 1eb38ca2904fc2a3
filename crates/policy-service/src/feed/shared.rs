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
    page::{self, FeedPage, GatewayView, Links},
};
use management::port::{Error, Latest, Store};

/// Pages kept at once. At most 8 MiB each and usually half of one, so 8 MB.
const MAX_PAGES: usize = 16;

/// What was asked and how links are written, and for a first page the latest revision with its random word. A further page
/// names its revision itself, with a mark. The epoch in it also names what the gateway sees.
type Key = (Option<(i64, i64)>, Links, Ask);
type Cell = Arc<OnceCell<FeedPage>>;

/// The latest pages.
#[derive(Debug, Default)]
pub struct Pages(Mutex<VecDeque<(Key, Cell)>>);

impl Pages {
    /// The page that is asked for; a first page is of the revision `latest` or a later one.
    pub async fn page(
        self: &Arc<Self>,
        store: &Store,
        source: &GatewayView,
        latest: &Latest,
        ask: &Ask,
    ) -> Result<FeedPage, Error> {
        let page = self.make(store, source, latest, ask.clone()).await?;
        if let Some(place) = page.next {
            let (pages, store, source, latest) = (Arc::clone(self), store.clone(), source.clone(), latest.clone());
            // Just as the link says it.
            let next = Ask { place: Some(place), mark: Some(page.mark.clone()), ..ask.clone() };
            // The gateway that asks for this page is told of an error.
            tokio::spawn(async move { pages.make(&store, &source, &latest, next).await.map(drop) });
        }
        Ok(page)
    }

    async fn make(&self, store: &Store, source: &GatewayView, latest: &Latest, ask: Ask) -> Result<FeedPage, Error> {
        let ask = Ask { epoch: Some(source.epoch.clone()), ..ask };
        let first = ask.place.is_none().then_some((latest.revision, latest.word));
        let cell = self.cell((first, source.links, ask.clone()));
        let made =
            cell.get_or_try_init(async || page::build(source, &mut *store.snapshot().await?, &ask).await).await?;
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
