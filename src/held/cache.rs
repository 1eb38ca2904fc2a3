//! The cache of one VM for recent requests. It contains the inputs of decisions, never decisions.
//!
//! An entry is for one key and one API. A key with long lists of restrictions is not cached, so the size is bounded. A
//! key is cached on its second request; the first only leaves a note of four bytes. So keys that come once, however
//! many, cost no entry and evict nothing. Unknown keys are never cached, so a flood of them evicts nothing either. The
//! cache contains neither keys nor their digests, only fingerprints under a secret of this VM.

use std::rc::Rc;

use crate::{fingerprint::Fingerprint, subject::Subject};

/// Entries of one set. A new entry evicts the least recently used one of its set.
const WAYS: usize = 8;
/// Sets. 4,096 entries of 24 bytes, and subjects of some 300 bytes, are 1.3 MB for each VM.
const SETS: usize = 512;
/// Size limit of the restrictions of a cached key: 4,096 keys of this size are 8 MiB for each VM. A key with more is
/// read with each request. 50 referers of 30 characters, or 100 addresses, fit.
const MAX_RESTRICTIONS_BYTES: usize = 2 << 10;
/// Number of notes about recent keys: one for each entry, four bytes each, 16 KiB for each VM.
const NOTES: usize = WAYS * SETS;

type CacheSlot = Option<(Fingerprint, Rc<Subject>)>;

#[derive(Debug)]
pub(super) struct Cache {
    /// Set after set, each with the most recently used entry first. Empty until the first key is cached.
    entries: Vec<CacheSlot>,
    /// For each note: a part of the fingerprint of the last key that used it.
    notes: Box<[u32]>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: Vec::new(), notes: vec![0; NOTES].into() }
    }
}

impl Cache {
    #[inline(always)]
    pub fn get(&mut self, fingerprint: Fingerprint) -> Option<Rc<Subject>> {
        let set = self.set(fingerprint)?;
        let is_it = |entry: &CacheSlot| matches!(entry, Some((known, _)) if *known == fingerprint);
        let way = set.iter().position(is_it)?;
        bring_to_front(set, way);
        let (_, subject) = set.first()?.as_ref()?;
        Some(subject.clone())
    }

    /// Caches a subject if its key has come before, which a part of its fingerprint tells. If another key has the same
    /// part, the subject is cached one request too early, which does no harm.
    pub fn keep(&mut self, fingerprint: Fingerprint, subject: &Rc<Subject>) {
        let restrictions = subject.key.restrictions.as_ref().map_or(0, |restrictions| restrictions.bytes());
        if restrictions > MAX_RESTRICTIONS_BYTES {
            return;
        }
        let [a, b, _, _, mark @ ..] = fingerprint.1.to_le_bytes();
        let place = usize::from(u16::from_le_bytes([a, b])) % NOTES;
        let mark = u32::from_le_bytes(mark);
        let Some(note) = self.notes.get_mut(place) else { return };
        if std::mem::replace(note, mark) != mark {
            return;
        }
        if self.entries.is_empty() {
            self.entries.resize_with(WAYS * SETS, || None);
        }
        let Some(set) = self.set(fingerprint) else { return };
        bring_to_front(set, WAYS - 1);
        if let Some(first) = set.first_mut() {
            *first = Some((fingerprint, subject.clone()));
        }
    }

    fn set(&mut self, fingerprint: Fingerprint) -> Option<&mut [CacheSlot]> {
        let [a, b, ..] = fingerprint.0.to_le_bytes();
        let number = usize::from(u16::from_le_bytes([a, b])) % SETS;
        self.entries.as_chunks_mut::<WAYS>().0.get_mut(number).map(|set| &mut set[..])
    }

