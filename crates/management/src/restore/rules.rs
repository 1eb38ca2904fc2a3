//! What a restore brings back of one object: pure rules for each kind.
//!
//! A restore never lifts or weakens a block of a subscription, an application or an API. It never removes a deny
//! policy, never revives a revoked or replaced key, and never lengthens a key's life. `lift` lets it lift blocks and
//! remove deny policies, and nothing else.

use crate::{
    apis::{Api, ApiState},
    applications::{Application, ApplicationState},
    block::{Block, Record},
    deny_policies::DenyPolicy,
    error::Error,
    keys::{Key, KeyState},
    plans::Plan,
    port::Transaction,
    resource::Resource,
    subscriptions::{Subscription, SubscriptionState},
};

/// Why an object is not as it was.
pub type Because = &'static str;

const BLOCK: Because = "its block stays; lift_blocks lets a restore lift it";
const DENY_POLICY: Because = "a restore changes and removes no deny policy; lift_blocks lets it";
const REVOKED: Because = "the key was revoked since, which is final";
const REPLACED: Because = "the key was replaced since, by regenerate";
const LIFE: Because = "the life of a key is never lengthened";

/// The decision about one object.
#[derive(Debug, PartialEq)]
pub enum Verdict<R> {
    /// Store this row; with a reason, if it is not as it was.
    Put(R, Option<Because>),
    /// Change nothing: the current object stays, or none exists.
    Leave(Because),
}

/// A kind of objects that can be restored.
pub trait Restore: Resource + PartialEq {
    /// Decides how `then` is restored. `known` is the latest known state with the same name in the feed: the current
    /// state or, if it `is_gone`, the last one.
    fn put_back(then: Self, known: Option<&Self>, is_gone: bool, lift: bool) -> Verdict<Self>;

    /// The reason why an object that did not exist then must stay; `None` if it can be removed.
    fn stays(_now: &Self, _lift: bool) -> Option<Because> {
        None
    }

    /// The same object at `now`: a block whose time has come holds, and one that is over has ended.
    fn passed_by(self, _now: i64) -> Self {
        self
    }

    /// Closes an object that a block of its owner concerns, and keeps its own block.
    fn close(&mut self) {
        self.hold_back();
    }

    /// Whether only the block of a deleted object is left.
    fn is_only_a_block(&self) -> bool {
        false
    }

    /// Whether a block of its owner concerns it, as it would a new object.
    fn is_restrained(&self, _change: &mut dyn Transaction) -> impl Future<Output = Result<bool, Error>> + Send {
        async { Ok(false) }
    }
}

impl Restore for Plan {
    fn put_back(then: Self, _: Option<&Self>, _: bool, _: bool) -> Verdict<Self> {
        Verdict::Put(then, None)
    }
}

impl Restore for Api {
    fn put_back(then: Self, known: Option<&Self>, _: bool, lift: bool) -> Verdict<Self> {
        // A deleted API keeps no block of its own, so its last state counts.
        let is_blocked = !lift && known.is_some_and(|now| now.state == Some(ApiState::Blocked));
        if is_blocked && then.state != Some(ApiState::Blocked) {
            return Verdict::Put(Self { state: Some(ApiState::Blocked), ..then }, Some(BLOCK));
        }
        Verdict::Put(then, None)
    }

    /// Without it, another API may match its requests.
    fn stays(now: &Self, lift: bool) -> Option<Because> {
        (now.state == Some(ApiState::Blocked) && !lift).then_some(BLOCK)
    }
}

impl Restore for Application {
    fn put_back(then: Self, known: Option<&Self>, is_gone: bool, lift: bool) -> Verdict<Self> {
        let is_blocked = !is_gone && !lift && known.is_some_and(|now| now.state == Some(ApplicationState::Blocked));
        if is_blocked && then.state != Some(ApplicationState::Blocked) {
            let record = known.and_then(|now| now.record.clone());
            return Verdict::Put(Self { state: Some(ApplicationState::Blocked), record, ..then }, Some(BLOCK));
        }
        Verdict::Put(then, None)
    }

    fn stays(now: &Self, lift: bool) -> Option<Because> {
        (now.deleted && !lift).then_some(BLOCK)
    }

    fn is_only_a_block(&self) -> bool {
        self.deleted
    }

    async fn is_restrained(&self, change: &mut dyn Transaction) -> Result<bool, Error> {
        match &self.owner {
            Some(owner) => Ok(change.has_blocked_application(owner).await?),
            None => Ok(false),
        }
    }
}

impl Restore for Subscription {
    fn put_back(then: Self, known: Option<&Self>, is_gone: bool, lift: bool) -> Verdict<Self> {
        match known.filter(|known| !is_gone && !lift && !then.covers(known)) {
            Some(known) => Verdict::Put(then.with_block_of(known), Some(BLOCK)),
            None => Verdict::Put(then, None),
        }
    }

    fn stays(now: &Self, lift: bool) -> Option<Because> {
        (now.deleted && !lift).then_some(BLOCK)
    }

    /// The block of a deleted subscription ends with its row, which the service removes.
    fn passed_by(self, now: i64) -> Self {
        if self.deleted { self } else { self.passed(now) }
    }

    /// Under PROD_ONLY_BLOCKED sandbox keys would pass, and as ON_HOLD the block would be lost.
    fn close(&mut self) {
        if self.block() == Some(Block::ProdOnlyBlocked) {
            let record = self.record.take().unwrap_or_default();
            self.record = Some(Record { state: Some(Block::Blocked), ..record });
            self.state = Some(SubscriptionState::Blocked);
        }
        self.hold_back();
    }

    fn is_only_a_block(&self) -> bool {
        self.deleted
    }

    /// The row itself says whether it was approved.
    async fn is_restrained(&self, change: &mut dyn Transaction) -> Result<bool, Error> {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        Ok(change.is_owner_blocked(&part(&self.application), &part(&self.api)).await?)
    }
}

impl Restore for DenyPolicy {
    fn put_back(then: Self, known: Option<&Self>, is_gone: bool, lift: bool) -> Verdict<Self> {
        if known.is_some() && !is_gone && !lift {
            return Verdict::Leave(DENY_POLICY);
        }
        Verdict::Put(then, None)
    }

    fn stays(_: &Self, lift: bool) -> Option<Because> {
        (!lift).then_some(DENY_POLICY)
    }
}

impl Restore for Key {
    fn put_back(then: Self, known: Option<&Self>, is_gone: bool, _: bool) -> Verdict<Self> {
        let Some(known) = known else { return Verdict::Put(then, None) };
        let mut because = None;
        let mut put = then.clone();
        if known.state == Some(KeyState::Revoked) && then.state != Some(KeyState::Revoked) {
            because = Some(REVOKED);
            put.state = Some(KeyState::Revoked);
        }
        if known.replaced_by != then.replaced_by && known.replaced_by.is_some() {
            because = because.or(Some(REPLACED));
            put.replaced_by.clone_from(&known.replaced_by);
        }
        if is_gone && let Some(because) = because {
            return Verdict::Leave(because);
        }
        // An absent time means no bound.
        put.expires_at = [then.expires_at, known.expires_at].into_iter().flatten().min();
        put.not_before = then.not_before.max(known.not_before);
        if (put.expires_at, put.not_before) != (then.expires_at, then.not_before) {
            because = because.or(Some(LIFE));
        }
        match (put.not_before, put.expires_at) {
            // The two lives do not overlap.
            (Some(from), Some(until)) if from >= until => Verdict::Leave(LIFE),
            _ => Verdict::Put(put, because),
        }
    }
}
