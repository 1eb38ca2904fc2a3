//! The actors of changes: a principal with a role, an import, or the service itself. The rules decide what a role may
//! do.

use super::Error;

/// The role of a principal. The database stores its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything.
    Administrator,
    /// Owns APIs and plans.
    Publisher,
    /// Owns applications with their keys and subscriptions.
    Subscriber,
    /// Sees everything, and blocks.
    Operator,
    /// Sees everything, and changes nothing.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Administrator, Self::Publisher, Self::Subscriber, Self::Operator, Self::Auditor];

    /// The role's word in JSON, in the log and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }

    /// Parses a word from the database.
    pub fn parse(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or(Error::Damaged("an unknown role"))
    }
}

/// A person, a team or a program, and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What the principal may do.
    pub role: Role,
    /// The principal's name. Objects that it creates belong to this subject.
    pub subject: String,
}

/// The actor of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller with a token.
    Principal(Principal),
    /// An import from a file, run by a person who may write the database.
    Import,
    /// The service itself, for what follows from usage or is due.
    Service,
}

impl Actor {
    /// The subject of the first administrator, whose token is in the configuration, and of a person who runs a command.
    pub const FIRST: &str = "administrator";

    /// The first administrator.
    pub fn administrator() -> Self {
        Self::Principal(Principal { role: Role::Administrator, subject: Self::FIRST.to_owned() })
    }

    /// The name in the log and in audit entries.
    pub fn subject(&self) -> &str {
        match self {
            Self::Principal(principal) => &principal.subject,
            Self::Import => "import",
            Self::Service => "service",
        }
    }

    /// The role in the log and in audit entries. The service and imports from a file have none.
    pub fn role(&self) -> Option<&'static str> {
        match self {
            Self::Principal(principal) => Some(principal.role.as_str()),
            Self::Import | Self::Service => None,
        }
    }
}
