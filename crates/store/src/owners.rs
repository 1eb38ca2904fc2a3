//! The blocks of owners, from the rows of either database.

use management::port::{MAX_OWNERS_BLOCKS, OwnersBlock};

/// Owner, application, and the API of a blocked subscription.
pub type Row = (String, String, Option<String>);

/// Rows for which a database is asked: one more than are returned.
pub fn limit() -> i64 {
    i64::try_from(MAX_OWNERS_BLOCKS).unwrap_or(i64::MAX).saturating_add(1)
}

/// The blocks of `rows`. `None` if there are too many.
pub fn blocks(rows: Vec<Row>) -> Option<Vec<OwnersBlock>> {
    let block = |(owner, application, api)| OwnersBlock { owner, application, api };
    (rows.len() <= MAX_OWNERS_BLOCKS).then(|| rows.into_iter().map(block).collect())
}
