//! Deny policies: what is refused whatever its key says.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    resource::{Resource, plain_row},
};
use crate::{
    problem::Problem,
    store::{Kind, NewRow},
};

/// A deny policy. What it names need not exist yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyPolicy {
    /// 1 to 256 bytes without control characters; made if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// What `value` is.
    #[serde(rename = "type")]
    pub target: DenyType,
    /// An address, a range as `198.51.100.0/24`, or an id.
    pub value: String,
    /// Denies all but the value; false unless given.
    #[serde(default)]
    pub invert: Option<bool>,
    /// Names this version of the row, for `if-match`. What a client sends here is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// What a deny policy is about.
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

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn complete(&mut self, _: Option<&Self>) -> Result<(), Problem> {
        self.etag = None;
        self.invert = self.invert.or(Some(false));
        Ok(())
    }

    fn check(&self) -> Result<(), Problem> {
        check::row::<wire::DenyPolicyRow<'_>, rows::DenyPolicy>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Problem> {
        plain_row(self, self.id.clone().unwrap_or_default())
    }
}
