//! The gateways that were heard of: what each one last said of itself, and how replicas tell each other.
//!
//! Gateways stand beside the policy and make no revisions. Each service holds all of them in memory, so a poll or a
//! receipt reads no database. The database keeps them over restarts and carries them from one replica to the others.
//! The rules ([`crate::gateways`]) decide what a gateway's words mean.

use std::net::IpAddr;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Error, Scope};

/// Maximum number of gateways for one [`Gateways::note_gateways`]: seven values each, and SQLite accepts 32,766.
pub const MAX_GATEWAYS_AT_ONCE: usize = 1_000;

/// A gateway: one store of one Envoy, as it last was heard of. Times are Unix milliseconds of this service's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The name in its credentials.
    pub client_id: String,
    /// The name of its Envoy. `None` for all filters with this client id that send none.
    pub instance: Option<String>,
    /// Random, made once for each store; empty without an instance.
    pub process: String,
    /// The version of its filter.
    pub version: Option<String>,
    /// Number of workers with a live VM.
    pub workers: Option<u32>,
    /// Number of workers that have not adopted the revision of its cursor. `None` if it said that in a form that is not
    /// understood.
    pub lagging: Option<u32>,
    /// The other end of its last connection.
    pub address: Option<IpAddr>,
    /// What it sees. `None` if this service does not know.
    pub scope: Option<Scope>,
    /// The epoch of the policy by which it decides, as it said.
    pub epoch: Option<String>,
    /// The policy by which all of its live workers decide.
    pub holds: Holds,
    /// A revision that it did not take.
    pub refused: Option<Refused>,
    /// Maximum number of seconds until it calls again.
    pub heard_within: i64,
    /// Number of seconds without an answer after which it allows nothing; 0 if it goes on for ever. `None` if it did not
    /// say.
    pub expires_after: Option<i64>,
    /// Number of seconds by which its last answer told it to wait.
    pub retry_after: i64,
    /// When it was first heard of.
    pub first_at: i64,
    /// When it was last heard of.
    pub heard_at: i64,
}

/// The policy by which a gateway decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It has shown no cursor yet, so it has no policy.
    Nothing,
    /// It showed a cursor that proves nothing.
    Unknown,
    /// It showed a cursor with a mark that this service signed.
    Proven(Proof),
}

/// The revision that a signed mark proves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    /// The database's epoch.
    pub epoch: String,
    /// The revision.
    pub revision: i64,
    /// The random word of the revision.
    pub word: i64,
}

/// A revision that a gateway did not take, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The revision.
    pub revision: i64,
    /// Why.
    pub reason: RefusedBecause,
}

/// Why a gateway did not take a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBecause {
    /// The revision was lower than the held one.
    Rollback,
    /// Too many keys would have gone.
    Shrink,
    /// A page could not be used.
    Page,
    /// Any other reason.
    Other,
}

impl RefusedBecause {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Rollback, Self::Shrink, Self::Page, Self::Other];

    /// Its word in headers, in JSON and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Shrink => "shrink",
            Self::Page => "page",
            Self::Other => "other",
        }
    }

    /// Parses a word. An unknown one is some other reason.
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.word() == word).unwrap_or(Self::Other)
    }
}

/// A gateway as the database keeps it. Times are those of the caller's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRow {
    /// Its id.
    pub id: String,
    /// The name in its credentials.
    pub client_id: String,
    /// When it was first heard of, Unix milliseconds.
    pub first_at: i64,
    /// When it was last heard of, Unix milliseconds.
    pub heard_at: i64,
    /// What else is known of it, as JSON.
    pub document: String,
}

/// A gateway that was noted or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedGateway {
    /// The gateway.
    pub row: GatewayRow,
    /// The run of a service that noted it last.
    pub writer: String,
    /// Whether it was removed since.
    pub is_removed: bool,
}

/// What was noted after an earlier look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotedGateways {
    /// The number of the last change. It is lower than that of an earlier look if a backup was restored.
    pub number: i64,
    /// The gateways.
    pub gateways: Vec<NotedGateway>,
}

/// A replica that waits for gateways to take a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The run of the service.
    pub by: String,
    /// For so many seconds.
    pub seconds: u32,
    /// How many such words were heard.
    pub number: u64,
}

/// Keeps gateways.
#[async_trait]
pub trait Gateways: Send + Sync {
    /// Notes what `writer` heard of at most [`MAX_GATEWAYS_AT_ONCE`] gateways, and tells the other replicas. What another
    /// writer heard later stays. `now` is the time of the caller's clock, in Unix milliseconds. Returns the number of the
    /// change.
    async fn note_gateways(&self, writer: &str, gateways: &[GatewayRow], now: i64) -> Result<i64, Error>;

    /// Removes gateways and tells the other replicas. `now` is as above.
    async fn remove_gateways(&self, writer: &str, ids: &[&str], now: i64) -> Result<(), Error>;

    /// What was noted and removed after the change `number`; everything that exists, for 0. What was noted before this
    /// call is in it or has a number of at most `number`.
    async fn gateways_after(&self, number: i64, now: i64) -> Result<NotedGateways, Error>;

    /// Follows the changes of gateways, those by other replicas included.
    fn gateway_changes(&self) -> watch::Receiver<i64>;

    /// Tells the other replicas that `writer` waits for gateways in the next seconds.
    async fn want_gateways(&self, writer: &str, seconds: u32) -> Result<(), Error>;

    /// Follows the replicas that wait for gateways.
    fn gateways_wanted(&self) -> watch::Receiver<Wanted>;
}

/// Gateways within a change.
#[async_trait]
pub trait GatewayRows: Send {
    /// Removes a gateway, at `now` as above. Returns it if it existed.
    async fn remove_gateway(&mut self, id: &str, now: i64) -> Result<Option<GatewayRow>, Error>;
}
