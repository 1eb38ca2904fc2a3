//! One change: a write transaction that ends in exactly one new revision, or in none if nothing was changed.
//!
//! Rows are never overwritten: the version that held gets its end, and a new one begins. What lies too far back is
//! deleted as part of the change, so that the past stays bounded without a task of its own.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::{Error, Kind, State, Store, Version, api_match, deny_target, new_word, read};

/// Rows in one statement: eleven values each, and SQLite takes 32,766.
pub const MAX_ROWS_AT_ONCE: usize = 1_000;

/// By what a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// What management calls it.
    Id,
    /// What the feed calls it.
    Identity,
    /// What management calls it, of things that are there: of a deleted one a block may be left.
    Present,
}

/// A row to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// What it is.
    pub kind: Kind,
    /// What management calls it.
    pub id: String,
    /// What the feed calls it.
    pub identity: String,
    /// Of applications, keys and subscriptions.
    pub application: Option<String>,
    /// Of subscriptions.
    pub api: Option<String>,
    /// Of applications and subscriptions.
    pub plan: Option<String>,
    /// The block that stays of a deleted subscription.
    pub kept_block: Option<String>,
    /// The owner to whom a kept block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

/// A change that has begun. Dropped without [`Change::commit`] it never was.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Sqlite>,
    store: Store,
    state: State,
    /// Something of the policy was changed.
    dirty: bool,
    /// Something beside the policy was changed.
    keep: bool,
    doubt: Doubt,
    /// Of a report: the next one may wait for the writer once this one has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Notes that a change was dropped before its end.
#[derive(Debug)]
struct Doubt {
    noted: Arc<AtomicBool>,
    ended: bool,
}

impl Doubt {
    /// It has come to its end: what it wrote is on the disk.
    fn dispel(&mut self) {
        self.ended = true;
        self.noted.store(false, Ordering::Relaxed);
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if !self.ended {
            self.noted.store(true, Ordering::Relaxed);
        }
    }
}

impl Change {
    pub(super) async fn begin(store: &Store) -> Result<Self, Error> {
        let doubt = Doubt { noted: Arc::clone(&store.doubtful), ended: false };
        let mut transaction = store.begin().await?;
        let state = State::read(&mut transaction).await?;
        Ok(Self { transaction, store: store.clone(), state, dirty: false, keep: false, doubt, _turn: None })
    }

    /// Keeps `turn` until the change has come to its end.
    pub(super) fn with_turn(self, turn: OwnedSemaphorePermit) -> Self {
        Self { _turn: Some(turn), ..self }
    }

    /// The connection, for reading what holds now with the functions of [`read`].
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// The database that is changed, for reading what held before.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many rows of `kind` there are.
    pub fn count(&self, kind: Kind) -> i64 {
        self.state.count(kind)
    }

    /// The version of `kind` with this id.
    pub async fn find(&mut self, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
        read::find(&mut self.transaction, kind, id).await
    }

