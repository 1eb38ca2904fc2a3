//! The port: what the rules and the feed need from a database, independent of how a database does it.
//!
//! A [`Database`] answers what exists now ([`Present`]) and what existed at a revision ([`History`], [`Snapshot`]). It
//! takes changes ([`Changes`], [`Transaction`]), keeps the audit log ([`audit`]) and reports its health ([`Upkeep`]). One
//! suite of tests, `crates/store/tests/conformance`, says what each promise means. Every database must pass it.

pub mod accounts;
mod act;
mod actor;
pub mod answers;
pub mod audit;
pub mod concerned;
pub mod due;
mod error;
pub mod explained;
pub mod gateways;
mod kind;
pub mod list;
pub mod many;
mod mark;
pub mod overview;
pub mod past;
pub mod places;
mod row;
mod scope;
pub mod sessions;
pub mod sight;
mod state;
pub mod target;
pub mod times;
pub mod turn;
pub mod usage;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::{
    accounts::{AccountRows, Accounts},
    act::{Act, Origin, Random},
    actor::{Actor, Principal, Role},
    error::{Cause, Error},
    kind::Kind,
    mark::{Mark, Secret},
    row::{Name, NewRow, OwnersBlock, PageRows, Version},
    scope::Scope,
    state::{Latest, Renewal, State},
};
use self::{
    answers::{AnswerRows, Answers},
    audit::{AuditLog, Record},
    concerned::Concerns,
    due::{DueRows, Dues},
    explained::ExplainedRows,
    gateways::{GatewayRows, Gateways},
    list::{Filter, Page, Sort},
    many::ManyRows,
    overview::Overview,
    past::{Past, PastRows},
    places::{Clash, Place},
    sessions::{SessionRows, Sessions},
    sight::{SightRows, Sights},
    turn::TurnRows,
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};

/// An open database, shared by all its users.
pub type Store = Arc<dyn Database>;

/// Maximum number of rows for one [`Rows::insert_all`]: thirteen values each, and SQLite accepts 32,766.
pub const MAX_ROWS_AT_ONCE: usize = 1_000;

/// Blocks that [`Rows::blocks_of`] returns: those of 1,000 owners with 10 each, at 200 bytes 2 MB.
pub const MAX_OWNERS_BLOCKS: usize = 10_000;

/// An open database.
pub trait Database:
    Present
    + History
    + Changes
    + Upkeep
    + AuditLog
    + Past
    + Answers
    + Accounts
    + Sessions
    + Sights
    + Dues
    + Gateways
    + Concerns
    + Overview
{
}

/// What exists now.
#[async_trait]
pub trait Present: fmt::Debug + Send + Sync {
    /// The current epoch, revision and counts.
    async fn state(&self) -> Result<State, Error>;

    /// Finds the current version of `kind` with this id.
    async fn find(&self, kind: Kind, id: &str) -> Result<Option<Version>, Error>;

    /// Finds the current version of `kind` with this name in the feed.
    async fn find_identity(&self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;

    /// Finds all subscriptions of an application.
    async fn subscriptions_of(&self, application: &str) -> Result<Vec<Version>, Error>;

    /// Returns at most `limit` rows of `kind` that come after `after`.
    async fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        sort: Sort,
        after: Option<&list::Place>,
        limit: u32,
    ) -> Result<Page, Error>;

    /// Answers for each deny policy whether the object that it names exists. An address always exists.
    async fn applies(&self, documents: &[String]) -> Result<Vec<bool>, Error>;

    /// Returns some pairs of APIs with the same match. They were stored before such APIs were rejected.
    async fn clashes(&self) -> Result<Vec<Clash>, Error>;

    /// Returns at most `limit` rows that come after `after`, in the order of application, API, hour, plan and outcome.
    async fn usage(&self, filter: &UsageFilter, after: Option<&UsageRow>, limit: u32) -> Result<Vec<UsageRow>, Error>;

    /// When the keys `ids` were last used. Keys that were never used are missing.
    async fn last_used(&self, ids: &[&str]) -> Result<Vec<KeyUsed>, Error>;
}

/// What existed at a revision, and which history the revisions belong to.
#[async_trait]
pub trait History: Send + Sync {
    /// Opens a view of the database as it is now.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error>;

    /// Follows the latest revision. It is never ahead of what can be read.
    fn revisions(&self) -> watch::Receiver<Latest>;

    /// Looks up the latest revision, if another service may have made it, and announces it to [`History::revisions`]. What
    /// was changed before the call is announced after it. Returns soon, also if the database does not answer.
    async fn catch_up(&self) {}

    /// Number of receivers that wait for a new revision.
    fn waiting(&self) -> usize;

    /// The secret that signs cursors.
    fn secret(&self) -> &Secret;

