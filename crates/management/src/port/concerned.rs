//! Counts what a block would concern.

use async_trait::async_trait;

use super::Error;

/// The keys and requests of an application, or of its subscription to an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concerned {
    /// The application.
    pub application: String,
    /// The API; `None` for all.
    pub api: Option<String>,
    /// Whether keys of the type SANDBOX are left out.
    pub production_only: bool,
    /// The time at which keys are valid, Unix time.
    pub now: i64,
    /// The time from which hours of usage count, Unix time.
    pub since: i64,
}

/// Numbers of what a block would concern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Keys that are ACTIVE, valid at the time, and not bound to other APIs.
    pub keys: i64,
    /// Requests that were allowed in hours that began since the time.
    pub requests: i64,
}

/// Counts, outside of a change.
#[async_trait]
pub trait Concerns: Send + Sync {
    /// Counts the keys and requests.
    async fn concerned(&self, of: &Concerned) -> Result<Counted, Error>;
}
