//! A subscription, as clients send and see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::SubscriptionState;
use crate::block::Record;

/// The subscription of one application to one API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// The application. It cannot be changed.
    #[serde(default)]
    pub application: Option<String>,
    /// The API. It cannot be changed.
    #[serde(default)]
    pub api: Option<String>,
    /// UNBLOCKED unless given. A PUT without it keeps the stored state.
    #[serde(default)]
    pub state: Option<SubscriptionState>,
    /// Its block, also one that is planned: who blocked it and why, from when and until when. Absent: it has none.
    #[serde(
        rename = "block",
        default,
        deserialize_with = "crate::object::object",
        skip_serializing_if = "Option::is_none"
    )]
    pub record: Option<Record>,
    /// The plan for its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time until which the plan is used up: the end of the day or month, Unix time. The service derives it from
    /// the reported usage, and ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub used_up_until: Option<i64>,
    /// True if the subscription was deleted while it was blocked. The block stays until its end or an unblock.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
    /// Only for a kept block, beside `deleted`: the owner of the application when the subscription was deleted. While the
    /// block stays, new subscriptions of this owner to the API are ON_HOLD.
    #[serde(rename = "owner", default, skip_serializing_if = "Option::is_none")]
    pub kept_owner: Option<String>,
}
