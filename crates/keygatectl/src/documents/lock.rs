//! The record of what was applied from a folder: `keygate.lock`, a file beside the documents.
//!
//! `apply --prune` removes an object only if this record has it and no document does. So it never removes what people
//! made in the console, what another folder has, or what was there before. The record is a file, and not a mark in the
//! service, so that it is committed with the documents, a reviewer sees what goes, and a revert brings it back. It names
//! the service: what was applied to one says nothing of another.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use management::port::Kind;

use super::layout;
use crate::{failure::Failure, files, kinds};

/// The name of the file.
pub const NAME: &str = "keygate.lock";
/// Bytes of the file: three million rows of 80 bytes.
const MAX_LOCK_BYTES: u64 = 256 << 20;
const SERVICE: &str = "service ";

/// What was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The URL of the service.
    pub service: String,
    /// The objects by kind and id.
    pub objects: BTreeSet<(u8, Box<str>)>,
}

/// The objects of a lock, in the order of [`Kind`].
pub fn key(kind: Kind, id: &str) -> (u8, Box<str>) {
    (kind as u8, id.into())
}

/// The kind of an object of a lock.
pub fn kind(number: u8) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
}

/// Where the record of a folder is.
pub fn place(folder: &Path, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| folder.join(NAME))
}

impl Lock {
    /// Reads the record of this service. The record of another one is refused.
    pub fn of(service: &str, path: &Path) -> Result<Option<Self>, Failure> {
        let Some(lock) = Self::read(path)? else { return Ok(None) };
        match lock.service == service {
            true => Ok(Some(lock)),
            false => Err(Failure::Usage(format!(
                "{} is the record of {}, and this is {service}; name another record with --lock",
                path.display(),
                lock.service,
            ))),
        }
    }

    /// Reads the record; `None` if there is none yet.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let Some(bytes) = files::bytes_if_there(path, MAX_LOCK_BYTES, "that is no record of `apply`")? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::Other(format!("{}: it is not UTF-8, so `apply` did not write it", path.display())))?;
        Self::parse(&text).map(Some).map_err(|line| {
            Failure::Other(format!(
                "{}:{line}: it is not what `apply` writes; a merge may have left marks in it",
                path.display()
            ))
        })
    }

    /// Parses the record. An error is the number of the line.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut lock = Self::default();
        for (number, line) in text.lines().enumerate() {
            let wrong = number.saturating_add(1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(service) = line.strip_prefix(SERVICE) {
                lock.service = service.to_owned();
                continue;
            }
            let (word, id) = line.split_once(' ').ok_or(wrong)?;
            let kind = Kind::ALL.into_iter().find(|kind| kinds::word(*kind) == word).ok_or(wrong)?;
            lock.objects.insert(key(kind, id));
        }
        if lock.service.is_empty() { Err(text.lines().count()) } else { Ok(lock) }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# What `keygatectl apply` has applied from this folder. `apply --prune` removes what stands here and in no\n\
             # document any more. Commit this file with the documents.\n",
        );
        text.push_str(&format!("{SERVICE}{}\n", self.service));
        for (number, id) in &self.objects {
            let Some(kind) = kind(*number) else { continue };
            text.push_str(&format!("{} {id}\n", kinds::word(kind)));
        }
        text
    }

    /// Writes the record, as a whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        replace(path, self.text().as_bytes())
    }
}

/// Writes a file as a whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let error = |error| Failure::file(path, &error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(error)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|failed| {
        // Whatever is there of it is of no use.
        let _ = fs::remove_file(&beside);
        error(failed)
    })
}

/// Whether a folder has documents that `export` did not write, or a file of it that is in the way.
pub fn is_own(folder: &Path, file: &Path) -> bool {
    file.strip_prefix(folder).is_ok_and(layout::is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_damaged_one_is_refused() {
        let objects = [key(Kind::Api, "a b"), key(Kind::Key, "k-1"), key(Kind::DenyPolicy, "#1")];
        let lock = Lock { service: "https://policy.example.com/".to_owned(), objects: objects.into_iter().collect() };
        assert_eq!(Lock::parse(&lock.text()), Ok(lock.clone()));
        assert_eq!(Lock::parse(&lock.text().replace('\n', "\r\n")).map(|lock| lock.objects.len()), Ok(3));
        for (text, line) in [
            ("", 0),
            ("api a\n", 1),
            ("service s\n<<<<<<< HEAD\n", 2),
            ("service s\n=======\n", 2),
            ("service s\napi\n", 2),
            ("service s\nusers u\n", 2),
        ] {
            assert_eq!(Lock::parse(text), Err(line), "{text}");
        }
    }
}
