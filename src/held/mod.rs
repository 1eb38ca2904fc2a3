//! The policy as one VM holds it: the last manifest, the decoded catalogue, and a cache of recent subjects.
//!
//! A VM looks at the manifest on each tick, and again before it denies a request because of missing data, because it
//! may be one change behind. If it cannot read a new policy it keeps the current one and marks itself as unsound. Then
//! a miss does not prove that a key is unknown.

mod cache;
mod unnamed;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use cache::Cache;

use crate::{
    catalogue::{Addressed, Catalogue},
    decision::{self, Unreadable},
    digest::Digest,
    fingerprint::FingerprintKey,
    limit::{
        Taking,
        limiter::Limiter,
        quota::{Plans, Quotas, Subscriber},
    },
    policy::page::CatalogueRows,
    shared::{
        Corrupt, Expected, Shared,
        bytes::{self, Write},
        key::{SHARD_KEY_BYTES, ShardAddress, ShardKind, SharedEntry, SourceId, shard_of},
        lease,
        slip::Version,
    },
    store::{
        lists,
        manifest::Manifest,
        record,
        shard::{RecordKey, Shard},
    },
    subject::Subject,
};

/// The policy as one VM holds it.
#[derive(Debug)]
pub struct PolicyView {
    source: SourceId,
    policy: Option<Loaded>,
    /// The last manifest that could be read, whether or not its policy could be adopted.
    found: Option<Manifest>,
    /// The policy that must not decide before it is confirmed: when this VM began, it was in shared data but no VM had
    /// used it for long.
    unnamed: Option<Version>,
    /// The last bytes of the manifest, whether adopted or not.
    seen: Vec<u8>,
    /// Whether these bytes could not be adopted.
    unsound: bool,
    /// The secret of this VM. `None`: nothing is cached.
    fingerprints: Option<FingerprintKey>,
    /// The limiter survives a change of the policy, so that windows continue.
    limiter: Limiter,
    /// Memory for the next subject that is read from shared data. It still has the last one, unless the cache or a
    /// request has kept that.
    subject: RefCell<Rc<Subject>>,
}

#[derive(Debug)]
struct Loaded {
    manifest: Manifest,
    catalogue: Catalogue,
    cache: RefCell<Cache>,
    expired: Cell<bool>,
}

/// The result of looking at the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The manifest is unchanged.
    Same,
    /// The VM has adopted another policy, or a confirmation of the same one.
    Adopted {
        /// Whether the catalogue has changed.
        catalogue_changed: bool,
    },
    /// The policy cannot be read. The current one stays in use.
    Unreadable,
}

/// The freshness of the current policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Confirmed recently.
    Fresh,
    /// Still in use, but reported as stale.
    Stale,
    /// The policy allows nothing any more.
    Expired,
}

impl PolicyView {
    /// A view without a policy. Without a secret nothing is cached.
    pub fn new(source: SourceId, fingerprints: Option<FingerprintKey>) -> Self {
        let limiter = Limiter::new(source.clone());
        let subject = RefCell::default();
        Self {
            source,
            policy: None,
            found: None,
            unnamed: None,
            seen: Vec::new(),
            unsound: false,
            fingerprints,
            limiter,
            subject,
        }
    }

    /// Makes the policy in shared data wait for its confirmation, if no VM has used it for longer than `stale_after`.
    /// Returns whether it must wait. Call this once, before the first look.
    pub fn distrust_unnamed(&mut self, shared: &impl Shared, now_ms: u64, stale_after: Duration) -> bool {
        let key = self.source.key(SharedEntry::Manifest);
        let found = shared.get(&key).ok().flatten().and_then(|read| Manifest::read(&key, &read.value).ok());
        let slip = lease::slip(shared, &self.source).ok().flatten();
        self.unnamed = found.and_then(|found| unnamed::unnamed(slip.as_ref(), found.version(), now_ms, stale_after));
        self.unnamed.is_some()
    }

