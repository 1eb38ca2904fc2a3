//! Lists of current rows: filters, orders and positions. The routes decide what a client may ask for.

use super::{Version, sight::Sight};

/// Which rows a list contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only rows in this state.
    pub state: Option<String>,
    /// Only rows of this type.
    pub r#type: Option<String>,
    /// Only rows of this owner. For keys and subscriptions, it is the owner of their application.
    pub owner: Option<String>,
    /// Only rows of this application.
    pub application: Option<String>,
    /// Only rows of this API.
    pub api: Option<String>,
    /// Only rows of this plan.
    pub plan: Option<String>,
    /// Only the row with this name in the feed.
    pub identity: Option<String>,
    /// Only rows whose id or name contains this text.
    pub part: Option<String>,
    /// Only keys that were not used at this time or later.
    pub last_used_before: Option<i64>,
    /// Only subscriptions with a block that has yet to begin, or only those without one.
    pub planned: Option<bool>,
    /// Only rows that the caller sees.
    pub sight: Sight,
}

/// What a list can be sorted by. Rows with the same value are sorted by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The id.
    Id,
    /// The revision of the latest change.
    Changed,
    /// The name.
    Name,
    /// The state.
    State,
    /// The type.
    Type,
    /// The owner.
    Owner,
    /// The application.
    Application,
    /// The API.
    Api,
    /// The plan.
    Plan,
    /// The last use of a key.
    LastUsed,
}

impl Column {
    /// Whether the column's values are numbers.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Changed | Self::LastUsed)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column to sort by.
    pub column: Column,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

/// The value that a row is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// The end of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The value that its last row is sorted by.
    pub key: Key,
    /// The id of that row.
    pub id: String,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Version>,
    /// The end of this page, if there are more rows.
    pub next: Option<Place>,
    /// Number of rows in the whole list.
    pub total: i64,
}
