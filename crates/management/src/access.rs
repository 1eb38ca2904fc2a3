//! Who sees which rows, and whose rows they may change.
//!
//! Publishers own APIs and plans. Subscribers own applications, with their keys and subscriptions. The other roles see
//! everything. A row without an owner is seen by those alone. Which role may do what at all is decided where routes are.

use super::error::Error;
use crate::port::{
    Actor, Kind, Principal, Role, Transaction, Version,
    sight::{Reach, Sight},
};

/// The state in which everybody with a role sees an API that has an owner.
const PUBLISHED: &str = "PUBLISHED";

/// The subject of an actor who sees only a part, and its role. `None`: the actor sees everything.
pub fn limited(actor: &Actor) -> Option<(&Principal, Owns)> {
    let Actor::Principal(principal) = actor else { return None };
    match principal.role {
        Role::Publisher => Some((principal, Owns::Apis)),
        Role::Subscriber => Some((principal, Owns::Applications)),
        Role::Administrator | Role::Operator | Role::Auditor => None,
    }
}

/// What a limited actor owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owns {
    /// APIs and plans.
    Apis,
    /// Applications, with their keys and subscriptions.
    Applications,
}

/// Which rows of `kind` an actor sees.
pub fn sight(actor: &Actor, kind: Kind) -> Sight {
    let Some((Principal { subject, .. }, owns)) = limited(actor) else { return Sight::All };
    let own = || Reach::Own(subject.clone());
    Sight::Only(match (owns, kind) {
        (Owns::Apis, Kind::Api) => vec![own(), Reach::OwnedIn(PUBLISHED)],
        (Owns::Applications, Kind::Api) => vec![Reach::OwnedIn(PUBLISHED)],
        (_, Kind::Plan) => vec![Reach::Owned],
        (Owns::Apis, Kind::Subscription) => vec![Reach::ToApisOf(subject.clone())],
        (Owns::Applications, Kind::Application | Kind::Key | Kind::Subscription) => vec![own()],
        (Owns::Apis, Kind::Application | Kind::Key) | (_, Kind::DenyPolicy) => Vec::new(),
    })
}

/// Which rows of usage an actor sees.
pub fn sight_of_usage(actor: &Actor) -> Sight {
    let Some((Principal { subject, .. }, owns)) = limited(actor) else { return Sight::All };
    Sight::Only(vec![match owns {
        Owns::Apis => Reach::ToApisOf(subject.clone()),
        Owns::Applications => Reach::Own(subject.clone()),
    }])
}

/// Whether the actor of a change sees a row that is there.
pub async fn sees(change: &mut dyn Transaction, kind: Kind, id: &str) -> Result<bool, Error> {
    match sight(&change.act().actor, kind) {
        Sight::All => Ok(true),
        sight => Ok(change.sees(kind, id, &sight).await?),
    }
}

/// The row with this id. What the actor does not see is not there.
pub async fn find(change: &mut dyn Transaction, kind: Kind, id: &str) -> Result<Version, Error> {
    let found = change.find(kind, id).await?.ok_or_else(|| Error::not_found(kind, id))?;
    if sees(change, kind, id).await? { Ok(found) } else { Err(Error::not_found(kind, id)) }
}

/// The row with this id, which the actor is about to change.
pub async fn find_own(change: &mut dyn Transaction, kind: Kind, id: &str) -> Result<Version, Error> {
    let found = find(change, kind, id).await?;
    // Of the other kinds, who is limited sees only own rows.
    if matches!(kind, Kind::Api | Kind::Plan)
        && let Some((Principal { subject, .. }, _)) = limited(&change.act().actor)
        && owner_beside(&found).as_deref() != Some(subject)
    {
        return Err(Error::forbidden(format!("this {} is another owner's", kind.noun())));
    }
    Ok(found)
}

/// Whom an API or a plan belongs to.
pub fn owner_beside(version: &Version) -> Option<String> {
    Some(beside(version, "owner")?.as_str()?.to_owned())
}

/// Fills in whom something belongs to that the actor makes or changes. Only an administrator says another owner.
pub fn claim(actor: &Actor, sent: &mut Option<String>, held: Option<&Option<String>>) -> Result<(), Error> {
    let Some((Principal { subject, .. }, _)) = limited(actor) else { return Ok(()) };
    if sent.as_ref().is_some_and(|owner| owner != subject) {
        return Err(Error::forbidden_in("owner", "only an administrator gives this to another owner"));
    }
    *sent = held.cloned().unwrap_or_else(|| Some(subject.clone()));
    Ok(())
}

/// The plans that an API offers.
pub fn plans_beside(api: &Version) -> Vec<String> {
    beside(api, "plans").and_then(|plans| serde_json::from_value(plans).ok()).unwrap_or_default()
}

/// Whether new subscriptions to an API wait for approval.
pub fn is_approved_by_hand(api: &Version) -> bool {
    beside(api, "approval").is_some_and(|approval| approval != "automatic")
}

/// A field that gateways do not know.
fn beside(version: &Version, field: &str) -> Option<serde_json::Value> {
    let mut beside: serde_json::Value = serde_json::from_str(version.beside.as_deref()?).ok()?;
    Some(beside.get_mut(field)?.take())
}
