//! Checks a policy's announced size against `policy.max_bytes`, before its rows are processed.
//!
//! The size of actual rows is counted while they are packed ([`crate::store::build`]). Nothing here refuses a policy.

use crate::policy::page::Header;

/// Minimum size of a packed key: operation (1), tag (4), the rest of the digest with its length (29), the length of the
/// record (1), and the record: flags (1), and id and application of one byte each with their lengths (4).
const LEAST_KEY: u64 = 1 + 4 + 29 + 1 + 1 + 4;
/// Minimum size of a packed application: operation (1), tag (4), an id of one byte with its length (2), the length of
/// the record (1), and the record: state, name, owner and plan (4).
const LEAST_APPLICATION: u64 = 1 + 4 + 2 + 1 + 4;
/// Minimum size of a packed subscription: operation (1), tag (4), an application of one byte with its length (2), the
/// length of the record (1), and the record: an API of one byte with its length (2), state and plan (2).
const LEAST_SUBSCRIPTION: u64 = 1 + 4 + 2 + 1 + 4;

/// An error message if the announced rows cannot fit, however short they are. An announcement that does fit proves
/// nothing.
pub(super) fn announced_too_large(header: &Header, max_bytes: u64) -> Option<String> {
    let counts = header.counts.unwrap_or_default();
    let rows = [
        (counts.keys, LEAST_KEY),
        (counts.applications, LEAST_APPLICATION),
        (counts.subscriptions, LEAST_SUBSCRIPTION),
    ];
    let least = rows.into_iter().fold(0u64, |sum, (rows, bytes)| sum.saturating_add(rows.saturating_mul(bytes)));
    (least > max_bytes).then(|| {
        format!(
            "`counts` announces {} keys, {} applications and {} subscriptions, which take at least {least} bytes, packed; \
             `policy.max_bytes` is {max_bytes}",
            counts.keys, counts.applications, counts.subscriptions
        )
    })
}
