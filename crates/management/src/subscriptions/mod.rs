//! Subscriptions: which application may use which API, and blocks of them.
//!
//! A block concerns one pair of application and API, and it outlives the subscription. If a blocked subscription is
//! deleted, a kept block stays: the API shows it with `deleted`, the feed shows it as BLOCKED, a new subscription of
//! the pair is rejected, and only its own end and `unblock` end it.

mod blocks;
mod state;
mod subscription;

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};

use self::{blocks::Fed, state::STATES};
pub use self::{state::SubscriptionState, subscription::Subscription};
use super::{
    access,
    block::{Block, Record},
    check,
    error::Error,
    limited::{self, Limited},
    resource::{Reference, Resource, document, stored},
};
use crate::port::{
    Act, Actor, Database, Kind, NewRow, Principal, Role, Transaction, Version, list::Column, usage::Pair,
};

/// Joins application and API to one name. No id contains a control character, so no two pairs have the same name.
const SEPARATOR: char = '\u{1f}';

/// The row as the feed shows it.
#[derive(Serialize, Deserialize)]
struct Document {
    application: Option<String>,
    api: Option<String>,
    state: Option<SubscriptionState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_up_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked_from: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked_state: Option<Block>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    block_note: Option<String>,
}

impl Resource for Subscription {
    const KIND: Kind = Kind::Subscription;
    const PREFIX: &'static str = "sub-";
    const PATH: &'static str = "/v1/subscriptions";
    const FILTERS: &'static [&'static str] = &["application", "owner", "api", "state", "plan", "planned"];
    const STATES: &'static [&'static str] = &STATES;
    const CLOSED: &'static str = "ON_HOLD";
    const SORTS: &'static [(&'static str, Column)] =
        &[("application", Column::Application), ("api", Column::Api), ("plan", Column::Plan), ("state", Column::State)];

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    /// A subscriber sets no state and no block. A missing plan keeps its stored value.
    fn claim(&mut self, actor: &Actor, held: Option<&Self>) -> Result<(), Error> {
        if access::limited(actor).is_none() {
            return Ok(());
        }
        if self.state.is_some() && self.state != held.and_then(|held| held.state) {
            return Err(Error::forbidden_in("state", "you cannot set the state of a subscription; leave it out"));
        }
        // Shown to this caller, it may come back.
        let shown = held.and_then(|held| held.record.as_ref());
        if self.record.take().is_some_and(|sent| !shown.is_some_and(|shown| sent.is_part_of(shown))) {
            return Err(Error::forbidden_in("block", "you cannot set a block; leave it out"));
        }
        self.plan = self.plan.take().or_else(|| held?.plan.clone());
        Ok(())
    }

    fn fill_defaults(&mut self, act: &Act, held: Option<&Self>) -> Result<(), Error> {
        if let Some(held) = held {
            if held.deleted {
                return Err(kept_block());
            }
            let kept = |sent: &mut Option<String>, held: &Option<String>| {
                *sent.get_or_insert_default() == *held.as_deref().unwrap_or_default()
            };
            self.application = self.application.take().or_else(|| held.application.clone());
            self.api = self.api.take().or_else(|| held.api.clone());
            if !kept(&mut self.application, &held.application) {
                return Err(Error::invalid("application", "it cannot be changed; create another subscription"));
            }
            if !kept(&mut self.api, &held.api) {
                return Err(Error::invalid("api", "it cannot be changed; create another subscription"));
            }
        }
        self.used_up_until = None;
        self.etag = None;
        if self.kept_owner.is_some() {
            let detail = "expected none: it is that of the application; only a kept block has one of its own";
            return Err(Error::invalid("owner", detail));
        }
        for (field, value) in [("application", &self.application), ("api", &self.api)] {
            if value.is_none() {
                return Err(Error::invalid(field, "it is missing; expected an id"));
            }
        }
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(SubscriptionState::Unblocked));
        self.settle_block(act, held)
    }

    /// What stands beside the state is known of the block that is there.
    fn adopt(&mut self, held: &Self) {
        if self.block() != held.block() {
            return;
        }
        if self.record.as_ref().is_none_or(|sent| held.record.as_ref().is_some_and(|held| sent.is_like(held, i64::MIN)))
        {
            self.record.clone_from(&held.record);
        }
    }

    fn validate(&self) -> Result<(), Error> {
        check::text("id", self.id.as_deref().unwrap_or_default())?;
        check::row::<wire::SubscriptionRow<'_>, rows::Subscription<'_>>(&self.row()?.document)
    }

    fn identity(&self) -> String {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{}{SEPARATOR}{}", part(&self.application), part(&self.api))
    }

    fn row(&self) -> Result<NewRow, Error> {
        let Self { id, application, api, plan, used_up_until, record, kept_owner, .. } = self.clone();
        let kept_block = self.deleted.then(|| self.block()).flatten().map(|block| block.as_str().to_owned());
        let Fed { state, blocked_until, blocked_from, blocked_state, block_note } = self.fed();
        let fed = Document {
            application: application.clone(),
            api: api.clone(),
            state,
            plan: plan.clone(),
            used_up_until,
            blocked_until,
            blocked_from,
            blocked_state,
            block_note,
        };
        Ok(NewRow {
            kind: Kind::Subscription,
            id: id.unwrap_or_default(),
            identity: self.identity(),
            application,
            api,
            plan,
            kept_owner: kept_owner.filter(|_| kept_block.is_some()),
            kept_block,
            beside: Record::beside(record, self.block())?,
            due: self.due(),
            state_before: self.before().as_ref().map(document).transpose()?,
            document: document(&fed)?,
        })
    }

    fn shown(version: &Version) -> Result<Self, Error> {
        let Document { application, api, state, plan, used_up_until, .. } =
            stored(version, Self::STATES, Self::CLOSED)?;
        let kept = version.kept_block.as_deref().map(|block| Block::parse(block).unwrap_or_default().into());
        let id = Some(version.id.clone());
        let before = version.state_before.as_deref().and_then(|state| serde_json::from_str(state).ok());
        let (state, deleted) = (kept.or(state), kept.is_some());
        let kept_owner = version.kept_owner.clone();
        // A block from before there were records.
        let bare = || Some(Record { state: Some(state?.block()?), ..Record::default() });
        let record = Record::of_beside(version.beside.as_deref()).or_else(bare);
        let record = record.map(|record| Record { before, ..record });
        // Of a block that has begun, the record says which one it is. Gateways may get a stronger one ([`Self::fed`]).
        let begun = record.as_ref().filter(|record| !deleted && (record.from.is_none() || record.from != version.due));
        let is_block = state.is_some_and(|state| state.block().is_some());
        let state = begun.and_then(|record| record.state).filter(|_| is_block).map(SubscriptionState::from).or(state);
        Ok(Self { id, application, api, state, plan, used_up_until, deleted, etag: None, record, kept_owner })
    }

    async fn derive_from_database(&mut self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        limited::settle(change, self, held).await
    }

    /// While an owner is blocked at an API, or has a blocked application, puts each new subscription of that owner on
    /// hold. So does an API whose publisher approves each one.
    async fn restrain(&mut self, change: &mut dyn Transaction) -> Result<(), Error> {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        let api = change.find(Kind::Api, &part(&self.api)).await?;
        let waits = api.as_ref().is_some_and(access::is_approved_by_hand);
        if !waits && !change.is_owner_blocked(&part(&self.application), &part(&self.api)).await? {
            return Ok(());
        }
        self.hold_back();
        Ok(())
    }

    fn is_open(&self) -> bool {
        let lets_pass = |state: SubscriptionState| state.is_open() || state == SubscriptionState::ProdOnlyBlocked;
        self.state.is_some_and(lets_pass) && !self.deleted
    }

    fn is_blocked(&self) -> bool {
        self.block().is_some() || self.record.is_some()
    }

    fn hold_back(&mut self) {
        match self.state {
            // When its own block ends, it is still on hold.
            Some(SubscriptionState::Blocked) => *self = self.clone().with_before(SubscriptionState::OnHold),
            Some(SubscriptionState::OnHold | SubscriptionState::Rejected) => {}
            state => {
                // ON_HOLD takes the place of a weaker block. A planned one stays.
                self.record.take_if(|_| state == Some(SubscriptionState::ProdOnlyBlocked));
                self.state = Some(SubscriptionState::OnHold);
            }
        }
    }

    fn references(&self) -> Vec<Reference> {
        let application = self.application.iter().map(|id| Reference::new("application", Kind::Application, id));
        let api = self.api.iter().map(|id| Reference::new("api", Kind::Api, id));
        let plan = self.plan.iter().map(|id| Reference::new("plan", Kind::Plan, id).offered());
        application.chain(api).chain(plan).collect()
    }

    /// A subscriber must choose one of the plans that the API offers, or no plan if it offers none.
    async fn check_beside(&self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        if access::limited(&change.act().actor).is_none() || held.is_some_and(|held| held.plan == self.plan) {
            return Ok(());
        }
        let offered = match change.find(Kind::Api, self.api.as_deref().unwrap_or_default()).await? {
            Some(api) => access::plans_beside(&api),
            None => Vec::new(),
        };
        match &self.plan {
            None if offered.is_empty() => Ok(()),
            None => Err(Error::invalid("plan", format!("expected one that the API offers: {}", offered.join(", ")))),
            Some(plan) if offered.contains(plan) => Ok(()),
            Some(plan) if access::sees(change, Kind::Plan, plan).await? => {
                Err(Error::forbidden_in("plan", "the API does not offer this plan"))
            }
            Some(plan) => Err(Error::not_found_in("plan", Kind::Plan, plan)),
        }
    }

    fn refuse_again(held: &Version) -> Option<Error> {
        let shown = Self::shown(held).ok()?;
        if shown.deleted {
            return Some(kept_block());
        }
        shown
            .block()
            .map(|_| Error::conflict(format!("this subscription ({:?}) is blocked; unblock it first", held.id)))
    }

    fn goes_alone(&self) -> bool {
        !self.deleted && !self.is_blocked()
    }

    /// An application that was not blocked itself goes, and the blocks of its subscriptions stay.
    fn kept_alone(self, owner: Option<String>) -> Option<Self> {
        Some(self.kept(owner))
    }

    fn take_kept_owner(&mut self) -> Option<String> {
        self.kept_owner.take()
    }

    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        let shown = Self::shown(held)?;
        if shown.deleted {
            return Ok(Some(shown));
        }
        if shown.goes_alone() {
            return Ok(change.remove(held).await.map(|()| None)?);
        }
        let owner = change.owner_of(shown.application.as_deref().unwrap_or_default()).await?;
        let kept = shown.kept(owner);
        change.replace(held, &kept.row()?).await?;
        Ok(Some(kept))
    }

    async fn add_to_view(_: &dyn Database, actor: &Actor, items: &mut [Self]) -> Result<(), Error> {
        if matches!(actor, Actor::Principal(Principal { role: Role::Subscriber, .. })) {
            for item in items {
                item.record = item.record.take().map(Record::concealed);
            }
        }
        Ok(())
    }
}

impl Limited for Subscription {
    fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }

    fn pair(&self) -> Pair {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        Pair { application: part(&self.application), api: part(&self.api) }
    }

    fn mark(&mut self) -> &mut Option<i64> {
        &mut self.used_up_until
    }
}

fn kept_block() -> Error {
    Error::conflict("this subscription was deleted, and its block stays; unblock it first")
}
