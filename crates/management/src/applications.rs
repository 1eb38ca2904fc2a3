//! Applications: the senders of requests.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access,
    block::{Block, Blockable, Order, Record},
    check,
    error::Error,
    limited::{self, Limited},
    resource::{Reference, Resource, plain_row, put, stored},
    subscriptions::Subscription,
};
use crate::port::{
    Act, Actor, Database, Kind, NewRow, Principal, Role, Transaction, Version, list::Column, usage::Pair,
};

/// An application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The owner; deny policies of type USER refer to it. An application keeps its owner until another one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// ACTIVE unless given.
    #[serde(default)]
    pub state: Option<ApplicationState>,
    /// Its block: who blocked it, when and why. Absent: it is not blocked.
    #[serde(
        rename = "block",
        default,
        deserialize_with = "crate::object::object",
        skip_serializing_if = "Option::is_none"
    )]
    pub record: Option<Record>,
    /// The plan for the requests to all APIs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time until which the plan is used up: the end of the day or month, Unix time. The service derives it from
    /// the reported usage, and ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub used_up_until: Option<i64>,
    /// True if the application was deleted while it was blocked. The block stays until an unblock.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// Whether an application may call APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApplicationState {
    /// It may call APIs.
    Active,
    /// It may not call any API.
    Blocked,
}

impl ApplicationState {
    const BLOCKED: &str = "BLOCKED";
}

fn kept_block() -> Error {
    Error::conflict("this application was deleted while it was blocked, and the block stays; unblock it first")
}

impl Blockable for Application {
    fn is_kept(&self) -> bool {
        self.deleted
    }

    /// Applications have only one kind of block, without times.
    fn blocked(self, order: &Order, act: &Act) -> Self {
        let record = Record::ordered(&Order { state: Block::Blocked, from: None, until: None, ..order.clone() }, act);
        if self.record.as_ref().is_some_and(|held| held.is_like(&record, act.now)) {
            return self;
        }
        Self { state: Some(ApplicationState::Blocked), record: Some(record), ..self }
    }

    fn unblocked(self) -> Self {
        Self { state: Some(ApplicationState::Active), record: None, ..self }
    }
}

impl Application {
    fn block(&self) -> Option<Block> {
        (self.state == Some(ApplicationState::Blocked)).then_some(Block::Blocked)
    }

    /// Completes the block of a row that is sent to replace `held`, or as a new one.
    fn settle_block(&mut self, act: &Act, held: Option<&Self>) -> Result<(), Error> {
        let held = held.filter(|held| held.block().is_some()).and_then(|held| held.record.clone());
        let Some(block) = self.block() else {
            return match self.record {
                Some(_) => Err(Error::invalid("block", "expected none, because the application is not blocked")),
                None => Ok(()),
            };
        };
        let Some(sent) = self.record.take() else {
            self.record = held.or(Some(Record::new(block, act)));
            return Ok(());
        };
        let record = sent.completed(block, act);
        record.check()?;
        for (field, is_there) in [
            ("block.state", record.state != Some(block)),
            ("block.from", record.from.is_some()),
            ("block.until", record.until.is_some()),
            ("block.before", record.before.is_some()),
        ] {
            if is_there {
                return Err(Error::invalid(
                    field,
                    "expected none: the block of an application is BLOCKED, without times",
                ));
            }
        }
        self.record = Some(held.filter(|held| held.is_like(&record, i64::MIN)).unwrap_or(record));
        Ok(())
    }
}

