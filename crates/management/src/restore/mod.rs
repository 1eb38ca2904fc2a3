//! Restores the rows of an earlier revision, as one new change.
//!
//! Removes objects that did not exist then, and restores those that did, as far as [`rules`] permit. The order keeps
//! references valid: subscriptions and keys are removed before applications and APIs, and restored after them. An
//! object that cannot be restored stays as it is and is reported. The caller decides whether to commit the change; a
//! dropped change is a preview.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use utoipa::ToSchema;

use self::rules::{Restore, Verdict};
use crate::{
    apis::Api,
    applications::Application,
    block,
    deny_policies::DenyPolicy,
    error::Error,
    keys::Key,
    pipeline::check_room_for,
    plans::Plan,
    port::{
        Kind, NewRow, Transaction, Version,
        audit::{Action, Deed, Subject},
    },
    resource::Resource as _,
    review::review_plan,
    subscriptions::Subscription,
};

/// Number of objects whose rows are read together.
const CHUNK: usize = 500;
/// Maximum number of objects that one restore compares: 200 MB of ids at 100 bytes each. It is one transaction, for which
/// other changes wait; the caller limits its time.
const MAX_RESTORED: usize = 2_000_000;
/// Maximum number of objects without restoration that are listed, at 100 bytes each. Further ones are only counted.
const MAX_KEPT_NAMED: usize = 1_000;

/// Numbers of changed objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    /// Created again.
    pub made: u64,
    /// Changed back.
    pub changed: u64,
    /// Removed.
    pub removed: u64,
}

/// An object that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kept {
    /// Its kind.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// The reason.
    pub because: String,
}

/// The result of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Numbers of changed objects, by the names of their lists.
    pub counts: BTreeMap<&'static str, Count>,
    /// Objects that are not as they were; only the first ones.
    pub kept: Vec<Kept>,
    /// Number of all such objects.
    pub kept_total: u64,
}

/// Restores the rows of `revision`. `lift` lets it lift blocks and remove deny policies.
pub async fn restore(change: &mut dyn Transaction, revision: i64, lift: bool) -> Result<Restored, Error> {
    change.record(Deed::of_policy(Action::Restore, Some(&revision.to_string())));
    let touched = change.touched_since(revision, MAX_RESTORED.saturating_add(1)).await?;
    if touched.len() > MAX_RESTORED {
        return Err(Error::conflict_in(
            "revision",
            format!("more than {MAX_RESTORED} rows differ from this revision; restore a backup instead"),
        ));
    }
    let mut ids: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (kind, id) in touched {
        ids.entry(kind.number()).or_default().push(id);
    }
    let of = |kind: Kind| ids.get(&kind.number()).map_or(&[][..], Vec::as_slice);
    let mut way = Way { change, revision, lift, restored: Restored::default() };
    way.take_away::<Subscription>(of(Kind::Subscription)).await?;
    way.take_away::<Key>(of(Kind::Key)).await?;
    way.take_away::<Application>(of(Kind::Application)).await?;
    way.take_away::<DenyPolicy>(of(Kind::DenyPolicy)).await?;
    way.take_away::<Api>(of(Kind::Api)).await?;
    way.put_back::<Plan>(of(Kind::Plan)).await?;
    way.put_back::<Api>(of(Kind::Api)).await?;
    way.put_back::<Application>(of(Kind::Application)).await?;
    way.put_back::<Key>(of(Kind::Key)).await?;
    way.put_back::<Subscription>(of(Kind::Subscription)).await?;
    way.put_back::<DenyPolicy>(of(Kind::DenyPolicy)).await?;
    way.take_away::<Plan>(of(Kind::Plan)).await?;
    let restored = way.restored;
    for plan in of(Kind::Plan) {
        review_plan(change, plan).await?;
    }
    Ok(restored)
}

struct Way<'c> {
    change: &'c mut dyn Transaction,
    revision: i64,
    lift: bool,
    restored: Restored,
}

