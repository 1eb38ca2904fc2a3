//! How much work is done in one go, so that a refresh never holds a thread for long.

use crate::store::build::Step;

/// How much may be done in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: usize,
}

/// A shard costs as much as so many rows: 8 µs against 0.6.
const ROWS_PER_SHARD: usize = 12;
/// So many bytes of packed changes, laid down or read back, cost as much as a row: as those of a shard.
const BYTES_PER_ROW: usize = 340;

impl Budget {
    /// On a thread that serves no requests: some 50 ms, so that ticks and the lease go on.
    pub const ALONE: Self = Self { left: 80_000 };
    /// On a thread that serves requests, every 10 ms: some 1 ms.
    pub const SHARING: Self = Self { left: 1_600 };

    pub(super) fn is_left(&self) -> bool {
        self.left > 0
    }

    pub(super) fn rows(&self) -> usize {
        self.left
    }

    pub(super) fn spend_rows(&mut self, rows: usize) {
        self.left = self.left.saturating_sub(rows.max(1));
    }

    pub(super) fn spend(&mut self, step: Step) {
        match step {
            Step::Done => {}
            Step::Changes(bytes) => self.spend_rows(bytes / BYTES_PER_ROW),
            Step::Shard => self.spend_shard(),
        }
    }

    pub(super) fn spend_shard(&mut self) {
        self.left = self.left.saturating_sub(ROWS_PER_SHARD);
    }
}
