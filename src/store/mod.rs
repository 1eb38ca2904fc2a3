//! The policy in Envoy's shared data: stored once per process, packed, and replaced in one step.
//!
//! Keys are in shards by their digest. Applications are in shards by the digest of their id, together with their
//! subscriptions. So a request with an unknown key costs two reads. A full policy is built in the idle one of two
//! banks. A manifest, written last, names the current bank. A delta rewrites single shards of the current bank. Every
//! value has a checksum over its key and its bytes. A value that fails the check is `Corrupt`; it never counts as an
//! empty policy, and it never allows anything.
//!
//! The store decides neither about requests nor about the time of a fetch. It reaches shared data through
//! [`Shared`](crate::shared::Shared).

pub mod batch;
pub mod build;
pub mod change;
pub mod clearing;
pub mod delta;
pub mod emptying;
pub mod error;
pub mod lists;
pub mod manifest;
pub mod merge;
pub mod record;
pub mod shard;
pub mod spool;
pub mod stores;

#[cfg(test)]
mod tests;

/// Intended number of records in a shard. At 65 to 85 bytes each, a shard has 3.1 to 4 KiB. A smaller number makes the
/// host's map larger, in which each entry takes some 200 bytes more. A larger number makes it more expensive to rewrite
/// a shard for each change.
pub const SHARD_RECORDS: u64 = 48;
/// Minimum number of shards of one kind, so that a policy that grows by deltas starts with room: 16 × 48 × 8 = 6,144
/// keys before [`batch::is_crowded`] asks for a rebuild.
pub const MIN_SHARDS: u32 = 16;
/// Maximum number of shards of one kind. Two kinds in two banks make 2^18 entries, which the host's map rehashes once,
/// in some 30 ms. The runs of a [`spool`] for a million keys are 10,000 entries more. With more than 3.1 million keys,
/// shards become larger instead.
pub const MAX_SHARDS: u32 = 1 << 16;

/// Size of packed changes in memory that ends a step: a full policy spills them, a delta merges them, before more are
/// added. A page of 5,000 rows packs into some 350 KB, so a step takes a dozen pages, and the VM that loads uses some
/// 10 MiB.
pub const FULL_BYTES: usize = 4 << 20;

/// The number of shards for this many records.
pub fn shards_for(records: u64) -> u32 {
    let wanted = records.div_ceil(SHARD_RECORDS).clamp(MIN_SHARDS.into(), MAX_SHARDS.into());
    u32::try_from(wanted).unwrap_or(MAX_SHARDS)
}
