//! Who makes a change: a principal with a role, an import, or the service itself. What a role may do is decided by the rules.

use super::Error;

/// What somebody is to the service. The words stand in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Does everything.
    Administrator,
    /// Owns APIs and plans.
    Publisher,
    /// Owns applications, with their keys and subscriptions.
    Subscriber,
    /// Sees everything, and blocks.
    Operator,
    /// Sees everything, and changes nothing.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Administrator, Self::Publisher, Self::Subscriber, Self::Operator, Self::Auditor];

    /// The word in JSON, in the log and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this word in the database.
    pub fn parse(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or(Error::Damaged("an unknown role"))
    }
}

/// A person, a team or a program, and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it may do.
    pub role: Role,
    /// Its name: what it makes is owned by this subject.
    pub subject: String,
}

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with a token.
    Principal(Principal),
    /// An import from a file, run by somebody who may write the database.
    Import,
    /// The service itself: what follows from usage, or is due.
    Service,
}

impl Actor {
    /// The subject of the first administrator, who has the token of the configuration, and of who runs a command.
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
