//! Subscriptions: which application may use which API, and blocks of them.
//!
//! A block concerns one pair of application and API, and it outlives the subscription. If a blocked subscription is
//! deleted, a kept block stays: the API shows it with `deleted`, the feed shows it as BLOCKED, a new subscription of
//! the pair is rejected, and only `unblock` ends it.

use keygate::policy::{self, rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access,
    block::{Block, Blockable},
    check,
    error::Error,
    limited::{self, Limited},
    resource::{Reference, Resource, document, stored},
};
use crate::port::{Actor, Kind, NewRow, Transaction, Version, list::Column, usage::Pair};

/// Joins application and API to one name. No id contains a control character, so no two pairs have the same name.
const SEPARATOR: char = '\u{1f}';

/// The subscription of one application to one API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// The application. It cannot be changed.
    #[serde(default)]
    pub application: Option<String>,
    /// The API. It cannot be changed.
    #[serde(default)]
    pub api: Option<String>,
    /// UNBLOCKED unless given. A PUT without it keeps the stored state.
    #[serde(default)]
    pub state: Option<SubscriptionState>,
    /// The plan for its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time until which the plan is used up: the end of the day or month, Unix time. The service derives it from
    /// the reported usage, and ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub used_up_until: Option<i64>,
    /// True if the subscription was deleted while it was blocked. The block stays until an unblock.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
    /// The state that it gets back when its block ends; `None` for UNBLOCKED.
    #[serde(skip)]
    pub before: Option<SubscriptionState>,
    /// For a kept block: the owner of the application at that time.
    #[serde(skip)]
    pub kept_owner: Option<String>,
}

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionState {
    /// Requests with either key type pass.
    Unblocked,
    /// Requests with either key type are denied.
    Blocked,
    /// Only requests with sandbox keys pass.
    ProdOnlyBlocked,
    /// Not approved yet; requests are denied.
    OnHold,
    /// Rejected; requests are denied.
    Rejected,
    /// Requests pass under the old plan.
    TierUpdatePending,
    /// Requests pass until the subscription is deleted.
    DeletePending,
}

/// The words of the states, from the filter.
const STATES: [&str; policy::SubscriptionState::WORDS.len()] = {
    let [unblocked, blocked, prod_only_blocked, on_hold, rejected, tier_update_pending, delete_pending] =
        policy::SubscriptionState::WORDS;
    [unblocked.0, blocked.0, prod_only_blocked.0, on_hold.0, rejected.0, tier_update_pending.0, delete_pending.0]
};

impl From<Block> for SubscriptionState {
    fn from(block: Block) -> Self {
        match block {
            Block::Blocked => Self::Blocked,
            Block::ProdOnlyBlocked => Self::ProdOnlyBlocked,
        }
    }
}

impl Subscription {
    /// The state to restore when a block of this subscription ends.
    fn before_block(&self) -> Option<SubscriptionState> {
        self.before.or(self.state.and_then(SubscriptionState::before_block))
    }

    /// The block of this subscription.
    pub fn block(&self) -> Option<Block> {
        match self.state {
            Some(SubscriptionState::Blocked) => Some(Block::Blocked),
            Some(SubscriptionState::ProdOnlyBlocked) => Some(Block::ProdOnlyBlocked),
            _ => None,
        }
    }
}

impl SubscriptionState {
    /// The state that `unblock` restores, if this was the state before the block.
    fn before_block(self) -> Option<Self> {
        match self {
            Self::Unblocked | Self::Blocked | Self::ProdOnlyBlocked => None,
            Self::OnHold | Self::Rejected | Self::TierUpdatePending | Self::DeletePending => Some(self),
        }
    }
}

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
}

