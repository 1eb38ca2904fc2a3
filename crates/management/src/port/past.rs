//! The kept past: which revisions there are, what differs between two of them, and rows as they were.

use async_trait::async_trait;

use super::{Error, Kind, Version};

/// A revision that can still be read, and what made it. What is not known is `None`: the revision is older than the audit
/// log, or its entry was too old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The revision.
    pub revision: i64,
    /// When it was made, Unix time.
    pub at: Option<i64>,
    /// Who made it.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// What it was done to.
    pub kind: Option<String>,
    /// The id of that.
    pub id: Option<String>,
}

/// A thing that is not the same at two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// How it was at the first revision; `None`: it was not there.
    pub before: Option<Version>,
    /// How it was at the second one; `None`: it was not there.
    pub after: Option<Version>,
}

/// Some of the differences, in the order of kinds and ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferencePage {
    /// The differences.
    pub differences: Vec<Difference>,
    /// Kind and id of the last thing that was looked at, if there is more.
    pub next: Option<(Kind, String)>,
}

/// The kept past, outside of a change.
#[async_trait]
pub trait Past: Send + Sync {
    /// At most `limit` of the revisions that can still be read, from the first after the revision `after`, in their order or in
    /// the reverse of it.
    async fn made(&self, after: Option<i64>, newest_first: bool, limit: u32) -> Result<Vec<Made>, Error>;

    /// Some `limit` things that are not the same at the revisions `from` and `to`, from the first after `after`. Either revision
    /// may be the later one. A page may be shorter, or even empty.
    async fn differences(
        &self,
        from: i64,
        to: i64,
        after: Option<&(Kind, String)>,
        limit: u32,
    ) -> Result<DifferencePage, Error>;
}

/// The kept past, within a change.
#[async_trait]
pub trait PastRows: Send {
    /// The kinds and ids of all that was put or taken away after `revision` and before this change, in the order of kinds and
    /// ids.
    async fn touched_since(&mut self, revision: i64) -> Result<Vec<(Kind, String)>, Error>;

    /// The versions of `kind` with these ids that held at `revision`.
    async fn held_at(&mut self, revision: i64, kind: Kind, ids: &[String]) -> Result<Vec<Version>, Error>;

    /// The latest version that holds no more of what the feed knew by this name.
    async fn last_past(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error>;
}
