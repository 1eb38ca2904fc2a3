//! Why the rules refuse a change. The routes make HTTP answers of these errors; nothing here knows a status.

use std::fmt;

use crate::port::{self, Kind};

/// What stands beside the policy and has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A token of a principal.
    Token,
    /// A credential of a gateway.
    GatewayCredential,
}

impl Thing {
    fn noun(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::GatewayCredential => "credential of a gateway",
        }
    }
}

/// Why a change was not made. An error never holds a credential.
#[derive(Debug)]
pub enum Error {
    /// What was sent can be read, but cannot be accepted.
    Invalid {
        /// The field that is wrong, as `match[0].path`; `None`: no single field is.
        field: Option<String>,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// There is no such thing.
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// There is no such thing beside the policy.
    NoSuch(Thing, String),
    /// The actor sees what this is about, and may not do it.
    Forbidden {
        /// The field that only others may set; `None`: no single field.
        field: Option<String>,
        /// What the actor may not do, and who may.
        detail: String,
    },
    /// What was sent does not fit what is stored.
    Conflict {
        /// The field that does not fit; `None`: no single field.
        field: Option<String>,
        /// What does not fit, and what to do.
        detail: String,
    },
    /// The row is not the version that the change expects.
    Changed(Kind),
    /// The database.
    Store(port::Error),
}

impl Error {
    /// `field` cannot be used; `detail` says what would be right.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field.into()), detail: detail.into() }
    }

    /// What was sent does not fit what is stored.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { field: None, detail: detail.into() }
    }

    /// The value of `field` does not fit what is stored.
    pub fn conflict_in(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Conflict { field: Some(field.into()), detail: detail.into() }
    }

    /// There is no `kind` with this id.
    pub fn not_found(kind: Kind, id: &str) -> Self {
        Self::NotFound { kind, id: id.to_owned() }
    }

    /// There is no `thing` with this id.
    pub fn no_such(thing: Thing, id: &str) -> Self {
        Self::NoSuch(thing, id.to_owned())
    }

    /// The actor may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::Forbidden { field: None, detail: detail.into() }
    }

    /// The actor may not set `field` so.
    pub fn forbidden_in(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Forbidden { field: Some(field.into()), detail: detail.into() }
    }

    /// Whether what was sent is refused. Otherwise the database failed, and the same may be accepted later.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

impl From<port::Error> for Error {
    fn from(error: port::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field: Some(field), detail }
            | Self::Forbidden { field: Some(field), detail }
            | Self::Conflict { field: Some(field), detail } => {
                write!(f, "{field}: {detail}")
            }
            Self::Invalid { field: None, detail }
            | Self::Forbidden { field: None, detail }
            | Self::Conflict { field: None, detail } => f.write_str(detail),
            Self::NoSuch(thing, id) => write!(f, "there is no {} with the id {id:?}", thing.noun()),
            Self::NotFound { kind, id } => write!(f, "there is no {} with the id {id:?}", kind.noun()),
            Self::Changed(kind) => {
                write!(f, "this {} was changed since it was read; read it again (if-match)", kind.noun())
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
