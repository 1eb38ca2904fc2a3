//! Rows of the policy, before and after they are stored.

use super::Kind;

/// A name of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The id in the management API.
    Id,
    /// The name in the feed.
    Identity,
    /// The id in the management API, of objects that exist. The kept block of a deleted object does not count.
    Present,
}

/// A row to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// What it is.
    pub kind: Kind,
    /// The id in the management API.
    pub id: String,
    /// The name in the feed.
    pub identity: String,
    /// For applications, keys and subscriptions.
    pub application: Option<String>,
    /// For subscriptions.
    pub api: Option<String>,
    /// For applications and subscriptions.
    pub plan: Option<String>,
    /// The kept block of a deleted application or subscription.
    pub kept_block: Option<String>,
    /// The owner to whom a kept block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The fields that gateways do not get, JSON.
    pub beside: Option<String>,
    /// When the service must write the row again, Unix time.
    pub due: Option<i64>,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

/// The current version of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its position in the order of all changes.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// The id in the management API.
    pub id: String,
    /// For applications, keys and subscriptions.
    pub application: Option<String>,
    /// For subscriptions.
    pub api: Option<String>,
    /// The kept block of a deleted application or subscription.
    pub kept_block: Option<String>,
    /// The owner to whom that block applies.
    pub kept_owner: Option<String>,
    /// The state that a blocked subscription gets back.
    pub state_before: Option<String>,
    /// The fields that gateways do not get, JSON.
    pub beside: Option<String>,
    /// When the service must write the row again, Unix time.
    pub due: Option<i64>,
    /// The revision that made it.
    pub from_revision: i64,
    /// The row as the feed shows it, JSON.
    pub document: String,
}

/// The rows of one page of the feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageRows {
    /// Documents in the order of [`Kind::ALL`], one a line. The JSON of this program contains no line breaks.
    pub texts: [String; 6],
    /// Number of documents.
    pub count: i64,
    /// The `seq` of the last row, after which the next page begins; `None` if there are no more rows.
    pub next: Option<i64>,
}

impl PageRows {
    /// The kind and the document of each row.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str)> {
        let kinds = Kind::ALL.into_iter().zip(&self.texts);
        kinds.flat_map(|(kind, text)| text.lines().map(move |document| (kind, document)))
    }
}

/// A block of one of an owner's applications, or of one of their subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnersBlock {
    /// The owner.
    pub owner: String,
    /// The application.
    pub application: String,
    /// The API of the blocked subscription. `None` if the application itself is blocked.
    pub api: Option<String>,
}
