//! Rows that differ from an earlier row for the same thing. The last one counts, which may not be what was meant, so the
//! log says so. Which rows are compared is decided where they are worked in.

use std::fmt;

/// How many such rows there are, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differing {
    rows: u64,
    /// What the first one speaks of.
    first: String,
}

impl Differing {
    /// Counts a row, and keeps what the first one speaks of.
    #[cold]
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.rows == 0 {
            self.first = what();
        }
        self.rows = self.rows.saturating_add(1);
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        let rows = self.rows.saturating_add(other.rows);
        if self.rows == 0 {
            self.first = other.first;
        }
        self.rows = rows;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, first } = self;
        let rows_differ = if *rows == 1 { "row differs" } else { "rows differ" };
        write!(f, "{rows} {rows_differ} from an earlier row for the same thing, and the last one counts: {first}")
    }
}
