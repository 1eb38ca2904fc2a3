//! The part of the policy that a gateway sees.

use std::{collections::BTreeSet, sync::Arc};

/// The part of the policy that a gateway sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All rows.
    All,
    /// These APIs, and the applications, keys and subscriptions that reach them.
    Apis(Arc<BTreeSet<String>>),
}

impl Scope {
    /// Whether this API is in the scope.
    pub fn has(&self, api: &str) -> bool {
        match self {
            Self::All => true,
            Self::Apis(apis) => apis.contains(api),
        }
    }
}
