//! APIs: the targets of requests.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access, check,
    error::Error,
    keys::KeyType,
    object,
    resource::{Reference, Resource, damaged, document, plain_row, stored},
    subscriptions::Subscription,
};
use crate::port::{
    Act, Actor, Kind, NewRow, Principal, Transaction, Version,
    list::Column,
    places::{Place, places},
};

/// An API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A version for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// PUBLISHED unless given.
    #[serde(default)]
    pub state: Option<ApiState>,
    /// The requests that belong to the API. Without matches, only a gateway that is configured with the API's id finds
    /// it.
    #[serde(rename = "match", default, deserialize_with = "object::objects", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<Match>>,
    /// `api_key` unless given.
    #[serde(default)]
    pub security: Option<Security>,
    /// Whether an application needs a subscription; true unless given.
    #[serde(default)]
    pub subscription_required: Option<bool>,
    /// Key types for which the API has an endpoint. If absent, any type; if empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<KeyType>>,
    /// The owner. A caller who creates an API without being an administrator owns it. Only administrators, operators
    /// and auditors see an API without an owner. Gateways do not get this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Ids of the plans from which subscribers choose. If absent or empty, they subscribe without a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plans: Option<Vec<String>>,
    /// Whether new subscriptions wait for approval; `automatic` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// Whether new subscriptions wait for approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// New subscriptions let requests pass at once.
    Automatic,
    /// New subscriptions are ON_HOLD until the publisher approves them.
    Manual,
}

/// The fields of an API that gateways do not get.
#[derive(Default, Serialize, Deserialize)]
struct Beside {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plans: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// The lifecycle of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApiState {
    /// Requests do not find it yet.
    Created,
    /// Serves requests.
    Prototyped,
    /// Serves requests.
    Published,
    /// Answers 503 to everyone.
    Blocked,
    /// Serves requests.
    Deprecated,
    /// Requests do not find it any more.
    Retired,
}

/// The credential that an API requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// An API key.
    ApiKey,
    /// No credential.
    None,
}

/// A set of requests that belong to an API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Host names, or `*.` and a domain; any host unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// The beginning of the path, such as `/payments/1.0`.
    pub path: String,
}

