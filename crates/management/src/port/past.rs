//! The kept past: which revisions exist, what differs between two of them, and earlier rows.

use async_trait::async_trait;

use super::{Error, Kind, Version};

/// A revision that can still be read, and the change that made it. Unknown fields are `None`: the revision is older
/// than the audit log, or its entry was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The revision.
    pub revision: i64,
    /// The time, in Unix seconds.
    pub at: Option<i64>,
    /// The actor.
    pub actor: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The kind of the object that was changed.
    pub kind: Option<String>,
    /// The object's id.
    pub id: Option<String>,
}

/// An object that differs between two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its state at the first revision; `None` if it did not exist.
    pub before: Option<Version>,
    /// Its state at the second revision; `None` if it did not exist.
    pub after: Option<Version>,
}

/// Some of the differences, sorted by kind and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferencePage {
    /// The differences.
    pub differences: Vec<Difference>,
    /// Kind and id of the last compared object, if there are more.
    pub next: Option<(Kind, String)>,
}

/// Reads the kept past, outside of a change.
#[async_trait]
pub trait Past: Send + Sync {
    /// Returns at most `limit` of the revisions that can still be read and that come after the revision `after`, in
    /// their order or in reverse.
    async fn made(&self, after: Option<i64>, newest_first: bool, limit: u32) -> Result<Vec<Made>, Error>;

    /// Compares some `limit` objects that come after `after`, and returns those that differ between the revisions
    /// `from` and `to`. Either revision may be the later one. A page may be shorter, or even empty.
    async fn differences(
        &self,
        from: i64,
        to: i64,
        after: Option<&(Kind, String)>,
        limit: u32,
    ) -> Result<DifferencePage, Error>;
}

/// Reads the kept past within a change.
#[async_trait]
pub trait PastRows: Send {
    /// Returns the kinds and ids of at most `limit` objects that were stored or removed after `revision` and before this
    /// change, sorted by kind and id. It may take longer than other statements.
    async fn touched_since(&mut self, revision: i64, limit: usize) -> Result<Vec<(Kind, String)>, Error>;

    /// Finds the versions of `kind` with these ids at `revision`.
    async fn held_at(&mut self, revision: i64, kind: Kind, ids: &[String]) -> Result<Vec<Version>, Error>;

    /// Finds the latest past version with this name in the feed.
    async fn last_past(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;
}
