//! What one VM remembers of recent requests: the inputs of their decisions, never the decisions.
//!
//! An entry is one key and one API, so its size is bounded. The cache holds two halves; when the younger is full it
//! becomes the older and the older is let go, so what is used stays and nothing needs a clock. Keys that the policy does
//! not know never enter it, so a flood of them evicts nothing.

use std::{hash::Hash, rc::Rc};

use hashbrown::{Equivalent, HashMap};

use crate::{decision::Subject, policy::Digest};

/// Entries of one half. Two halves of 2,048 entries at some 300 bytes are 1.2 MB for each VM.
const HALF_ENTRIES: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<Owned, Rc<Subject>>,
    old: HashMap<Owned, Rc<Subject>>,
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

    pub fn insert(&mut self, digest: &Digest, api: &str, subject: Rc<Subject>) {
        if self.young.len() >= HALF_ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(Owned { digest: *digest, api: api.into() }, subject);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
