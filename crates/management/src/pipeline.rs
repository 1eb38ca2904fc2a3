//! From a request body to a row: the order in which an object is completed, validated and stored.

use keygate::policy::{MAX_APIS, MAX_DENY_POLICIES, MAX_PLANS};

use super::{
    access,
    error::Error,
    resource::{Reference, Resource, is_just_so, new_id, put},
    review::review_plan,
};
use crate::port::{
    Kind, Transaction, Version,
    audit::{Action, Deed},
};

/// The result of storing an object.
#[derive(Debug)]
pub enum Outcome<R> {
    /// The object is new.
    Created(R),
    /// The object existed with the same content, or was changed in place.
    Held(R),
}

/// Who sends the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client; restrictions for new objects apply.
    Client,
    /// An import. Its rows passed the restrictions when they were made, and importing all rows must give the same
    /// policy.
    Import,
}

/// Creates an object. If the same object exists already, nothing changes.
pub async fn create<R: Resource>(
    change: &mut dyn Transaction,
    mut sent: R,
    origin: Origin,
) -> Result<Outcome<R>, Error> {
    let given = sent.id().is_some();
    let is_limited = access::limited(&change.act().actor).is_some();
    sent.claim(&change.act().actor, None)?;
    let id = sent.id().get_or_insert(new_id(change.act(), R::PREFIX)?).clone();
    sent.fill_defaults(change.act(), None)?;
    sent.validate()?;
    if is_limited {
        // Checked first, so that a conflict reveals nothing about objects that the actor does not see.
        check_references(change, &sent, &[]).await?;
    }
    if let Some(held) = find_same(change, &sent, given.then_some(id.as_str())).await? {
        if !access::sees(change, R::KIND, &held.id).await? {
            return Err(taken::<R>());
        }
        if !given {
            *sent.id() = Some(held.id.clone());
        }
        let mut restrained = sent.clone();
        restrained.restrain(change).await?;
        // The same object may have been created before the block that restrains it now, or after it.
        let shown = R::shown(&held)?;
        for mut sent in [sent, restrained] {
            sent.adopt(&shown);
            sent.derive_from_database(change, Some(&shown)).await?;
            if held.id == sent.row()?.id && is_just_so(&held, &sent)? {
                return Ok(Outcome::Held(sent));
            }
        }
        return Err(R::refuse_again(&held).unwrap_or_else(|| already_there::<R>(&held.id)));
    }
    check_references(change, &sent, &[]).await?;
    if origin == Origin::Client {
        sent.restrain(change).await?;
    }
    sent.derive_from_database(change, None).await?;
    change.record(Deed::of_row(Action::Create, R::KIND, &id));
    insert(change, sent).await.map(Outcome::Created)
}

/// Adds an object that the rules derived from another. Its id may be in use. Its references are not checked again.
pub async fn add<R: Resource>(change: &mut dyn Transaction, mut made: R) -> Result<R, Error> {
    let id = made.id().get_or_insert(new_id(change.act(), R::PREFIX)?).clone();
    made.fill_defaults(change.act(), None)?;
    made.validate()?;
    match find_same(change, &made, Some(&id)).await? {
        Some(held) if !access::sees(change, R::KIND, &held.id).await? => Err(taken::<R>()),
        Some(held) => Err(already_there::<R>(&held.id)),
        None => insert(change, made).await,
    }
}

async fn insert<R: Resource>(change: &mut dyn Transaction, complete: R) -> Result<R, Error> {
    check_room_for(change, R::KIND, 1)?;
    complete.check_beside(change, None).await?;
    change.insert(&complete.row()?).await?;
    Ok(complete)
}

/// Finds the row with the given id, or with the same name in the feed.
async fn find_same<R: Resource>(
    change: &mut dyn Transaction,
    sent: &R,
    given: Option<&str>,
) -> Result<Option<Version>, Error> {
    if let Some(id) = given
        && let Some(held) = change.find(R::KIND, id).await?
    {
        return Ok(Some(held));
    }
    Ok(change.find_identity(R::KIND, &sent.identity()).await?)
}

/// Replaces the object with this id.
pub async fn replace<R: Resource>(change: &mut dyn Transaction, id: &str, sent: R) -> Result<R, Error> {
    let held = access::find_own(change, R::KIND, id).await?;
    Ok(replace_held(change, &held, sent).await?.0)
}