    /// The secret of this VM, if the host gave one.
    pub fn secret(&self) -> Option<FingerprintKey> {
        self.fingerprints
    }

    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// The manifest of the current policy.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.policy.as_ref().map(|policy| &policy.manifest)
    }

    /// The last readable manifest in shared data, which the next policy replaces.
    pub fn manifest_found(&self) -> Option<&Manifest> {
        self.found.as_ref()
    }

    /// The manifest that the next answer of the feed can confirm or build on: that of the current policy, or of one
    /// that waits for its confirmation.
    pub fn base(&self) -> Option<&Manifest> {
        self.manifest().or(self.unconfirmed())
    }

    /// The manifest of a policy that waits for its confirmation.
    pub fn unconfirmed(&self) -> Option<&Manifest> {
        let found = self.found.as_ref().filter(|_| self.policy.is_none());
        found.filter(|found| self.unnamed == Some(found.version()))
    }

    /// The counters of the policy's limits.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The catalogue of the current policy.
    pub fn catalogue(&self) -> Option<&Catalogue> {
        self.policy.as_ref().map(|policy| &policy.catalogue)
    }

    /// Whether the policy in shared data could not be adopted.
    pub fn is_unsound(&self) -> bool {
        self.unsound
    }

    /// Whether shared data still has the manifest that this VM has seen.
    pub fn is_current(&self, shared: &impl Shared) -> bool {
        let read = shared.get(&self.source.key(SharedEntry::Manifest));
        matches!(read, Ok(read) if read.as_ref().map_or(&[][..], |read| &read.value) == self.seen)
    }

    /// Reads the manifest and adopts its policy.
    pub fn look(&mut self, shared: &impl Shared) -> Look {
        let key = self.source.key(SharedEntry::Manifest);
        let value = match shared.get(&key) {
            Ok(read) if self.policy.is_none() && read.as_ref().is_none_or(|read| read.value.is_empty()) => {
                return Look::Same;
            }
            Ok(read) => read.map(|read| read.value).unwrap_or_default(),
            Err(_) => return self.mark_unsound(),
        };
        // Try again to adopt what could not be adopted. The catalogue may have been written in the meantime, but an empty
        // manifest stays empty.
        let tries_again = self.unsound && !value.is_empty();
        if value == self.seen && !tries_again {
            return Look::Same;
        }
        let look = match self.adopt(&key, &value, shared) {
            Ok(look) => {
                self.unsound = false;
                look
            }
            Err(Corrupt) => self.mark_unsound(),
        };
        self.seen = value;
        look
    }

    fn mark_unsound(&mut self) -> Look {
        self.unsound = true;
        Look::Unreadable
    }

    fn adopt(&mut self, key: &[u8], value: &[u8], shared: &impl Shared) -> Result<Look, Corrupt> {
        let manifest = Manifest::read(key, value)?;
        self.found = Some(manifest.clone());
        if self.unconfirmed().is_some() {
            return Ok(Look::Same);
        }
        match &mut self.policy {
            Some(policy) if policy.manifest.catalogue_generation == manifest.catalogue_generation => {
                if !policy.manifest.is_same_policy(&manifest) {
                    policy.cache.get_mut().clear();
                }
                policy.manifest = manifest;
                Ok(Look::Adopted { catalogue_changed: false })
            }
            _ => {
                let key = self.source.key(SharedEntry::Catalogue(manifest.catalogue_slot));
                let read = shared.get(&key).ok().flatten().ok_or(Corrupt)?;
                let rows: CatalogueRows = lists::read_rows(&key, &read.value, manifest.catalogue_generation)?;
                let expired = self.policy.as_ref().is_some_and(|policy| policy.expired.get());
                self.policy = Some(Loaded {
                    manifest,
                    catalogue: Catalogue::new(rows),
                    cache: RefCell::default(),
                    expired: Cell::new(expired),
                });
                Ok(Look::Adopted { catalogue_changed: true })
            }
        }
    }

    /// Updates and returns age and freshness at this time. `None` if there is no policy.
    pub fn age(
        &self,
        now_ms: u64,
        stale_after: Duration,
        expire_after: Option<Duration>,
    ) -> Option<(Duration, Freshness)> {
        let policy = self.policy.as_ref()?;
        let age = Duration::from_millis(now_ms.saturating_sub(policy.manifest.confirmed_at_ms));
        let freshness = match expire_after {
            Some(limit) if age >= limit => Freshness::Expired,
            _ if age >= stale_after => Freshness::Stale,
            _ => Freshness::Fresh,
        };
        policy.expired.set(freshness == Freshness::Expired);
        Some((age, freshness))
    }

    /// Reports damage in the current policy to the VM that refreshes.
    pub fn report_damage(&self, shared: &impl Shared) {
        let Some(manifest) = self.manifest() else { return };
        let key = self.source.key(SharedEntry::Damage);
        let Ok(read) = shared.get(&key) else { return };
        let mut value = bytes::unsealed();
        value.put_varint(manifest.sequence);
        bytes::seal(&key, &mut value);
        if read.as_ref().is_none_or(|read| read.value != value) {
            // If this fails, the next request that finds the damage reports it again.
            let _ = shared.set(&key, &value, Expected::of(read.as_ref()));
        }
    }

    /// Whether a VM has reported damage in the current policy.
    pub fn is_damaged(&self, shared: &impl Shared) -> bool {
        let key = self.source.key(SharedEntry::Damage);
        let Ok(Some(read)) = shared.get(&key) else { return false };
        let sequence = bytes::open(&key, &read.value).and_then(|mut reader| reader.varint());
        sequence.is_ok_and(|sequence| self.manifest().is_some_and(|manifest| manifest.sequence == sequence))
    }

    /// The policy as the decision sees it. `None` if there is no policy.
    pub fn lookup<'h, S: Shared>(&'h self, shared: &'h S) -> Option<Lookup<'h, S>> {
        Some(Lookup { policy: self.policy.as_ref()?, held: self, shared })
    }
}

