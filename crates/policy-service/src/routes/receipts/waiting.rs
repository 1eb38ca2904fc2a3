//! Waits until every gateway has a change. A wait costs a task and no connection of the database; the database is asked
//! when a receipt seems complete.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::feed::Feed;
use management::{
    gateways::{Change, Heard, Receipt, receipt},
    port::{
        Error, Scope, Store,
        gateways::{Gateway, Holds, Proof},
    },
};

/// Receipts that are waited for at once, at some 10 KB each. A further one is answered as it stands.
const MAX_WAITING: usize = 1_000;
/// The least pause between two looks at all gateways. With 1,000 gateways a look takes some 0.1 ms.
const PAUSE: Duration = Duration::from_millis(2);
/// All receipts together look for a tenth of the time: the pause is so many times as long as a look of all of them.
const PAUSE_FOR_LOOK: u32 = 10;
/// How often a receipt is looked at without news, because a gateway may be gone by then.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);
/// How long other replicas get to say whether they hear gateways of which this one knows by the database alone.
const SETTLE: Duration = Duration::from_millis(200);

/// Makes receipts.
#[derive(Clone, Debug)]
pub struct Receipts {
    store: Store,
    feed: Feed,
    turns: Arc<Semaphore>,
}

/// What a receipt is asked of.
#[derive(Debug)]
pub struct Question {
    /// The change.
    pub change: Change,
    since: Since,
    /// Whether gateways with this scope see what was changed after this revision, as far as it is known.
    seen: Vec<(Scope, i64, bool)>,
}

/// Which changes the receipt is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Those after this revision.
    Revision(i64),
    /// All that a gateway does not have yet. The revision alone does not say what the caller waits for.
    Held,
}

impl Question {
    /// A question about the changes up to `change`.
    pub fn new(change: Change, since: Since) -> Self {
        Self { change, since, seen: Vec::new() }
    }

    /// The revision after which a gateway must see a change to be concerned.
    fn from(&self, gateway: &Gateway) -> i64 {
        let one = self.change.revision.saturating_sub(1).max(0);
        match (self.since, &gateway.holds) {
            (Since::Revision(from), _) => from,
            (Since::Held, Holds::Proven(proof)) => proof.revision.min(one),
            (Since::Held, Holds::Nothing | Holds::Unknown) => 0,
        }
    }
}

/// A receipt as it stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// What is known.
    pub receipt: Receipt,
    /// Whether every gateway has the change that may still decide by an older policy.
    pub is_complete: bool,
}

impl Receipts {
    /// Makes receipts of the gateways of `feed`.
    pub fn new(store: Store, feed: Feed) -> Self {
        Self { store, feed, turns: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    /// Tells other replicas that a receipt is waited for in the next seconds.
    pub async fn announce(&self, seconds: u32) {
        self.feed.gateways().want(seconds).await;
    }

    /// The receipt when every live gateway has the change, or at the deadline.
    pub async fn wait(&self, question: &mut Question, deadline: Instant) -> Standing {
        let turn = self.turns.try_acquire();
        let settled = Instant::now().checked_add(SETTLE);
        let mut changes = self.feed.gateways().changes();
        loop {
            changes.mark_unchanged();
            let begun = Instant::now();
            let standing = self.look(question).await;
            let receipt = &standing.receipt;
            let is_settled = !receipt.has_unheard || settled.is_none_or(|settled| Instant::now() >= settled);
            let is_answered = receipt.is_answered() && (standing.is_complete || !receipt.silent.is_empty());
            if (is_answered && is_settled) || turn.is_err() || Instant::now() >= deadline || self.feed.is_stopping() {
                return standing;
            }
            let again = Instant::now().checked_add(LOOKED_AGAIN).map_or(deadline, |again| again.min(deadline));
            let again = settled.filter(|settled| !is_settled && *settled < again).unwrap_or(again);
            self.pause(&mut changes, self.pause_after(begun.elapsed()), again).await;
        }
    }

    /// The pause after a look of this length.
    fn pause_after(&self, look: Duration) -> Duration {
        let waiting = MAX_WAITING.saturating_sub(self.turns.available_permits());
        let times = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_mul(PAUSE_FOR_LOOK);
        look.saturating_mul(times).clamp(PAUSE, LOOKED_AGAIN)
    }

    /// Waits for news, no longer than `until`, and then for the pause.
    async fn pause(&self, changes: &mut watch::Receiver<u64>, pause: Duration, until: Instant) {
        tokio::select! {
            () = self.feed.stopped() => {}
            _ = timeout_at(until, changes.changed()) => {}
        }
        let end = Instant::now().checked_add(pause).map_or(until, |end| end.min(until));
        sleep_until(end).await;
    }

    /// The receipt now.
    async fn look(&self, question: &mut Question) -> Standing {
        match self.try_look(question).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(%error, "a receipt cannot be made now");
                // Nothing is known then, so nothing is complete.
                sleep(PAUSE).await;
                Standing {
                    receipt: Receipt { revision: question.change.revision, ..Receipt::default() },
                    is_complete: false,
                }
            }
        }
    }

