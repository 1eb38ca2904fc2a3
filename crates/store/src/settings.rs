//! Settings that all databases share.

use std::time::Duration;

/// How long a statement waits for another's lock, and a request for a connection. With PostgreSQL, also how long a
/// statement may take. Gateways give a callout 5 s.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// Settings of the database.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Number of past versions that are kept, so that gateways can catch up by deltas.
    pub history_rows: i64,
    /// Number of days for which past versions are kept, of those that `history_rows` keeps; 0 sets no such limit.
    pub history_days: i64,
    /// Number of days for which hourly usage is kept.
    pub usage_days: i64,
    /// Number of days for which entries of the audit log are kept; 0 keeps them for ever.
    pub audit_days: i64,
    /// Whether many rows will be written: SQLite then uses more memory and fewer checkpoints.
    pub bulk: bool,
    /// Whether the database must exist already.
    pub must_exist: bool,
}

impl Default for Settings {
    /// 100,000 versions of some 400 bytes take 40 MB and cover a busy day. 400 days are a year of bills and a month to
    /// dispute the last one.
    fn default() -> Self {
        Self { history_rows: 100_000, history_days: 0, usage_days: 400, audit_days: 0, bulk: false, must_exist: false }
    }
}