impl Resource for Api {
    const KIND: Kind = Kind::Api;
    const PREFIX: &'static str = "api-";
    const PATH: &'static str = "/v1/apis";
    const FILTERS: &'static [&'static str] = &["state", "owner"];
    const STATES: &'static [&'static str] = &["CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"];
    const CLOSED: &'static str = "RETIRED";
    const SORTS: &'static [(&'static str, Column)] =
        &[("name", Column::Name), ("owner", Column::Owner), ("state", Column::State)];
    const COMPARED: bool = true;

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn claim(&mut self, actor: &Actor, held: Option<&Self>) -> Result<(), Error> {
        access::claim(actor, &mut self.owner, held.map(|held| &held.owner))
    }

    /// Missing fields that gateways do not get keep their stored values, because imported pages do not have them.
    fn fill_defaults(&mut self, _: &Act, held: Option<&Self>) -> Result<(), Error> {
        self.etag = None;
        self.owner = self.owner.take().or_else(|| held?.owner.clone());
        self.plans = self.plans.take().or_else(|| held?.plans.clone());
        self.approval = self.approval.or(held.and_then(|held| held.approval));
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(ApiState::Published));
        self.security = self.security.or(Some(Security::ApiKey));
        self.subscription_required = self.subscription_required.or(Some(true));
        Ok(())
    }

    fn validate(&self) -> Result<(), Error> {
        for (place, entry) in self.matches.iter().flatten().enumerate() {
            check::hosts(&format!("match[{place}].hosts"), entry.hosts.as_deref())?;
            check::prefix(&format!("match[{place}].path"), &entry.path)?;
        }
        self.owner.as_ref().map_or(Ok(()), |owner| check::text("owner", owner))?;
        check::ids("plans", self.plans.as_deref())?;
        check::row::<wire::ApiRow<'_>, rows::Api>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        let Self { owner, plans, approval, .. } = self.clone();
        let fed = Self { owner: None, plans: None, approval: None, ..self.clone() };
        let has_more = owner.is_some() || plans.is_some() || approval.is_some();
        let beside = has_more.then_some(Beside { owner, plans, approval });
        let row = plain_row(&fed, self.id.clone().unwrap_or_default())?;
        Ok(NewRow { beside: beside.as_ref().map(document).transpose()?, ..row })
    }

    fn shown(version: &Version) -> Result<Self, Error> {
        let shown: Self = stored(version, Self::STATES, Self::CLOSED)?;
        let beside = version.beside.as_deref().map(serde_json::from_str).transpose().map_err(|_| damaged())?;
        let Beside { owner, plans, approval } = beside.unwrap_or_default();
        Ok(Self { owner, plans, approval, ..shown })
    }

    fn references(&self) -> Vec<Reference> {
        let plans = self.plans.iter().flatten().enumerate();
        plans.map(|(place, id)| Reference::new(format!("plans[{place}]"), Kind::Plan, id)).collect()
    }

    /// Rejects a second API with the same match, because gateways would send all requests to one of the two. Matches
    /// that the API had before are not checked, so an API that was stored in conflict with another can still be
    /// blocked.
    async fn check_beside(&self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        let row = |api: &Self| api.row().map(|row| row.document);
        let before = held.map(row).transpose()?.map_or_else(Vec::new, |row| places(&row));
        let mut new = places(&row(self)?);
        new.retain(|place| !before.contains(place));
        if let Some((other, place)) = change.api_at(&new, self.id.as_deref().unwrap_or_default()).await? {
            return Err(same_match(&other, &place, access::sees(change, Kind::Api, &other).await?));
        }
        self.check_others(change, &new).await
    }

    /// Rejects the id of a deleted API while blocks of its subscriptions stay, because nobody knows whose it was. A publisher
    /// would see, and could lift, what another one has blocked.
    async fn restrain(&mut self, change: &mut dyn Transaction) -> Result<(), Error> {
        let is_limited = access::limited(&change.act().actor).is_some();
        let rows = if is_limited { change.of_api(self.id.as_deref().unwrap_or_default()).await? } else { Vec::new() };
        if rows.iter().all(|row| row.kept_block.is_none()) {
            return Ok(());
        }
        let detail =
            "blocks of subscriptions stay under this id; choose another, or ask an administrator to make the API";
        Err(Error::conflict_in("id", detail))
    }

    /// Deletes the subscriptions to the API as well. Blocks stay, so that re-creating the API does not lift them. Keys
    /// that are bound to the API stay bound.
    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        let (mut blocked, mut others) = (Vec::new(), Vec::new());
        for subscription in change.of_api(&held.id).await? {
            let shown = Subscription::shown(&subscription)?;
            let stays = shown.deleted || shown.is_blocked();
            if stays { blocked.push(subscription) } else { others.push(subscription) }
        }
        // Nearly all of them are not blocked, and one API may have tens of thousands.
        change.remove_all(&others).await?;
        for subscription in blocked {
            Subscription::remove(change, &subscription).await?;
        }
        Ok(change.remove(held).await.map(|()| None)?)
    }
}

impl Api {
    /// Rejects a match by which a publisher would take requests from another owner's API, including a match inside
    /// another one. Rows without an owner belong to the administrators.
    async fn check_others(&self, change: &mut dyn Transaction, new: &[Place]) -> Result<(), Error> {
        let Some((Principal { subject, .. }, _)) = access::limited(&change.act().actor) else { return Ok(()) };
        if new.is_empty() {
            return Ok(());
        }
        for (other, place) in change.places_of_others(&subject.clone()).await? {
            let Some(taking) = new.iter().find(|new| new.takes_from(&place)) else { continue };
            let detail = if access::sees(change, Kind::Api, &other).await? {
                format!(
                    "requests to {taking} are requests to the API {other:?} of another owner; an administrator may do this"
                )
            } else {
                format!("requests to {taking} are requests to an API of another owner; an administrator may do this")
            };
            return Err(Error::conflict_in("match", detail));
        }
        Ok(())
    }
}

/// The error names the other API only to callers who see it, and the match to everyone.
fn same_match(other: &str, place: &Place, is_seen: bool) -> Error {
    let other = if is_seen { format!("the API {other:?}") } else { "another API".to_owned() };
    let detail = format!("{other} already has the match {place}; a request can belong to only one API");
    Error::conflict_in("match", detail)
}
