//! The manifest: names the current bank and holds all facts about the policy as a whole. It is written last, so
//! everything that it names is complete.

use crate::{
    digest::Digest,
    fingerprint::TagKey,
    shared::{
        Corrupt,
        bytes::{self, Write},
        key::Bank,
        slip::Version,
    },
};

/// The facts about the current policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Increases with every change, except if only the freshness changes. Data that a VM caches is valid for one
    /// sequence.
    pub sequence: u64,
    /// The current bank.
    pub bank: Bank,
    /// Generation of its shards.
    pub generation: u64,
    pub key_shards: u32,
    pub application_shards: u32,
    /// Computes the tags of applications in its shards.
    pub tags: TagKey,
    pub catalogue_slot: Bank,
    pub catalogue_generation: u64,
    /// Identifies the policy that `revision` belongs to.
    pub epoch: String,
    pub revision: Option<u64>,
    /// The address of the next revision.
    pub poll: Option<String>,
    /// The `etag` of the answer that contained the policy.
    pub etag: Option<String>,
    /// The digest of the page, if the policy has a single page. The same page again changes nothing.
    pub page: Option<Digest>,
    /// When the policy was last changed, in milliseconds of Unix time.
    pub changed_at_ms: u64,
    /// When the policy service last confirmed it, in milliseconds of Unix time.
    pub confirmed_at_ms: u64,
    pub totals: Totals,
}

/// The size of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub keys: u64,
    pub applications: u64,
    pub subscriptions: u64,
    pub apis: u64,
    /// Size of its shards and catalogue in shared data.
    pub bytes: u64,
}

impl Manifest {
    /// The state of the policy that this manifest describes.
    pub fn version(&self) -> Version {
        Version { sequence: self.sequence, confirmed_at_ms: self.confirmed_at_ms }
    }

    /// Whether two manifests describe the same policy, except for its freshness.
    pub fn is_same_policy(&self, other: &Self) -> bool {
        self.sequence == other.sequence && self.generation == other.generation
    }

    /// The value to store under `key`.
    pub fn write(&self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        for number in [
            self.sequence,
            self.bank.index().into(),
            self.generation,
            self.key_shards.into(),
            self.application_shards.into(),
            self.catalogue_slot.index().into(),
            self.catalogue_generation,
            self.changed_at_ms,
            self.confirmed_at_ms,
            self.totals.keys,
            self.totals.applications,
            self.totals.subscriptions,
            self.totals.apis,
            self.totals.bytes,
        ] {
            out.put_varint(number);
        }
        out.extend(self.tags.to_bytes());
        out.put_sized(self.epoch.as_bytes());
        out.put_optional_varint(self.revision);
        out.put_optional_text(self.poll.as_deref());
        out.put_optional_text(self.etag.as_deref());
        out.push(u8::from(self.page.is_some()));
        if let Some(Digest(digest)) = self.page {
            out.extend(digest);
        }
        bytes::seal(key, &mut out);
        out
    }

    /// Reads the value stored under `key`.
    pub fn read(key: &[u8], value: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = bytes::open(key, value)?;
        let manifest = Self {
            sequence: reader.varint()?,
            bank: bank(reader.varint()?)?,
            generation: reader.varint()?,
            key_shards: shards(reader.varint()?)?,
            application_shards: shards(reader.varint()?)?,
            catalogue_slot: bank(reader.varint()?)?,
            catalogue_generation: reader.varint()?,
            changed_at_ms: reader.varint()?,
            confirmed_at_ms: reader.varint()?,
            totals: Totals {
                keys: reader.varint()?,
                applications: reader.varint()?,
                subscriptions: reader.varint()?,
                apis: reader.varint()?,
                bytes: reader.varint()?,
            },
            tags: TagKey::from_bytes(reader.next_bytes(TagKey::BYTES)?.try_into().map_err(|_| Corrupt)?),
            epoch: reader.text()?.to_owned(),
            revision: reader.optional_varint()?,
            poll: reader.optional_text()?.map(str::to_owned),
            etag: reader.optional_text()?.map(str::to_owned),
            page: if reader.flag()? {
                Some(Digest(reader.next_bytes(32)?.try_into().map_err(|_| Corrupt)?))
            } else {
                None
            },
        };
        reader.finish()?;
        Ok(manifest)
    }
}

fn bank(number: u64) -> Result<Bank, Corrupt> {
    match number {
        0 => Ok(Bank::A),
        1 => Ok(Bank::B),
        _ => Err(Corrupt),
    }
}

fn shards(number: u64) -> Result<u32, Corrupt> {
    u32::try_from(number).ok().filter(|number| (1..=super::MAX_SHARDS).contains(number)).ok_or(Corrupt)
}
