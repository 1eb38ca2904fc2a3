//! What one VM remembers of recent requests: the inputs of their decisions, never the decisions.
//!
//! An entry is one key and one API, so its size is bounded. The cache holds two halves; when the younger is full it
//! becomes the older and the older is let go, so what is used stays and nothing needs a clock. A key enters when it comes
//! for the second time: those that come once, however many, pay for no entry and push nobody out. Keys that the policy
//! does not know never enter it, so a flood of them evicts nothing either.

use std::{hash::Hash, rc::Rc};

use hashbrown::{Equivalent, HashMap};

use crate::{decision::Subject, policy::Digest};

/// Entries of one half. Two halves of 2,048 entries at some 300 bytes are 1.2 MB for each VM.
const HALF_ENTRIES: usize = 2048;

/// Places in which it is noted which keys came lately: one for each entry, four bytes each, 16 KiB for each VM.
const NOTES: usize = 2 * HALF_ENTRIES;

#[derive(Debug)]
pub(super) struct Cache {
    young: HashMap<Owned, Rc<Subject>>,
    old: HashMap<Owned, Rc<Subject>>,
    /// A part of the digest of the last key that came by each place.
    notes: Box<[u32]>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), notes: vec![0; NOTES].into() }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Owned {
    digest: Digest,
    api: Box<str>,
}

#[derive(Clone, Copy)]
struct Borrowed<'a> {
    digest: &'a Digest,
    api: &'a str,
}

impl Hash for Owned {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Borrowed { digest: &self.digest, api: &self.api }.hash(state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // A digest's first bytes are as good as all of them; the APIs of one key are few.
        state.write_u64(self.digest.prefix());
    }
}

impl Equivalent<Owned> for Borrowed<'_> {
    fn equivalent(&self, owned: &Owned) -> bool {
        *self.digest == owned.digest && *self.api == *owned.api
    }
}

impl Cache {
    pub fn get(&mut self, digest: &Digest, api: &str) -> Option<Rc<Subject>> {
        let key = Borrowed { digest, api };
        if let Some(subject) = self.young.get(&key) {
            return Some(subject.clone());
        }
        let subject = self.old.get(&key)?.clone();
        self.insert(digest, api, subject.clone());
        Some(subject)
    }

    /// Keeps what was just read, if its key has come before. Its digest tells: one that is mistaken for another's is kept
    /// a request too early, no more.
    pub fn keep(&mut self, digest: &Digest, api: &str, subject: &Rc<Subject>) {
        let [.., a, b, c, d, e, f, g, h] = digest.0;
        let place = usize::from(u16::from_le_bytes([a, b])) % NOTES;
        let mark = u32::from_le_bytes([e, f, g, h]) ^ u32::from_le_bytes([c, d, 0, 0]);
        let Some(note) = self.notes.get_mut(place) else { return };
        if std::mem::replace(note, mark) == mark {
            self.insert(digest, api, subject.clone());
        }
    }

    fn insert(&mut self, digest: &Digest, api: &str, subject: Rc<Subject>) {
        if self.young.len() >= HALF_ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(Owned { digest: *digest, api: api.into() }, subject);
    }

    /// Forgets all entries; which keys come often is still true.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(cache: &mut Cache, number: u32) -> bool {
        let digest = Digest::of(&number.to_le_bytes());
        if cache.get(&digest, "api").is_some() {
            return true;
        }
        cache.keep(&digest, "api", &Rc::new(Subject::default()));
        false
    }

    #[test]
    fn a_key_is_kept_when_it_comes_for_the_second_time() {
        let mut cache = Cache::default();
        assert_eq!([(); 4].map(|()| ask(&mut cache, 1)), [false, false, true, true]);
        cache.clear();
        assert_eq!([(); 3].map(|()| ask(&mut cache, 1)), [false, true, true], "it is known to come often");
        let digest = Digest::of(&1u32.to_le_bytes());
        assert!(cache.get(&digest, "another").is_none(), "another API");
    }

    #[test]
    fn keys_that_come_once_push_nobody_out() {
        let mut cache = Cache::default();
        (0..3).for_each(|_| _ = ask(&mut cache, 0));
        let kept = (1..100_000).filter(|&number| {
            assert!(!ask(&mut cache, number), "{number} never came");
            ask(&mut cache, 0)
        });
        assert_eq!(kept.count(), 99_999, "the key that comes often is there each time");
        assert!(cache.young.len() + cache.old.len() < 2 * HALF_ENTRIES / 100, "next to nothing was kept");
    }
}
