//! Keeps the database and this service's memory of gateways alike.
//!
//! Written are: a new gateway, before its first answer; what a gateway says anew, once a second, or within
//! [`PROMPT`] while a replica waits for a receipt; that it is silent; and that it is still heard of, every few minutes.
//! So polls without news cost the database a small part of a row each, and many changes a second cost one row a gateway
//! and second.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use management::port::{
    Error,
    gateways::{MAX_GATEWAYS_AT_ONCE, Wanted},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Gateways,
    known::{TOUCHED_MS, Touched},
};

/// How long the first answer to a gateway waits until the database knows it. If it takes longer, the gateway is served,
/// because an Envoy without a policy refuses everything.
const NEW_TIMEOUT: Duration = Duration::from_millis(500);
/// How often what gateways said anew is noted.
const NOTED: Duration = Duration::from_secs(1);
/// How soon the news is noted while a replica waits. A tenth of the 100 ms after which nobody would call it at once.
const PROMPT: Duration = Duration::from_millis(10);
/// Runs of other services that are remembered, at 100 bytes each. After so many starts all are told everything once more.
const MAX_RUNS: usize = 1_000;
/// How often gateways are forgotten that are gone for long.
const TIDIED: Duration = Duration::from_secs(3_600);

/// The last look at the database.
#[derive(Debug, Default)]
pub struct Looked {
    /// The number of the last change that is known here.
    number: AtomicI64,
    /// Held during a look.
    turn: tokio::sync::Mutex<()>,
    /// Number of looks that have begun.
    begun: AtomicU64,
}

impl Gateways {
    /// Notes a new gateway before it gets an answer, together with all others that wait for it.
    pub(super) async fn note_at_once(&self, id: &str) {
        let noting = async {
            let writing = self.0.writing.lock().await;
            if !self.known().is_noted(id) {
                let _ = self.write().await;
            }
            drop(writing);
        };
        if timeout(NEW_TIMEOUT, noting).await.is_err() {
            tracing::debug!(id, "a new gateway is served before the database knows it");
        }
    }

    /// Notes all that is new.
    async fn note(&self) -> Result<(), Error> {
        let _writing = self.0.writing.lock().await;
        self.write().await
    }

