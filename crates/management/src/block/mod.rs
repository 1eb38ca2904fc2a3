//! Blocking and unblocking, for every kind of object that can be blocked.
//!
//! Only these two functions change a block, and the block's own end ([`crate::due`]). [`Resource::fill_defaults`] keeps a
//! block through every other change.

mod record;
mod word;

pub use self::{
    record::{Before, Order, Record},
    word::Block,
};

use super::{
    access,
    error::Error,
    resource::{Resource, put},
};
use crate::port::{
    Act, Transaction, Version,
    audit::{Action, Deed},
};

/// An object that can be blocked. If it is deleted while it is blocked, its block stays (a "kept block").
pub trait Blockable: Resource + PartialEq {
    /// Whether this is only the kept block of a deleted object.
    fn is_kept(&self) -> bool;
    /// The same object with the block that `order` asks for. If it has that block already, nothing changes.
    fn blocked(self, order: &Order, act: &Act) -> Self;
    /// The same object without a block, a planned one included, in its state before the block.
    fn unblocked(self) -> Self;
}

/// Blocks the object with this id, or replaces its block as a whole.
pub async fn block<R: Blockable>(change: &mut dyn Transaction, id: &str, order: &Order) -> Result<R, Error> {
    let held = find::<R>(change, id).await?;
    order.check(change.act().now)?;
    let shown = R::shown(&held)?;
    let blocked = shown.clone().blocked(order, change.act());
    if blocked == shown {
        return Ok(shown);
    }
    change.record(Deed::of_row(Action::Block, R::KIND, id).because(order.reason.clone()));
    put(change, &held, &blocked).await?;
    Ok(blocked)
}

/// Ends any block, a planned one included. An object without a block does not change. The kept block of a deleted
/// object is removed.
pub async fn unblock<R: Blockable>(change: &mut dyn Transaction, id: &str, reason: Option<String>) -> Result<R, Error> {
    let held = find::<R>(change, id).await?;
    let shown = R::shown(&held)?;
    let unblocked = shown.clone().unblocked();
    if unblocked == shown {
        return Ok(shown);
    }
    change.record(Deed::of_row(Action::Unblock, R::KIND, id).because(reason));
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
