//! A change: one write transaction that makes exactly one new revision, or none if the policy did not change.
//!
//! It first locks the row with the policy's state, and takes the revision and the positions of its versions from there.
//! Rows are never overwritten. The current version gets its last revision, and a new version begins. The change also
//! deletes versions that are too old, so no background task is needed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    PostgresStore, accounts, api_match, audit, deny_target, fault::Fault, forget, notify, owners, read, text::texts,
    usage,
};
use crate::{doubt::Doubt, horizon::horizon, random::new_word};
use management::audit::Journal;
use management::port::{
    self, Act, Error, Kind, Name, NewRow, OwnersBlock, Rows, Scope, State, UsageRows, Version,
    audit::{Deed, Record},
    places::Place,
    times::Operation,
    usage::{KeyUsed, Pair, UsageRow, Used, Windows},
};

/// Rows that one statement removes: at some 50 µs each, 0.3 s of the 4 s that a statement may take.
const REMOVED_AT_ONCE: usize = 5_000;

/// A change in progress.
#[derive(Debug)]
pub struct PostgresTransaction {
    transaction: Transaction<'static, Postgres>,
    store: PostgresStore,
    act: Act,
    /// Collects the entry for the audit log.
    journal: Journal,
    state: State,
    /// The greatest position of all versions that ever existed.
    seq: i64,
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

impl PostgresTransaction {
    pub(super) async fn begin(store: &PostgresStore, act: Act, limit: Duration) -> Result<Self, Fault> {
        let doubt = Doubt::begin(&store.doubtful);
        let asked = Instant::now();
        let (transaction, state, seq) = store.begin_writing(limit).await?;
        store.times.tell(Operation::Begin, asked);
        let (journal, store, begun) = (Journal::default(), store.clone(), Instant::now());
        Ok(Self {
            transaction,
            store,
            act,
            journal,
            state,
            seq,
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
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The channel on which services notify each other.
    pub(super) fn channel(&self) -> Arc<str> {
        Arc::clone(&self.store.channel)
    }

    /// Notes a change of tokens or credentials, for receivers in this and other services.
    pub(super) async fn note_accounts(&mut self) -> Result<(), Fault> {
        self.accounts = Some(accounts::count_change(&mut self.transaction).await?);
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(&*self.store.channel).bind(notify::ACCOUNTS);
        told.execute(&mut *self.transaction).await?;
        Ok(())
    }

    async fn find_existing(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Fault> {
        let statement = match name {
            Name::Id => "SELECT id FROM version WHERE until_revision IS NULL AND kind = $1 AND id = ANY ($2)",
            Name::Present => {
                "SELECT id FROM version WHERE until_revision IS NULL AND kind = $1 AND kept_block IS NULL AND id = ANY ($2)"
            }
            Name::Identity => {
                "SELECT identity FROM version WHERE until_revision IS NULL AND kind = $1 AND identity = ANY ($2)"
            }
        };
        let found = sqlx::query_scalar(statement).bind(kind.number()).bind(texts(values.iter().copied()));
        Ok(found.fetch_all(&mut *self.transaction).await?.into_iter().collect())
    }

    async fn find_revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Fault> {
        let found = sqlx::query_scalar(
            r#"
            SELECT sha256 FROM revoked_key WHERE sha256 = ANY ($1) AND NOT EXISTS (
                SELECT FROM version WHERE until_revision IS NULL AND kind = 3 AND identity = sha256)"#,
        );
        let found = found.bind(texts(digests.iter().copied()));
        Ok(found.fetch_all(&mut *self.transaction).await?.into_iter().collect())
    }

    async fn insert_rows(&mut self, rows: &[NewRow]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let some = |value: fn(&NewRow) -> &Option<String>| -> Vec<Option<String>> {
            rows.iter().map(|row| value(row).clone()).collect()
        };
        sqlx::query(
            r#"
            INSERT INTO version (seq, kind, id, identity, application, api, plan, kept_block, kept_owner, state_before,
                beside, document, due, from_revision)
            SELECT $1 + place, kind, id, identity, application, api, plan, kept_block, kept_owner, state_before,
                beside, document, due, $2
            FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[]) WITH ORDINALITY
                AS new (kind, id, identity, application, api, plan, kept_block, kept_owner, state_before, beside, document,
                due, place)
            ORDER BY place"#,
        )
        .bind(self.seq)
        .bind(self.revision())
        .bind(rows.iter().map(|row| row.kind.number()).collect::<Vec<_>>())
        .bind(texts(rows.iter().map(|row| row.id.as_str())))
        .bind(texts(rows.iter().map(|row| row.identity.as_str())))
        .bind(some(|row| &row.application))
        .bind(some(|row| &row.api))
        .bind(some(|row| &row.plan))
        .bind(some(|row| &row.kept_block))
        .bind(some(|row| &row.kept_owner))
        .bind(some(|row| &row.state_before))
        .bind(some(|row| &row.beside))
        .bind(texts(rows.iter().map(|row| row.document.as_str())))
        .bind(rows.iter().map(|row| row.due).collect::<Vec<_>>())
        .execute(&mut *self.transaction)
        .await?;
        self.seq = self.seq.saturating_add(i64::try_from(rows.len()).unwrap_or(i64::MAX));
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
        for some in held.chunks(REMOVED_AT_ONCE) {
            self.remove_some(some).await?;
        }
        Ok(())
    }

    async fn remove_some(&mut self, held: &[Version]) -> Result<(), Fault> {
        let revision = self.revision();
        let ids = |kind| texts(held.iter().filter(|one| one.kind == kind).map(|one| one.id.as_str()));
        if held.iter().any(|one| one.kind == Kind::Key) {
            let places: Vec<i64> = held.iter().map(|one| one.seq).collect();
            read::remember_revoked(&mut self.transaction, &places).await?;
        }
        // A row that this same change made belongs to no revision.
        let (own, past): (Vec<&Version>, Vec<&Version>) = held.iter().partition(|one| one.from_revision == revision);
        if !own.is_empty() {
            let places: Vec<i64> = own.iter().map(|one| one.seq).collect();
            let deleted = sqlx::query("DELETE FROM version WHERE seq = ANY ($1)").bind(places);
            deleted.execute(&mut *self.transaction).await?;
        }
        if !past.is_empty() {
            let places: Vec<i64> = past.iter().map(|one| one.seq).collect();
            let ended = sqlx::query("UPDATE version SET until_revision = $1 WHERE seq = ANY ($2)").bind(revision);
            ended.bind(places).execute(&mut *self.transaction).await?;
            self.state.past = self.state.past.saturating_add(i64::try_from(past.len()).unwrap_or(i64::MAX));
        }
        let apis = ids(Kind::Api);
        if !apis.is_empty() {
            api_match::remove(&mut self.transaction, &apis).await?;
        }
        let policies = ids(Kind::DenyPolicy);
        if !policies.is_empty() {
            deny_target::remove(&mut self.transaction, &policies).await?;
        }
        for one in held {
            self.journal.take(one);
            self.add_to_count(one.kind, -1);
            self.dirty = true;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<i64, Fault> {
        if !self.dirty {
            if self.keep {
                self.write_entry(None, new_word()?).await?;
                self.transaction.commit().await?;
                self.doubt.dispel();
                self.store.times.tell(Operation::Write, self.begun);
                self.accounts.into_iter().for_each(|changes| self.store.announce_accounts(changes));
            }
            self.doubt.end();
            return Ok(self.state.revision);
        }
        self.write_revision().await?;
        self.transaction.commit().await?;
        self.doubt.dispel();
        self.store.times.tell(Operation::Write, self.begun);
        self.store.announce(&self.state);
        self.accounts.into_iter().for_each(|changes| self.store.announce_accounts(changes));
        tracing::debug!(revision = self.state.revision, "the policy was changed");
        Ok(self.state.revision)
    }

    /// Writes the data of a new revision other than its rows, and notifies the other services.
    async fn write_revision(&mut self) -> Result<(), Fault> {
        self.state.revision = self.revision();
        self.state.word = new_word()?;
        self.forget_the_far_past().await?;
        self.write_entry(Some(self.state.revision), self.state.word).await?;
        let [apis, applications, keys, subscriptions, plans, deny_policies] = self.state.counts;
        sqlx::query(
            r#"
            WITH word AS (INSERT INTO revision_word (revision, word, at) VALUES ($1, $2, $14))
            UPDATE policy_state SET revision = $1, word = $2, horizon = $3, past = $4, seq = $5, apis = $6,
                applications = $7, keys = $8, subscriptions = $9, plans = $10, deny_policies = $11
            RETURNING pg_notify($12, $13)"#,
        )
        .bind(self.state.revision)
        .bind(self.state.word)
        .bind(self.state.horizon)
        .bind(self.state.past)
        .bind(self.seq)
        .bind(apis)
        .bind(applications)
        .bind(keys)
        .bind(subscriptions)
        .bind(plans)
        .bind(deny_policies)
        .bind(&*self.store.channel)
        .bind(notify::payload(&self.state))
        .bind(self.act.now)
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
impl port::Transaction for PostgresTransaction {
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

impl Record for PostgresTransaction {
    fn record(&mut self, deed: Deed) {
        self.journal.state(deed);
    }
}

#[async_trait]
impl Rows for PostgresTransaction {
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
        Ok(self.remove_rows(stored).await?)
    }
}

#[async_trait]
impl UsageRows for PostgresTransaction {
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
