//! The places of the VMs that decide by a policy. A place says which policy its VM decides by, until when the VM may do
//! so without looking again, and which queue wakes it.
//!
//! A VM that was stalled may decide only after it has looked again ([`Place::may_decide`]). So a place whose VM has not
//! looked for [`GONE_MS`] belongs to a VM that cannot decide by an older policy any more, whether the VM is dead or not.
//! Another VM may take such a place, and with it the name of its queue. Nothing here decides, and nothing calls the host.

use super::{
    Corrupt, Expected, Shared, SharedError, Versioned,
    bytes::{self, Write},
    key::{EntryKey, SharedEntry, SourceId},
};

/// Number of places for one policy. Each VM takes one for each plugin configuration, the main thread's included: 128
/// workers with 8 configurations. A VM without a place looks before each decision.
pub const MAX_PLACES: u16 = 1_032;
/// How long a VM may decide by what it has looked at, in milliseconds. VMs look every 200 ms or more
/// often.
pub const TRUST_MS: u64 = 1_000;
/// A place is written again after this time, in milliseconds. With the tick of at most 200 ms that follows, it is less than
/// [`TRUST_MS`], so that a VM that ticks in time may always decide.
const RENEW_MS: u64 = 500;
/// Age from which a place counts as left, in milliseconds. It is longer than [`TRUST_MS`], so that a clock that is set
/// back by less than the difference does no harm.
const GONE_MS: u64 = 2 * TRUST_MS;

/// The place of one plugin configuration in one VM.
#[derive(Debug, Default)]
pub struct Place {
    number: Option<u16>,
    entry: Entry,
}

/// The stored form of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// Random number of the VM.
    vm: u64,
    /// The root context of the plugin configuration in that VM.
    context: u32,
    /// The host's number of the queue. `None`: ticks alone wake the VM.
    queue: Option<u32>,
    /// Sequence of the manifest that the VM decides by; 0 without a policy.
    sequence: u64,
    /// When the VM last looked at the manifest, in milliseconds of Unix time.
    looked_ms: u64,
    /// Seconds after which the plugin allows nothing without a confirmation; 0 if it goes on for ever.
    expires_after: u64,
}

/// The VMs that decide by a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Number of VMs.
    pub vms: usize,
    /// Number of places that may still decide by an older policy.
    pub lagging: usize,
    /// Seconds after which the last of them allows nothing without a confirmation; 0 if one goes on for ever. `None`
    /// without a place.
    pub expires_after: Option<u64>,
}

impl Place {
    /// `vm` tells VMs apart, `context` the plugin configurations of one VM. The plugin allows nothing if its policy was not
    /// confirmed for `expires_after` seconds, unless that is 0.
    pub fn new(vm: u64, context: u32, expires_after: u64) -> Self {
        Self { number: None, entry: Entry { vm, context, expires_after, ..Entry::default() } }
    }

    /// Whether the VM may decide by what it has looked at. If the clock was set back, it may not.
    #[inline(always)]
    pub fn may_decide(&self, now_ms: u64) -> bool {
        self.number.is_some() && now_ms.checked_sub(self.entry.looked_ms).is_some_and(|age| age < TRUST_MS)
    }

    /// The number of the VM's queue.
    pub fn queue(&self) -> Option<u32> {
        self.entry.queue
    }

    /// The VM has looked, and decides by this sequence from now on. `register` takes the ownership of the queue of that
    /// name, and returns its number.
    pub fn looked(
        &mut self,
        shared: &impl Shared,
        source: &SourceId,
        now_ms: u64,
        sequence: u64,
        register: impl Fn(&[u8]) -> Option<u32>,
    ) {
        let is_recent = now_ms.checked_sub(self.entry.looked_ms).is_some_and(|age| age < RENEW_MS);
        if self.number.is_some() && self.entry.sequence == sequence && is_recent {
            return;
        }
        (self.entry.sequence, self.entry.looked_ms) = (sequence, now_ms);
        if self.number.is_none_or(|number| !self.renew(shared, &key(source, number))) {
            self.take(shared, source, register);
        }
    }

