//! The port: what the rules and the feed need of a database, and nothing of how it is done.
//!
//! A database is a [`Database`]: it tells what holds now ([`Present`]), what held at a revision ([`History`], [`Snapshot`]),
//! takes changes ([`Changes`], [`Transaction`]), keeps who made them ([`audit`]), and says how it is ([`Upkeep`]). What each promise means is held by one
//! suite of tests that every database passes (`crates/store/tests/conformance.rs`).

pub mod accounts;
mod act;
mod actor;
pub mod audit;
mod error;
mod kind;
pub mod list;
mod mark;
pub mod places;
mod row;
mod scope;
mod state;
pub mod target;
pub mod usage;

use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::{
    accounts::{AccountRows, Accounts},
    act::{Act, Origin, Random},
    actor::{Actor, Principal, Role},
    error::{Cause, Error},
    kind::Kind,
    mark::{Mark, Secret},
    row::{Name, NewRow, PageRows, Version},
    scope::Scope,
    state::{Latest, Renewal, State},
};
use self::{
    audit::{AuditLog, Record},
    list::{Filter, Page, Sort},
    places::{Clash, Place},
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};

/// An open database, shared by all that use it.
pub type Store = Arc<dyn Database>;

/// Rows that [`Rows::insert_all`] takes at once: eleven values each, and SQLite takes 32,766.
pub const MAX_ROWS_AT_ONCE: usize = 1_000;

/// An open database.
pub trait Database: Present + History + Changes + Upkeep + AuditLog + Accounts {}

/// What holds now.
#[async_trait]
pub trait Present: fmt::Debug + Send + Sync {
    /// Where the policy stands.
    async fn state(&self) -> Result<State, Error>;

    /// The version of `kind` with this id.
    async fn find(&self, kind: Kind, id: &str) -> Result<Option<Version>, Error>;

    /// The version of `kind` that the feed knows by this name.
    async fn find_identity(&self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;

    /// All subscriptions of an application.
    async fn subscriptions_of(&self, application: &str) -> Result<Vec<Version>, Error>;

    /// At most `limit` rows of `kind` from the first after `after`.
    async fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        sort: Sort,
        after: Option<&list::Place>,
        limit: u32,
    ) -> Result<Page, Error>;

    /// Whether the rows of deny policies speak of something that is there, one answer for each. An address always is.
    async fn applies(&self, documents: &[String]) -> Result<Vec<bool>, Error>;

    /// Some of the APIs that stand at one place. They were stored before such rows were refused.
    async fn clashes(&self) -> Result<Vec<Clash>, Error>;

    /// At most `limit` rows in the order of application, API, hour, plan and outcome, from the first after `after`.
    async fn usage(&self, filter: &UsageFilter, after: Option<&UsageRow>, limit: u32) -> Result<Vec<UsageRow>, Error>;

    /// When those of the keys `ids` were used last that ever were.
    async fn last_used(&self, ids: &[&str]) -> Result<Vec<KeyUsed>, Error>;
}

/// What held at a revision, and which history the revisions belong to.
#[async_trait]
pub trait History: Send + Sync {
    /// A view of the database as it is now.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error>;

    /// The latest revision, whenever it changes. It is never ahead of what can be read.
    fn revisions(&self) -> watch::Receiver<Latest>;

    /// How many wait for a new revision.
    fn waiting(&self) -> usize;

    /// What signs cursors.
    fn secret(&self) -> &Secret;

    /// Gives the policy a new epoch if `mark` shows that a part of its history is lost. If the last renewal was a moment
    /// ago, the loss is noted and the epoch is renewed later: the gateway that showed the mark begins anew and does not show
    /// it again, and it refuses a lower revision of the same epoch.
    async fn renew_if_lost(&self, mark: &Mark, act: &Act) -> Result<Option<Renewal>, Error>;

    /// Gives the policy a new epoch, so that gateways fetch it anew whatever revision they hold. Returns the epoch.
    async fn renew_epoch(&self, act: &Act) -> Result<String, Error>;
}

/// A view of the database that does not change, for the length of one page.
#[async_trait]
pub trait Snapshot: fmt::Debug + Send + Sync {
    /// Where the policy stands in this view.
    fn state(&self) -> &State;

    /// At most `limit` rows of the whole policy at revision `at`, from the first after `after`.
    async fn full(&mut self, scope: &Scope, at: i64, after: i64, limit: usize) -> Result<PageRows, Error>;

    /// At most `limit` rows that held at revision `since` and have no successor at revision `at`, from the first after
    /// `after`.
    async fn removed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error>;

    /// At most `limit` rows that hold at revision `at` and did not at revision `since`, from the first after `after`.
    async fn changed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error>;

    /// The document of `kind` that the feed knew as `identity` at revision `at`.
    async fn document_at(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<String>, Error>;

    /// The random word of a revision.
    async fn word(&mut self, revision: i64) -> Result<i64, Error>;

    /// Checks that the database has the revision that `mark` speaks of.
    async fn check_mark(&mut self, mark: &Mark) -> Result<(), Error>;
}

/// Changes begin here.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Begins a change: everything done with it takes effect at once, under one new revision.
    async fn begin(&self, act: Act) -> Result<Box<dyn Transaction>, Error>;

    /// Begins a change that brings a report of usage. Writers are served in order, and only one report waits among them: a
    /// change of the policy waits for at most one report, however many gateways send them.
    async fn begin_report(&self, act: Act) -> Result<Box<dyn Transaction>, Error>;
}

/// How the database is.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Whether it was made when it was opened.
    fn is_new(&self) -> bool;

    /// Whether a change would be taken now; `act` is begun and leaves nothing.
    async fn check_writer(&self, act: &Act) -> Result<(), Error>;

    /// Looks for changes that another process made, and for what is due, for ever. `act` says who does what is due, and
    /// when.
    async fn watch(&self, act: fn() -> Act);

    /// Closes it; what was written is then where a backup finds it.
    async fn close(&self);
}

