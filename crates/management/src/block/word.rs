//! The words of blocks: what a block lets pass.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A block.
// Of two blocks, the stronger one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Block {
    /// Only requests with sandbox keys pass.
    ProdOnlyBlocked,
    /// Requests with either key type are denied.
    #[default]
    Blocked,
}

impl Block {
    /// The state's word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::ProdOnlyBlocked => "PROD_ONLY_BLOCKED",
        }
    }

    /// Parses the state's word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Blocked, Self::ProdOnlyBlocked].into_iter().find(|block| block.as_str() == text)
    }
}
