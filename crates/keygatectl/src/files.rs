//! Reading files up to a limit. The limit holds for pipes and devices as well, whose length nobody knows before.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::failure::Failure;

/// Reads a file of at most so many bytes. `advice` is what to do about a larger one.
pub fn bytes(path: &Path, most: u64, advice: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = |file: File| file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    File::open(path).and_then(read).map_err(|error| Failure::file(path, &error))?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        true => Ok(bytes),
        false => Err(Failure::Other(format!("{} has more than {most} bytes; {advice}", path.display()))),
    }
}

/// The same for a file that need not be there.
pub fn bytes_if_there(path: &Path, most: u64, advice: &str) -> Result<Option<Vec<u8>>, Failure> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => bytes(path, most, advice).map(Some),
    }
}

/// Reads a text of at most so many bytes.
pub fn text(path: &Path, most: u64, advice: &str) -> Result<String, Failure> {
    String::from_utf8(bytes(path, most, advice)?).map_err(|error| {
        let after = error.utf8_error().valid_up_to();
        Failure::Other(format!("{}: it is not UTF-8 after {after} bytes", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_beyond_the_limit() {
        let said = bytes(Path::new("/dev/zero"), 1_000, "take less").unwrap_err().to_string();
        assert_eq!(said, "/dev/zero has more than 1000 bytes; take less");
        assert_eq!(bytes(Path::new("/dev/null"), 0, "").unwrap(), b"");
        assert!(bytes_if_there(Path::new("/dev/null/x"), 0, "").is_err());
        assert!(bytes_if_there(Path::new("/nowhere/x"), 0, "").unwrap().is_none());
    }
}
