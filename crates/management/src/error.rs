//! Why the rules reject a change. The routes turn these errors into HTTP answers; nothing here knows a status.

use std::fmt;

use crate::port::{self, Kind};

/// An object with an id that is not part of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A token of a principal.
    Token,
    /// A credential of a gateway.
    GatewayCredential,
    /// A gateway in the list of those that were heard of.
    Gateway,
}

impl Thing {
    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::GatewayCredential => "credential of a gateway",
            Self::Gateway => "gateway",
        }
    }
}

/// Why a change was rejected. An error never contains a credential.
#[derive(Debug)]
pub enum Error {
    /// A field of the input is not valid.
    Invalid {
        /// The field, such as `match[0].path`; `None` if no single field is wrong.
        field: Option<String>,
        /// What is wrong, and what is expected.
        detail: String,
    },
    /// The object does not exist.
    NotFound {
        /// The field that names it; `None` if the request is about it.
        field: Option<String>,
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// No such object exists beside the policy.
    NoSuch(Thing, String),
    /// The actor sees the object but may not do this.
    Forbidden {
        /// The field that the actor may not set; `None` if no single field is wrong.
        field: Option<String>,
        /// What the actor may not do, and who may.
        detail: String,
    },
    /// The input is in conflict with stored objects.
    Conflict {
        /// The field that is in conflict; `None` if no single field is.
        field: Option<String>,
        /// What is in conflict, and what to do.
        detail: String,
    },
    /// The row is not the version that the client expects. The noun of its kind.
    Changed(&'static str),
    /// The policy is at this revision, and not at one that the client expects.
    OtherRevision(i64),
    /// The same request with the same key was handled before.
    Done,
    /// Another request used the same key.
    OtherRequest,
    /// The actor has too many remembered answers.
    TooManyAnswers,
    /// The database failed.
    Store(port::Error),
}

impl Error {
    /// `field` is not valid; `detail` says what is expected.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field.into()), detail: detail.into() }
    }

    /// The input is in conflict with stored objects.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { field: None, detail: detail.into() }
    }

    /// The value of `field` is in conflict with stored objects.
    pub fn conflict_in(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Conflict { field: Some(field.into()), detail: detail.into() }
    }

    /// No object of this kind has this id.
    pub fn not_found(kind: Kind, id: &str) -> Self {
        Self::NotFound { field: None, kind, id: id.to_owned() }
    }

    /// `field` names an object of this kind that does not exist, or that the actor does not see.
    pub fn not_found_in(field: impl Into<String>, kind: Kind, id: &str) -> Self {
        Self::NotFound { field: Some(field.into()), kind, id: id.to_owned() }
    }

    /// No `thing` has this id.
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

    /// Whether the input was rejected. Otherwise the database failed, and the same input may succeed later.
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
            Self::NotFound { kind, id, .. } => write!(f, "there is no {} with the id {id:?}", kind.noun()),
            Self::Changed(noun) => write!(f, "this {noun} was changed since it was read; read it again (if-match)"),
            Self::OtherRevision(now) => {
                write!(f, "the policy is at revision {now} now, which if-match does not name; look at it again")
            }
            Self::Done => f.write_str("this request was done before, under the same idempotency-key"),
            Self::OtherRequest => {
                f.write_str("another request had this idempotency-key within the last 24 hours; take another key")
            }
            Self::TooManyAnswers => {
                f.write_str("too many requests with an idempotency-key within 24 hours; send this one without it")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