/// A key of shared data and its value.
type Named = ([u8; SHARD_KEY_BYTES], Vec<u8>);

/// The current policy, with the shared data that contains its records.
#[derive(Debug)]
pub struct Lookup<'h, S> {
    policy: &'h Loaded,
    held: &'h PolicyView,
    shared: &'h S,
}

impl<S: Shared> decision::PolicyLookup for Lookup<'_, S> {
    fn catalogue(&self) -> &Catalogue {
        &self.policy.catalogue
    }

    fn is_expired(&self) -> bool {
        self.policy.expired.get()
    }

    fn subject(&self, key: &[u8], addressed: Addressed<'_>) -> Result<Option<Rc<Subject>>, Unreadable> {
        // Cache and catalogue are replaced together, so the API's number is valid for all entries of the cache.
        let fingerprint = self.held.fingerprints.map(|fingerprints| fingerprints.of(key, addressed.number));
        if let Some(fingerprint) = fingerprint
            && let Some(subject) = self.policy.cache.borrow_mut().get(fingerprint)
        {
            return Ok(Some(subject));
        }
        let found = self.read_subject(&Digest::of(key), addressed.api.id.as_str()).map_err(|Corrupt| Unreadable)?;
        match found {
            Some(subject) => {
                // Cache only complete subjects, because a missing application may still arrive.
                if let Some(fingerprint) = fingerprint
                    && subject.application.is_some()
                {
                    self.policy.cache.borrow_mut().keep(fingerprint, &subject);
                }
                Ok(Some(subject))
            }
            None if self.held.unsound => Err(Unreadable),
            None => Ok(None),
        }
    }

    fn subject_of(&self, key: &Digest, api: &str) -> Result<Option<Rc<Subject>>, Unreadable> {
        match self.read_subject(key, api).map_err(|Corrupt| Unreadable)? {
            None if self.held.unsound => Err(Unreadable),
            found => Ok(found),
        }
    }

    fn quotas<'s>(&self, subject: &'s Subject, api: &str, plans: &Plans<'_>) -> &'s Quotas {
        let subscriber = Subscriber { application: subject.application_id(), api };
        self.held.limiter.quotas(&subject.quotas, subscriber, plans)
    }

    fn spend_tokens(&self, quotas: &Quotas, now: u64, passes: bool) -> Taking {
        self.held.limiter.spend_tokens(self.shared, quotas, now, passes)
    }
}

impl<S: Shared> Lookup<'_, S> {
    /// Reads the subject of a key from shared data, without the cache. `None` if the policy does not have the key.
    pub fn read_subject(&self, digest: &Digest, api: &str) -> Result<Option<Rc<Subject>>, Corrupt> {
        let mut place = self.held.subject.borrow_mut();
        if Rc::get_mut(&mut place).is_none() {
            *place = Rc::default();
        }
        let subject = Rc::get_mut(&mut place).ok_or(Corrupt)?;
        {
            let wanted = record::key_of_key(digest);
            let keys = self.read_shard(ShardKind::Keys, wanted)?;
            let Some(record) = self.find(&keys, wanted)? else { return Ok(None) };
            subject.begin(record::read_key(record)?);
            // The shard is dropped here, so that the next one is read into the same memory.
        }
        let wanted = record::key_of_application(self.policy.manifest.tags, subject.application_id());
        let applications = self.read_shard(ShardKind::Applications, wanted)?;
        if let Some(record) = self.find(&applications, wanted)? {
            let (application, subscription) = record::find_subscription(record, api.as_bytes())?;
            subject.complete(application, subscription);
        }
        Ok(Some(place.clone()))
    }

    /// The shard of the current bank for this record.
    fn read_shard(&self, kind: ShardKind, wanted: RecordKey<'_>) -> Result<Option<Named>, Corrupt> {
        let manifest = &self.policy.manifest;
        let shards = match kind {
            ShardKind::Keys => manifest.key_shards,
            ShardKind::Applications => manifest.application_shards,
        };
        let place = ShardAddress { bank: manifest.bank, kind, number: shard_of(wanted.tag, shards) };
        let key = self.held.source.shard(place);
        let read = self.shared.get(&key).map_err(|_| Corrupt)?;
        Ok(read.map(|read| (key, read.value)))
    }

    /// Finds a record in a shard. A shard of another generation counts as empty.
    fn find<'v>(&self, shard: &'v Option<Named>, wanted: RecordKey<'_>) -> Result<Option<&'v [u8]>, Corrupt> {
        let Some((key, value)) = shard else { return Ok(None) };
        match Shard::open(key, value)? {
            Some(shard) if shard.generation == self.policy.manifest.generation => shard.find(wanted),
            _ => Ok(None),
        }
    }
}