    /// Renews the epoch if `mark` shows that a part of the history is lost. If the last renewal was a moment ago, the
    /// loss is noted and the epoch is renewed later. The delay matters because the gateway that showed the mark starts
    /// over and does not show it again, and it rejects a lower revision of the same epoch.
    async fn renew_if_lost(&self, mark: &Mark, act: &Act) -> Result<Option<Renewal>, Error>;

    /// Renews the epoch, so that gateways fetch the full policy whatever revision they hold. Returns the new epoch.
    async fn renew_epoch(&self, act: &Act) -> Result<String, Error>;
}

/// A view of the database that does not change while one page is built.
#[async_trait]
pub trait Snapshot: ExplainedRows + fmt::Debug + Send + Sync {
    /// The epoch, revision and counts in this view.
    fn state(&self) -> &State;

    /// Returns at most `limit` rows of the whole policy at revision `at` that come after `after`.
    async fn full(&mut self, scope: &Scope, at: i64, after: i64, limit: usize) -> Result<PageRows, Error>;

    /// Returns at most `limit` rows that existed at revision `since` and have no successor at revision `at`, and that
    /// come after `after`.
    async fn removed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error>;

    /// Returns at most `limit` rows that exist at revision `at` and did not at revision `since`, and that come after
    /// `after`.
    async fn changed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error>;

    /// Finds the document of `kind` with this name in the feed at revision `at`.
    async fn document_at(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<String>, Error>;

    /// The random word of a revision.
    async fn word(&mut self, revision: i64) -> Result<i64, Error>;

    /// Checks that the database has the revision that `mark` names.
    async fn check_mark(&mut self, mark: &Mark) -> Result<(), Error>;
}

/// Starts changes.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Begins a change. All of it takes effect at once, under one new revision.
    async fn begin(&self, act: Act) -> Result<Box<dyn Transaction>, Error>;

    /// Begins a change for a usage report. Writers are served in order, and only one report is among them at a time. So
    /// a change of the policy waits for at most one report, however many gateways send them.
    async fn begin_report(&self, act: Act) -> Result<Box<dyn Transaction>, Error>;
}

/// Health and lifetime of the database.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Whether the database was created when it was opened.
    fn is_new(&self) -> bool;

    /// Checks whether a change would be accepted now. It begins `act` and leaves no trace.
    async fn check_writer(&self, act: &Act) -> Result<(), Error>;

    /// Runs for ever: notices changes by other processes, and does what is due in the name of `act`.
    async fn watch(&self, act: fn() -> Act);

    /// Tells `observer` how long each operation takes, from now on.
    fn observe(&self, _observer: times::Observer) {}

    /// Closes the database. A backup of the file then has everything.
    async fn close(&self);
}

/// A change in progress. If it is dropped without [`Transaction::commit`], it has no effect.
#[async_trait]
pub trait Transaction:
    Rows
    + UsageRows
    + AccountRows
    + SessionRows
    + SightRows
    + Record
    + PastRows
    + AnswerRows
    + DueRows
    + GatewayRows
    + ManyRows
    + TurnRows
{
    /// The context of the change.
    fn act(&self) -> &Act;

    /// Whether the policy was changed, so that the commit makes a new revision.
    fn is_dirty(&self) -> bool;

    /// Commits data beside the policy even if the policy itself did not change.
    fn commit_without_revision(&mut self);

    /// Makes the change durable and notifies those who wait. Returns the revision: a new one if the policy changed.
    async fn commit(self: Box<Self>) -> Result<i64, Error>;
}

/// The rows of the policy, within a change.
#[async_trait]
pub trait Rows: fmt::Debug + Send {
    /// Number of rows of `kind`.
    fn count(&self, kind: Kind) -> i64;

    /// Finds the version of `kind` with this id.
    async fn find(&mut self, kind: Kind, id: &str) -> Result<Option<Version>, Error>;