    /// The caller holds the lock.
    async fn write(&self) -> Result<(), Error> {
        loop {
            let now = self.now();
            let rows = self.known().take_dirty(MAX_GATEWAYS_AT_ONCE, now);
            if rows.is_empty() {
                return Ok(());
            }
            // If this is given up, or fails, the rows are to be noted again.
            let unwritten = Unwritten { gateways: self, rows };
            let change = self.0.store.note_gateways(&self.0.run, &unwritten.rows, now).await?;
            self.known().set_noted(&unwritten.take());
            // If nobody else noted anything since, there is nothing to read.
            let before = change.saturating_sub(1);
            let _ = self.0.looked.number.compare_exchange(before, change, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Reads what other replicas have noted, all of it that was noted before this call.
    pub async fn look(&self) -> Result<(), Error> {
        let before = self.0.looked.begun.load(Ordering::Acquire);
        let _turn = self.0.looked.turn.lock().await;
        // Another look began after this call, and has ended.
        if self.0.looked.begun.load(Ordering::Acquire) != before {
            return Ok(());
        }
        self.0.looked.begun.fetch_add(1, Ordering::AcqRel);
        let number = self.0.looked.number.load(Ordering::Acquire);
        let is_loaded = self.known().is_loaded;
        let mut noted = self.0.store.gateways_after(if is_loaded { number } else { 0 }, self.now()).await?;
        if is_loaded && noted.number < number {
            // A backup was restored.
            self.known().mark_all();
            self.0.is_dirty.notify_one();
            noted = self.0.store.gateways_after(0, self.now()).await?;
        }
        let is_changed = self.known().merge(noted.gateways, &self.0.run);
        self.0.looked.number.store(noted.number, Ordering::Release);
        if is_changed {
            self.tell();
        }
        Ok(())
    }

    /// Tells the other replicas that this one waits for gateways in the next seconds.
    pub async fn want(&self, seconds: u32) {
        let until = self.now().saturating_add(i64::from(seconds).saturating_mul(1_000));
        // For a little longer, so that receipts that follow each other need to be told of once.
        if self.0.told_until.load(Ordering::Acquire) >= until {
            return;
        }
        let longer = seconds.saturating_add(5);
        if self.0.store.want_gateways(&self.0.run, longer).await.is_ok() {
            self.0.told_until.store(until.saturating_add(5_000), Ordering::Release);
        }
    }

    /// Removes gateways here and in the database.
    pub(super) async fn remove_all(&self, ids: Vec<Arc<str>>) {
        if ids.is_empty() {
            return;
        }
        let removing = self.removing().await;
        let names: Vec<&str> = ids.iter().map(|id| &**id).collect();
        if let Err(error) = self.0.store.remove_gateways(&self.0.run, &names, removing.at).await {
            return tracing::warn!(%error, "gateways that are gone could not be forgotten");
        }
        removing.done(names);
    }

    /// Runs until the service stops: notes what is new and hears what others note.
    pub async fn watch(&self, stopping: CancellationToken) {
        let (mut noting, mut touching, mut tidying) = (ticks(NOTED), ticks(TOUCHED), interval(TIDIED));
        let (mut changes, mut wanted) = (self.0.store.gateway_changes(), self.0.store.gateways_wanted());
        self.look_or_say().await;
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = changed(&mut changes) => {
                    let number = *changes.borrow_and_update();
                    if number != self.0.looked.number.load(Ordering::Acquire) {
                        self.look_or_say().await;
                    }
                }
                () = changed(&mut wanted) => {
                    let wanted = wanted.borrow_and_update().clone();
                    self.hear_of_wish(&wanted).await;
                }
                () = self.0.is_dirty.notified(), if self.is_wanted() => {
                    sleep(PROMPT).await;
                    self.note_or_say().await;
                }
                _ = noting.tick() => {
                    if !self.known().is_loaded {
                        self.look_or_say().await;
                    }
                    self.note_or_say().await;
                }
                _ = touching.tick() => {
                    let now = self.now();
                    self.known().touch(Touched::Due, now);
                }
                _ = tidying.tick() => {
                    let forgotten = self.known().forgotten(self.0.gone_after, self.now());
                    self.remove_all(forgotten).await;
                }
            }
        }
        // The last word before the service ends, so that the list is right after a restart.
        let _ = timeout(NEW_TIMEOUT, self.note()).await;
    }

    fn is_wanted(&self) -> bool {
        self.now() < self.0.wanted_until.load(Ordering::Acquire)
    }

    async fn hear_of_wish(&self, Wanted { by, seconds, .. }: &Wanted) {
        if *by == self.0.run {
            return;
        }
        let now = self.now();
        let until = now.saturating_add(i64::from(*seconds).saturating_mul(1_000));
        self.0.wanted_until.fetch_max(until, Ordering::AcqRel);
        if self.is_first_wish(by) {
            self.known().touch(Touched::All, now);
        }
        self.note_or_say().await;
    }

    /// Whether another service waits for the first time since this one started.
    fn is_first_wish(&self, by: &str) -> bool {
        let mut heard = self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() >= MAX_RUNS {
            heard.clear();
        }
        heard.insert(by.to_owned())
    }

    async fn note_or_say(&self) {
        if let Err(error) = self.note().await {
            tracing::warn!(%error, "what was heard of gateways could not be noted; it is tried again");
        }
    }

    async fn look_or_say(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "what other services heard of gateways could not be read; receipts may stay incomplete");
        }
    }
}

const TOUCHED: Duration = Duration::from_millis(TOUCHED_MS.unsigned_abs());

/// Ticks of which the first comes after the pause.
fn ticks(pause: Duration) -> tokio::time::Interval {
    let begin = Instant::now().checked_add(pause).unwrap_or_else(Instant::now);
    let mut ticks = tokio::time::interval_at(begin, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for a change. Without a sender there will be none.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Rows that are being written.
struct Unwritten<'g> {
    gateways: &'g Gateways,
    rows: Vec<management::port::gateways::GatewayRow>,
}

impl Unwritten<'_> {
    fn take(mut self) -> Vec<management::port::gateways::GatewayRow> {
        std::mem::take(&mut self.rows)
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            self.gateways.known().put_back(&self.rows);
        }
    }
}
