//! The name of a store: what tells it from the stores of other processes, made once for each store.

use super::{
    Corrupt, Expected, Shared,
    bytes::{self, Write},
    key::{SharedEntry, SourceId},
};

/// The name of this store. If it has none yet, `random` becomes its name.
pub fn name(shared: &impl Shared, source: &SourceId, random: u64) -> String {
    let key = source.key(SharedEntry::Process);
    let stored =
        || shared.get(&key).ok().flatten().map(|read| (read_number(&key, &read.value), Expected::Version(read.cas)));
    let (known, expected) = stored().map_or((Err(Corrupt), Expected::Absent), |read| read);
    let number = known.unwrap_or_else(|Corrupt| {
        let mut value = bytes::unsealed();
        value.put_varint(random);
        bytes::seal(&key, &mut value);
        // If another VM was quicker, the store has its name.
        let _ = shared.set(&key, &value, expected);
        stored().and_then(|(number, _)| number.ok()).unwrap_or(random)
    });
    format!("{number:016x}")
}

fn read_number(key: &[u8], value: &[u8]) -> Result<u64, Corrupt> {
    let mut reader = bytes::open(key, value)?;
    let number = reader.varint()?;
    reader.finish()?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, shared::memory::Memory};

    #[test]
    fn a_store_keeps_its_first_name() {
        let (memory, source) = (Memory::default(), SourceId::new(Digest::of(b"source")));
        assert_eq!(name(&memory, &source, 7), "0000000000000007");
        assert_eq!(name(&memory, &source, 8), "0000000000000007");
        assert_eq!(name(&memory, &SourceId::new(Digest::of(b"other")), 9), "0000000000000009");
        memory.overwrite(&source.key(SharedEntry::Process), b"damage");
        assert_eq!(name(&memory, &source, 10), "000000000000000a");
    }
}
