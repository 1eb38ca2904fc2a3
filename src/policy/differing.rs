//! Rows that differ from an earlier row for the same thing. The last row counts. That may not be what was meant, so the
//! log says so. The code that works rows in decides which rows are compared.

use std::fmt;

/// The number of such rows, and a description of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differing {
    rows: u64,
    /// What the first row is about.
    first: String,
}

impl Differing {
    /// Counts a row, and keeps the description of the first.
    #[cold]
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.rows == 0 {
            self.first = what();
        }
        self.rows = self.rows.saturating_add(1);
    }

    /// Adds rows that were found elsewhere.
    pub fn add(&mut self, other: Self) {
        let rows = self.rows.saturating_add(other.rows);
        if self.rows == 0 {
            self.first = other.first;
        }
        self.rows = rows;
    }

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
