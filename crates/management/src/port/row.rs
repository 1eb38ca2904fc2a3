//! Rows of the policy: as they are put, and as they are stored.

use super::Kind;

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
    /// The block that stays of a deleted application or subscription.
    pub kept_block: Option<String>,
    /// The owner to whom a kept block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

/// A row as it holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its place in the order of all changes.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// What management calls it.
    pub id: String,
    /// Of applications, keys and subscriptions.
    pub application: Option<String>,
    /// Of subscriptions.
    pub api: Option<String>,
    /// The block that stays of a deleted application or subscription.
    pub kept_block: Option<String>,
    /// The owner to whom that block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The revision that brought it.
    pub from_revision: i64,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

/// Rows of one page of the feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageRows {
    /// Documents in the order of [`Kind::ALL`], one a line: JSON of this program has no line ends.
    pub texts: [String; 6],
    /// How many there are.
    pub count: i64,
    /// Where to go on: the `seq` of the last row; `None` when that was all.
    pub next: Option<i64>,
}

impl PageRows {
    /// Kind and document of each.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str)> {
        let kinds = Kind::ALL.into_iter().zip(&self.texts);
        kinds.flat_map(|(kind, text)| text.lines().map(move |document| (kind, document)))
    }
}
