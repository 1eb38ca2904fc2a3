//! Rows that are due: the service must write them again, because a block begins or ends.

use async_trait::async_trait;

use super::{Error, Version};

/// What is due, outside of a change.
#[async_trait]
pub trait Dues: Send + Sync {
    /// The earliest time at which a row is due, which may have passed; `None` if no row is ever due.
    async fn next_due(&self) -> Result<Option<i64>, Error>;
}

/// What is due, within a change.
#[async_trait]
pub trait DueRows: Send {
    /// Returns at most `limit` of the rows that are due at `now` or earlier, the earliest first.
    async fn due(&mut self, now: i64, limit: usize) -> Result<Vec<Version>, Error>;
}
