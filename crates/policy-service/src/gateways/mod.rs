//! The gateways that this service and the others on its database hear of.
//!
//! A call costs one look into a map in memory ([`known`]). What a gateway says of itself stands in the headers of its
//! calls ([`said`]). The database knows a gateway before it gets its first answer, so that every replica waits for it; all
//! else is noted later, many at once ([`keep`]). The rules are in [`management::gateways`].

mod document;
mod figures;
mod keep;
mod known;
mod removed;
mod said;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
    time::Duration,
};

use management::{
    gateways::{Heard, State, may_miss_some, states},
    port::Store,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use self::{keep::Looked, known::Known};
pub use self::{
    known::{Call, Shown},
    said::Said,
};
use crate::clock::{random_word, unix_millis};

/// How often a client id is warned of that has too many gateways.
const WARNED_AGAIN: Duration = Duration::from_secs(3_600);

/// All known gateways. Clones share them.
#[derive(Clone)]
pub struct Gateways(Arc<Inner>);

struct Inner {
    store: Store,
    /// The name of this run of the service.
    run: String,
    gone_after: i64,
    /// The time of the start, Unix milliseconds, and the clock that goes on from there. A leap of the machine's clock makes
    /// nobody silent.
    base: i64,
    begun: Instant,
    known: Mutex<Known>,
    /// Counts the changes of what is known.
    changes: watch::Sender<u64>,
    /// Held while the database is written.
    writing: tokio::sync::Mutex<()>,
    looked: Looked,
    /// Until when another replica waits for gateways, and until when this one has said so to the others.
    wanted_until: AtomicI64,
    told_until: AtomicI64,
    /// Runs of other services that have waited for gateways.
    wishes: Mutex<HashSet<String>>,
    /// Something is to be noted.
    is_dirty: Notify,
    warned: Mutex<(Option<Instant>, HashSet<String>)>,
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateways").field("run", &self.0.run).finish_non_exhaustive()
    }
}

/// A call that is being answered. The gateway counts as heard of until this is dropped.
#[derive(Debug)]
pub struct Held {
    gateways: Gateways,
    id: Arc<str>,
    retry_after: i64,
}

impl Held {
    /// The answer tells the gateway to wait so many seconds.
    pub fn tell_to_wait(&mut self, seconds: i64) {
        self.retry_after = seconds;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.gateways.now();
        self.gateways.known().leave(&self.id, self.retry_after, now);
    }
}

/// A gateway is being removed. Until this is dropped nothing is noted, so what was heard before the removal does not undo
/// it.
#[derive(Debug)]
pub struct Removing<'g> {
    gateways: &'g Gateways,
    /// The time of the removal, Unix milliseconds.
    pub at: i64,
    _writing: tokio::sync::MutexGuard<'g, ()>,
}

impl Removing<'_> {
    /// The database has removed these gateways, so they are forgotten here, too, unless they were heard of since.
    pub fn done<'a>(self, ids: impl IntoIterator<Item = &'a str>) {
        for id in ids {
            self.gateways.known().remove(id, self.at);
        }
        self.gateways.tell();
    }
}

impl Gateways {
    /// The gateways in `store`, which [`Self::watch`] reads. A silent gateway is gone after `gone_after`, if it can allow
    /// nothing any more.
    pub fn new(store: Store, gone_after: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            run: random_word(),
            gone_after: i64::try_from(gone_after.as_millis()).unwrap_or(i64::MAX),
            base: unix_millis(),
            begun: Instant::now(),
            known: Mutex::default(),
            changes: watch::Sender::default(),
            writing: tokio::sync::Mutex::default(),
            looked: Looked::default(),
            wanted_until: AtomicI64::default(),
            told_until: AtomicI64::default(),
            wishes: Mutex::default(),
            is_dirty: Notify::default(),
            warned: Mutex::default(),
        }))
    }

    /// The time, in Unix milliseconds.
    pub fn now(&self) -> i64 {
        self.0.base.saturating_add(i64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a gateway calls. The answer may be made when this returns.
    pub async fn arrive(&self, call: Call) -> Held {
        let client_id = call.client_id.clone();
        let arrived = self.known().arrive(call, self.now());
        let held = Held { gateways: self.clone(), id: arrived.id, retry_after: 0 };
        if arrived.is_changed {
            self.tell();
            self.0.is_dirty.notify_one();
        }
        if arrived.is_one_too_many {
            self.warn_of(&client_id).await;
        }
        if arrived.is_new {
            self.note_at_once(&held.id).await;
        }
        held
    }

    /// Notes that a gateway calls whose credentials are refused. If it was removed from the list, it is back on it, because it
    /// may go on by its last policy. Others are on the list, or nobody can know that they are gateways.
    pub async fn hear_refused(&self, instance: String, process: String) {
        let Some(id) = self.known().hear_refused(instance, process, self.now()) else { return };
        tracing::warn!(
            id = &*id,
            "a gateway that was removed still calls, with credentials that are refused; it may go on by its last policy until \
             that expires, so receipts wait for it again; stop it, or give it a credential"
        );
        self.tell();
        self.0.is_dirty.notify_one();
        self.note_at_once(&id).await;
    }

    /// Follows the changes of what is known.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn tell(&self) {
        self.0.changes.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// All gateways with their states. `None` if the database could not be read yet.
    pub fn all(&self) -> Option<(Vec<Heard>, Vec<State>)> {
        let heard = {
            let known = self.known();
            known.is_loaded.then(|| known.heard())?
        };
        let states = states(&heard, self.0.gone_after, self.now());
        Some((heard, states))
    }

    /// Whether there may be gateways that are not known here, because the database lost a part of its history at the Unix
    /// second `lost_at`.
    pub fn may_miss_some(&self, lost_at: i64) -> bool {
        let heard_within = self.known().longest_heard_within();
        may_miss_some(heard_within, self.0.base, lost_at.saturating_mul(1_000), self.now())
    }

    /// Begins to remove a gateway.
    pub async fn removing(&self) -> Removing<'_> {
        let writing = self.0.writing.lock().await;
        Removing { gateways: self, at: self.now(), _writing: writing }
    }

    /// Says in the log that a client id has too many gateways, and makes room if one of them is gone.
    async fn warn_of(&self, client_id: &str) {
        if self.is_warning_due(client_id) {
            tracing::warn!(
                client_id,
                most = management::gateways::MAX_GATEWAYS_OF_CLIENT,
                "a client id has too many gateways; further ones are served, but receipts stay incomplete; remove gateways \
                 that do not exist any more, or give some of them another client id"
            );
            let gone = self.known().longest_gone(client_id, self.0.gone_after, self.now());
            self.remove_all(gone.into_iter().collect()).await;
        }
    }

    fn is_warning_due(&self, client_id: &str) -> bool {
        let mut warned = self.0.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.0.is_none_or(|begun| begun.elapsed() > WARNED_AGAIN) {
            *warned = (Some(Instant::now()), HashSet::new());
        }
        warned.1.insert(client_id.to_owned())
    }
}