impl Resource for Subscription {
    const KIND: Kind = Kind::Subscription;
    const PREFIX: &'static str = "sub-";
    const PATH: &'static str = "/v1/subscriptions";
    const FILTERS: &'static [&'static str] = &["application", "owner", "api", "state", "plan"];
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

    /// A subscriber sets no state. A missing plan keeps its stored value.
    fn claim(&mut self, actor: &Actor, held: Option<&Self>) -> Result<(), Error> {
        if access::limited(actor).is_none() {
            return Ok(());
        }
        if self.state.is_some() && self.state != held.and_then(|held| held.state) {
            return Err(Error::forbidden_in("state", "you cannot set the state of a subscription; leave it out"));
        }
        self.plan = self.plan.take().or_else(|| held?.plan.clone());
        Ok(())
    }

    fn fill_defaults(&mut self, held: Option<&Self>) -> Result<(), Error> {
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
        for (field, value) in [("application", &self.application), ("api", &self.api)] {
            if value.is_none() {
                return Err(Error::invalid(field, "it is missing; expected an id"));
            }
        }
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(SubscriptionState::Unblocked));
        if let Some(block) = held.and_then(Self::block)
            && self.block() != Some(block)
            && self.block() != Some(Block::Blocked)
        {
            return Err(Error::conflict(format!(
                "this subscription is {}; only unblock, and block with another state, change a block",
                block.as_str()
            )));
        }
        self.before = self.block().and(held.and_then(Self::before_block));
        Ok(())
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
        let Self { id, application, api, state, plan, used_up_until, before, kept_owner, .. } = self.clone();
        // A kept block is shown as BLOCKED, even if only production keys were blocked, because without a subscription
        // sandbox keys are denied as well.
        let kept_block = self.deleted.then(|| self.block()).flatten().map(|block| block.as_str().to_owned());
        let state = if kept_block.is_some() { Some(SubscriptionState::Blocked) } else { state };
        Ok(NewRow {
            kind: Kind::Subscription,
            id: id.unwrap_or_default(),
            identity: self.identity(),
            application: application.clone(),
            api: api.clone(),
            plan: plan.clone(),
            kept_owner: kept_owner.filter(|_| kept_block.is_some()),
            kept_block,
            beside: None,
            state_before: before.as_ref().map(document).transpose()?,
            document: document(&Document { application, api, state, plan, used_up_until })?,
        })
    }

    fn shown(version: &Version) -> Result<Self, Error> {
        let Document { application, api, state, plan, used_up_until } = stored(version, Self::STATES, Self::CLOSED)?;
        let kept = version.kept_block.as_deref().map(|block| Block::parse(block).unwrap_or_default().into());
        let id = Some(version.id.clone());
        let before = version.state_before.as_deref().and_then(|state| serde_json::from_str(state).ok());
        let (state, deleted) = (kept.or(state), kept.is_some());
        let kept_owner = version.kept_owner.clone();
        Ok(Self { id, application, api, state, plan, used_up_until, deleted, etag: None, before, kept_owner })
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
        use SubscriptionState::{DeletePending, ProdOnlyBlocked, TierUpdatePending, Unblocked};
        matches!(self.state, Some(Unblocked | TierUpdatePending | DeletePending | ProdOnlyBlocked)) && !self.deleted
    }

    fn is_blocked(&self) -> bool {
        self.block().is_some()
    }

    fn hold_back(&mut self) {
        match self.state {
            // When its own block ends, it is still on hold.
            Some(SubscriptionState::Blocked) => self.before = Some(SubscriptionState::OnHold),
            Some(SubscriptionState::OnHold | SubscriptionState::Rejected) => {}
            _ => self.state = Some(SubscriptionState::OnHold),
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
            Some(plan) => Err(Error::not_found(Kind::Plan, plan)),
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
        !self.deleted && self.block().is_none()
    }

    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        let shown = Self::shown(held)?;
        if shown.deleted {
            return Ok(Some(shown));
        }
        if shown.goes_alone() {
            return Ok(change.remove(held).await.map(|()| None)?);
        }
        // The block does not need the plan, so the plan may be deleted.
        let kept_owner = change.owner_of(shown.application.as_deref().unwrap_or_default()).await?;
        let kept = Self { plan: None, used_up_until: None, deleted: true, before: None, kept_owner, ..shown };
        change.replace(held, &kept.row()?).await?;
        Ok(Some(kept))
    }
}

impl Blockable for Subscription {
    fn is_kept(&self) -> bool {
        self.deleted
    }

    fn blocked(self, block: Block) -> Self {
        Self { before: self.before_block(), state: Some(block.into()), ..self }
    }

    fn unblocked(self) -> Self {
        if self.block().is_none() {
            return self;
        }
        Self { state: self.before.or(Some(SubscriptionState::Unblocked)), before: None, ..self }
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
    Error::conflict("this subscription was deleted while it was blocked, and the block stays; unblock it first")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema as _;

    use super::*;

    /// A state that only the service knew would deny requests at every gateway.
    #[test]
    fn the_service_and_the_filter_have_the_same_words() {
        let schema = serde_json::to_value(SubscriptionState::schema()).unwrap();
        let of_service: Vec<&str> = schema["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let of_filter: Vec<&str> = policy::SubscriptionState::WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(of_service, of_filter);
        assert_eq!(STATES, *of_filter);
    }

    #[test]
    fn each_state_has_the_word_that_the_filter_reads_as_this_state() {
        for (word, read) in policy::SubscriptionState::WORDS {
            let state: SubscriptionState = serde_json::from_value(json!(word)).expect(word);
            let expected = match state {
                SubscriptionState::Unblocked => policy::SubscriptionState::Unblocked,
                SubscriptionState::Blocked => policy::SubscriptionState::Blocked,
                SubscriptionState::ProdOnlyBlocked => policy::SubscriptionState::ProdOnlyBlocked,
                SubscriptionState::OnHold => policy::SubscriptionState::OnHold,
                SubscriptionState::Rejected => policy::SubscriptionState::Rejected,
                SubscriptionState::TierUpdatePending => policy::SubscriptionState::TierUpdatePending,
                SubscriptionState::DeletePending => policy::SubscriptionState::DeletePending,
            };
            assert_eq!(read, expected, "{word}");
            assert_eq!(serde_json::to_value(state).expect(word), json!(word));
            let row = json!({"application": "a", "api": "b", "state": word}).to_string();
            let row: wire::SubscriptionRow<'_> = serde_json::from_str(&row).expect(word);
            assert_eq!(rows::Subscription::try_from(row).expect(word).state, expected, "{word}");
        }
    }
}
