//! Converts the files of other products into rows of keygate's import (`POST /v1/import`).
//!
//! The caller brings files as bytes and gets rows of the types of [`management`], so that a row which is made here is a
//! row that the import takes. What has no row is a [`Loss`] with its place, its reason and what to do instead. What is
//! wrong in a file is an [`Error`]; what it spoke of is left out, so that a mistake never permits anything.
//!
//! Nothing here reads a file, a variable or a clock, or opens a connection. Keys become digests where they are read; no
//! loss, error or `Debug` holds one. The same files give the same rows, byte for byte.
//!
//! - [`Kind::Csv`]: a line for each key or subscription

mod csv_file;
mod draft;
mod finding;
mod finish;
mod id;
mod key;
pub mod limits;
mod row;
mod verify;

use std::{fmt, str::FromStr};

use self::draft::Draft;
pub use self::{
    finding::{Error, Loss},
    row::Row,
};

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CSV with a line for each key or subscription.
    Csv,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 1] = [Self::Csv];

    /// Its word at a command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let words = || Self::ALL.map(Self::word).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.word() == word);
        found.ok_or_else(|| format!("found {word:?}, expected one of {}", words()))
    }
}

/// A file.
#[derive(Clone)]
pub struct Input {
    /// Its name, for losses and errors.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Input {
    /// Without the bytes, because they hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("bytes", &self.bytes.len()).finish()
    }
}

/// What the files do not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The time, in Unix seconds.
    pub now: i64,
    /// The id of the API, where a file has no API of its own (a filter configuration without a route).
    pub api: Option<String>,
    /// The owner of applications that have none in the files.
    pub owner: Option<String>,
}

/// What was made of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The rows. A row comes after the rows that it names.
    pub rows: Vec<Row>,
    /// What has no row, in the order of the files.
    pub losses: Vec<Loss>,
    /// What is wrong in the files, and was left out. Rows of the rest are there. A caller should end with a failure.
    pub errors: Vec<Error>,
    /// What a person has to do beside importing the rows, such as a plugin configuration to write. Each is a text of
    /// one or several lines.
    pub notes: Vec<String>,
}

/// Converts `inputs`. Fails if a file cannot be read as what it should be, or exceeds a limit.
pub fn convert(kind: Kind, inputs: &[Input], options: &Options) -> Result<Converted, Vec<Error>> {
    limits::check_bytes(inputs).map_err(|error| vec![error])?;
    let mut draft = Draft::new(options);
    for input in inputs {
        let file = draft.open(&input.name);
        match kind {
            Kind::Csv => csv_file::read(&mut draft, file, &input.bytes)?,
        }
    }
    draft.finish()
}
