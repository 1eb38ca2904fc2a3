//! APIs: the targets of requests.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    error::Error,
    keys::KeyType,
    object,
    resource::{Resource, plain_row},
    subscriptions::Subscription,
};
use crate::port::{
    Kind, NewRow, Transaction, Version,
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
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
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
    const FILTERS: &'static [&'static str] = &["state"];
    const STATES: &'static [&'static str] = &["CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"];
    const SORTS: &'static [(&'static str, Column)] = &[("name", Column::Name), ("state", Column::State)];
    const COMPARED: bool = true;

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn fill_defaults(&mut self, held: Option<&Self>) -> Result<(), Error> {
        self.etag = None;
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
        check::row::<wire::ApiRow<'_>, rows::Api>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        plain_row(self, self.id.clone().unwrap_or_default())
    }

    /// Rejects a second API with the same match, because gateways would send all requests to one of the two. Matches
    /// that the API had before are not checked, so an API that was stored in conflict with another can still be
    /// blocked.
    async fn check_beside(&self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        let document = |api: &Self| api.row().map(|row| row.document);
        let before = held.map(document).transpose()?.map_or_else(Vec::new, |document| places(&document));
        let mut new = places(&document(self)?);
        new.retain(|place| !before.contains(place));
        match change.api_at(&new, self.id.as_deref().unwrap_or_default()).await? {
            None => Ok(()),
            Some((other, place)) => Err(same_match(&other, &place)),
        }
    }

    /// Deletes the subscriptions to the API as well. Blocks stay, so that re-creating the API does not lift them. Keys
    /// that are bound to the API stay bound.
    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        let (mut blocked, mut others) = (Vec::new(), Vec::new());
        for subscription in change.of_api(&held.id).await? {
            let shown = Subscription::shown(&subscription)?;
            let stays = shown.deleted || shown.block().is_some();
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

fn same_match(other: &str, place: &Place) -> Error {
    let detail = format!("the API {other:?} already has the match {place}; a request can belong to only one API");
    Error::conflict_in("match", detail)
}
