//! Lists of what holds now: how they are filtered and sorted, and where a page of one ends. What a client may ask for is
//! decided by the routes.

use super::Version;

/// Which rows a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those of this type.
    pub r#type: Option<String>,
    /// Only those of this owner; of keys and subscriptions, whose application is of this owner.
    pub owner: Option<String>,
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only those of this plan.
    pub plan: Option<String>,
    /// Only the one that the feed knows by this name.
    pub identity: Option<String>,
    /// Only those whose id or name has this part.
    pub part: Option<String>,
    /// Only keys that were not used at this time or later.
    pub last_used_before: Option<i64>,
}

/// What a list can be sorted by. Rows with the same value are in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The id.
    Id,
    /// The latest change.
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
    /// Whether its values are numbers.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Changed | Self::LastUsed)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// What it is by.
    pub column: Column,
    /// The greatest first.
    pub descending: bool,
}

/// What a row is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What its last row was sorted by.
    pub key: Key,
    /// The id of that row.
    pub id: String,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its rows.
    pub rows: Vec<Version>,
    /// Where it ends, if there is more.
    pub next: Option<Place>,
    /// How many rows the whole list has.
    pub total: i64,
}