    /// Writes the place again. `false`: another VM has it.
    fn renew(&self, shared: &impl Shared, key: &EntryKey) -> bool {
        let Ok(Some(read)) = shared.get(key) else { return false };
        Entry::read(key, &read.value).is_ok_and(|entry| entry.is_of(&self.entry))
            && shared.set(key, &self.entry.write(key), Expected::Version(read.cas)).is_ok()
    }

    /// Takes the first free place.
    fn take(&mut self, shared: &impl Shared, source: &SourceId, register: impl Fn(&[u8]) -> Option<u32>) {
        (self.number, self.entry.queue) = (None, None);
        for number in 0..MAX_PLACES {
            let key = key(source, number);
            let Ok(read) = shared.get(&key) else { return };
            let is_free = read.as_ref().is_none_or(|read| Entry::live(&key, read, self.entry.looked_ms).is_none());
            if !is_free {
                continue;
            }
            match shared.set(&key, &self.entry.write(&key), Expected::of(read.as_ref())) {
                Ok(()) => {
                    // Only the owner of a place registers its queue, because the last VM that registers a name gets the
                    // words.
                    self.number = Some(number);
                    self.entry.queue = register(&key);
                    if self.entry.queue.is_some() && !self.renew(shared, &key) {
                        self.number = None;
                    }
                    return;
                }
                Err(SharedError::Raced) => {}
                Err(SharedError::Host) => return,
            }
        }
    }

    /// Gives the place back.
    pub fn leave(&mut self, shared: &impl Shared, source: &SourceId) {
        let Some(number) = self.number.take() else { return };
        let key = key(source, number);
        if let Ok(Some(read)) = shared.get(&key)
            && Entry::read(&key, &read.value).is_ok_and(|entry| entry.is_of(&self.entry))
        {
            // If this fails, the place counts as left after a while.
            let _ = shared.set(&key, &[], Expected::Version(read.cas));
        }
    }
}

/// Counts the VMs, and the places that have not adopted `sequence` yet.
pub fn survey(shared: &impl Shared, source: &SourceId, now_ms: u64, sequence: u64) -> Survey {
    let (mut vms, mut lagging, mut expires_after) = (Vec::new(), 0usize, None);
    for entry in places(shared, source, now_ms) {
        if !vms.contains(&entry.vm) {
            vms.push(entry.vm);
        }
        lagging = lagging.saturating_add(usize::from(entry.sequence < sequence));
        expires_after = Some(last_to_expire(entry.expires_after, expires_after));
    }
    Survey { vms: vms.len(), lagging, expires_after }
}

/// The longer of two times after which plugins allow nothing, in seconds; 0 if one of them goes on for ever.
pub fn last_to_expire(one: u64, other: Option<u64>) -> u64 {
    other.map_or(one, |other| if one == 0 || other == 0 { 0 } else { one.max(other) })
}

/// Calls `wake` with each queue whose VM has answered the last word. `woken` is the sequence of that word. So no queue
/// ever has more than one word of this VM, even if nobody takes the words out.
pub fn wake(shared: &impl Shared, source: &SourceId, now_ms: u64, woken: u64, wake: impl FnMut(u32)) {
    let all = places(shared, source, now_ms).filter(|entry| entry.sequence >= woken);
    all.filter_map(|entry| entry.queue).for_each(wake);
}

/// All places that are taken. A place that cannot be read counts as left: its VM finds that it has lost it.
fn places<'a>(shared: &'a impl Shared, source: &'a SourceId, now_ms: u64) -> impl Iterator<Item = Entry> + 'a {
    let reads = (0..MAX_PLACES).map_while(move |number| {
        let key = key(source, number);
        let read = shared.get(&key).ok().flatten()?;
        Some(Entry::live(&key, &read, now_ms))
    });
    reads.flatten()
}

fn key(source: &SourceId, number: u16) -> EntryKey {
    source.key(SharedEntry::Place(number))
}

impl Entry {
    fn is_of(&self, other: &Self) -> bool {
        (self.vm, self.context) == (other.vm, other.context)
    }

