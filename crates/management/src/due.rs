//! Begins and ends the blocks whose time has come, as changes of the service.
//!
//! Gateways begin and end blocks by themselves. Here the rows follow, so that clients and readers of `state` alone see
//! what holds. A change takes what is due inside its transaction, so of several services exactly one makes it. Nothing
//! here reads a clock: `now` is the change's.

use super::{error::Error, resource::Resource as _, subscriptions::Subscription};
use crate::port::{
    Kind, Transaction,
    audit::{Action, Deed},
};

/// Up to so many blocks that are due at once have a change each, so that each has a revision and an entry in the audit log
/// by itself.
const MAX_DUE_ALONE: usize = 16;
/// Rows of one change, if more are due. At some 0.1 ms each, it holds the writer for 50 ms.
const MAX_DUE_TOGETHER: usize = 500;

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// `block` for a beginning, `end` for an end.
    pub action: Action,
    /// The first subscription.
    pub id: String,
    /// The number of subscriptions.
    pub rows: usize,
}

/// Writes rows whose block begins or ends by now, some of one action. `None` if none is due.
pub async fn pass(change: &mut dyn Transaction) -> Result<Option<Passed>, Error> {
    let now = change.act().now;
    let found = change.due(now, MAX_DUE_TOGETHER).await?;
    // A row that cannot be read must not keep the others from their turn.
    let readable = found.iter().filter_map(|held| Some((held, Subscription::shown(held).ok()?.passed(now))));
    let most = if found.len() <= MAX_DUE_ALONE { 1 } else { MAX_DUE_TOGETHER };
    let mut done: Option<Passed> = None;
    for (held, passed) in readable.take(most) {
        let action = if passed.record.is_some() { Action::Block } else { Action::End };
        match &mut done {
            Some(done) if done.action != action => continue,
            Some(done) => done.rows = done.rows.saturating_add(1),
            None => {
                let reason = passed.record.as_ref().and_then(|record| record.reason.clone());
                change.record(Deed::of_row(action, Kind::Subscription, &held.id).because(reason));
                done = Some(Passed { action, id: held.id.clone(), rows: 1 });
            }
        }
        if passed.deleted && passed.record.is_none() {
            change.remove(held).await?;
        } else {
            change.replace(held, &passed.row()?).await?;
        }
    }
    Ok(done)
}
