//! The end of an import that replaces: what it does not name is removed, as far as no block is lost by that.

use super::{bulk::Bulk, outcome::add};
use crate::{
    apis::Api,
    applications::Application,
    block,
    deny_policies::DenyPolicy,
    error::Error,
    keys::Key,
    plans::Plan,
    port::{
        Kind, Transaction, Version,
        list::{Column, Filter, Sort},
    },
    resource::Resource,
    subscriptions::Subscription,
};

/// Why a block stays.
pub(super) const BLOCK_STAYS: &str = "it was deleted while it was blocked, and its block stays";

/// Rows that are looked at at once.
const PAGE: u32 = 1_000;

/// Removes what the import does not name, in an order in which nothing is removed that others still name.
pub async fn remove_others(bulk: &mut Bulk<'_>) -> Result<(), Error> {
    remove::<Subscription>(bulk).await?;
    remove::<Key>(bulk).await?;
    remove::<Application>(bulk).await?;
    remove::<DenyPolicy>(bulk).await?;
    remove::<Api>(bulk).await?;
    remove::<Plan>(bulk).await
}

async fn remove<R: Resource>(bulk: &mut Bulk<'_>) -> Result<(), Error> {
    let sort = Sort { column: Column::Id, descending: false };
    let mut after = None;
    loop {
        let page = bulk.store().list(R::KIND, &Filter::default(), sort, after.as_ref(), PAGE).await?;
        let (mut change, mut rows) = bulk.begun().await?;
        for version in page.rows {
            if bulk.has_named(R::KIND, &R::shown(&version)?.identity()) {
                continue;
            }
            // It may have gone meanwhile, with its application or its API.
            let Some(held) = change.find(R::KIND, &version.id).await? else { continue };
            let kept = remove_one::<R>(&mut *change, &held, bulk.lifts()).await?;
            let outcome = bulk.outcome();
            let count = outcome.of(R::KIND);
            add(if kept.is_some() { &mut count.kept } else { &mut count.removed });
            outcome.name(R::KIND, &held.id, kept);
            rows = rows.saturating_add(1);
        }
        bulk.hold(change, rows).await?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Removes a row. Returns why it stays, if it does.
async fn remove_one<R: Resource>(
    change: &mut dyn Transaction,
    held: &Version,
    lifts: bool,
) -> Result<Option<String>, Error> {
    if held.kept_block.is_some() {
        if !lifts {
            return Ok(Some("it is the block of something that was deleted; lift_blocks removes it".to_owned()));
        }
        match R::KIND {
            Kind::Application => drop(block::unblock::<Application>(change, &held.id, None).await?),
            _ => drop(block::unblock::<Subscription>(change, &held.id, None).await?),
        }
        return Ok(None);
    }
    Ok(remove_held::<R>(change, held, lifts).await?.map(|(_, because)| because))
}

/// Removes an object that is no kept block. Returns what stays: whether it is deleted nevertheless, and why.
pub(super) async fn remove_held<R: Resource>(
    change: &mut dyn Transaction,
    held: &Version,
    lifts: bool,
) -> Result<Option<(bool, String)>, Error> {
    if R::KIND == Kind::DenyPolicy && !lifts {
        return Ok(Some((false, "a deny policy stays; lift_blocks removes it".to_owned())));
    }
    match R::remove(change, held).await {
        Ok(None) => Ok(None),
        Ok(Some(_)) => Ok(Some((true, BLOCK_STAYS.to_owned()))),
        // A plan in use.
        Err(error) if error.is_refusal() => Ok(Some((false, error.to_string()))),
        Err(error) => Err(error),
    }
}
