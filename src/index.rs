//! Places in a list, by name: the one kind of map with which the filter finds what it holds few of.
//!
//! One for all, since each other kind costs the module some 3 KB of code. It decides nothing, and is no place for what
//! every request brings anew.

use hashbrown::HashMap;

/// Names, each with a place.
#[derive(Clone, Debug, Default)]
pub struct Index(HashMap<Vec<u8>, usize>);

impl Index {
    /// Room for so many names.
    pub fn with_capacity(names: usize) -> Self {
        Self(HashMap::with_capacity(names))
    }

    /// The place of a name.
    pub fn get(&self, name: &[u8]) -> Option<usize> {
        self.0.get(name).copied()
    }

    /// Whether there is a name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.0.contains_key(name)
    }

    /// Gives a name a place, in the stead of the one that it had.
    pub fn insert(&mut self, name: &[u8], place: usize) {
        self.0.insert(name.to_vec(), place);
    }

    /// Takes a name out; the place that it had.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        self.0.remove(name)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Names whose places nobody asks for; of two that are the same one is kept.
impl<'a> FromIterator<&'a str> for Index {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut index = Self::default();
        names.into_iter().for_each(|name| index.insert(name.as_bytes(), 0));
        index
    }
}
