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
const FEW: usize = 16;
/// Rows of one change, if more are due. At some 0.1 ms each, it holds the writer for 50 ms.
const MANY: usize = 500;

/// Writes rows whose block begins or ends by now, some of one action. Returns their number; 0 if none is due.
pub async fn pass(change: &mut dyn Transaction) -> Result<usize, Error> {
    let now = change.act().now;
    let found = change.due(now, MANY).await?;
    // A row that cannot be read must not keep the others from their turn.
    let readable = found.iter().filter_map(|held| Some((held, Subscription::shown(held).ok()?.passed(now))));
    let most = if found.len() <= FEW { 1 } else { MANY };
    let mut action = None;
    let mut written = 0_usize;
    for (held, passed) in readable.take(most) {
        let what = if passed.record.is_some() { Action::Block } else { Action::End };
        if *action.get_or_insert(what) != what {
            continue;
        }
        if written == 0 {
            let reason = passed.record.as_ref().and_then(|record| record.reason.clone());
            change.record(Deed::of_row(what, Kind::Subscription, &held.id).because(reason));
        }
        if passed.deleted && passed.record.is_none() {
            change.remove(held).await?;
        } else {
            change.replace(held, &passed.row()?).await?;
        }
        written = written.saturating_add(1);
    }
    Ok(written)
}
