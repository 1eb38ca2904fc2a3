//! The block of a subscription in time: what holds when, and what the feed says of it.
//!
//! The state of a row is what holds now. Its record says which block that is, or which one is planned. Each gateway
//! begins and ends blocks by its own clock, and [`crate::due`] writes the rows again. Nothing here reads a clock or the
//! database.

use super::{state::SubscriptionState, subscription::Subscription};
use crate::{
    block::{Before, Block, Blockable, Order, Record},
    error::Error,
    port::Act,
};

/// What the feed says of a subscription's block, beside the application, the API and the plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fed {
    pub state: Option<SubscriptionState>,
    pub blocked_until: Option<i64>,
    pub blocked_from: Option<i64>,
    pub blocked_state: Option<Block>,
    pub block_note: Option<String>,
}

impl Subscription {
    /// The block that holds now.
    pub fn block(&self) -> Option<Block> {
        self.state.and_then(SubscriptionState::block)
    }

    /// The state that it gets back when its block ends; `None` for UNBLOCKED.
    pub fn before(&self) -> Option<SubscriptionState> {
        self.record.as_ref()?.before.map(SubscriptionState::from)
    }

    /// The same subscription, which gets this state back when its block ends.
    pub fn with_before(self, before: SubscriptionState) -> Self {
        let record = self.record.clone().unwrap_or_else(|| Record { state: self.block(), ..Record::default() });
        Self { record: Some(Record { before: before.as_before(), ..record }), ..self }
    }

    /// The state to restore when a block that begins now ends.
    fn before_block(&self) -> Option<Before> {
        self.state.and_then(SubscriptionState::as_before).or(self.record.as_ref().and_then(|record| record.before))
    }

    /// The block that has not begun.
    pub fn planned(&self) -> Option<&Record> {
        self.record.as_ref().filter(|record| record.from.is_some() && record.state != self.block() && !self.deleted)
    }

    /// When its block begins or ends, and the row is to be written again.
    pub fn due(&self) -> Option<i64> {
        self.planned().map_or_else(|| self.record.as_ref()?.until, |planned| planned.from)
    }

    /// The block that holds at `time`, now or later.
    fn block_at(&self, time: i64) -> Option<Block> {
        let Some(record) = &self.record else { return self.block() };
        if record.until.is_some_and(|until| until <= time) {
            return None;
        }
        match self.planned() {
            Some(planned) if planned.from.is_some_and(|from| from <= time) => planned.state,
            _ => self.block(),
        }
    }

    /// Whether its block is at no time weaker than that of `other`.
    pub fn covers(&self, other: &Self) -> bool {
        let turns = [&self.record, &other.record].into_iter().flatten().flat_map(|record| [record.from, record.until]);
        turns.flatten().chain([0]).all(|time| self.block_at(time) >= other.block_at(time))
    }

    /// The same subscription with the planned block as one that holds.
    fn begun(self) -> Self {
        let Some(Record { state: Some(state), .. }) = self.planned() else { return self };
        let (state, before) = (*state, self.before_block());
        let record = self.record.map(|record| Record { before, ..record });
        Self { state: Some(state.into()), record, ..self }
    }

    /// The same subscription at `now`: a block whose time has come holds, and one that is over has ended.
    pub fn passed(self, now: i64) -> Self {
        let is_due = |time: Option<i64>| time.is_some_and(|time| time <= now);
        if is_due(self.record.as_ref().and_then(|record| record.until)) {
            return self.unblocked();
        }
        if is_due(self.planned().and_then(|planned| planned.from)) { self.begun() } else { self }
    }

    /// What stays of a blocked subscription that is deleted. A planned block counts as begun: without the subscription no
    /// request passes anyway, and nobody can subscribe again to escape it.
    pub fn kept(self, kept_owner: Option<String>) -> Self {
        let begun = self.begun();
        // The block does not need the plan, so the plan may be deleted.
        let record = begun.record.map(|record| Record { before: None, ..record });
        Self { plan: None, used_up_until: None, deleted: true, kept_owner, record, ..begun }
    }

