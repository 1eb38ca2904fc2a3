//! What a person is told: what has no row, and what is wrong in a file. No text here holds a key.

use std::fmt;

use crate::limits::MAX_SHOWN_BYTES;

/// A place in one of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The number of the file.
    pub file: usize,
    /// From 1; 0 if it has none.
    pub line: u64,
    /// In characters, from 1; 0 if it has none.
    pub column: u64,
}

/// Something that has no row, or has another meaning in keygate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The place in the file's structure, such as `services[0].plugins[1].config`.
    pub path: String,
    /// What was not carried over.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do instead; empty if there is nothing to do.
    pub instead: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, path, what, why, instead } = self;
        write!(f, "{file}:")?;
        if let Some(line) = line {
            write!(f, "{line}:")?;
        }
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, " {path}{colon}{what}: {why}")?;
        if instead.is_empty() { Ok(()) } else { write!(f, "; instead: {instead}") }
    }
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The column, in characters, from 1.
    pub column: Option<u64>,
    /// The place in the file's structure, such as `consumers[3].username`.
    pub path: String,
    /// What is wrong there.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl Error {
    pub(crate) fn new(file: &str, spot: Spot, path: &str, found: &str, expected: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: Some(spot.line).filter(|line| *line > 0),
            column: Some(spot.column).filter(|column| *column > 0),
            path: path.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, path, found, expected } = self;
        write!(f, "{file}:")?;
        for number in [line, column].into_iter().flatten() {
            write!(f, "{number}:")?;
        }
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, " {path}{colon}found {found}; expected {expected}")
    }
}

impl std::error::Error for Error {}

/// A text of a file, in quotes and with escapes, so that it cannot change a terminal. It is cut if it is long.
pub fn shown(text: &str) -> String {
    let end = (0..=MAX_SHOWN_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let (start, rest) = text.split_at_checked(end).unwrap_or_default();
    if rest.is_empty() { format!("{start:?}") } else { format!("{start:?}… ({} bytes)", text.len()) }
}

/// Bytes of a text that [`word_shown`] shows. No key is so short.
const MAX_SHOWN_WORD_BYTES: usize = 20;

/// A text that should be one of a few words. A longer one is told by its length only, because it may be a key in the
/// wrong place.
pub fn word_shown(text: &str) -> String {
    if text.len() <= MAX_SHOWN_WORD_BYTES { shown(text) } else { format!("a text of {} bytes", text.len()) }
}
