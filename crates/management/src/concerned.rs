//! What a block would concern, without making it.
//!
//! The keys are those that the block would refuse now: a key that is revoked, expired, not yet valid or bound to other
//! APIs is refused without it. The requests are those that were allowed in the last day. Usage does not tell key types, so
//! a block of production keys counts the requests of sandbox keys, too.

use serde::Serialize;

use super::{
    block::{Block, Blockable, Order},
    error::Error,
    limited::Limited,
};
use crate::port::{Database, Kind, concerned::Concerned};

/// A day, in seconds.
const DAY: i64 = 86_400;

/// What a block would concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Applications: 1, or 0 if only the kept block of a deleted object is left.
    pub applications: i64,
    /// Keys that the block would refuse now.
    pub keys: i64,
    /// Requests that gateways have reported as allowed, of the hours that began in the last 24.
    pub requests_last_day: i64,
}

/// Counts what this block of an object would concern at a time, in Unix seconds.
pub async fn preview<R: Blockable + Limited>(
    store: &dyn Database,
    object: &R,
    order: &Order,
    now: i64,
) -> Result<Preview, Error> {
    let pair = object.pair();
    let of = Concerned {
        application: pair.application,
        api: Some(pair.api).filter(|api| !api.is_empty()),
        production_only: R::KIND == Kind::Subscription && order.state == Block::ProdOnlyBlocked,
        now,
        since: now.saturating_sub(DAY),
    };
    let counted = store.concerned(&of).await?;
    let is_there = !object.is_kept();
    Ok(Preview {
        applications: i64::from(is_there),
        keys: if is_there { counted.keys } else { 0 },
        requests_last_day: counted.requests,
    })
}
