//! Blocking and unblocking, for every kind of object that can be blocked.
//!
//! Only these two functions change a block. [`Resource::fill_defaults`] keeps a block through every other change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access,
    error::Error,
    resource::{Resource, put},
};
use crate::port::{
    Transaction, Version,
    audit::{Action, Deed},
};

/// A block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Block {
    /// Requests with either key type are denied.
    #[default]
    Blocked,
    /// Only requests with sandbox keys pass.
    ProdOnlyBlocked,
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

/// An object that can be blocked. If it is deleted while it is blocked, its block stays (a "kept block").
pub trait Blockable: Resource + PartialEq {
    /// Whether this is only the kept block of a deleted object.
    fn is_kept(&self) -> bool;
    /// The same object with this block.
    fn blocked(self, block: Block) -> Self;
    /// The same object without a block, in its state before the block.
    fn unblocked(self) -> Self;
}

/// Blocks the object with this id, or changes its block.
pub async fn block<R: Blockable>(change: &mut dyn Transaction, id: &str, block: Block) -> Result<R, Error> {
    let held = find::<R>(change, id).await?;
    let blocked = R::shown(&held)?.blocked(block);
    change.record(Deed::of_row(Action::Block, R::KIND, id));
    put(change, &held, &blocked).await?;
    Ok(blocked)
}

/// Ends any block. An object without a block does not change. The kept block of a deleted object is removed.
pub async fn unblock<R: Blockable>(change: &mut dyn Transaction, id: &str) -> Result<R, Error> {
    let held = find::<R>(change, id).await?;
    let shown = R::shown(&held)?;
    let unblocked = shown.clone().unblocked();
    if unblocked == shown {
        return Ok(shown);
    }
    change.record(Deed::of_row(Action::Unblock, R::KIND, id));
    if unblocked.is_kept() {
        change.remove(&held).await?;
    } else {
        put(change, &held, &unblocked).await?;
    }
    Ok(unblocked)
}

async fn find<R: Blockable>(change: &mut dyn Transaction, id: &str) -> Result<Version, Error> {
    access::find_own(change, R::KIND, id).await
}
