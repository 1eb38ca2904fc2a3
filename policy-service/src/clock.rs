//! The clock of this machine, and the only place that reads it as a date. How long things take is measured where they happen.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time, in Unix seconds.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}
