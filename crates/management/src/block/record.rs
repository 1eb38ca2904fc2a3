//! The record of a block: who blocked what and why, when it begins and when it ends. And what a caller asks for.
//!
//! Nothing here knows which object is blocked, or reads a clock.

use keygate::policy::MAX_UNIX_SECONDS;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use utoipa::ToSchema;

use super::word::Block;
use crate::{check, error::Error, port::Act, resource::document};

/// The record of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BlockRecord)]
pub struct Record {
    /// BLOCKED or PROD_ONLY_BLOCKED; of a planned block, what it will be.
    #[serde(default)]
    pub state: Option<Block>,
    /// Who blocked. Subscribers do not see it.
    #[serde(default)]
    pub by: Option<String>,
    /// When that was, Unix time.
    #[serde(default)]
    pub at: Option<i64>,
    /// Why. Subscribers do not see it.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the subscriber is told.
    #[serde(default)]
    pub note: Option<String>,
    /// The first second of a block that was planned, Unix time.
    #[serde(default)]
    pub from: Option<i64>,
    /// The first second after the block, Unix time. Null: it ends only by `unblock`.
    #[serde(default)]
    pub until: Option<i64>,
    /// The state that the subscription gets back when the block ends; absent for UNBLOCKED.
    #[serde(default)]
    pub before: Option<Before>,
    /// `by` and `reason` are not shown.
    #[serde(skip)]
    pub is_concealed: bool,
}

/// A state that a subscription gets back when its block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Before {
    /// It waits for approval.
    OnHold,
    /// It was rejected.
    Rejected,
    /// It is to get another plan.
    TierUpdatePending,
    /// It is to be deleted.
    DeletePending,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Beside {
    block: Option<Record>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { state, by, at, reason, note, from, until, before, is_concealed } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("state", state)?;
        if !is_concealed {
            map.serialize_entry("by", by)?;
        }
        map.serialize_entry("at", at)?;
        if !is_concealed {
            map.serialize_entry("reason", reason)?;
        }
        map.serialize_entry("note", note)?;
        map.serialize_entry("from", from)?;
        map.serialize_entry("until", until)?;
        if before.is_some() {
            map.serialize_entry("before", before)?;
        }
        map.end()
    }
}

impl Record {
    /// The record of a block in this state that `act` makes now, and that says nothing more.
    pub fn new(state: Block, act: &Act) -> Self {
        Self { state: Some(state), by: Some(act.actor.subject().to_owned()), at: Some(act.now), ..Self::default() }
    }

    /// The record of what `order` asks for.
    pub fn ordered(order: &Order, act: &Act) -> Self {
        let Order { state, reason, note, from, until } = order.clone();
        Self { reason, note, from, until, ..Self::new(state, act) }
    }

    /// The record in the fields that gateways do not get. The state before the block has a column of its own.
    pub fn of_beside(beside: Option<&str>) -> Option<Self> {
        serde_json::from_str::<Beside>(beside?).ok()?.block
    }

    /// The fields that gateways do not get; `None` if the record says nothing but `state`.
    pub fn beside(record: Option<Self>, state: Option<Block>) -> Result<Option<String>, Error> {
        let record = record.map(|record| Self { before: None, is_concealed: false, ..record });
        let record = record.filter(|record| *record != Self { state, ..Self::default() });
        record.map(|record| document(&Beside { block: Some(record) })).transpose()
    }

    /// The same without what subscribers do not see.
    pub fn concealed(self) -> Self {
        Self { by: None, reason: None, is_concealed: true, ..self }
    }

    /// Whether both ask for the same block, whoever made it and when. A beginning up to `now` is none.
    pub fn is_like(&self, other: &Self, now: i64) -> bool {
        let of = |record: &Self| {
            let Self { state, reason, note, from, until, .. } = record.clone();
            (state, reason, note, from.filter(|from| *from > now), until)
        };
        of(self) == of(other)
    }

    /// The same, with what a client left out.
    pub fn completed(self, state: Block, act: &Act) -> Self {
        let Self { by, at, .. } = Self::new(state, act);
        Self { state: self.state.or(Some(state)), by: self.by.or(by), at: self.at.or(at), ..self }
    }

    /// Whether each field that this record has is that of `whole`. So a caller can send back what the service has shown.
    pub fn is_part_of(&self, whole: &Self) -> bool {
        fn fits<T: PartialEq>(part: Option<&T>, whole: Option<&T>) -> bool {
            part.is_none() || part == whole
        }
        fits(self.state.as_ref(), whole.state.as_ref())
            && fits(self.by.as_ref(), whole.by.as_ref())
            && fits(self.at.as_ref(), whole.at.as_ref())
            && fits(self.reason.as_ref(), whole.reason.as_ref())
            && fits(self.note.as_ref(), whole.note.as_ref())
            && fits(self.from.as_ref(), whole.from.as_ref())
            && fits(self.until.as_ref(), whole.until.as_ref())
            && fits(self.before.as_ref(), whole.before.as_ref())
    }

    /// Checks the texts and the range of the times.
    pub fn check(&self) -> Result<(), Error> {
        for (field, text) in [("block.by", &self.by), ("block.reason", &self.reason), ("block.note", &self.note)] {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text))?;
        }
        for (field, time) in [("block.at", self.at), ("block.from", self.from), ("block.until", self.until)] {
            if time.is_some_and(|time| !(0..=MAX_UNIX_SECONDS).contains(&time)) {
                return Err(Error::invalid(field, "expected Unix time in seconds, to the year 9999 at most"));
            }
        }
        if is_backwards(self.from, self.until) {
            return Err(Error::invalid("block.until", "expected a time after from"));
        }
        Ok(())
    }
}

/// The block that a caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The state.
    pub state: Block,
    /// Why; not for subscribers.
    pub reason: Option<String>,
    /// What the subscriber is told.
    pub note: Option<String>,
    /// The first second of the block, Unix time; `None` for now.
    pub from: Option<i64>,
    /// The first second after the block, Unix time; `None` if it ends only by `unblock`.
    pub until: Option<i64>,
}

impl Order {
    /// Checks what is asked for at `now`.
    pub fn check(&self, now: i64) -> Result<(), Error> {
        for (field, text) in [("reason", &self.reason), ("note", &self.note)] {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text))?;
        }
        for (field, time, least) in [("from", self.from, now), ("until", self.until, now.saturating_add(1))] {
            if time.is_some_and(|time| time < least) {
                return Err(Error::invalid(field, "expected a time in the future"));
            }
            if time.is_some_and(|time| time > MAX_UNIX_SECONDS) {
                return Err(Error::invalid(field, "expected a time to the year 9999 at most"));
            }
        }
        if is_backwards(self.from, self.until) {
            return Err(Error::invalid("until", "expected a time after from"));
        }
        Ok(())
    }

    /// Whether the block begins later.
    pub fn is_planned(&self, now: i64) -> bool {
        self.from.is_some_and(|from| from > now)
    }
}

/// Whether a block would end before it begins, or with its beginning.
fn is_backwards(from: Option<i64>, until: Option<i64>) -> bool {
    from.zip(until).is_some_and(|(from, until)| until <= from)
}
