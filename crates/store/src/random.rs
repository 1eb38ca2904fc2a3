//! The random numbers of a history: epochs and the words of revisions.

use management::port::Error;

/// Makes a new epoch: 128 random bits in hexadecimal.
pub fn new_epoch() -> Result<String, Error> {
    Ok(bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the random word of a new revision.
pub fn new_word() -> Result<i64, Error> {
    bytes().map(i64::from_be_bytes)
}

/// Random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(bytes)
}