    /// Removes all entries. The notes about frequent keys stay valid.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Moves one entry to the front. The entries before it keep their order.
fn bring_to_front(set: &mut [CacheSlot], way: usize) {
    for way in (0..way).rev() {
        if let Some([one, other]) = set.get_mut(way..).and_then(|rest| rest.first_chunk_mut()) {
            std::mem::swap(one, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fingerprint::FingerprintKey,
        subject::{Key, Restrictions, Texts},
    };

    const SECRET: FingerprintKey = FingerprintKey::new([1; 16]);
    const API: u32 = 7;
    const ANOTHER_API: u32 = 8;

    fn ask(cache: &mut Cache, number: usize) -> bool {
        let fingerprint = SECRET.of(&number.to_le_bytes(), API);
        if let Some(subject) = cache.get(fingerprint) {
            assert_eq!(subject.key_id(), number.to_string().as_bytes(), "another key's subject");
            return true;
        }
        let id = number.to_string();
        let key = Key { id: id.as_bytes(), ..Key::default() };
        cache.keep(fingerprint, &Rc::new(Subject::new(key, None, None)));
        false
    }

    fn entries(cache: &Cache) -> usize {
        cache.entries.iter().flatten().count()
    }

    #[test]
    fn a_key_is_kept_when_it_comes_for_the_second_time() {
        let mut cache = Cache::default();
        assert_eq!([(); 4].map(|()| ask(&mut cache, 1)), [false, false, true, true]);
        cache.clear();
        assert_eq!([(); 3].map(|()| ask(&mut cache, 1)), [false, true, true], "it is known to come often");
        assert!(cache.get(SECRET.of(&1usize.to_le_bytes(), ANOTHER_API)).is_none(), "another API");
        assert!(cache.get(FingerprintKey::new([2; 16]).of(&1usize.to_le_bytes(), API)).is_none(), "another secret");
    }

    #[test]
    fn a_key_with_long_lists_is_not_kept() {
        for (length, is_kept) in [(MAX_RESTRICTIONS_BYTES, true), (MAX_RESTRICTIONS_BYTES + 1, false)] {
            let mut referers = Texts::default();
            // Each text has two bytes of length.
            referers.push(&vec![b'a'; length - 2]).unwrap();
            let restrictions = Restrictions { permitted_referers: Some(referers), ..Restrictions::default() };
            let key = Key { restrictions: Some(Box::new(restrictions)), ..Key::default() };
            let subject = Rc::new(Subject::new(key, None, None));
            let (mut cache, fingerprint) = (Cache::default(), SECRET.of(b"key", API));
            (0..3).for_each(|_| cache.keep(fingerprint, &subject));
            assert_eq!(cache.get(fingerprint).is_some(), is_kept, "{length} bytes");
        }
    }

    #[test]
    fn keys_that_come_once_evict_no_other_key() {
        let mut cache = Cache::default();
        (0..3).for_each(|_| _ = ask(&mut cache, 0));
        let kept = (1..100_000).filter(|&number| {
            assert!(!ask(&mut cache, number), "{number} never came");
            ask(&mut cache, 0)
        });
        assert_eq!(kept.count(), 99_999, "the key that comes often is there each time");
        assert!(entries(&cache) < WAYS * SETS / 100, "next to nothing was kept");
    }

    #[test]
    fn the_least_recently_used_key_is_evicted() {
        let mut cache = Cache::default();
        let number_of = |number: usize| SECRET.of(&number.to_le_bytes(), API).0 % SETS as u64;
        let one_set: Vec<_> = (0..).filter(|&number| number_of(number) == 3).take(WAYS + 1).collect();
        let (last, rest) = one_set.split_last().unwrap();
        rest.iter().for_each(|&number| _ = (ask(&mut cache, number), ask(&mut cache, number)));
        assert!(rest.iter().all(|&number| ask(&mut cache, number)), "a set is full");
        assert!(ask(&mut cache, rest[0]), "asked for once more, so the second is the one to go");
        assert_eq!([(); 3].map(|()| ask(&mut cache, *last)), [false, false, true]);
        let gone = |number: &&usize| cache.get(SECRET.of(&number.to_le_bytes(), API)).is_none();
        assert_eq!(rest.iter().filter(gone).collect::<Vec<_>>(), [&rest[1]]);
    }

    #[test]
    fn the_cache_has_room_for_half_as_many_keys_as_entries() {
        let mut cache = Cache::default();
        let keys = WAYS * SETS / 2;
        let mut random = 1usize;
        let mut any_of = |keys: usize| {
            random = random.wrapping_mul(0x5851_f42d).wrapping_add(0x1405_7b7e);
            (random >> 8) % keys
        };
        (0..30 * keys).for_each(|_| _ = ask(&mut cache, any_of(keys)));
        let found = (0..keys).filter(|&number| ask(&mut cache, number)).count();
        assert!(found >= keys * 95 / 100, "{found} of {keys}");
        (0..1_000_000).for_each(|_| _ = ask(&mut cache, any_of(20_000)));
        assert_eq!(entries(&cache), WAYS * SETS, "what is asked for more finds no more");
    }
}