    /// The entry, unless its place is free. If the clock was set back, the place stays taken until its time comes again.
    fn live(key: &[u8], read: &Versioned, now_ms: u64) -> Option<Self> {
        Self::read(key, &read.value).ok().filter(|entry| now_ms.saturating_sub(entry.looked_ms) < GONE_MS)
    }

    fn write(&self, key: &[u8]) -> Vec<u8> {
        let mut out = bytes::unsealed();
        for number in [self.vm, self.context.into(), self.sequence, self.looked_ms, self.expires_after] {
            out.put_varint(number);
        }
        out.put_optional_varint(self.queue.map(u64::from));
        bytes::seal(key, &mut out);
        out
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = bytes::open(key, value)?;
        let number = |number: u64| u32::try_from(number).map_err(|_| Corrupt);
        let (vm, context, sequence) = (reader.varint()?, number(reader.varint()?)?, reader.varint()?);
        let (looked_ms, expires_after) = (reader.varint()?, reader.varint()?);
        let queue = reader.optional_varint()?.map(number).transpose()?;
        reader.finish()?;
        Ok(Self { vm, context, queue, sequence, looked_ms, expires_after })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a panic here is a failed test")]

    use super::*;
    use crate::{digest::Digest, shared::memory::Memory};

    const NOW: u64 = 1_000_000;
    const HOUR: u64 = 3_600;

    fn source() -> SourceId {
        SourceId::new(Digest::of(b"source"))
    }

    /// A VM that looks and adopts `sequence`. Its queue has the number of its place plus 100.
    fn look(place: &mut Place, memory: &Memory, now_ms: u64, sequence: u64) {
        place.looked(memory, &source(), now_ms, sequence, |name| {
            let name = String::from_utf8_lossy(name).into_owned();
            let number = name.rsplit('/').next().and_then(|number| number.parse::<u32>().ok());
            number.map(|number| number.saturating_add(100))
        });
    }

    fn of(vms: usize, lagging: usize) -> Survey {
        Survey { vms, lagging, expires_after: Some(HOUR) }
    }

    fn woken(memory: &Memory, now_ms: u64, since: u64) -> Vec<u32> {
        let mut all = Vec::new();
        wake(memory, &source(), now_ms, since, |queue| all.push(queue));
        all
    }

    #[test]
    fn a_place_lags_until_its_vm_has_adopted_the_policy_or_cannot_decide() {
        let memory = Memory::default();
        let (mut first, mut second) = (Place::new(1, 1, HOUR), Place::new(2, 1, HOUR));
        assert_eq!(survey(&memory, &source(), NOW, 7), Survey::default());
        look(&mut first, &memory, NOW, 7);
        look(&mut second, &memory, NOW, 6);
        let survey = |now_ms, sequence| survey(&memory, &source(), now_ms, sequence);
        assert_eq!(survey(NOW, 6), of(2, 0));
        assert_eq!(survey(NOW, 7), of(2, 1));
        assert_eq!(survey(NOW - 5_000, 7), of(2, 1), "the clock was set back");
        // The second VM is stalled. It may not decide long before it counts as gone.
        assert!(second.may_decide(NOW + TRUST_MS - 1));
        assert!(!second.may_decide(NOW + TRUST_MS));
        assert!(!second.may_decide(NOW - 1), "the clock was set back");
        assert_eq!(survey(NOW + GONE_MS - 1, 7), of(2, 1));
        look(&mut first, &memory, NOW + GONE_MS - 1, 7);
        assert_eq!(survey(NOW + GONE_MS, 7), of(1, 0));
        // It goes on: it looks, and has its place again.
        look(&mut second, &memory, NOW + GONE_MS, 7);
        assert_eq!((survey(NOW + GONE_MS, 7).vms, second.number), (2, Some(1)));
    }

    #[test]
    fn a_place_that_was_left_is_taken_with_its_queue() {
        let memory = Memory::default();
        let (mut dead, mut other, mut next) = (Place::new(1, 1, HOUR), Place::new(2, 1, HOUR), Place::new(3, 1, HOUR));
        look(&mut dead, &memory, NOW, 7);
        look(&mut other, &memory, NOW, 7);
        assert_eq!((dead.number, dead.queue()), (Some(0), Some(100)));
        look(&mut next, &memory, NOW + GONE_MS - 1, 7);
        assert_eq!((next.number, next.queue()), (Some(2), Some(102)), "both may still decide");
        next.leave(&memory, &source());
        look(&mut other, &memory, NOW + GONE_MS, 7);
        look(&mut next, &memory, NOW + GONE_MS, 7);
        assert_eq!((next.number, next.queue()), (Some(0), Some(100)));
        // The first VM was not dead. It finds that it has lost its place before it decides, and takes another one.
        assert!(!dead.may_decide(NOW + GONE_MS));
        look(&mut dead, &memory, NOW + GONE_MS, 7);
        assert_eq!((dead.number, dead.queue()), (Some(2), Some(102)));
        assert_eq!(survey(&memory, &source(), NOW + GONE_MS, 7), of(3, 0));
    }

    #[test]
    fn a_queue_has_one_word_at_most() {
        let memory = Memory::default();
        let (mut quick, mut stalled) = (Place::new(1, 1, HOUR), Place::new(2, 1, HOUR));
        let mut words = [0; 2];
        for sequence in 7..20 {
            look(&mut quick, &memory, NOW, sequence);
            if sequence == 7 {
                look(&mut stalled, &memory, NOW, sequence);
            }
            // The leader has published the next sequence, and woke all VMs at this one before.
            for queue in woken(&memory, NOW, sequence) {
                words[usize::try_from(queue).unwrap() - 100] += 1;
            }
        }
        assert_eq!(words, [13, 1], "the quick VM takes each word out before the next");
        assert_eq!(woken(&memory, NOW, 0), [100, 101], "a new leader knows nothing of earlier words");
    }

    #[test]
    fn a_vm_without_a_place_decides_only_after_a_look() {
        let memory = Memory::default();
        let mut places: Vec<_> = (0..u32::from(MAX_PLACES)).map(|context| Place::new(1, context, HOUR)).collect();
        places.iter_mut().for_each(|place| look(place, &memory, NOW, 7));
        assert_eq!(survey(&memory, &source(), NOW, 7), of(1, 0));
        let mut one_more = Place::new(2, 1, HOUR);
        look(&mut one_more, &memory, NOW, 7);
        assert!(!one_more.may_decide(NOW));
        places[3].leave(&memory, &source());
        look(&mut one_more, &memory, NOW, 7);
        assert!(one_more.may_decide(NOW));
        memory.overwrite(&key(&source(), 3), b"damage");
        look(&mut one_more, &memory, NOW + RENEW_MS, 7);
        assert_eq!(one_more.number, Some(3), "it takes a damaged place");
    }

    #[test]
    fn an_idle_vm_writes_its_place_rarely() {
        let memory = Memory::default();
        let mut place = Place::new(1, 1, HOUR);
        let version = |memory: &Memory| memory.get(&key(&source(), 0)).unwrap().unwrap().cas;
        look(&mut place, &memory, NOW, 7);
        let before = version(&memory);
        look(&mut place, &memory, NOW + RENEW_MS - 1, 7);
        assert_eq!(version(&memory), before);
        look(&mut place, &memory, NOW + RENEW_MS - 1, 8);
        assert_ne!(version(&memory), before, "another policy is told at once");
    }

    #[test]
    fn the_plugin_that_allows_longest_counts() {
        for (all, expected) in [(&[60][..], 60), (&[60, 3_600], 3_600), (&[3_600, 60, 61], 3_600), (&[60, 0, 3_600], 0)]
        {
            let memory = Memory::default();
            let mut places: Vec<_> =
                (0..).zip(all).map(|(context, seconds)| Place::new(1, context, *seconds)).collect();
            places.iter_mut().for_each(|place| look(place, &memory, NOW, 7));
            let counted = |now_ms| survey(&memory, &source(), now_ms, 7).expires_after;
            assert_eq!(counted(NOW), Some(expected), "{all:?}");
            places.iter_mut().for_each(|place| place.leave(&memory, &source()));
            assert_eq!(counted(NOW), None, "nobody decides any more");
        }
    }
}
