//! Deny policies: requests that are denied whatever their key allows.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    error::Error,
    resource::{Resource, document, plain_row},
};
use crate::port::{Act, Actor, Database, Kind, NewRow, Transaction, list::Column, target::target};

/// A deny policy. It may name an object that does not exist yet; `applies` is then false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyPolicy {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// The type of `value`.
    #[serde(rename = "type")]
    pub target: DenyType,
    /// An address, a range such as `198.51.100.0/24`, or an id.
    pub value: String,
    /// If true, denies everything except the value; false unless given.
    #[serde(default)]
    pub invert: Option<bool>,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
    /// Whether the API, application or owner that it names exists; true for addresses. The service ignores what a
    /// client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub applies: Option<bool>,
}

/// The type of a deny policy's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DenyType {
    /// An address.
    Ip,
    /// A range of addresses.
    IpRange,
    /// The id of an application.
    Application,
    /// The id of an API.
    Api,
    /// The owner of applications.
    User,
}

impl Resource for DenyPolicy {
    const KIND: Kind = Kind::DenyPolicy;
    const PREFIX: &'static str = "deny-";
    const PATH: &'static str = "/v1/deny-policies";
    const FILTERS: &'static [&'static str] = &["type"];
    const TYPES: &'static [&'static str] = &["IP", "IP_RANGE", "APPLICATION", "API", "USER"];
    const SORTS: &'static [(&'static str, Column)] = &[("type", Column::Type)];
    const COMPARED: bool = true;

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn fill_defaults(&mut self, _: &Act, _: Option<&Self>) -> Result<(), Error> {
        self.etag = None;
        self.applies = None;
        self.invert = self.invert.or(Some(false));
        Ok(())
    }

    fn validate(&self) -> Result<(), Error> {
        check::row::<wire::DenyPolicyRow<'_>, rows::DenyPolicy>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        plain_row(self, self.id.clone().unwrap_or_default())
    }

    async fn add_to_view(store: &dyn Database, _: &Actor, items: &mut [Self]) -> Result<(), Error> {
        let documents = items.iter().map(document).collect::<Result<Vec<_>, _>>()?;
        for (item, applies) in items.iter_mut().zip(store.applies(&documents).await?) {
            item.applies = Some(applies);
        }
        Ok(())
    }

    /// Rejects a second deny policy with the same type and value. Otherwise an administrator who deletes one of the two
    /// would think that nothing is denied any more.
    async fn check_beside(&self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        let target = |policy: &Self| Ok::<_, Error>(target(&policy.row()?.document));
        let Some(new) = target(self)? else { return Ok(()) };
        if held.map(target).transpose()?.flatten().is_some_and(|before| before == new) {
            return Ok(());
        }
        match change.denied_by(&new, self.id.as_deref().unwrap_or_default()).await? {
            None => Ok(()),
            Some(other) => {
                let detail =
                    format!("the deny policy {other:?} has the same type and value already; change or delete that one");
                Err(Error::conflict_in("value", detail))
            }
        }
    }
}