    /// Finds the version of `kind` with this name in the feed.
    async fn find_identity(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;

    /// Finds the versions of `kind` with these ids, in any order. Ids that no row has are left out.
    async fn find_all(&mut self, kind: Kind, ids: &[&str]) -> Result<Vec<Version>, Error>;

    /// Returns the `values` that rows of `kind` have as this name.
    async fn existing(&mut self, kind: Kind, name: Name, values: &[&str]) -> Result<HashSet<String>, Error>;

    /// Finds all keys and subscriptions of an application.
    async fn of_application(&mut self, application: &str) -> Result<Vec<Version>, Error>;

    /// Finds all subscriptions to an API.
    async fn of_api(&mut self, api: &str) -> Result<Vec<Version>, Error>;

    /// Finds one application or subscription that has this plan.
    async fn of_plan(&mut self, plan: &str) -> Result<Option<Version>, Error>;

    /// The owner of an application.
    async fn owner_of(&mut self, application: &str) -> Result<Option<String>, Error>;

    /// Whether an application of this owner is blocked. The kept block of a deleted application counts.
    async fn has_blocked_application(&mut self, owner: &str) -> Result<bool, Error>;

    /// Whether the owner of `application` is blocked: another application of the owner is blocked, or its subscription
    /// to `api` is. A kept block counts for the owner at the time when the subscription was deleted.
    async fn is_owner_blocked(&mut self, application: &str, api: &str) -> Result<bool, Error>;

    /// The owners of `applications`, by application. At most [`MAX_ROWS_AT_ONCE`] are asked for.
    async fn owners_of(&mut self, applications: &[&str]) -> Result<HashMap<String, String>, Error>;

    /// The blocks of the applications of `owners` and of their subscriptions, kept ones included. `None` if there are more
    /// than [`MAX_OWNERS_BLOCKS`].
    async fn blocks_of(&mut self, owners: &[&str]) -> Result<Option<Vec<OwnersBlock>>, Error>;

    /// Returns the digests that belong to keys that were revoked, or regenerated, and then deleted.
    async fn revoked(&mut self, digests: &[&str]) -> Result<HashSet<String>, Error>;

    /// Finds another API than `api` with one of the matches `places`.
    async fn api_at(&mut self, places: &[Place], api: &str) -> Result<Option<(String, Place)>, Error>;

    /// Finds another deny policy than `policy` with the same `target` ([`target::target`]).
    async fn denied_by(&mut self, target: &str, policy: &str) -> Result<Option<String>, Error>;

    /// Adds a new row.
    async fn insert(&mut self, row: &NewRow) -> Result<(), Error> {
        self.insert_all(std::slice::from_ref(row)).await
    }

    /// Adds new rows, at most [`MAX_ROWS_AT_ONCE`].
    async fn insert_all(&mut self, rows: &[NewRow]) -> Result<(), Error>;

    /// Replaces `stored` by `row`.
    async fn replace(&mut self, stored: &Version, row: &NewRow) -> Result<(), Error> {
        self.remove(stored).await?;
        self.insert(row).await
    }

    /// Removes a row.
    async fn remove(&mut self, stored: &Version) -> Result<(), Error>;

    /// Removes rows, each once, in a few statements.
    async fn remove_all(&mut self, stored: &[Version]) -> Result<(), Error>;
}

/// Usage, within a change. Usage makes no revisions.
#[async_trait]
pub trait UsageRows: Send {
    /// Notes that a gateway's batch was accepted. Returns `false` if it was accepted before.
    async fn take_batch(&mut self, gateway: &str, batch: &str) -> Result<bool, Error>;

    /// When a gateway last reported, and the room that it had left then.
    async fn room(&mut self, gateway: &str) -> Result<Option<(i64, i64)>, Error>;

    /// Notes that a gateway reports now, and the room that it has left.
    async fn set_room(&mut self, gateway: &str, room: i64) -> Result<(), Error>;

    /// Adds the counts to the stored rows. A sum beyond 2^63 - 1 stays at that value, so that the other rows are not
    /// lost.
    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), Error>;

    /// Notes when keys were last used. Leaves out keys that do not exist or that reach nothing of `scope`. Returns the
    /// number of keys that were noted.
    async fn touch(&mut self, keys: &[KeyUsed], scope: &Scope) -> Result<u64, Error>;

    /// Deletes usage that is too old.
    async fn tidy_usage(&mut self) -> Result<(), Error>;

    /// Returns the usage of each of `pairs` that has any.
    async fn used(&mut self, pairs: &[Pair], windows: &Windows) -> Result<Vec<(Pair, Used)>, Error>;

    /// Finds the subscriptions of `pairs` that have a plan, and the applications if the API of the pair is empty.
    async fn with_plans(&mut self, pairs: &[Pair]) -> Result<Vec<Version>, Error>;

    /// Finds the subscriptions and applications of a plan that are marked as used up.
    async fn used_up(&mut self, plan: &str) -> Result<Vec<Version>, Error>;

    /// Finds the subscriptions and applications of a plan that are not marked and have used at least so much in the day
    /// or the month.
    async fn reached(&mut self, plan: &str, windows: &Windows, least: [Option<i64>; 2]) -> Result<Vec<Version>, Error>;

    /// Forgets when a key was last used, because the key is gone and another may get its id.
    async fn forget_key(&mut self, id: &str) -> Result<(), Error>;

    /// Forgets how much of its plans an application has used, because it is gone and another may get its id. Hourly
    /// rows stay, for bills. Usage of the old application that is reported later does not count for the plans of the
    /// new one.
    async fn forget_totals(&mut self, application: &str) -> Result<(), Error>;
}
