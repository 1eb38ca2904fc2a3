//! Limits the work of one step, so that a refresh never blocks a thread for long.

use crate::store::build::Step;

/// The work that one step may do. The unit is a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: usize,
}

/// The cost of a shard in rows: 8 µs against 0.6 µs.
const ROWS_PER_SHARD: usize = 12;
/// Bytes of packed changes, spilled or read back, that cost as much as a row, derived from the bytes and the cost of a
/// shard.
const BYTES_PER_ROW: usize = 340;

impl Budget {
    /// For a thread that serves no requests: some 50 ms, so that ticks and the lease continue.
    pub const ALONE: Self = Self { left: 80_000 };
    /// For a thread that serves requests, every 10 ms: some 1 ms.
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
