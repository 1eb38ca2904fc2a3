//! What can be wrong with a configuration, as data; [`super::message`] makes sentences of it.
//!
//! An error says where (path, line, column), what was found and what is allowed. It never holds a secret: what stands
//! under `policy.headers`, `policy.credentials` and `emergency` gets in here as kind and length only, so neither
//! `Display` nor `Debug` can tell it.

use super::place::Path;
use crate::naming::shown;

/// Why a configuration is refused. It shows as one line:
/// `policy.timeout_ms, line 3, column 19: found the number 0, expected an integer from 1 to 2592000000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// Such as `credential_sources[2].scheme`; empty for the whole text. Names that stand under `policy.headers`,
    /// `policy.credentials` and `emergency` are replaced by their length.
    pub path: String,
    /// Where the value, or the name of the field, begins; where a field is missing, its object; where the text breaks
    /// off or turns into something else, that place.
    pub position: Position,
    /// What is wrong there.
    pub problem: Problem,
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1; lines end with a line feed.
    pub line: usize,
    /// From 1, in characters (Unicode scalar values), as editors count them.
    pub column: usize,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no text.
    Empty,
    /// The text is longer than [`MAX_CONFIG_BYTES`](super::MAX_CONFIG_BYTES).
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The text is not UTF-8.
    NotUtf8,
    /// The bytes of a protobuf message, as a `Struct` arrives.
    ProtobufStruct,
    /// Lists and objects nest deeper than any that mean something.
    TooDeep,
    /// Something else should stand here.
    Unexpected {
        /// What stands here.
        found: Found,
        /// What should.
        expected: Expected,
    },
    /// No field has this name here.
    UnknownField {
        /// The names that there are.
        allowed: Vec<&'static str>,
        /// The one among them that was probably meant.
        close: Option<&'static str>,
    },
    /// The same field, source or fact before.
    Twice,
    /// A required field is not there.
    Missing,
    /// A header that already has another use.
    HeaderTaken {
        /// Its name, lower-cased.
        header: String,
        /// The path of the other use.
        by: String,
    },
    /// `credentials` and a header both make the callout's `authorization`.
    AuthorizationTwice,
    /// `policy.expire_after_ms` is shorter than a policy's age while all is well.
    ExpiresTooSoon {
        /// What stands there.
        found: Found,
        /// The least that may, in milliseconds.
        least_ms: u64,
        /// The part of it that is not twice `policy.timeout_ms`: a setting, in words.
        part: &'static str,
    },
    /// The cluster's name cannot stand in for `policy.authority`.
    ClusterIsNoAuthority,
    /// An environment variable does not hold what it should.
    Variable {
        /// Characters of its name, which might be the secret itself, put there by mistake.
        length: usize,
        /// What is wrong with it.
        wrong: VariableProblem,
    },
}

/// What is wrong with an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableProblem {
    /// It is not set.
    NotSet,
    /// It is not UTF-8.
    NotUtf8,
    /// It has no bytes, or none but a line break.
    Empty,
    /// It cannot be sent.
    Unfit {
        /// Its characters.
        length: usize,
        /// What can be.
        expected: Expected,
    },
}

/// What stands in the text; secrets without their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `null`.
    Null,
    /// `true` or `false`; which one, where it may be told.
    Boolean(Option<bool>),
    /// A number.
    Number {
        /// Its characters.
        length: usize,
        /// As written, where it may be told; cut where it is long.
        text: Option<String>,
    },
    /// A string, or a field's name.
    String {
        /// Its characters.
        length: usize,
        /// Decoded, where it may be told; cut where it is long.
        text: Option<String>,
    },
    /// A list.
    List {
        /// How many.
        entries: usize,
    },
    /// An object.
    Object {
        /// How many.
        fields: usize,
    },
    /// A character of JSON's own, or another one that is neither letter nor digit and may be told.
    Character(char),
    /// A character, by its kind.
    SomeCharacter(&'static str),
    /// A backslash and what follows it.
    Escape,
    /// The end of the text.
    End,
}

/// What may stand in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// In words.
    Is(&'static str),
    /// An integer of a range, bounds included.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A string.
    Text {
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
        /// What else holds for it.
        of: &'static str,
    },
    /// One of these.
    OneOf(Vec<&'static str>),
    /// A header's name other than these.
    HeaderOtherThan(&'static [&'static str]),
    /// A list.
    List {
        /// Of what.
        of: &'static str,
        /// Fewest entries.
        min: usize,
        /// Most entries.
        max: usize,
    },
    /// An object whose names are the operator's.
    Map {
        /// Of what.
        of: &'static str,
        /// Most fields.
        max: usize,
    },
    /// An object with some of these fields.
    Object(Vec<&'static str>),
}

/// An [`InvalidConfig`] whose place is not counted yet.
#[derive(Debug)]
pub(super) struct Fault(Box<Unplaced>);

/// In a box, since each field's reading hands on that it may be refused.
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

    /// The same with line and column in `json`.
    pub fn locate(self, json: &[u8]) -> InvalidConfig {
        let Unplaced { at, path, problem } = *self.0;
        let before = json.get(..at).unwrap_or(json);
        let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
        let count = |bytes: &[u8], counts: fn(&u8) -> bool| bytes.iter().filter(|byte| counts(byte)).count();
        let position = Position {
            line: count(before, |byte| *byte == b'\n').saturating_add(1),
            // All bytes of a character but its first are 10xxxxxx.
            column: count(line, |byte| byte & 0xc0 != 0x80).saturating_add(1),
        };
        InvalidConfig { path, position, problem }
    }
}

impl Found {
    /// A string, or a field's name, that stands at `path`.
    pub(super) fn string(text: &str, path: &Path) -> Self {
        Self::String { length: text.chars().count(), text: (!path.is_hidden()).then(|| shown(text)) }
    }

    /// The same without its content: a text where an object should be may be a whole configuration, secrets and all.
    pub(super) fn without_content(self) -> Self {
        match self {
            Self::String { length, .. } => Self::String { length, text: None },
            other => other,
        }
    }

    /// The character where JSON ends to be JSON. Where a string ended too early it is one of a secret, so it is told
    /// only where it cannot say much.
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
