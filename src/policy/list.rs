//! The lists of a page, by name: the long ones, whose rows are worked through in slices, and the small ones, whose rows are
//! read with the page. What a row holds is said elsewhere.

use super::{MAX_APIS, MAX_DENY_POLICIES, MAX_PLANS};

/// Which long list a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// `applications`.
    Application,
    /// `keys`.
    Key,
    /// `subscriptions`.
    Subscription,
}

impl RowKind {
    /// Its name in the page.
    pub fn list(self) -> &'static str {
        match self {
            Self::Application => "applications",
            Self::Key => "keys",
            Self::Subscription => "subscriptions",
        }
    }
}

/// Which small list a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmallList {
    /// `apis`.
    Apis,
    /// `plans`.
    Plans,
    /// `deny_policies`.
    DenyPolicies,
}

impl SmallList {
    /// Its name in the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apis => "apis",
            Self::Plans => "plans",
            Self::DenyPolicies => "deny_policies",
        }
    }

    /// How many rows it may have.
    pub fn limit(self) -> usize {
        match self {
            Self::Apis => MAX_APIS,
            Self::Plans => MAX_PLANS,
            Self::DenyPolicies => MAX_DENY_POLICIES,
        }
    }
}
