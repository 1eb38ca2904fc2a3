//! A map from names to places in a list, and a list with names. The filter uses this one map type for all its small
//! collections.
//!
//! It is one type for all, because each further map type costs the module some 3 KB of code. It is not meant for data
//! that changes with every request.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

/// Names, each with a place.
#[derive(Clone, Debug, Default)]
pub struct Index(HashMap<Owned, usize>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned(Box<[u8]>);

struct Borrowed<'a>(&'a [u8]);

impl Hash for Owned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrowed(&self.0).hash(state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Unlike `<[u8] as Hash>`, omit the length: the name is the whole key, so there is no prefix ambiguity.
        state.write(self.0);
    }
}

impl Equivalent<Owned> for Borrowed<'_> {
    fn equivalent(&self, owned: &Owned) -> bool {
        *self.0 == *owned.0
    }
}

impl Index {
    #[inline(always)]
    pub fn get(&self, name: &[u8]) -> Option<usize> {
        self.0.get(&Borrowed(name)).copied()
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.0.contains_key(&Borrowed(name))
    }

    /// Sets the place of a name. Returns its previous place.
    pub fn insert(&mut self, name: &[u8], place: usize) -> Option<usize> {
        self.0.insert(Owned(name.into()), place)
    }

    /// Removes a name. Returns its place.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        self.0.remove(&Borrowed(name))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A set of names; all places are zero.
impl<'a> FromIterator<&'a str> for Index {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut index = Self::default();
        names.into_iter().for_each(|name| _ = index.insert(name.as_bytes(), 0));
        index
    }
}

/// Entries with names, in the order of their first insertion. An entry replaces an earlier entry with the same name.
#[derive(Debug)]
pub struct List<T> {
    places: Index,
    /// `None` if the entry was removed.
    entries: Vec<Option<T>>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { places: Index::default(), entries: Vec::new() }
    }
}

impl<T> List<T> {
    pub fn insert(&mut self, name: &str, entry: T) {
        match self.places.get(name.as_bytes()).and_then(|place| self.entries.get_mut(place)) {
            Some(place) => *place = Some(entry),
            None => {
                self.places.insert(name.as_bytes(), self.entries.len());
                self.entries.push(Some(entry));
            }
        }
    }

    pub fn remove(&mut self, name: &str) {
        let place = self.places.remove(name.as_bytes()).and_then(|place| self.entries.get_mut(place));
        place.map(Option::take);
    }

    pub fn place(&self, name: &[u8]) -> Option<usize> {
        self.places.get(name)
    }

    pub fn get(&self, name: &[u8]) -> Option<&T> {
        self.at(self.place(name)?)
    }

    pub fn at(&self, place: usize) -> Option<&T> {
        self.entries.get(place)?.as_ref()
    }

    /// All entries, each with its place.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_entry_for_a_name_at_its_first_place() {
        let mut list = List::default();
        for (name, entry) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            list.insert(name, entry);
        }
        assert_eq!(list.entries().collect::<Vec<_>>(), [(0, &3), (1, &2), (2, &4)]);
        list.remove("b");
        list.remove("nobody");
        assert_eq!((list.get(b"b"), list.at(1), list.len()), (None, None, 2));
        list.insert("b", 5);
        assert_eq!(list.entries().collect::<Vec<_>>(), [(0, &3), (2, &4), (3, &5)]);
        assert_eq!((list.get(b"b"), list.get(b"c"), list.at(4)), (Some(&5), Some(&4), None));
    }
}
