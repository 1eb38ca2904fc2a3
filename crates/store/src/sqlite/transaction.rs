//! A change: one write transaction that makes exactly one new revision, or none if the policy did not change.
//!
//! Rows are never overwritten. The current version gets its last revision, and a new version begins. The change also
//! deletes versions that are too old, so no background task is needed.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    SqliteStore, accounts, api_match, audit, deny_target, fault::Fault, forget, owners, read, state::read_state, usage,
};
use crate::{doubt::Doubt, horizon::horizon, random::new_word};
use management::audit::Journal;
use management::port::{
    self, Act, Error, Kind, MAX_ROWS_AT_ONCE, Name, NewRow, OwnersBlock, Rows, Scope, State, UsageRows, Version,
    audit::{Deed, Record},
    places::Place,
    times::Operation,
    usage::{KeyUsed, Pair, UsageRow, Used, Windows},
};

/// A change in progress.
#[derive(Debug)]
pub struct SqliteTransaction {
    transaction: Transaction<'static, Sqlite>,
    store: SqliteStore,
    act: Act,
    /// What the entry in the audit log is made of.
    journal: Journal,
    state: State,
    /// Whether the policy was changed.
    dirty: bool,
    /// Whether data beside the policy must be committed.
    keep: bool,
    doubt: Doubt,
    /// The number of changes of tokens and credentials, if this change is one.
    accounts: Option<i64>,
    begun: Instant,
    /// A report's turn. The next report may wait for the writer when this one ends.
    _turn: Option<OwnedSemaphorePermit>,
}

impl SqliteTransaction {
    pub(super) async fn begin(store: &SqliteStore, act: Act) -> Result<Self, Fault> {
        let doubt = Doubt::begin(&store.doubtful);
        let mut transaction = store.lock().await?;
        let state = read_state(&mut transaction).await?;
        let (journal, store, begun) = (Journal::default(), store.clone(), Instant::now());
        Ok(Self {
            transaction,
            store,
            act,
            journal,
            state,
            dirty: false,
            keep: false,
            doubt,
            accounts: None,
            begun,
            _turn: None,
        })
    }

    /// Keeps `turn` until the change ends.
    pub(super) fn with_turn(self, turn: OwnedSemaphorePermit) -> Self {
        Self { _turn: Some(turn), ..self }
    }

    /// The connection, for the rest of this folder.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Notes a change of tokens or credentials, for waiting receivers.
    pub(super) async fn note_accounts(&mut self) -> Result<(), Fault> {
        self.accounts = Some(accounts::count_change(&mut self.transaction).await?);
        Ok(())
    }

