//! The stores of the policies of this process, and when each was last used. A VM that refreshes a policy names its
//! store here. So a store that is no longer named was left behind by an earlier configuration.
//!
//! Other code decides what happens to such a store.

use crate::shared::{
    Corrupt, Expected, Shared, SharedError,
    bytes::{self, Write},
    key::{StoreId, process_key},
};

/// Number of stores that are remembered, at 25 bytes each: 6.4 KB. A process has a few, and each change of a secret
/// adds one for some minutes. If there are more, the store that was named longest ago is forgotten.
const MAX_STORES: usize = 256;

/// A store, and when it was last named, in milliseconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: StoreId,
    pub at_ms: u64,
}

/// Names a store. Returns all known stores, including this one.
pub fn name(shared: &impl Shared, id: StoreId, now_ms: u64) -> Result<Vec<Named>, SharedError> {
    change(shared, |stores| {
        stores.retain(|store| store.id != id);
        if stores.len() >= MAX_STORES {
            let oldest = stores.iter().enumerate().min_by_key(|(_, store)| store.at_ms).map(|(place, _)| place);
            oldest.into_iter().for_each(|place| _ = stores.remove(place));
        }
        stores.push(Named { id, at_ms: now_ms });
    })
}

/// Forgets a store, unless it was named again since.
pub fn forget(shared: &impl Shared, store: Named) -> Result<(), SharedError> {
    change(shared, |stores| stores.retain(|known| *known != store)).map(|_| ())
}

fn change(shared: &impl Shared, change: impl FnOnce(&mut Vec<Named>)) -> Result<Vec<Named>, SharedError> {
    let key = process_key(b"stores");
    let read = shared.get(&key)?;
    // An unreadable list is started anew, because each store is named again soon.
    let mut stores = read.as_ref().and_then(|read| decode(&key, &read.value).ok()).unwrap_or_default();
    change(&mut stores);
    let mut value = bytes::unsealed();
    for store in &stores {
        value.extend_from_slice(&store.id);
        value.put_varint(store.at_ms);
    }
    bytes::seal(&key, &mut value);
    shared.set(&key, &value, Expected::of(read.as_ref()))?;
    Ok(stores)
}

fn decode(key: &[u8], value: &[u8]) -> Result<Vec<Named>, Corrupt> {
    let mut reader = bytes::open(key, value)?;
    let mut stores = Vec::new();
    while !reader.is_empty() && stores.len() < MAX_STORES {
        let id = reader.next_bytes(size_of::<StoreId>())?.try_into().map_err(|_| Corrupt)?;
        stores.push(Named { id, at_ms: reader.varint()? });
    }
    reader.finish()?;
    Ok(stores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::memory::Memory;

    #[test]
    fn stores_are_named_and_forgotten_and_never_too_many() {
        let memory = Memory::default();
        let id = |number: u16| {
            let mut id = StoreId::default();
            id[..2].copy_from_slice(&number.to_le_bytes());
            id
        };
        name(&memory, id(1), 10).unwrap();
        name(&memory, id(2), 20).unwrap();
        let known = name(&memory, id(1), 30).unwrap();
        assert_eq!(known, [Named { id: id(2), at_ms: 20 }, Named { id: id(1), at_ms: 30 }]);
        forget(&memory, Named { id: id(1), at_ms: 10 }).unwrap();
        assert_eq!(name(&memory, id(2), 40).unwrap().len(), 2, "it was named again since");
        forget(&memory, Named { id: id(1), at_ms: 30 }).unwrap();
        assert_eq!(name(&memory, id(2), 40).unwrap().len(), 1);
        for number in 10..600 {
            name(&memory, id(number), number.into()).unwrap();
        }
        let known = name(&memory, id(3), 1_000).unwrap();
        assert_eq!(known.len(), MAX_STORES);
        assert!(known.iter().all(|store| store.at_ms > 300), "the ones that were named longest ago are gone");
        memory.overwrite(&process_key(b"stores"), b"damaged");
        assert_eq!(name(&memory, id(3), 1_000).unwrap().len(), 1);
    }
}
