//! What an import did: counts by kind, refused rows, removed rows.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::row::Place;
use crate::port::{Kind, audit::Subject};

/// Removed rows, and rows that stay though they are not named, that are named each; 100 bytes each. The others are counted.
const MAX_NAMED: usize = 1_000;

/// Hears of an import while it goes on.
pub trait Told: Send {
    /// A row was refused. `field` is what it is about.
    fn refuse(&mut self, place: Place, kind: Option<Kind>, field: Option<&str>, because: &str);
    /// So many rows are done.
    fn add(&mut self, rows: usize);
    /// An object that was to be removed by name stays, or its block does.
    fn keep(&mut self, _place: Place, _kept: Kept) {}
}

/// What stays of an object that was to be removed by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kept {
    /// Its kind.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Whether it is deleted, and only its block stays.
    pub deleted: bool,
    /// Why.
    pub because: String,
}

/// How many rows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    /// New.
    pub made: u64,
    /// New, and ON_HOLD or BLOCKED, because a block of the owner that the import does not state concerns it. Counted in
    /// `made` as well.
    pub held_back: u64,
    /// In the place of another version.
    pub changed: u64,
    /// There as they are.
    pub unchanged: u64,
    /// Refused.
    pub refused: u64,
    /// Taken away, since the import does not name them.
    pub removed: u64,
    /// Not named either, and not taken away.
    pub kept: u64,
}

/// A row that the import does not name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Removed {
    /// Its kind.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Why it stays; absent: it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// Counts by kind.
pub type Counts = BTreeMap<&'static str, Count>;

/// What an import did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// By the names of lists.
    pub counts: Counts,
    /// Lines that are no row of any kind.
    pub unreadable: u64,
    /// Rows that the import does not name; the first of them.
    pub removed: Vec<Removed>,
    /// The last revision that it made.
    pub revision: Option<i64>,
}

impl Outcome {
    /// The count of a kind.
    pub fn of(&mut self, kind: Kind) -> &mut Count {
        self.counts.entry(kind.list()).or_default()
    }

    /// Refused rows of all kinds.
    pub fn refused(&self) -> u64 {
        self.counts.values().fold(self.unreadable, |sum, count| sum.saturating_add(count.refused))
    }

    /// Names a row that is not named by the import.
    pub fn name(&mut self, kind: Kind, id: &str, kept: Option<String>) {
        if self.removed.len() < MAX_NAMED {
            self.removed.push(Removed { kind: Subject::Row(kind).word(), id: id.to_owned(), kept });
        }
    }
}

/// One more.
pub fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}