    /// The same subscription with the block of `held`, which holds or is planned.
    pub fn with_block_of(self, held: &Self) -> Self {
        // A block without a subscription has begun.
        let held = if self.deleted { held.clone().begun() } else { held.clone() };
        let before = self.before_block().filter(|_| !self.deleted);
        let record = |before| held.record.clone().map(|record| Record { before, ..record });
        match held.block() {
            Some(block) => {
                let record = record(before).or(Some(Record { state: Some(block), before, ..Record::default() }));
                Self { state: Some(block.into()), record, ..self }
            }
            None => Self { record: record(None), ..self.unblocked() },
        }
    }

    /// Completes the block of a row that is sent to replace `held`, or as a new one. What it leaves out stays as it is.
    /// Rejects a block that is at any time weaker than that of `held`.
    pub fn settle_block(&mut self, act: &Act, held: Option<&Self>) -> Result<(), Error> {
        let held_record = held.and_then(|held| held.record.clone());
        let is_as_held = held.is_some_and(|held| held.block() == self.block());
        let record = match (self.record.take(), held_record) {
            (None, Some(record)) if is_as_held => Some(record),
            (None, _) => self.block().map(|block| Record::new(block, act)),
            (Some(sent), held) => {
                let record = self.complete_record(sent, act)?;
                Some(held.filter(|held| is_as_held && held.is_like(&record, i64::MIN)).unwrap_or(record))
            }
        };
        let was_before = held.and_then(Self::before_block);
        let is_blocked = self.block().is_some();
        let before = |record: &Record| was_before.or(record.before).filter(|_| is_blocked);
        self.record = record.map(|record| Record { before: before(&record), ..record });
        if self.record.is_some() {
            *self = self.clone().passed(act.now);
        }
        let Some(held) = held.map(|held| held.clone().passed(act.now)) else { return Ok(()) };
        if self.covers(&held) {
            return Ok(());
        }
        let what = held.block().map_or("to be blocked", Block::as_str);
        Err(Error::conflict(format!(
            "this subscription is {what}; only unblock, a block's own end, and block with another state change a block"
        )))
    }

    fn complete_record(&self, sent: Record, act: &Act) -> Result<Record, Error> {
        let record = sent.completed(self.block().unwrap_or_default(), act);
        record.check()?;
        if record.from.is_none() && record.state != self.block() {
            let detail = "expected the time when it begins, because the state is another one";
            return Err(Error::invalid("block.from", detail));
        }
        Ok(record)
    }

    /// What the feed says. Gateways turn a block that ends into UNBLOCKED, so they get no end where something else follows:
    /// ON_HOLD, REJECTED, or no subscription at all. The service writes such rows again.
    pub fn fed(&self) -> Fed {
        let state = self.state;
        let Some(record) = &self.record else { return Fed { state, ..Fed::default() } };
        let block_note = record.note.clone();
        if self.deleted {
            // Without a subscription sandbox keys are denied as well.
            return Fed { state: Some(SubscriptionState::Blocked), block_note, ..Fed::default() };
        }
        let opens = self.block().is_none() || self.before().is_none_or(SubscriptionState::is_open);
        let blocked_until = record.until.filter(|_| opens);
        // The end of a block must not open what it has closed, nor leave open for sandbox keys what is ON_HOLD after it.
        let is_timed = record.until.is_some() || record.from.is_some();
        let state = if !opens && is_timed { Some(SubscriptionState::Blocked) } else { state };
        match self.planned() {
            Some(planned) => {
                Fed { state, blocked_until, blocked_from: planned.from, blocked_state: planned.state, block_note }
            }
            None => Fed { state, blocked_until, block_note, ..Fed::default() },
        }
    }
}

impl Blockable for Subscription {
    fn is_kept(&self) -> bool {
        self.deleted
    }

    /// A block that begins later leaves the state as it is until then.
    fn blocked(self, order: &Order, act: &Act) -> Self {
        let record = Record::ordered(order, act);
        let is_later = order.is_planned(act.now) && !self.deleted;
        let state = if is_later { self.state } else { Some(order.state.into()) };
        if state == self.state && self.record.as_ref().is_some_and(|held| held.is_like(&record, act.now)) {
            return self;
        }
        let before = if is_later { self.record.as_ref().and_then(|held| held.before) } else { self.before_block() };
        Self { state, record: Some(Record { before, ..record }), ..self }
    }

    fn unblocked(self) -> Self {
        let state = match self.block() {
            Some(_) => self.before().or(Some(SubscriptionState::Unblocked)),
            None => self.state,
        };
        Self { state, record: None, ..self }
    }
}
