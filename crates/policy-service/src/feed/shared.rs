//! A cache of pages that were built a moment ago or are being built. Gateways that ask for the same page share it, and
//! the next page is built ahead.
//!
//! After a change, all waiting gateways with the same revision want the same delta. The first request builds it, the
//! others wait for it. While a gateway reads one page of a full policy, the service builds the next. The revision is
//! part of the key, so a cached page never becomes wrong. When the cache is full, the oldest page goes.

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

/// Maximum number of cached pages. A page has at most 8 MiB and usually 0.5 MiB, so they take about 8 MB.
const MAX_PAGES: usize = 16;

/// The request, how links are written and, for a first page, the latest revision with its random word. A further page
/// names its revision itself, by its mark. The epoch in the request also identifies what the gateway sees.
type Key = (Option<(i64, i64)>, Links, Ask);
type Cell = Arc<OnceCell<FeedPage>>;

/// The latest pages.
#[derive(Debug, Default)]
pub struct Pages(Mutex<VecDeque<(Key, Cell)>>);

impl Pages {
    /// Returns the requested page. A first page has the revision `latest` or a later one.
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
            // Exactly the request that the link makes.
            let next = Ask { place: Some(place), mark: Some(page.mark.clone()), ..ask.clone() };
            // An error is lost here. The gateway that asks for the page gets it.
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
