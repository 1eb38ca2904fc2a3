//! Tar archives and gzip whose bytes depend on nothing but their content: sorted names, no times, no names of users. It
//! knows nothing of images.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// gzip's number for an unknown system. The others would say where an archive was made.
const UNKNOWN_SYSTEM: u8 = 255;
/// The mode of folders that nobody asked for.
const FOLDER_MODE: u32 = 0o755;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File(Vec<u8>),
    Folder,
}

/// A file or folder of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub mode: u32,
    /// The number of the user and of the group that own it.
    pub owner: u32,
}

/// The entries of an archive by path, without `/` in front.
#[derive(Clone, Debug, Default)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Adds a file that belongs to root.
    pub fn file(&mut self, path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry { kind: Kind::File(bytes.into()), mode, owner: 0 });
    }

    pub fn folder(&mut self, path: impl Into<String>, mode: u32, owner: u32) {
        self.0.insert(path.into(), Entry { kind: Kind::Folder, mode, owner });
    }

    /// The tree with the folders above each entry.
    pub fn with_parents(mut self) -> Self {
        let parents: BTreeSet<String> = self.0.keys().flat_map(|path| parents(path)).collect();
        for parent in parents {
            self.0.entry(parent).or_insert(Entry { kind: Kind::Folder, mode: FOLDER_MODE, owner: 0 });
        }
        self
    }

    /// The tree as an archive, in the format USTAR, which every reader knows.
    pub fn tar(&self) -> Result<Vec<u8>, String> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            add(&mut archive, path, entry)
                .map_err(|error| format!("`{path}` does not fit into an archive: {error}"))?;
        }
        archive.into_inner().map_err(|error| format!("an archive cannot be made: {error}"))
    }
}

/// `a`, `a/b` for `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = String> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at)).map(str::to_owned)
}

fn add(archive: &mut Builder<Vec<u8>>, path: &str, entry: &Entry) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.into());
    header.set_gid(entry.owner.into());
    header.set_mtime(0);
    let bytes: &[u8] = match &entry.kind {
        Kind::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_path(path)?;
            bytes
        }
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_path(format!("{path}/"))?;
            &[]
        }
    };
    header.set_size(u64::try_from(bytes.len()).map_err(std::io::Error::other)?);
    header.set_cksum();
    archive.append(&header, bytes)
}

/// `bytes`, compressed by gzip as well as it can.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let head = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let mut writer = head.write(Vec::new(), Compression::best());
    writer.write_all(bytes).and_then(|()| writer.finish()).map_err(|error| format!("gzip failed: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "only test code: a panic is how it reports")]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.file(*path, 0o644, path.as_bytes());
        }
        tree
    }

    #[test]
    fn the_order_of_adding_does_not_count_and_folders_come_before_their_files() {
        let forth = tree(&["b", "a/x", "a/c/d", "a-b"]).with_parents().tar().unwrap();
        let back = tree(&["a-b", "a/c/d", "a/x", "b"]).with_parents().tar().unwrap();
        assert_eq!(forth, back);
        let mut archive = tar::Archive::new(forth.as_slice());
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["a/", "a-b", "a/c/", "a/c/d", "a/x", "b"]);
    }

    #[test]
    fn an_entry_says_nothing_of_time_and_place() {
        let mut tree = tree(&["file"]);
        tree.folder("data", 0o700, 65532);
        let bytes = tree.tar().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let header = entry.unwrap().header().clone();
                let magic = header.as_ustar().map(|ustar| ustar.magic);
                assert_eq!(magic, Some(*b"ustar\0"));
                let name = header.username().ok().flatten().unwrap_or_default().to_owned();
                (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap(), name)
            })
            .collect();
        assert_eq!(found, [(0o700, 65532, 65532, 0, String::new()), (0o644, 0, 0, 0, String::new())]);
    }

    #[test]
    fn gzip_has_no_time_no_name_and_no_system_and_gives_the_bytes_back() {
        let packed = gzip(b"text").unwrap();
        // RFC 1952: magic, deflate, no flags, no time, best compression, unknown system.
        assert_eq!(packed.get(..10), Some([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255].as_slice()));
        let mut back = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut back).unwrap();
        assert_eq!(back, "text");
    }

    #[test]
    fn a_path_that_ustar_cannot_hold_is_an_error_and_is_not_cut() {
        let error = tree(&[&"x".repeat(300)]).tar().unwrap_err();
        assert!(error.contains("does not fit"), "{error}");
    }
}