    async fn find_existing(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Fault> {
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

    async fn find_revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Fault> {
        let digests = serde_json::json!(digests).to_string();
        let found = sqlx::query_scalar(
            "SELECT sha256 FROM revoked_key WHERE sha256 IN (SELECT value FROM json_each(?)) AND NOT EXISTS \
             (SELECT 1 FROM version WHERE until_revision IS NULL AND kind = 3 AND identity = sha256)",
        );
        Ok(found.bind(digests).fetch_all(&mut *self.transaction).await?.into_iter().collect())
    }

    async fn insert_rows(&mut self, rows: &[NewRow]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let revision = self.revision();
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(
            "INSERT INTO version (kind, id, identity, application, api, plan, kept_block, kept_owner, \
             state_before, beside, due, from_revision, document) ",
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
                .push_bind(&row.beside)
                .push_bind(row.due)
                .push_bind(revision)
                .push_bind(&row.document);
        });
        query.build().execute(&mut *self.transaction).await?;
        for row in rows {
            self.journal.put(row);
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

    async fn remove_rows(&mut self, held: &[Version]) -> Result<(), Fault> {
        let revision = self.revision();
        let places =
            |rows: &[&Version]| serde_json::json!(rows.iter().map(|row| row.seq).collect::<Vec<_>>()).to_string();
        if held.iter().any(|one| one.kind == Kind::Key) {
            let all: Vec<&Version> = held.iter().collect();
            read::remember_revoked(&mut self.transaction, &places(&all)).await?;
        }
        // A row that this same change made belongs to no revision.
        let (own, past): (Vec<&Version>, Vec<&Version>) = held.iter().partition(|one| one.from_revision == revision);
        if !own.is_empty() {
            let deleted = sqlx::query("DELETE FROM version WHERE seq IN (SELECT value FROM json_each(?))");
            deleted.bind(places(&own)).execute(&mut *self.transaction).await?;
        }
        if !past.is_empty() {
            let ended =
                sqlx::query("UPDATE version SET until_revision = ? WHERE seq IN (SELECT value FROM json_each(?))");
            ended.bind(revision).bind(places(&past)).execute(&mut *self.transaction).await?;
            self.state.past = self.state.past.saturating_add(i64::try_from(past.len()).unwrap_or(i64::MAX));
        }
        for one in held {
            self.journal.take(one);
            match one.kind {
                Kind::Api => api_match::remove(&mut self.transaction, &one.id).await?,
                Kind::DenyPolicy => deny_target::remove(&mut self.transaction, &one.id).await?,
                _ => {}
            }
            self.add_to_count(one.kind, -1);
            self.dirty = true;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<i64, Fault> {
        if !self.dirty {
            if self.keep {
                self.write_entry(None, new_word()?).await?;
                self.store.place.check()?;
                self.transaction.commit().await?;
                self.doubt.dispel();
                self.accounts.into_iter().for_each(|changes| self.store.announce_accounts(changes));
                self.store.times.tell(Operation::Write, self.begun);
            }
            self.doubt.end();
            return Ok(self.state.revision);
        }
        self.write_revision().await?;
        self.store.place.check()?;
        self.transaction.commit().await?;
        self.doubt.dispel();
        self.store.times.tell(Operation::Write, self.begun);
        self.store.announce(&self.state);
        self.accounts.into_iter().for_each(|changes| self.store.announce_accounts(changes));
        tracing::debug!(revision = self.state.revision, "the policy was changed");
        Ok(self.state.revision)
    }

    /// Writes the data of a new revision other than its rows.
    async fn write_revision(&mut self) -> Result<(), Fault> {
        self.state.revision = self.revision();
        self.state.word = new_word()?;
        self.forget_the_far_past().await?;
        self.write_entry(Some(self.state.revision), self.state.word).await?;
        sqlx::query("INSERT INTO revision_word (revision, word, at) VALUES (?, ?, ?)")
            .bind(self.state.revision)
            .bind(self.state.word)
            .bind(self.act.now)
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
        Ok(())
    }

    /// Writes the entry of the audit log, if the change has one.
    async fn write_entry(&mut self, revision: Option<i64>, word: i64) -> Result<(), Fault> {
        let journal = std::mem::take(&mut self.journal);
        let Some(entry) = journal.entry(&self.act, revision)? else { return Ok(()) };
        audit::write(&mut self.transaction, &entry, word).await?;
        audit::forget(&mut self.transaction, self.act.now, self.store.settings.audit_days).await
    }

    /// The revision that this change makes.
    fn revision(&self) -> i64 {
        // At a million changes a second, JSON's exact integers last for 285 years.
        self.state.revision.saturating_add(1)
    }

    fn add_to_count(&mut self, kind: Kind, change: i64) {
        for (count, other) in self.state.counts.iter_mut().zip(Kind::ALL) {
            if other == kind {
                *count = count.saturating_add(change);
            }
        }
    }

    /// Deletes past versions that are too many or too old.
    async fn forget_the_far_past(&mut self) -> Result<(), Fault> {
        let settings = self.store.settings;
        let Some(horizon) = horizon(&mut *self.transaction, &self.state, settings, self.act.now).await? else {
            return Ok(());
        };
        let forgotten = forget::up_to(&mut self.transaction, horizon).await?;
        self.state.past = self.state.past.saturating_sub(forgotten);
        self.state.horizon = horizon;
        Ok(())
    }

    /// The policy before this change.
    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

#[async_trait]
impl port::Transaction for SqliteTransaction {
    fn act(&self) -> &Act {
        &self.act
    }

    fn is_dirty(&self) -> bool {
        self.dirty
    }

    fn commit_without_revision(&mut self) {
        self.keep = true;
    }

    async fn commit(self: Box<Self>) -> Result<i64, Error> {
        Ok(self.finish().await?)
    }
}

impl Record for SqliteTransaction {
    fn record(&mut self, deed: Deed) {
        self.journal.state(deed);
    }
}

#[async_trait]
impl Rows for SqliteTransaction {
    fn count(&self, kind: Kind) -> i64 {
        self.state.count(kind)
    }

    async fn find(&mut self, kind: Kind, id: &str) -> Result<Option<Version>, Error> {
        Ok(read::find(self.connection(), kind, id).await?)
    }

    async fn find_identity(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error> {
        Ok(read::find_identity(self.connection(), kind, identity).await?)
    }

    async fn find_all(&mut self, kind: Kind, ids: &[&str]) -> Result<Vec<Version>, Error> {
        Ok(read::find_all(self.connection(), kind, ids).await?)
    }

    async fn existing(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Error> {
        Ok(self.find_existing(kind, name, values).await?)
    }

    async fn of_application(&mut self, application: &str) -> Result<Vec<Version>, Error> {
        Ok(read::of_application(self.connection(), application).await?)
    }

    async fn of_api(&mut self, api: &str) -> Result<Vec<Version>, Error> {
        Ok(read::of_api(self.connection(), api).await?)
    }

    async fn of_plan(&mut self, plan: &str) -> Result<Option<Version>, Error> {
        Ok(read::of_plan(self.connection(), plan).await?)
    }

    async fn owner_of(&mut self, application: &str) -> Result<Option<String>, Error> {
        Ok(owners::owner_of(self.connection(), application).await?)
    }

    async fn has_blocked_application(&mut self, owner: &str) -> Result<bool, Error> {
        Ok(owners::has_blocked_application(self.connection(), owner).await?)
    }

    async fn is_owner_blocked(&mut self, application: &str, api: &str) -> Result<bool, Error> {
        Ok(owners::is_owner_blocked(self.connection(), application, api).await?)
    }

    async fn owners_of(&mut self, applications: &[&str]) -> Result<HashMap<String, String>, Error> {
        Ok(owners::owners_of(self.connection(), applications).await?)
    }

    async fn blocks_of(&mut self, owners: &[&str]) -> Result<Option<Vec<OwnersBlock>>, Error> {
        Ok(owners::blocks_of(self.connection(), owners).await?)
    }

    async fn revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Error> {
        Ok(self.find_revoked(digests).await?)
    }

    async fn api_at(&mut self, places: &[Place], api: &str) -> Result<Option<(String, Place)>, Error> {
        Ok(api_match::api_at(self.connection(), places, api).await?)
    }

    async fn denied_by(&mut self, target: &str, policy: &str) -> Result<Option<String>, Error> {
        Ok(deny_target::denied_by(self.connection(), target, policy).await?)
    }

    async fn insert_all(&mut self, rows: &[NewRow]) -> Result<(), Error> {
        Ok(self.insert_rows(rows).await?)
    }

    async fn remove(&mut self, stored: &Version) -> Result<(), Error> {
        Ok(self.remove_rows(std::slice::from_ref(stored)).await?)
    }

    async fn remove_all(&mut self, stored: &[Version]) -> Result<(), Error> {
        for some in stored.chunks(MAX_ROWS_AT_ONCE) {
            self.remove_rows(some).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl UsageRows for SqliteTransaction {
    async fn take_batch(&mut self, gateway: &str, batch: &str) -> Result<bool, Error> {
        let now = self.act.now;
        Ok(usage::take_batch(self.connection(), gateway, batch, now).await?)
    }

    async fn room(&mut self, gateway: &str) -> Result<Option<(i64, i64)>, Error> {
        Ok(usage::room(self.connection(), gateway).await?)
    }

    async fn set_room(&mut self, gateway: &str, room: i64) -> Result<(), Error> {
        let now = self.act.now;
        Ok(usage::set_room(self.connection(), gateway, now, room).await?)
    }

    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), Error> {
        Ok(usage::add(self.connection(), rows).await?)
    }

    async fn touch(&mut self, keys: &[KeyUsed], scope: &Scope) -> Result<u64, Error> {
        Ok(usage::touch(self.connection(), keys, scope).await?)
    }

    async fn tidy_usage(&mut self) -> Result<(), Error> {
        let (now, days) = (self.act.now, self.store.settings.usage_days);
        Ok(usage::tidy(self.connection(), now, days).await?)
    }

    async fn used(&mut self, pairs: &[Pair], windows: &Windows) -> Result<Vec<(Pair, Used)>, Error> {
        Ok(usage::used(self.connection(), pairs, windows).await?)
    }

    async fn with_plans(&mut self, pairs: &[Pair]) -> Result<Vec<Version>, Error> {
        Ok(usage::with_plans(self.connection(), pairs).await?)
    }

    async fn used_up(&mut self, plan: &str) -> Result<Vec<Version>, Error> {
        Ok(usage::used_up(self.connection(), plan).await?)
    }

    async fn reached(&mut self, plan: &str, windows: &Windows, least: [Option<i64>; 2]) -> Result<Vec<Version>, Error> {
        Ok(usage::reached(self.connection(), plan, windows, least).await?)
    }

    async fn forget_key(&mut self, id: &str) -> Result<(), Error> {
        Ok(usage::forget_key(self.connection(), id).await?)
    }

    async fn forget_totals(&mut self, application: &str) -> Result<(), Error> {
        let now = self.act.now;
        Ok(usage::forget_totals(self.connection(), application, now).await?)
    }
}
