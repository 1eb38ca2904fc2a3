//! Plans: how much may be used, and which operations.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    error::Error,
    object,
    resource::{Resource, plain_row},
};
use crate::port::{Kind, NewRow, Transaction, Version};

/// A usage plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// 1 to 256 bytes without control characters; made if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// How much may be used.
    #[serde(default, deserialize_with = "object::objects", skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<Limit>>,
    /// How much may be used at once.
    #[serde(default, deserialize_with = "object::object", skip_serializing_if = "Option::is_none")]
    pub burst: Option<Limit>,
    /// Whether a used-up limit refuses; true unless given.
    #[serde(default)]
    pub stop_on_quota_reach: Option<bool>,
    /// The only operations that it opens; any unless given, none if empty.
    #[serde(default, deserialize_with = "object::objects", skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// Names this version of the row, for `if-match`. What a client sends here is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// So many requests in each window of one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many, at least 1.
    pub requests: u64,
    /// The window, of UTC.
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

/// Methods and a path.
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

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn fill_defaults(&mut self, _: Option<&Self>) -> Result<(), Error> {
        self.etag = None;
        self.stop_on_quota_reach = self.stop_on_quota_reach.or(Some(true));
        Ok(())
    }

    fn validate(&self) -> Result<(), Error> {
        for (place, operation) in self.operations.iter().flatten().enumerate() {
            check::methods(&format!("operations[{place}].methods"), operation.methods.as_deref())?;
            check::template(&format!("operations[{place}].path"), &operation.path)?;
        }
        check::row::<wire::PlanRow<'_>, rows::Plan>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Error> {
        plain_row(self, self.id.clone().unwrap_or_default())
    }

    /// A plan in use cannot be deleted: gateways deny requests under a plan that is missing.
    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        match change.of_plan(&held.id).await? {
            Some(user) => Err(Error::conflict(format!(
                "{} {:?} has this plan, and perhaps others have; give them another one first",
                user.kind.noun(),
                user.id
            ))),
            None => Ok(change.remove(held).await.map(|()| None)?),
        }
    }
}
