//! The rows of a revision that decide about one request. A view never reads the whole policy for it, however many keys
//! there are.

use async_trait::async_trait;

use super::{Error, Kind, Version};

/// Reads what a decision needs, within a [`Snapshot`](super::Snapshot). Each fails with [`Error::Gone`] if the revision
/// is not kept.
#[async_trait]
pub trait ExplainedRows: Send {
    /// The APIs, plans and deny policies at revision `at`. A policy has at most 10,000 of each.
    async fn small_lists_at(&mut self, at: i64) -> Result<Vec<Version>, Error>;

    /// The version of `kind` with this id at revision `at`.
    async fn id_at(&mut self, kind: Kind, id: &str, at: i64) -> Result<Option<Version>, Error>;

    /// The version of `kind` with this name in the feed at revision `at`.
    async fn identity_at(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<Version>, Error>;

    /// An application and its subscriptions at revision `at`, in any order.
    async fn application_at(&mut self, application: &str, at: i64) -> Result<Vec<Version>, Error>;
}
