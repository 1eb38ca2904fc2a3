//! The kinds of rows of the policy, with their numbers and words.

use super::Error;

/// The kind of a row. The database stores its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An API.
    Api = 1,
    /// An application.
    Application = 2,
    /// A key.
    Key = 3,
    /// A subscription.
    Subscription = 4,
    /// A plan.
    Plan = 5,
    /// A deny policy.
    DenyPolicy = 6,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Api, Self::Application, Self::Key, Self::Subscription, Self::Plan, Self::DenyPolicy];

    /// The kind's number in the database.
    pub fn number(self) -> i64 {
        i64::from(self as u8)
    }

    /// The kind with this number.
    pub fn from_number(number: i64) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.number() == number).ok_or(Error::Damaged("an unknown kind"))
    }

    /// The kind's word in messages, without an article.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Application => "application",
            Self::Key => "key",
            Self::Subscription => "subscription",
            Self::Plan => "plan",
            Self::DenyPolicy => "deny policy",
        }
    }

    /// The list's name in a page, and the column of its count.
    pub fn list(self) -> &'static str {
        match self {
            Self::Api => "apis",
            Self::Application => "applications",
            Self::Key => "keys",
            Self::Subscription => "subscriptions",
            Self::Plan => "plans",
            Self::DenyPolicy => "deny_policies",
        }
    }
}
