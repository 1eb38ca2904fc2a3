//! Names of the lists of a page. The rows of the long lists are processed in slices; the rows of the small lists are
//! read with the page. Other files define what a row contains.

use super::{MAX_APIS, MAX_DENY_POLICIES, MAX_PLANS};

/// A long list.
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
    /// The list's name in the page.
    pub fn list(self) -> &'static str {
        match self {
            Self::Application => "applications",
            Self::Key => "keys",
            Self::Subscription => "subscriptions",
        }
    }
}

/// A small list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueList {
    /// `apis`.
    Apis,
    /// `plans`.
    Plans,
    /// `deny_policies`.
    DenyPolicies,
}

impl CatalogueList {
    /// The list's name in the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apis => "apis",
            Self::Plans => "plans",
            Self::DenyPolicies => "deny_policies",
        }
    }

    /// Maximum number of rows.
    pub fn limit(self) -> usize {
        match self {
            Self::Apis => MAX_APIS,
            Self::Plans => MAX_PLANS,
            Self::DenyPolicies => MAX_DENY_POLICIES,
        }
    }
}
