//! Objects that an import removes by name. An object stays if something belongs to it that is not removed before it, if it
//! is a deny policy, or if it is in use. Its block stays in any case.

use super::{
    bulk::Bulk,
    outcome::{Kept, add},
    replace::{BLOCK_STAYS, remove_held},
    row::Place,
};
use crate::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    error::Error,
    keys::Key,
    plans::Plan,
    port::{Kind, Transaction, Version, audit::Subject},
    resource::Resource,
    subscriptions::Subscription,
};

/// Objects that are removed between two looks at how long the change has taken.
const AT_ONCE: usize = 100;

/// An object that is to be removed.
#[derive(Debug)]
pub struct Removal {
    pub place: Place,
    pub kind: Kind,
    pub id: String,
}

/// Removes objects, in an order in which nothing is removed that others still name. Nothing is removed if a row was
/// refused.
pub async fn remove_named(bulk: &mut Bulk<'_>, removals: Vec<Removal>) -> Result<(), Error> {
    if bulk.has_refused() {
        return Ok(());
    }
    remove_of::<Subscription>(bulk, &removals).await?;
    remove_of::<Key>(bulk, &removals).await?;
    remove_of::<Application>(bulk, &removals).await?;
    remove_of::<DenyPolicy>(bulk, &removals).await?;
    remove_of::<Api>(bulk, &removals).await?;
    remove_of::<Plan>(bulk, &removals).await
}

async fn remove_of<R: Resource>(bulk: &mut Bulk<'_>, removals: &[Removal]) -> Result<(), Error> {
    let of_kind: Vec<&Removal> = removals.iter().filter(|removal| removal.kind == R::KIND).collect();
    for some in of_kind.chunks(AT_ONCE) {
        let (mut change, rows) = bulk.begun().await?;
        for removal in some {
            // What is gone needs no removal.
            let Some(held) = change.find(R::KIND, &removal.id).await? else { continue };
            let kept = remove_one::<R>(&mut *change, &held, bulk.lifts()).await?;
            let count = bulk.outcome().of(R::KIND);
            add(if kept.is_some() { &mut count.kept } else { &mut count.removed });
            if let Some((deleted, because)) = kept {
                let kind = Subject::Row(R::KIND).word();
                bulk.keep(removal.place, Kept { kind, id: removal.id.clone(), deleted, because });
            }
        }
        bulk.hold(change, rows.saturating_add(some.len())).await?;
    }
    Ok(())
}

/// Removes an object. Returns what stays: whether it is deleted nevertheless, and why.
async fn remove_one<R: Resource>(
    change: &mut dyn Transaction,
    held: &Version,
    lifts: bool,
) -> Result<Option<(bool, String)>, Error> {
    if held.kept_block.is_some() {
        return Ok(Some((true, BLOCK_STAYS.to_owned())));
    }
    if let Some(other) = belonging(change, held).await? {
        let (noun, id) = (other.kind.noun(), other.id);
        return Ok(Some((false, format!("{noun} {id:?} belongs to it, and is not removed"))));
    }
    remove_held::<R>(change, held, lifts).await
}

/// Something that would go with an object.
async fn belonging(change: &mut dyn Transaction, held: &Version) -> Result<Option<Version>, Error> {
    let below = match held.kind {
        Kind::Application => change.of_application(&held.id).await?,
        Kind::Api => change.of_api(&held.id).await?,
        Kind::Key | Kind::Subscription | Kind::Plan | Kind::DenyPolicy => Vec::new(),
    };
    Ok(below.into_iter().find(|other| other.kept_block.is_none()))
}
