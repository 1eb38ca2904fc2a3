//! Approves and rejects subscriptions to APIs whose publisher decides about each subscription.
//!
//! A subscription waits as ON_HOLD. If it is blocked meanwhile, the decision sets the state that it gets when the block
//! ends.

use super::{
    access,
    error::Error,
    resource::{Resource as _, put},
    subscriptions::{Subscription, SubscriptionState},
};
use crate::port::{
    Kind, Transaction,
    audit::{Action, Deed},
};

/// Approves a subscription: it is UNBLOCKED now, or when its block ends. An approved subscription does not change.
pub async fn approve(change: &mut dyn Transaction, id: &str, reason: Option<String>) -> Result<Subscription, Error> {
    decide(change, id, Action::Approve, SubscriptionState::Unblocked, reason).await
}

/// Rejects a waiting subscription. A rejected subscription does not change.
pub async fn reject(change: &mut dyn Transaction, id: &str, reason: Option<String>) -> Result<Subscription, Error> {
    decide(change, id, Action::Reject, SubscriptionState::Rejected, reason).await
}

async fn decide(
    change: &mut dyn Transaction,
    id: &str,
    action: Action,
    decided: SubscriptionState,
    reason: Option<String>,
) -> Result<Subscription, Error> {
    let held = access::find_own(change, Kind::Subscription, id).await?;
    let shown = Subscription::shown(&held)?;
    if shown.deleted {
        return Err(Error::not_found(Kind::Subscription, id));
    }
    let now = match shown.block() {
        Some(_) => shown.before().unwrap_or(SubscriptionState::Unblocked),
        None => shown.state.unwrap_or(SubscriptionState::Unblocked),
    };
    if now == decided {
        return Ok(shown);
    }
    let waits = matches!(now, SubscriptionState::OnHold)
        || (action == Action::Approve && matches!(now, SubscriptionState::Rejected));
    if !waits {
        return Err(Error::conflict("this subscription does not wait for approval; block it to stop its requests"));
    }
    let after = match shown.block() {
        Some(_) => shown.with_before(decided),
        None => Subscription { state: Some(decided), ..shown },
    };
    change.record(Deed::of_row(action, Kind::Subscription, id).because(reason));
    put_decided(change, &held, &after).await?;
    Ok(after)
}

/// The feed shows a blocked subscription as before, so its document does not reveal the change.
async fn put_decided(
    change: &mut dyn Transaction,
    held: &crate::port::Version,
    after: &Subscription,
) -> Result<(), Error> {
    let row = after.row()?;
    if row.state_before == held.state_before {
        return put(change, held, after).await;
    }
    Ok(change.replace(held, &row).await?)
}
