//! Places in a list, by name: the one kind of map with which the filter finds what it holds few of, and lists that it
//! serves.
//!
//! One for all, since each other kind costs the module some 3 KB of code. It decides nothing, and is no place for what
//! every request brings anew.

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
        // Not its length, too, as a slice would: nothing is behind it.
        state.write(self.0);
    }
}

impl Equivalent<Owned> for Borrowed<'_> {
    fn equivalent(&self, owned: &Owned) -> bool {
        *self.0 == *owned.0
    }
}

impl Index {
    /// The place of a name.
    #[inline(always)]
    pub fn get(&self, name: &[u8]) -> Option<usize> {
        self.0.get(&Borrowed(name)).copied()
    }

    /// Whether there is a name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.0.contains_key(&Borrowed(name))
    }

    /// Gives a name a place, in the stead of the one that it had, which is returned.
    pub fn insert(&mut self, name: &[u8], place: usize) -> Option<usize> {
        self.0.insert(Owned(name.into()), place)
    }

    /// Takes a name out; the place that it had.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        self.0.remove(&Borrowed(name))
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
        names.into_iter().for_each(|name| _ = index.insert(name.as_bytes(), 0));
        index
    }
}

/// Entries in the order in which they came, one for each name: a later one takes the place of the one before.
#[derive(Debug)]
pub struct List<T> {
    places: Index,
    /// `None` where one was taken out.
    entries: Vec<Option<T>>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { places: Index::default(), entries: Vec::new() }
    }
}

impl<T> List<T> {
    /// Puts in an entry.
    pub fn insert(&mut self, name: &str, entry: T) {
        match self.places.get(name.as_bytes()).and_then(|place| self.entries.get_mut(place)) {
            Some(place) => *place = Some(entry),
            None => {
                self.places.insert(name.as_bytes(), self.entries.len());
                self.entries.push(Some(entry));
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &str) {
        let place = self.places.remove(name.as_bytes()).and_then(|place| self.entries.get_mut(place));
        place.map(Option::take);
    }

    /// The place of a name.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        self.places.get(name)
    }

    /// The entry of a name.
    pub fn get(&self, name: &[u8]) -> Option<&T> {
        self.at(self.place(name)?)
    }

    /// The entry of a place.
    pub fn at(&self, place: usize) -> Option<&T> {
        self.entries.get(place)?.as_ref()
    }

    /// All entries, each with its place.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
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
