//! Errors of a configuration as data. [`super::message`] turns them into sentences.
//!
//! An error says where (path, line, column), what was found and what is allowed. It never holds a secret: of values
//! under `policy.headers`, `policy.credentials` and `emergency` it keeps only kind and length. So neither `Display` nor
//! `Debug` can reveal them.

use super::place::Path;
use crate::naming::shown;

/// Why a configuration is refused. Displayed as one line:
/// `policy.timeout_ms, line 3, column 19: found the number 0, expected an integer from 1 to 2592000000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// Such as `credential_sources[2].scheme`; empty for the whole text. Names under `policy.headers`,
    /// `policy.credentials` and `emergency` are replaced by their length.
    pub path: String,
    /// Beginning of the value or of the field's name. For a missing field: beginning of its object. For a syntax error:
    /// the place where the text stops being valid.
    pub position: Position,
    pub problem: Problem,
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1. Lines end with a line feed.
    pub line: usize,
    /// From 1, in characters (Unicode scalar values), as editors count them.
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Empty,
    /// The text is longer than [`MAX_CONFIG_BYTES`](super::MAX_CONFIG_BYTES).
    TooLarge {
        bytes: usize,
    },
    /// The text is not UTF-8.
    NotUtf8,
    /// The bytes are a protobuf message, which Envoy passes on for a `Struct`.
    ProtobufStruct,
    /// Lists and objects are nested too deeply.
    TooDeep,
    /// A value or character of the wrong kind.
    Unexpected {
        found: FoundValue,
        expected: Expected,
    },
    UnknownField {
        /// All names that are allowed here.
        allowed: Vec<&'static str>,
        /// The allowed name that was probably meant.
        close: Option<&'static str>,
    },
    /// The same field, source or fact was given before.
    Twice,
    Missing,
    /// The header already has another use.
    HeaderTaken {
        /// In lower case.
        header: String,
        /// Path of the other use.
        by: String,
    },
    /// Both `credentials` and a header set the callout's `authorization`.
    AuthorizationTwice,
    /// `policy.expire_after_ms` is shorter than the age that a policy reaches in normal operation.
    ExpiresTooSoon {
        found: FoundValue,
        /// The smallest allowed value, in milliseconds.
        least_ms: u64,
        /// The setting that dominates the minimum, in words. The rest of the minimum is twice `policy.timeout_ms`.
        part: &'static str,
    },
    /// The cluster's name cannot be used as `policy.authority`.
    ClusterIsNoAuthority,
    /// An environment variable has no usable value.
    Variable {
        /// Length of the variable's name in characters. The name itself might be a secret that was put there by
        /// mistake.
        length: usize,
        wrong: VariableProblem,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableProblem {
    NotSet,
    NotUtf8,
    /// It is empty, or holds only a line break.
    Empty,
    /// Its value cannot be sent.
    Unfit {
        /// Length of the value in characters.
        length: usize,
        expected: Expected,
    },
}

/// The value that the text has. Secrets appear without their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundValue {
    /// `null`.
    Null,
    /// `true` or `false`; `None` if the value is secret.
    Boolean(Option<bool>),
    Number {
        /// In characters.
        length: usize,
        /// As written, cut if it is long; `None` if the number is secret.
        text: Option<String>,
    },
    /// A string or a field's name.
    String {
        /// In characters.
        length: usize,
        /// Decoded, cut if it is long; `None` if the string is secret.
        text: Option<String>,
    },
    List {
        entries: usize,
    },
    Object {
        fields: usize,
    },
    /// A character of JSON syntax, or another character that is neither letter nor digit and is not secret.
    Character(char),
    /// A character, described by its kind.
    SomeCharacter(&'static str),
    /// A backslash and the characters after it.
    Escape,
    End,
}

/// What is allowed at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// In words.
    Is(&'static str),
    /// An integer in a range, bounds included.
    Integer {
        min: u64,
        max: u64,
    },
    Text {
        /// In bytes.
        min: usize,
        /// In bytes.
        max: usize,
        /// Further condition, in words.
        of: &'static str,
    },
    OneOf(Vec<&'static str>),
    /// The name of a header, except these.
    HeaderOtherThan(&'static [&'static str]),
    List {
        /// What the entries are, in words.
        of: &'static str,
        /// Minimum number of entries.
        min: usize,
        /// Maximum number of entries.
        max: usize,
    },
    /// An object whose field names the operator chooses.
    Map {
        /// What the fields are, in words.
        of: &'static str,
        /// Maximum number of fields.
        max: usize,
    },
    Object(Vec<&'static str>),
}

/// An [`InvalidConfig`] before line and column have been computed.
#[derive(Debug)]
pub(super) struct Fault(Box<Unplaced>);

/// Boxed, because the `Result` of every reading function carries it.
#[derive(Debug)]
struct Unplaced {
    at: usize,
    path: String,
    problem: Problem,
}

impl Fault {
    pub fn new(at: usize, path: &Path, problem: Problem) -> Self {
        Self(Box::new(Unplaced { at, path: path.as_str().to_owned(), problem }))
    }

    /// Computes line and column of the offset in `json`.
    pub fn locate(self, json: &[u8]) -> InvalidConfig {
        let Unplaced { at, path, problem } = *self.0;
        let before = json.get(..at).unwrap_or(json);
        let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
        let count = |bytes: &[u8], counts: fn(&u8) -> bool| bytes.iter().filter(|byte| counts(byte)).count();
        let position = Position {
            line: count(before, |byte| *byte == b'\n').saturating_add(1),
            // All bytes of a character except the first have the form 10xxxxxx.
            column: count(line, |byte| byte & 0xc0 != 0x80).saturating_add(1),
        };
        InvalidConfig { path, position, problem }
    }
}

impl FoundValue {
    /// Describes a string or a field's name at `path`.
    pub(super) fn string(text: &str, path: &Path) -> Self {
        Self::String { length: text.chars().count(), text: (!path.is_hidden()).then(|| shown(text)) }
    }

    /// Removes the content. A string in the place of an object may be a whole configuration, including its secrets.
    pub(super) fn without_content(self) -> Self {
        match self {
            Self::String { length, .. } => Self::String { length, text: None },
            other => other,
        }
    }

    /// Describes the character at which the text stops being JSON. If a string ended too early, this character may be
    /// part of a secret, so most characters are described by their kind only.
    pub(super) fn next(next: Option<char>, path: &Path) -> Self {
        match next {
            None => Self::End,
            Some(c @ ('{' | '}' | '[' | ']' | ',' | ':' | '"')) => Self::Character(c),
            Some('\n' | '\r') => Self::SomeCharacter("a line break"),
            Some(c) if c.is_control() => Self::SomeCharacter("a control character"),
            Some('\u{feff}') => Self::SomeCharacter("a byte order mark"),
            Some(c) if c.is_ascii_digit() => Self::SomeCharacter("a digit"),
            Some(c) if c.is_alphabetic() => Self::SomeCharacter("a letter"),
            Some(c) if c.is_ascii() && !path.is_hidden() => Self::Character(c),
            Some(_) => Self::SomeCharacter("another character"),
        }
    }
}