/// A change that has begun. Dropped without [`Transaction::commit`] it never was.
#[async_trait]
pub trait Transaction: Rows + UsageRows + AccountRows + Record {
    /// Who makes it, when, and with which random numbers.
    fn act(&self) -> &Act;

    /// Whether something of the policy was changed, so that a new revision will be made.
    fn is_dirty(&self) -> bool;

    /// What was written beside the policy is to stay, also if nothing of the policy was changed.
    fn commit_without_revision(&mut self);

    /// Makes the change durable and known to those who wait, and returns the revision: a new one if there was something
    /// to change.
    async fn commit(self: Box<Self>) -> Result<i64, Error>;
}

/// The rows of the policy, within a change.
#[async_trait]
pub trait Rows: fmt::Debug + Send {
    /// How many rows of `kind` there are.
    fn count(&self, kind: Kind) -> i64;

    /// The version of `kind` with this id.
    async fn find(&mut self, kind: Kind, id: &str) -> Result<Option<Version>, Error>;

    /// The version of `kind` that the feed knows by this name.
    async fn find_identity(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;

    /// Which of `values` the rows of `kind` have as this name.
    async fn existing(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Error>;

    /// All keys and subscriptions of an application.
    async fn of_application(&mut self, application: &str) -> Result<Vec<Version>, Error>;

    /// All subscriptions to an API.
    async fn of_api(&mut self, api: &str) -> Result<Vec<Version>, Error>;

    /// One application or subscription that names this plan.
    async fn of_plan(&mut self, plan: &str) -> Result<Option<Version>, Error>;

    /// Whom an application belongs to.
    async fn owner_of(&mut self, application: &str) -> Result<Option<String>, Error>;

    /// Whether an application of this owner is blocked. One that was deleted counts while its block is kept.
    async fn has_blocked_application(&mut self, owner: &str) -> Result<bool, Error>;

    /// Whether the owner of `application` is blocked: one of the owner's applications is, or a subscription of one to `api`.
    /// A kept block counts as well, for who was the owner when the subscription was deleted.
    async fn is_owner_blocked(&mut self, application: &str, api: &str) -> Result<bool, Error>;

    /// Which of these digests belong to keys that were revoked and deleted.
    async fn revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Error>;

    /// Another API than `api` that stands at one of `places`.
    async fn api_at(&mut self, places: &[Place], api: &str) -> Result<Option<(String, Place)>, Error>;

    /// Another deny policy than `policy` that is about `target` ([`target::target`]).
    async fn denied_by(&mut self, target: &str, policy: &str) -> Result<Option<String>, Error>;

    /// Adds a row that is not there.
    async fn insert(&mut self, row: &NewRow) -> Result<(), Error> {
        self.insert_all(std::slice::from_ref(row)).await
    }

    /// Adds rows that are not there, at most [`MAX_ROWS_AT_ONCE`] of them.
    async fn insert_all(&mut self, rows: &[NewRow]) -> Result<(), Error>;

    /// Puts `row` in the place of `stored`.
    async fn replace(&mut self, stored: &Version, row: &NewRow) -> Result<(), Error> {
        self.remove(stored).await?;
        self.insert(row).await
    }

    /// Takes a row away.
    async fn remove(&mut self, stored: &Version) -> Result<(), Error>;
}

/// Usage, within a change. It stands beside the policy and makes no revisions.
#[async_trait]
pub trait UsageRows: Send {
    /// Notes that a batch of a gateway was taken; `false`: it was taken before.
    async fn take_batch(&mut self, gateway: &str, batch: &str) -> Result<bool, Error>;

    /// When a gateway reported last, and the room that it had left then.
    async fn room(&mut self, gateway: &str) -> Result<Option<(i64, i64)>, Error>;

    /// Notes that a gateway reports now, and the room that it has left.
    async fn set_room(&mut self, gateway: &str, room: i64) -> Result<(), Error>;

    /// Adds rows to those that are there. A sum that would pass 2^63 - 1 stays there: nothing is lost of the other rows.
    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), Error>;

    /// Notes when keys were used last; keys that are not there, or that reach nothing of `scope`, are left out. Returns how
    /// many were taken.
    async fn touch(&mut self, keys: &[KeyUsed], scope: &Scope) -> Result<u64, Error>;

    /// Takes away what is too old.
    async fn tidy_usage(&mut self) -> Result<(), Error>;

    /// What was used by each of `pairs`, as far as anything was.
    async fn used(&mut self, pairs: &[Pair], windows: &Windows) -> Result<Vec<(Pair, Used)>, Error>;

    /// The subscriptions of `pairs`, and the applications where the API is empty, that have a plan.
    async fn with_plans(&mut self, pairs: &[Pair]) -> Result<Vec<Version>, Error>;

    /// The subscriptions and applications of a plan that are marked as used up.
    async fn used_up(&mut self, plan: &str) -> Result<Vec<Version>, Error>;

    /// The subscriptions and applications of a plan that are not marked and have used so much in the day or in the month.
    async fn reached(&mut self, plan: &str, windows: &Windows, least: [Option<i64>; 2]) -> Result<Vec<Version>, Error>;

    /// Forgets when a key was used: it is not there any more, and another may get its id.
    async fn forget_key(&mut self, id: &str) -> Result<(), Error>;

    /// Forgets how much an application used of its plans: it is gone, and another may get its id. Hourly rows stay, for
    /// bills. What is reported of it from now on uses up nothing of the other one's plans.
    async fn forget_totals(&mut self, application: &str) -> Result<(), Error>;
}
