//! Shared data: one map per `vm_id`, for the whole process, like `shared_data.cc`.

use std::collections::BTreeMap;

use super::status::Status;

/// Key → value and its cas.
type Map = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

#[derive(Default)]
pub struct SharedData {
    maps: BTreeMap<String, Map>,
    last_cas: u32,
}

impl SharedData {
    /// The value and its cas.
    pub fn get(&self, vm_id: &str, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.maps.get(vm_id).and_then(|map| map.get(key)).cloned().ok_or(Status::NotFound)
    }

    /// Cas 0 overwrites. A wrong cas for an existing key is refused. Any cas for a missing key inserts.
    pub fn set(&mut self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let map = self.maps.entry(vm_id.to_owned()).or_default();
        if map.get(key).is_some_and(|(_, current)| cas != 0 && cas != *current) {
            return Err(Status::CasMismatch);
        }
        self.last_cas += 1;
        map.insert(key.to_vec(), (value.to_vec(), self.last_cas));
        Ok(())
    }

    /// All entries of all maps: vm_id, key, value.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8], &[u8])> {
        self.maps
            .iter()
            .flat_map(|(vm_id, map)| map.iter().map(move |(key, (value, _))| (vm_id.as_str(), &key[..], &value[..])))
    }
}

#[test]
fn compare_and_swap_is_the_hosts() {
    let mut data = SharedData::default();
    assert_eq!(data.get("", b"k"), Err(Status::NotFound));
    assert_eq!(data.set("", b"k", b"1", 77), Ok(()), "any cas on a missing key inserts");
    let (value, cas) = data.get("", b"k").unwrap();
    assert_eq!(value, b"1");
    assert_eq!(data.set("", b"k", b"2", cas + 1), Err(Status::CasMismatch));
    assert_eq!(data.set("", b"k", b"2", cas), Ok(()));
    assert_eq!(data.set("", b"k", b"3", cas), Err(Status::CasMismatch), "each write changes the cas");
    assert_eq!(data.set("", b"k", b"", 0), Ok(()), "0 overwrites");
    assert_eq!(data.get("", b"k").unwrap().0, b"", "an empty value stays a value");
    assert_eq!(data.get("other", b"k"), Err(Status::NotFound), "another vm_id is another map");
}
