//! Blocks that an import has without their objects. They are written as blocked objects, and those are deleted when all that
//! they name is there.

use super::{bulk::Bulk, row::KeptBlock};
use crate::{
    applications::Application,
    error::Error,
    pipeline::remove,
    port::{Kind, Transaction},
    resource::Resource as _,
    subscriptions::Subscription,
};

/// Deletes what stays only as a block: subscriptions before the applications whose deletion would take them along.
pub async fn end_kept(bulk: &mut Bulk<'_>) -> Result<(), Error> {
    let mut kept = bulk.take_kept();
    for kind in [Kind::Subscription, Kind::Application] {
        for KeptBlock { id, owner, .. } in kept.extract_if(.., |kept| kept.kind == kind) {
            let (mut change, before) = bulk.begun().await?;
            match kind {
                Kind::Application => drop(remove::<Application>(&mut *change, &id).await?),
                _ => keep_subscription(&mut *change, &id, owner).await?,
            }
            bulk.hold(change, before.saturating_add(1)).await?;
        }
    }
    Ok(())
}

/// Deletes a blocked subscription. Its block concerns `owner`, or the present owner of its application.
async fn keep_subscription(change: &mut dyn Transaction, id: &str, owner: Option<String>) -> Result<(), Error> {
    let Some(kept) = remove::<Subscription>(change, id).await? else { return Ok(()) };
    match (owner, change.find(Kind::Subscription, id).await?) {
        (Some(owner), Some(held)) => {
            Ok(change.replace(&held, &Subscription { kept_owner: Some(owner), ..kept }.row()?).await?)
        }
        _ => Ok(()),
    }
}