impl Resource for Application {
    const KIND: Kind = Kind::Application;
    const PREFIX: &'static str = "app-";
    const PATH: &'static str = "/v1/applications";
    const FILTERS: &'static [&'static str] = &["state", "owner", "plan"];
    const STATES: &'static [&'static str] = &["ACTIVE", "BLOCKED"];
    const CLOSED: &'static str = "BLOCKED";
    const SORTS: &'static [(&'static str, Column)] =
        &[("name", Column::Name), ("owner", Column::Owner), ("plan", Column::Plan), ("state", Column::State)];

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    /// A subscriber sets neither state nor plan. Missing fields keep their stored values.
    fn claim(&mut self, actor: &Actor, held: Option<&Self>) -> Result<(), Error> {
        if access::limited(actor).is_none() {
            return Ok(());
        }
        access::claim(actor, &mut self.owner, held.map(|held| &held.owner))?;
        if self.state.is_some() && self.state != held.and_then(|held| held.state) {
            return Err(Error::forbidden_in("state", "you cannot set the state of an application; leave it out"));
        }
        // Shown to this caller, it may come back.
        let shown = held.and_then(|held| held.record.as_ref());
        if self.record.take().is_some_and(|sent| !shown.is_some_and(|shown| sent.is_part_of(shown))) {
            return Err(Error::forbidden_in("block", "you cannot set a block; leave it out"));
        }
        if self.plan.is_some() && self.plan.as_ref() != held.and_then(|held| held.plan.as_ref()) {
            return Err(Error::forbidden_in("plan", "you cannot give an application a plan; leave it out"));
        }
        self.plan = held.and_then(|held| held.plan.clone());
        Ok(())
    }

    fn fill_defaults(&mut self, act: &Act, held: Option<&Self>) -> Result<(), Error> {
        if held.is_some_and(|held| held.deleted) {
            return Err(kept_block());
        }
        self.etag = None;
        let is_blocked = held.is_some_and(|held| held.state == Some(ApplicationState::Blocked));
        if is_blocked && self.state == Some(ApplicationState::Active) {
            return Err(Error::conflict("this application is blocked; only unblock ends a block"));
        }
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(ApplicationState::Active));
        // Blocks and deny policies of the owner concern the application, so it cannot lose its owner by the way.
        self.owner = self.owner.take().or_else(|| held?.owner.clone());
        self.used_up_until = None;
        self.settle_block(act, held)
    }

    /// What stands beside the state is known of the block that is there.
    fn adopt(&mut self, held: &Self) {
        let sent = self.record.as_ref();
        let is_like = |sent: &Record| held.record.as_ref().is_some_and(|held| sent.is_like(held, i64::MIN));
        if self.block().is_some() && self.block() == held.block() && sent.is_none_or(is_like) {
            self.record.clone_from(&held.record);
        }
    }

    fn validate(&self) -> Result<(), Error> {
        check::row::<wire::ApplicationRow<'_>, rows::Application<'_>>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        let id = self.id.clone().unwrap_or_default();
        let kept_block = self.deleted.then(|| ApplicationState::BLOCKED.to_owned());
        // Gateways see a deleted application whose block stays as an ordinary blocked application.
        let fed = Self { deleted: false, etag: None, record: None, ..self.clone() };
        let row = plain_row(&fed, id.clone())?;
        let beside = Record::beside(self.record.clone(), self.block())?;
        Ok(NewRow { application: Some(id), plan: self.plan.clone(), kept_block, beside, ..row })
    }

    fn shown(version: &Version) -> Result<Self, Error> {
        let shown: Self = stored(version, Self::STATES, Self::CLOSED)?;
        // A block from before there were records.
        let bare = || Some(Record { state: Some(shown.block()?), ..Record::default() });
        let record = Record::of_beside(version.beside.as_deref()).or_else(bare);
        Ok(Self { deleted: version.kept_block.is_some(), record, ..shown })
    }

    fn refuse_again(held: &Version) -> Option<Error> {
        held.kept_block.as_ref().map(|_| kept_block())
    }

    async fn derive_from_database(&mut self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        limited::settle(change, self, held).await
    }

    /// While an application of an owner is blocked, blocks each new application of that owner, so that a new one is no
    /// way round the block.
    ///
    /// Rejects the id of a deleted application of somebody else while blocks of its subscriptions stay. They would hold for
    /// the new application, and each of the two owners would see something of the other.
    async fn restrain(&mut self, change: &mut dyn Transaction) -> Result<(), Error> {
        let is_limited = access::limited(&change.act().actor).is_some();
        let rows =
            if is_limited { change.of_application(self.id.as_deref().unwrap_or_default()).await? } else { Vec::new() };
        if rows.iter().any(|row| row.kept_block.is_some() && row.kept_owner != self.owner) {
            return Err(Error::conflict_in(
                "id",
                "this id cannot be used, because blocks stay under it; choose another",
            ));
        }
        if let Some(owner) = &self.owner
            && change.has_blocked_application(owner).await?
        {
            self.hold_back();
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.state == Some(ApplicationState::Active)
    }

    fn is_blocked(&self) -> bool {
        self.state == Some(ApplicationState::Blocked)
    }

    fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    fn hold_back(&mut self) {
        self.state = Some(ApplicationState::Blocked);
    }

    fn references(&self) -> Vec<Reference> {
        self.plan.iter().map(|plan| Reference::new("plan", Kind::Plan, plan)).collect()
    }

    fn goes_alone(&self) -> bool {
        !self.deleted && self.state != Some(ApplicationState::Blocked)
    }

    /// Deletes the keys and subscriptions as well. Blocks stay, so that an application that is created again with the
    /// same id does not escape them.
    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        let shown = Self::shown(held)?;
        if shown.deleted {
            return Ok(Some(shown));
        }
        for dependent in change.of_application(&held.id).await? {
            match dependent.kind {
                Kind::Subscription => Subscription::remove(change, &dependent).await.map(drop)?,
                _ => {
                    change.remove(&dependent).await?;
                    change.forget_key(&dependent.id).await?;
                }
            }
        }
        // Billed usage stays. A later application with the same id starts with no usage.
        change.forget_totals(&held.id).await?;
        if shown.goes_alone() {
            return Ok(change.remove(held).await.map(|()| None)?);
        }
        // The block does not need the plan, so the plan may be deleted.
        let kept = Self { plan: None, used_up_until: None, deleted: true, ..shown };
        put(change, held, &kept).await?;
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

impl Limited for Application {
    fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }

    /// An application's plan counts the requests to all APIs.
    fn pair(&self) -> Pair {
        Pair { application: self.id.clone().unwrap_or_default(), api: String::new() }
    }

    fn mark(&mut self) -> &mut Option<i64> {
        &mut self.used_up_until
    }
}