    async fn try_look(&self, question: &mut Question) -> Result<Standing, Error> {
        let Some(found) = self.count(question).await? else {
            let receipt = Receipt { revision: question.change.revision, ..Receipt::default() };
            return Ok(Standing { receipt, is_complete: false });
        };
        if !found.is_complete() {
            return Ok(Standing { receipt: found, is_complete: false });
        }
        // A gateway may have called another replica for the first time since.
        self.feed.gateways().look().await?;
        let receipt = self.count(question).await?.unwrap_or_default();
        let is_complete = receipt.is_complete() && self.is_history(&question.change, &receipt.proofs).await?;
        Ok(Standing { receipt, is_complete })
    }

    /// The receipt by what is known here. `None` if the gateways could not be read yet.
    async fn count(&self, question: &mut Question) -> Result<Option<Receipt>, Error> {
        let Some((heard, states)) = self.feed.gateways().all() else { return Ok(None) };
        for (scope, from) in unseen(&heard, question) {
            let sees = self.feed.shows(&scope, from, question.change.revision).await?;
            question.seen.push((scope, from, sees));
        }
        let sees = |gateway: &Gateway| match gateway.scope.as_ref()? {
            Scope::All => Some(true),
            scope => {
                let from = question.from(gateway);
                let mut seen = question.seen.iter();
                seen.find(|(other, since, _)| other == scope && *since == from).map(|(_, _, sees)| *sees)
            }
        };
        Ok(Some(receipt(&heard, &states, &question.change, sees)))
    }

    /// Whether the database still has the change, everything that the gateways hold, and every gateway. It may have been put
    /// back from a backup a moment ago.
    async fn is_history(&self, change: &Change, proofs: &[Proof]) -> Result<bool, Error> {
        let mut snapshot = self.store.snapshot().await?;
        let state = snapshot.state();
        let has_change = state.epoch == change.epoch && state.revision >= change.revision;
        if !has_change || self.feed.gateways().may_miss_some(state.renewed_at) {
            return Ok(false);
        }
        for proof in proofs {
            match snapshot.word(proof.revision).await {
                Ok(word) if word == proof.word => {}
                Ok(_) | Err(Error::Gone(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The scopes of limited gateways of which it is not known whether they see what was changed after a revision, each once.
fn unseen(heard: &[Heard], question: &Question) -> Vec<(Scope, i64)> {
    let mut unseen: Vec<(Scope, i64)> = Vec::new();
    for gateway in heard.iter().map(|heard| &heard.gateway) {
        let Some(scope) = gateway.scope.as_ref().filter(|scope| **scope != Scope::All) else { continue };
        let from = question.from(gateway);
        let is_known = question.seen.iter().any(|(other, since, _)| other == scope && *since == from);
        if !is_known && !unseen.iter().any(|(other, since)| other == scope && *since == from) {
            unseen.push((scope.clone(), from));
        }
    }
    unseen
}
