//! The manifest: which bank counts, and all that is known of the policy as a whole. It is written last, so whatever it
//! names is complete.

use super::fingerprint::TagKey;
use crate::{
    digest::Digest,
    shared::{
        Corrupt,
        bytes::{self, Write},
        key::Bank,
        slip::Version,
    },
};

/// What is known of the policy held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Raised whenever anything but the freshness changes; what VMs keep of a policy is valid for one sequence.
    pub sequence: u64,
    /// The bank in use.
    pub bank: Bank,
    /// The generation of its shards.
    pub generation: u64,
    /// Its number of key shards.
    pub key_shards: u32,
    /// Its number of application shards.
    pub application_shards: u32,
    /// What tags applications in its shards.
    pub tags: TagKey,
    /// The catalogue's slot.
    pub catalogue_slot: Bank,
    /// The catalogue's generation.
    pub catalogue_generation: u64,
    /// Which policy this is a revision of.
    pub epoch: String,
    /// Which revision.
    pub revision: Option<u64>,
    /// Where to ask for the next one.
    pub poll: Option<String>,
    /// The `etag` of the answer that it came from.
    pub etag: Option<String>,
    /// The digest of the page, for a policy of a single page: the same bytes again are nothing new.
    pub page: Option<Digest>,
    /// When the policy was last changed, in milliseconds of Unix time.
    pub changed_at_ms: u64,
    /// When the policy service last confirmed it, in milliseconds of Unix time.
    pub confirmed_at_ms: u64,
    /// What it holds.
    pub totals: Totals,
}

/// How much a policy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys.
    pub keys: u64,
    /// Applications.
    pub applications: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// APIs.
    pub apis: u64,
    /// Bytes of its shards and catalogue in shared data.
    pub bytes: u64,
}

impl Manifest {
    /// Which state of the policy this is.
    pub fn version(&self) -> Version {
        Version { sequence: self.sequence, confirmed_at_ms: self.confirmed_at_ms }
    }

    /// Whether two manifests say the same of the policy, whatever its freshness.
    pub fn is_same_policy(&self, other: &Self) -> bool {
        self.sequence == other.sequence && self.generation == other.generation
    }

    /// The value to be set under `key`.
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

    /// Reads the value that stands under `key`.
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
            tags: TagKey::from_bytes(reader.take(TagKey::BYTES)?.try_into().map_err(|_| Corrupt)?),
            epoch: reader.text()?.to_owned(),
            revision: reader.optional_varint()?,
            poll: reader.optional_text()?.map(str::to_owned),
            etag: reader.optional_text()?.map(str::to_owned),
            page: if reader.flag()? { Some(Digest(reader.take(32)?.try_into().map_err(|_| Corrupt)?)) } else { None },
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
