//! Blocking and unblocking, the same for everything that can be blocked.
//!
//! Only these two functions change a block. [`Resource::fill_defaults`] keeps other changes from doing so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
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
    /// Neither key type passes.
    #[default]
    Blocked,
    /// Only sandbox keys pass.
    ProdOnlyBlocked,
}

impl Block {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::ProdOnlyBlocked => "PROD_ONLY_BLOCKED",
        }
    }

    /// The block that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Blocked, Self::ProdOnlyBlocked].into_iter().find(|block| block.as_str() == text)
    }
}

/// What can be blocked, and stays as a kept block when it is deleted meanwhile.
pub trait Blockable: Resource + PartialEq {
    /// It was deleted, and only its block is there.
    fn is_kept(&self) -> bool;
    /// The same under this block.
    fn blocked(self, block: Block) -> Self;
    /// The same without a block, as it was before.
    fn unblocked(self) -> Self;
}

/// Blocks the thing with this id, or changes its block.
pub async fn block<R: Blockable>(change: &mut dyn Transaction, id: &str, block: Block) -> Result<R, Error> {
    let held = find::<R>(change, id).await?;
    let blocked = R::shown(&held)?.blocked(block);
    change.record(Deed::of_row(Action::Block, R::KIND, id));
    put(change, &held, &blocked).await?;
    Ok(blocked)
}

/// Ends any block. Without a block it changes nothing. The kept block of a deleted thing is removed.
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
    change.find(R::KIND, id).await?.ok_or_else(|| Error::not_found(R::KIND, id))
}
