//! The policy in Envoy's shared data: once per process, packed, replaced in one step.
//!
//! Keys lie in shards by their digest, applications with their subscriptions in shards by the digest of the application's
//! id, so a key that was never seen costs two reads. A full policy is built in the idle one of two banks, and a manifest,
//! written last, says which bank counts. A delta rewrites single shards of the bank in use. Every value carries a
//! checksum over its place and its bytes, and what does not fit is `Corrupt`, never an empty policy and never an allowance.
//!
//! The store decides nothing about requests and nothing about when to fetch. Shared data is reached through
//! [`Shared`](crate::shared::Shared).

pub mod batch;
pub mod build;
mod cache;
pub mod change;
pub mod clearing;
pub mod delta;
pub mod emptying;
pub mod error;
pub mod fingerprint;
pub mod held;
pub mod lists;
pub mod manifest;
pub mod merge;
pub mod record;
pub mod shard;
pub mod spool;
pub mod stores;
pub mod unnamed;

#[cfg(test)]
mod tests;

/// Records that a shard is meant to hold: at 65 to 85 bytes each it has 3.1 to 4 KiB. Fewer would make the host's map, of
/// which each entry takes some 200 bytes besides, larger; more would make rewriting one for each change dearer.
pub const SHARD_RECORDS: u64 = 48;
/// Fewest shards of one kind, so that a policy that grows by deltas starts with room: 16 × 48 × 8 = 6,144 keys before
/// [`batch::is_crowded`] asks for a rebuild.
pub const MIN_SHARDS: u32 = 16;
/// Most shards of one kind. Two kinds in two banks make 2^18 entries, which the host's map rehashes in some 30 ms, once; the
/// runs of a [`spool`] that was laid down for a million keys are 10,000 more.
/// Beyond 3.1 million keys shards grow instead.
pub const MAX_SHARDS: u32 = 1 << 16;

/// Bytes of packed changes in memory that end a step: a full policy lays them down, a delta merges them, before more are added.
/// A page of 5,000 rows packs into some 350 KB, so that is a dozen of them, and the memory of the VM that loads stays near
/// 10 MiB.
pub const FULL_BYTES: usize = 4 << 20;

/// How many shards so many records are spread over.
pub fn shards_for(records: u64) -> u32 {
    let wanted = records.div_ceil(SHARD_RECORDS).clamp(MIN_SHARDS.into(), MAX_SHARDS.into());
    u32::try_from(wanted).unwrap_or(MAX_SHARDS)
}