impl Way<'_> {
    /// Removes objects that did not exist then.
    async fn take_away<R: Restore>(&mut self, ids: &[String]) -> Result<(), Error> {
        for some in ids.chunks(CHUNK) {
            let then = self.change.held_at(self.revision, R::KIND, some).await?;
            let then: HashSet<&str> = then.iter().map(|version| version.id.as_str()).collect();
            let gone: Vec<&str> = some.iter().map(String::as_str).filter(|id| !then.contains(id)).collect();
            let alone = if self.lift { HashSet::new() } else { self.take_alone_away::<R>(&gone).await? };
            for id in gone.into_iter().filter(|id| !alone.contains(*id)) {
                let Some(held) = self.change.find(R::KIND, id).await? else { continue };
                self.take_one_away::<R>(&held).await?;
            }
        }
        Ok(())
    }

    /// Removes those of `ids` from whose removal nothing follows. Nearly all are, after a large import. Returns their ids.
    async fn take_alone_away<R: Restore>(&mut self, ids: &[&str]) -> Result<HashSet<String>, Error> {
        let mut alone = Vec::with_capacity(ids.len());
        for held in self.change.find_all(R::KIND, ids).await? {
            let shown = R::shown(&held)?;
            if shown.goes_alone() && R::stays(&shown, self.lift).is_none() {
                alone.push(held);
            }
        }
        let names = |versions: &[Version]| versions.iter().map(|version| version.id.clone()).collect::<Vec<_>>();
        if R::KIND == Kind::Application {
            let has_others = self.change.with_dependents(&texts(&names(&alone))).await?;
            alone.retain(|version| !has_others.contains(&version.id));
        }
        self.change.remove_all(&alone).await?;
        let names = names(&alone);
        match R::KIND {
            Kind::Key => self.change.forget_keys(&texts(&names)).await?,
            Kind::Application => self.change.forget_totals_of(&texts(&names)).await?,
            Kind::Api | Kind::Subscription | Kind::Plan | Kind::DenyPolicy => {}
        }
        for _ in &alone {
            self.count::<R>(|count| &mut count.removed);
        }
        Ok(names.into_iter().collect())
    }

    async fn take_one_away<R: Restore>(&mut self, held: &Version) -> Result<(), Error> {
        if let Some(because) = R::stays(&R::shown(held)?, self.lift) {
            self.keep::<R>(&held.id, because);
            return Ok(());
        }
        let mut held = held.clone();
        if self.lift {
            match R::KIND {
                Kind::Application => block::unblock::<Application>(self.change, &held.id, None).await.map(drop)?,
                Kind::Subscription => block::unblock::<Subscription>(self.change, &held.id, None).await.map(drop)?,
                Kind::Api | Kind::Key | Kind::Plan | Kind::DenyPolicy => {}
            }
            // The kept block of a deleted object was removed with the object.
            match self.change.find(R::KIND, &held.id).await? {
                Some(unblocked) => held = unblocked,
                None => {
                    self.count::<R>(|count| &mut count.removed);
                    return Ok(());
                }
            }
        }
        match R::remove(self.change, &held).await {
            Ok(None) => self.count::<R>(|count| &mut count.removed),
            Ok(Some(_)) => {
                self.count::<R>(|count| &mut count.changed);
                self.keep::<R>(&held.id, "its block stays, though it is gone; lift_blocks lets a restore lift it");
            }
            // The plan is in use.
            Err(error) if error.is_refusal() => self.keep::<R>(&held.id, &error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Restores objects that existed then and differ now.
    async fn put_back<R: Restore>(&mut self, ids: &[String]) -> Result<(), Error> {
        let mut waiting: Vec<(Version, String)> = Vec::new();
        for some in ids.chunks(CHUNK) {
            for then in self.change.held_at(self.revision, R::KIND, some).await? {
                waiting.extend(self.put_one_back::<R>(&then).await?.map(|because| (then, because)));
            }
        }
        // An object that is in conflict with others may fit after those are restored.
        loop {
            let before = waiting.len();
            let mut left = Vec::new();
            for (then, _) in waiting {
                left.extend(self.put_one_back::<R>(&then).await?.map(|because| (then, because)));
            }
            waiting = left;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        for (then, because) in waiting {
            self.keep::<R>(&then.id, &because);
        }
        Ok(())
    }

    /// Restores an object. `Some` is the reason why it is in conflict with others.
    async fn put_one_back<R: Restore>(&mut self, then: &Version) -> Result<Option<String>, Error> {
        let shown = R::shown(then)?;
        let by_id = self.change.find(R::KIND, &then.id).await?;
        let by_name = self.change.find_identity(R::KIND, &shown.identity()).await?;
        if by_name.as_ref().is_some_and(|held| is_as_it_was(held, then)) {
            return Ok(None);
        }
        // Another object has its id now.
        let other = by_id.as_ref().filter(|other| by_name.as_ref().is_none_or(|held| held.id != other.id));
        if other.is_some_and(is_blocked) && !self.lift {
            self.keep::<R>(&then.id, "a blocked one has its id now, and the block stays");
            return Ok(None);
        }
        let (known, is_gone) = match &by_name {
            Some(held) => (Some(R::shown(held)?), false),
            None => {
                let last = self.change.last_past(R::KIND, &shown.identity()).await?;
                (last.as_ref().map(R::shown).transpose()?, true)
            }
        };
        let (mut row, because) = match R::put_back(shown, known.as_ref(), is_gone, self.lift) {
            Verdict::Put(row, because) => (row, because.map(str::to_owned)),
            Verdict::Leave(because) => {
                self.keep::<R>(&then.id, because);
                return Ok(None);
            }
        };
        let known = known.filter(|_| !is_gone);
        let restrained = self.settle(&mut row, known.as_ref()).await?;
        if let Err(refused) = self.check(&row, known.as_ref()).await {
            return if refused.is_refusal() { Ok(Some(refused.to_string())) } else { Err(refused) };
        }
        self.put::<R>(by_id, by_name, &row.row()?).await?;
        if let Some(because) = because.or(restrained) {
            self.keep::<R>(&then.id, &because);
        }
        Ok(None)
    }

    /// Fills in what follows from the rest of the database. Returns the reason if the row is not as it was.
    async fn settle<R: Restore>(&mut self, row: &mut R, now: Option<&R>) -> Result<Option<String>, Error> {
        *row = row.clone().passed_by(self.change.act().now);
        // A key's own row names its successor.
        if R::KIND != Kind::Key {
            row.derive_from_database(self.change, now).await?;
        }
        let opens = row.is_open() && !now.is_some_and(R::is_open);
        if self.lift || !opens || !row.is_restrained(self.change).await? {
            return Ok(None);
        }
        row.close();
        Ok(Some("its owner is blocked, so it comes back closed; unblock or approve it by itself".to_owned()))
    }

    /// Checks a row like one that a client sends.
    async fn check<R: Restore>(&mut self, row: &R, now: Option<&R>) -> Result<(), Error> {
        row.validate()?;
        // A block refers to nothing.
        let named = if row.is_only_a_block() { Vec::new() } else { row.references() };
        for reference in named {
            // Keys stay bound to deleted APIs.
            let must_be_there = R::KIND != Kind::Key || reference.kind != Kind::Api;
            let held = self.change.find(reference.kind, &reference.id).await?;
            if must_be_there && held.is_none_or(|held| held.kept_block.is_some()) {
                return Err(reference.missing());
            }
        }
        if now.is_none() {
            check_room_for(self.change, R::KIND, 1)?;
        }
        row.check_beside(self.change, now).await
    }

    /// Replaces the rows that have its id or its name.
    async fn put<R: Restore>(
        &mut self,
        by_id: Option<Version>,
        by_name: Option<Version>,
        row: &NewRow,
    ) -> Result<(), Error> {
        let is_of_another = by_name.as_ref().is_none_or(|held| held.id != row.id);
        if R::KIND == Kind::Key && is_of_another {
            // The noted use belongs to another key.
            self.change.forget_key(&row.id).await?;
        }
        let other = by_name.as_ref().filter(|held| held.id != row.id);
        if let Some(other) = other {
            self.change.remove(other).await?;
            self.count::<R>(|count| &mut count.removed);
        }
        match by_id {
            Some(held) if is_just_so(&held, row) => return Ok(()),
            Some(held) => {
                self.change.replace(&held, row).await?;
                self.count::<R>(|count| &mut count.changed);
            }
            None => {
                self.change.insert(row).await?;
                self.count::<R>(|count| &mut count.made);
            }
        }
        Ok(())
    }

    fn count<R: Restore>(&mut self, of: fn(&mut Count) -> &mut u64) {
        let count = of(self.restored.counts.entry(R::KIND.list()).or_default());
        *count = count.saturating_add(1);
    }

    fn keep<R: Restore>(&mut self, id: &str, because: &str) {
        self.restored.kept_total = self.restored.kept_total.saturating_add(1);
        if self.restored.kept.len() < MAX_KEPT_NAMED {
            let kind = Subject::Row(R::KIND).word();
            self.restored.kept.push(Kept { kind, id: id.to_owned(), because: because.to_owned() });
        }
    }
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn is_as_it_was(now: &Version, then: &Version) -> bool {
    now.id == then.id
        && now.document == then.document
        && now.kept_block == then.kept_block
        && now.state_before == then.state_before
        && now.beside == then.beside
}

fn is_just_so(held: &Version, row: &NewRow) -> bool {
    held.document == row.document
        && held.kept_block == row.kept_block
        && held.state_before == row.state_before
        && held.beside == row.beside
}

/// Whether a row is a subscription with a block, which must not lose its id.
fn is_blocked(held: &Version) -> bool {
    held.kind == Kind::Subscription && Subscription::shown(held).is_ok_and(|subscription| subscription.is_blocked())
}