    /// The version of `kind` that the feed knows by this name.
    pub async fn find_identity(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error> {
        read::find_identity(&mut self.transaction, kind, identity).await
    }

    /// Which of `values` the rows of `kind` have as their id or as their name in the feed.
    pub async fn taken(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Error> {
        let statement = match name {
            Name::Id => {
                "SELECT id FROM version WHERE until_revision IS NULL AND kind = ? \
                 AND id IN (SELECT value FROM json_each(?))"
            }
            Name::Present => {
                "SELECT id FROM version WHERE until_revision IS NULL AND kind = ? AND kept_block IS NULL \
                 AND id IN (SELECT value FROM json_each(?))"
            }
            Name::Identity => {
                "SELECT identity FROM version WHERE until_revision IS NULL AND kind = ? \
                 AND identity IN (SELECT value FROM json_each(?))"
            }
        };
        let values = serde_json::json!(values).to_string();
        let found = sqlx::query_scalar(statement).bind(kind.number()).bind(values).fetch_all(&mut *self.transaction);
        Ok(found.await?.into_iter().collect())
    }

    /// Which of these digests belong to keys that were revoked and deleted.
    pub async fn revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Error> {
        let digests = serde_json::json!(digests).to_string();
        let found = sqlx::query_scalar(
            "SELECT sha256 FROM revoked_key WHERE sha256 IN (SELECT value FROM json_each(?)) AND NOT EXISTS \
             (SELECT 1 FROM version WHERE until_revision IS NULL AND kind = 3 AND identity = sha256)",
        );
        Ok(found.bind(digests).fetch_all(&mut *self.transaction).await?.into_iter().collect())
    }

    /// Adds a row that is not there.
    pub async fn insert(&mut self, row: &NewRow) -> Result<(), Error> {
        self.insert_all(std::slice::from_ref(row)).await
    }

    /// Adds rows that are not there, at most [`MAX_ROWS_AT_ONCE`] of them.
    pub async fn insert_all(&mut self, rows: &[NewRow]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let revision = self.revision();
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(
            "INSERT INTO version (kind, id, identity, application, api, plan, kept_block, kept_owner, \
             state_before, from_revision, document) ",
        );
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(row.kind.number())
                .push_bind(&row.id)
                .push_bind(&row.identity)
                .push_bind(&row.application)
                .push_bind(&row.api)
                .push_bind(&row.plan)
                .push_bind(&row.kept_block)
                .push_bind(&row.kept_owner)
                .push_bind(&row.state_before)
                .push_bind(revision)
                .push_bind(&row.document);
        });
        query.build().execute(&mut *self.transaction).await?;
        for row in rows {
            self.add_to_count(row.kind, 1);
            if row.kind == Kind::Api {
                api_match::add(&mut self.transaction, &row.id, &row.document).await?;
            }
            if row.kind == Kind::DenyPolicy {
                deny_target::add(&mut self.transaction, &row.id, &row.document).await?;
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// Puts `row` in the place of `held`.
    pub async fn replace(&mut self, held: &Version, row: &NewRow) -> Result<(), Error> {
        self.remove(held).await?;
        self.insert(row).await
    }

    /// Takes a row away.
    pub async fn remove(&mut self, held: &Version) -> Result<(), Error> {
        let revision = self.revision();
        if held.kind == Kind::Key {
            read::remember_revoked(&mut self.transaction, held.seq).await?;
        }
        // What this same change brought never held at any revision.
        let statement = if held.from_revision == revision {
            "DELETE FROM version WHERE seq = ?2"
        } else {
            self.state.past = self.state.past.saturating_add(1);
            "UPDATE version SET until_revision = ?1 WHERE seq = ?2"
        };
        sqlx::query(statement).bind(revision).bind(held.seq).execute(&mut *self.transaction).await?;
        if held.kind == Kind::Api {
            api_match::remove(&mut self.transaction, &held.id).await?;
        }
        if held.kind == Kind::DenyPolicy {
            deny_target::remove(&mut self.transaction, &held.id).await?;
        }
        self.add_to_count(held.kind, -1);
        self.dirty = true;
        Ok(())
    }

    /// Whether something of the policy was changed, so that a new revision will be made.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// What was done through [`Change::connection`] is to stay, also if nothing of the policy was changed.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Makes the change durable and known to those who wait, and returns the revision: a new one if there was something
    /// to change.
    pub async fn commit(mut self) -> Result<i64, Error> {
        if !self.dirty {
            if self.keep {
                self.store.place.check()?;
                self.transaction.commit().await?;
                self.doubt.dispel();
            }
            self.doubt.ended = true;
            return Ok(self.state.revision);
        }
        self.state.revision = self.revision();
        self.state.word = new_word()?;
        self.forget_the_far_past().await?;
        sqlx::query("INSERT INTO revision_word (revision, word) VALUES (?, ?)")
            .bind(self.state.revision)
            .bind(self.state.word)
            .execute(&mut *self.transaction)
            .await?;
        let [apis, applications, keys, subscriptions, plans, deny_policies] = self.state.counts;
        sqlx::query(
            "UPDATE policy_state SET revision = ?, horizon = ?, past = ?, apis = ?, applications = ?, keys = ?, \
             subscriptions = ?, plans = ?, deny_policies = ?",
        )
        .bind(self.state.revision)
        .bind(self.state.horizon)
        .bind(self.state.past)
        .bind(apis)
        .bind(applications)
        .bind(keys)
        .bind(subscriptions)
        .bind(plans)
        .bind(deny_policies)
        .execute(&mut *self.transaction)
        .await?;
        self.store.place.check()?;
        self.transaction.commit().await?;
        self.doubt.dispel();
        self.store.announce(&self.state);
        tracing::debug!(revision = self.state.revision, "the policy was changed");
        Ok(self.state.revision)
    }

    /// The revision that this change makes.
    fn revision(&self) -> i64 {
        // A million changes a second would take 285 years to the end of the numbers that JSON carries.
        self.state.revision.saturating_add(1)
    }

    fn add_to_count(&mut self, kind: Kind, change: i64) {
        for (count, other) in self.state.counts.iter_mut().zip(Kind::ALL) {
            if other == kind {
                *count = count.saturating_add(change);
            }
        }
    }

    /// Deletes the oldest versions that hold no more, beyond `history_rows`. Whole revisions go: all versions that ended
    /// at or before the new horizon.
    async fn forget_the_far_past(&mut self) -> Result<(), Error> {
        let surplus = self.state.past.saturating_sub(self.store.settings.history_rows);
        if surplus <= 0 {
            return Ok(());
        }
        let horizon: Option<i64> = sqlx::query(
            "SELECT until_revision FROM version WHERE until_revision IS NOT NULL ORDER BY until_revision LIMIT 1 OFFSET ?",
        )
        .bind(surplus.saturating_sub(1))
        .fetch_optional(&mut *self.transaction)
        .await?
        .map(|row| row.try_get(0))
        .transpose()?;
        let Some(horizon) = horizon else { return Ok(()) };
        let forgotten = sqlx::query("DELETE FROM version WHERE until_revision <= ?")
            .bind(horizon)
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        sqlx::query("DELETE FROM revision_word WHERE revision < ?")
            .bind(horizon)
            .execute(&mut *self.transaction)
            .await?;
        self.state.past = self.state.past.saturating_sub(i64::try_from(forgotten).unwrap_or(i64::MAX));
        self.state.horizon = horizon;
        Ok(())
    }
}
