//! Which rows a gateway sees.

use std::{collections::BTreeSet, sync::Arc};

/// Which rows a gateway sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// These APIs, by their ids, and the applications, keys and subscriptions that reach them.
    Apis(Arc<BTreeSet<String>>),
}

impl Scope {
    /// Whether it has this API.
    pub fn has(&self, api: &str) -> bool {
        match self {
            Self::All => true,
            Self::Apis(apis) => apis.contains(api),
        }
    }
}
