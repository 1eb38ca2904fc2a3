//! Plans: limits on requests, and allowed operations.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access, check,
    error::Error,
    object,
    resource::{Resource, damaged, plain_row},
};
use crate::port::{Act, Actor, Kind, NewRow, Transaction, Version, list::Column};

/// A usage plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// Numbers of requests per day, month and so on.
    #[serde(default, deserialize_with = "object::objects", skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<Limit>>,
    /// A further limit, for a short window. It always denies requests when it is reached.
    #[serde(default, deserialize_with = "object::object", skip_serializing_if = "Option::is_none")]
    pub burst: Option<Limit>,
    /// Whether a limit that is reached denies requests; true unless given.
    #[serde(default)]
    pub stop_on_quota_reach: Option<bool>,
    /// The only operations that the plan allows. If absent, any; if empty, none.
    #[serde(default, deserialize_with = "object::objects", skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// The owner. A caller who creates a plan without being an administrator owns it. Only administrators, operators
    /// and auditors see a plan without an owner. Gateways do not get this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// A number of requests in each window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Number of requests, at least 1.
    pub requests: u64,
    /// The window, in UTC.
    pub per: Unit,
}

/// A window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
}

/// Requests by method and path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Methods in capitals; any unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Relative to the API's path: `*` is one segment, `**` any rest.
    pub path: String,
}

impl Resource for Plan {
    const KIND: Kind = Kind::Plan;
    const PREFIX: &'static str = "plan-";
    const PATH: &'static str = "/v1/plans";
    const FILTERS: &'static [&'static str] = &["owner"];
    const SORTS: &'static [(&'static str, Column)] = &[("owner", Column::Owner)];

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn claim(&mut self, actor: &Actor, held: Option<&Self>) -> Result<(), Error> {
        access::claim(actor, &mut self.owner, held.map(|held| &held.owner))
    }

    /// A missing owner keeps its stored value, because imported pages do not have it.
    fn fill_defaults(&mut self, _: &Act, held: Option<&Self>) -> Result<(), Error> {
        self.etag = None;
        self.owner = self.owner.take().or_else(|| held?.owner.clone());
        self.stop_on_quota_reach = self.stop_on_quota_reach.or(Some(true));
        Ok(())
    }

    fn validate(&self) -> Result<(), Error> {
        for (place, operation) in self.operations.iter().flatten().enumerate() {
            check::methods(&format!("operations[{place}].methods"), operation.methods.as_deref())?;
            check::template(&format!("operations[{place}].path"), &operation.path)?;
        }
        self.owner.as_ref().map_or(Ok(()), |owner| check::text("owner", owner))?;
        check::row::<wire::PlanRow<'_>, rows::Plan>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        let fed = Self { owner: None, ..self.clone() };
        let row = plain_row(&fed, self.id.clone().unwrap_or_default())?;
        let beside = self.owner.as_ref().map(|owner| serde_json::json!({ "owner": owner }).to_string());
        Ok(NewRow { beside, ..row })
    }

    fn shown(version: &Version) -> Result<Self, Error> {
        let shown: Self = serde_json::from_str(&version.document).map_err(|_| damaged())?;
        Ok(Self { owner: access::owner_beside(version), ..shown })
    }

    /// Rejects deleting a plan in use, because gateways deny requests under a missing plan.
    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        match change.of_plan(&held.id).await? {
            Some(user) if access::sees(change, user.kind, &user.id).await? => Err(Error::conflict(format!(
                "{} {:?} has this plan, and perhaps others have; give them another one first",
                user.kind.noun(),
                user.id
            ))),
            Some(_) => Err(Error::conflict("this plan is in use")),
            None => Ok(change.remove(held).await.map(|()| None)?),
        }
    }
}
