//! Converts the files of other products into rows of keygate's import (`POST /v1/import`).
//!
//! The caller brings files as bytes and gets rows of the types of [`management`], so that a row which is made here is a
//! row that the import takes. What has no row is a [`Loss`] with its place, its reason and what to do instead. What is
//! wrong in a file is an [`Error`]; what it spoke of is left out, so that a mistake never permits anything.
//!
//! Nothing here reads a file, a variable or a clock, or opens a connection. Keys become digests where they are read; no
//! loss, error or `Debug` holds one. The same files give the same rows, byte for byte.
//!
//! - [`Kind::Envoy`]: the filter `api_key_auth`
//! - [`Kind::EnvoyGateway`]: SecurityPolicies, Secrets and routes
//! - [`Kind::Kong`]: services, routes, consumers and plugins
//! - [`Kind::Wso2`]: APIs, applications, subscriptions and policies
//! - [`Kind::Csv`]: a line for each key or subscription

mod csv_file;
mod draft;
mod envoy;
mod finding;
mod finish;
mod gateway;
mod id;
mod key;
mod kong;
pub mod limits;
mod plugin;
mod ranges;
mod routes;
mod row;
mod text;
mod verify;
mod wso2;
pub mod yaml;

use std::{fmt, str::FromStr};

use self::draft::Draft;
pub use self::{
    finding::{Error, Loss},
    row::Row,
};

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Envoy's native `api_key_auth`.
    Envoy,
    /// Envoy Gateway's SecurityPolicy with its Secrets.
    EnvoyGateway,
    /// Kong's decK files.
    Kong,
    /// WSO2's exports and lists.
    Wso2,
    /// CSV with a line for each key or subscription.
    Csv,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Envoy, Self::EnvoyGateway, Self::Kong, Self::Wso2, Self::Csv];

    /// Its word at a command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::EnvoyGateway => "envoy-gateway",
            Self::Kong => "kong",
            Self::Wso2 => "wso2",
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
    limits::check_bytes(inputs)?;
    let mut draft = Draft::new(options);
    match kind {
        Kind::Envoy => envoy::read(&mut draft, inputs, options)?,
        Kind::EnvoyGateway => gateway::read(&mut draft, inputs)?,
        Kind::Kong => kong::read(&mut draft, inputs)?,
        Kind::Wso2 => wso2::read(&mut draft, inputs)?,
        Kind::Csv => csv_file::read_all(&mut draft, inputs)?,
    }
    draft.finish()
}