/// Replaces `held`. The second value says whether that changed anything.
async fn replace_held<R: Resource>(
    change: &mut dyn Transaction,
    held: &Version,
    mut sent: R,
) -> Result<(R, bool), Error> {
    let id = held.id.as_str();
    if sent.id().get_or_insert(id.to_owned()) != id {
        return Err(Error::invalid("id", format!("expected {id:?}, or none: an id cannot be changed")));
    }
    let shown = R::shown(held)?;
    sent.claim(&change.act().actor, Some(&shown))?;
    sent.fill_defaults(change.act(), Some(&shown))?;
    sent.validate()?;
    sent.derive_from_database(change, Some(&shown)).await?;
    let is_other = !is_just_so(held, &sent)?;
    if is_other {
        // The object may keep the references that it had before, even if the actor does not see their targets now.
        check_references(change, &sent, &shown.references()).await?;
        sent.check_beside(change, Some(&shown)).await?;
    }
    change.record(Deed::of_row(Action::Replace, R::KIND, id));
    put(change, held, &sent).await?;
    if R::KIND == Kind::Plan {
        // A raised limit may end marks. A lowered limit may be reached now.
        review_plan(change, id).await?;
    }
    Ok((sent, is_other))
}

/// Deletes the object with this id and everything that belongs to it. Returns what has to stay.
pub async fn remove<R: Resource>(change: &mut dyn Transaction, id: &str) -> Result<Option<R>, Error> {
    let held = access::find_own(change, R::KIND, id).await?;
    change.record(Deed::of_row(Action::Delete, R::KIND, id));
    R::remove(change, &held).await
}

/// What became of a row of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Made,
    /// It replaced another version.
    Changed,
    /// It was there as it is.
    Unchanged,
}

/// Writes an object as an import has it, whether it exists or not.
pub async fn put_any<R: Resource>(change: &mut dyn Transaction, mut sent: R) -> Result<Put, Error> {
    let given = sent.id().clone();
    match find_same(change, &sent, given.as_deref()).await? {
        Some(held) => {
            let (_, is_other) = replace_held(change, &held, sent).await?;
            Ok(if is_other { Put::Changed } else { Put::Unchanged })
        }
        None => create(change, sent, Origin::Import).await.map(|_| Put::Made),
    }
}

/// The row that is there for `sent`: with its id, or with its name in the feed.
pub async fn find_held<R: Resource>(change: &mut dyn Transaction, sent: &mut R) -> Result<Option<Version>, Error> {
    let given = sent.id().clone();
    find_same(change, sent, given.as_deref()).await
}

async fn check_references<R: Resource>(
    change: &mut dyn Transaction,
    sent: &R,
    before: &[Reference],
) -> Result<(), Error> {
    let is_limited = access::limited(&change.act().actor).is_some();
    for reference in sent.references() {
        // Only the block of a deleted object exists.
        let found = change.find(reference.kind, &reference.id).await?.is_some_and(|held| held.kept_block.is_none());
        if !is_limited {
            if found { continue } else { return Err(reference.missing()) }
        }
        let was_named = before.iter().any(|other| (other.kind, &other.id) == (reference.kind, &reference.id));
        let may_name = was_named || reference.is_offered || access::sees(change, reference.kind, &reference.id).await?;
        if !(found && may_name) {
            return Err(Error::not_found_in(&reference.field, reference.kind, &reference.id));
        }
    }
    Ok(())
}

/// An object that the actor does not see has this id, or this name in the feed.
fn taken<R: Resource>() -> Error {
    Error::conflict(format!("this id is taken, or this {} is there already; choose another", R::KIND.noun()))
}

fn already_there<R: Resource>(id: &str) -> Error {
    Error::conflict(format!(
        "another {noun} with the id {id:?} exists already; choose another id, or change that {noun} (PUT {path}/{{id}})",
        noun = R::KIND.noun(),
        path = R::PATH
    ))
}

/// Checks that `more` objects fit. The filter holds objects of this kind decoded and rejects a policy with too many.
pub fn check_room_for(change: &dyn Transaction, kind: Kind, more: usize) -> Result<(), Error> {
    let most = match kind {
        Kind::Api => MAX_APIS,
        Kind::Plan => MAX_PLANS,
        Kind::DenyPolicy => MAX_DENY_POLICIES,
        Kind::Application | Kind::Key | Kind::Subscription => return Ok(()),
    };
    if usize::try_from(change.count(kind)).is_ok_and(|count| count.saturating_add(more) <= most) {
        return Ok(());
    }
    Err(Error::conflict(format!("a gateway takes at most {most} {}", kind.list())))
}
