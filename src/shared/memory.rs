//! Shared data in a map of this process, with the host's rules. For tests, tools and benches that run without Envoy.

use std::{cell::RefCell, collections::BTreeMap};

use super::{Expected, Shared, SharedError, Versioned};

#[derive(Debug, Default)]
pub struct Memory {
    entries: RefCell<BTreeMap<Vec<u8>, Versioned>>,
}

impl Memory {
    /// All keys that were ever set, in order.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.entries.borrow().keys().cloned().collect()
    }

    /// Size of all values.
    pub fn bytes(&self) -> usize {
        self.entries.borrow().values().map(|entry| entry.value.len()).sum()
    }

    /// Sets a key whatever its version, as another plugin could.
    pub fn overwrite(&self, key: &[u8], value: &[u8]) {
        let mut entries = self.entries.borrow_mut();
        let cas = entries.get(key).map_or(1, |entry| entry.cas.wrapping_add(1));
        entries.insert(key.to_vec(), Versioned { value: value.to_vec(), cas });
    }
}

impl Shared for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError> {
        let known = self.entries.borrow().get(key).map(|entry| entry.cas);
        let fits = match (known, expected) {
            // The host inserts an absent key, whatever version is expected.
            (None, _) => true,
            (Some(_), Expected::Absent) => false,
            (Some(known), Expected::Version(cas)) => known == cas,
        };
        if !fits {
            return Err(SharedError::Raced);
        }
        self.overwrite(key, value);
        Ok(())
    }
}
