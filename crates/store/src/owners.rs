//! The blocks of owners, from the rows of either database.

use management::port::{MAX_OWNERS_BLOCKS, OwnersBlock};

/// Owner, application, and the API of a blocked subscription.
pub type Row = (String, String, Option<String>);

/// Rows for which a database is asked: one more than are returned.
pub fn limit() -> i64 {
    i64::try_from(MAX_OWNERS_BLOCKS).unwrap_or(i64::MAX).saturating_add(1)
}

/// Blocks that are looked through at once. Finding each one's owner takes some 5 µs, so this is 0.1 s for 1,000 rows of an
/// import.
pub const MANY: i64 = 20_000;

/// Whether the blocks are looked through, and not the applications of the owners: the ones that are fewer. An owner may
/// have very many applications, and most policies have few blocks.
pub fn begins_with_blocks(blocks: i64, applications: i64) -> bool {
    blocks < MANY && blocks < applications
}

/// The blocks of `rows`. `None` if there are too many.
pub fn blocks(rows: Vec<Row>) -> Option<Vec<OwnersBlock>> {
    let block = |(owner, application, api)| OwnersBlock { owner, application, api };
    (rows.len() <= MAX_OWNERS_BLOCKS).then(|| rows.into_iter().map(block).collect())
}
