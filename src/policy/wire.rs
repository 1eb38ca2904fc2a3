//! The policy as JSON. This is the only definition of the page's shape: the filter reads with it, the policy service
//! writes with it.
//!
//! Rows have their wire form here: only JSON types are checked, and only the names of unknown fields are kept.
//! [`super::rows`] converts rows to valid values, and [`super::page`] reads whole pages. This file knows no rule of a
//! policy.

#![warn(missing_docs)]

use serde::Serialize;
use serde_json::value::RawValue;

use super::object::read_object;
pub use super::text::{ListItem, Str};

/// The version of the page's shape: the value of `format`.
pub const FORMAT: u64 = 1;

/// A list of strings. Absent or null means "any"; an empty list means "none".
pub type List<'a> = Option<Vec<ListItem<'a>>>;

/// An API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiRow<'a> {
    /// The API's id.
    pub id: Str<'a>,
    /// The API's name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// The API's version, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Str<'a>>,
    /// The lifecycle state, such as `PUBLISHED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// Which requests belong to the API.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<MatchRow<'a>>>,
    /// `api_key` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Str<'a>>,
    /// Whether the application must have a subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_required: Option<bool>,
    /// Key types that the API has an endpoint for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: List<'a>,
}

read_object!(ApiRow<'de> { id, name, version, state, matches as "match", security, subscription_required, endpoints });

/// A host-and-path pair of an API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatchRow<'a> {
    /// Host names, or `*.suffix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: List<'a>,
    /// Path prefix.
    pub path: Str<'a>,
}

read_object!(MatchRow<'de> { hosts, path });

/// An application.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApplicationRow<'a> {
    /// The application's id.
    pub id: Str<'a>,
    /// The application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// The application's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Str<'a>>,
    /// `ACTIVE` or `BLOCKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan that counts the requests to all APIs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which the plan is no longer used up, Unix time. Absent: the plan is not used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
}

read_object!(ApplicationRow<'de> { id, name, owner, state, plan, used_up_until });

/// A key, identified by its digest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyRow<'a> {
    /// SHA-256 of the key's bytes, as 64 hexadecimal digits.
    pub sha256: Str<'a>,
    /// The public id of the key.
    pub id: Str<'a>,
    /// The id of the application that owns the key.
    pub application: Str<'a>,
    /// `PRODUCTION` or `SANDBOX`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<Str<'a>>,
    /// `ACTIVE` or `REVOKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// First second in which the key is valid, Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// First second in which the key is no longer valid, Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The only APIs that the key may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apis: List<'a>,
    /// The only addresses and ranges that may use the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permitted_ips: List<'a>,
    /// The only referers that may use the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permitted_referers: List<'a>,
}

read_object!(KeyRow<'de> {
    sha256, id, application, key_type as "type", state, not_before, expires_at, apis, permitted_ips,
    permitted_referers,
});

/// The subscription of one application to one API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionRow<'a> {
    /// The application's id.
    pub application: Str<'a>,
    /// The API's id.
    pub api: Str<'a>,
    /// The subscription's state, such as `UNBLOCKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan of this subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which the plan is no longer used up, Unix time. Absent: the plan is not used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
    /// First second of a planned block, Unix time. Absent: no block is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_from: Option<i64>,
    /// First second in which the block has ended, Unix time. Absent: the block does not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_until: Option<i64>,
    /// `BLOCKED` or `PROD_ONLY_BLOCKED`: the state during the planned block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_state: Option<Str<'a>>,
    /// A text about the block for the subscriber.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_note: Option<Str<'a>>,
}

read_object!(SubscriptionRow<'de> {
    application, api, state, plan, used_up_until, blocked_from, blocked_until, blocked_state, block_note,
});

/// A usage plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRow<'a> {
    /// The plan's id.
    pub id: Str<'a>,
    /// Requests per window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitRow<'a>>>,
    /// Requests per window, for peaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<LimitRow<'a>>,
    /// Whether a request is refused when a limit is used up. Absent means true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_quota_reach: Option<bool>,
    /// The only operations that the plan opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<OperationRow<'a>>>,
}

read_object!(PlanRow<'de> { id, limits, burst, stop_on_quota_reach, operations });

/// A number of requests in each window of one unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitRow<'a> {
    /// At least one.
    pub requests: u64,
    /// `second`, `minute`, `hour`, `day` or `month`.
    pub per: Str<'a>,
}

read_object!(LimitRow<'de> { requests, per });

/// Methods and a path template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationRow<'a> {
    /// Methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: List<'a>,
    /// Path template, relative to the API's prefix.
    pub path: Str<'a>,
}

read_object!(OperationRow<'de> { methods, path });

/// A rule that denies requests whatever the key says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DenyPolicyRow<'a> {
    /// The id of the deny policy.
    pub id: Str<'a>,
    /// `IP`, `IP_RANGE`, `APPLICATION`, `API` or `USER`.
    #[serde(rename = "type")]
    pub kind: Str<'a>,
    /// The address, range, application, API or owner to deny.
    pub value: Str<'a>,
    /// Denies everything except `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

read_object!(DenyPolicyRow<'de> { id, kind as "type", value, invert });

/// The two ids that identify a subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionId<'a> {
    /// The application's id.
    pub application: Str<'a>,
    /// The API's id.
    pub api: Str<'a>,
}

read_object!(SubscriptionId<'de> { application, api });

/// Things that a delta removes. They are removed before the delta's rows are added.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Removed<'a> {
    /// Ids of APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apis: Option<Vec<Str<'a>>>,
    /// Ids of applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applications: Option<Vec<Str<'a>>>,
    /// Digests of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Str<'a>>>,
    /// Subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<Vec<SubscriptionId<'a>>>,
    /// Ids of plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plans: Option<Vec<Str<'a>>>,
    /// Ids of deny policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_policies: Option<Vec<Str<'a>>>,
}

read_object!(Removed<'de> { apis, applications, keys, subscriptions, plans, deny_policies });

/// Number of rows of a full policy, over all its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Keys.
    pub keys: u64,
    /// Applications.
    pub applications: u64,
    /// Subscriptions.
    pub subscriptions: u64,
}

/// [`Counts`] as the filter reads them.
#[derive(Debug)]
pub struct CountsIn {
    /// Keys.
    pub keys: Option<u64>,
    /// Applications.
    pub applications: Option<u64>,
    /// Subscriptions.
    pub subscriptions: Option<u64>,
}

read_object!(CountsIn { keys, applications, subscriptions });

impl From<CountsIn> for Counts {
    fn from(CountsIn { keys, applications, subscriptions }: CountsIn) -> Self {
        let or_none = Option::unwrap_or_default;
        Self { keys: or_none(keys), applications: or_none(applications), subscriptions: or_none(subscriptions) }
    }
}

/// A page as the filter reads it. The rows of the long lists stay raw, so that a bad row costs only itself.
#[derive(Debug)]
pub struct PageIn<'a> {
    /// [`FORMAT`].
    pub format: u64,
    /// Identifies the policy that `revision` belongs to.
    pub epoch: Option<Str<'a>>,
    /// The revision of this page.
    pub revision: Option<u64>,
    /// The revision that this delta builds on. Absent in a full policy.
    pub base: Option<u64>,
    /// The next page of this revision.
    pub next: Option<Str<'a>>,
    /// The address of the next revision.
    pub poll: Option<Str<'a>>,
    /// A hint about the size: [`CountsIn`].
    pub counts: Option<&'a RawValue>,
    /// Tells the shrink guard to accept this policy.
    pub confirm_removal: Option<bool>,
    /// Each an [`ApiRow`].
    pub apis: Option<Vec<&'a RawValue>>,
    /// Each an [`ApplicationRow`].
    pub applications: Option<Vec<&'a RawValue>>,
    /// Each a [`KeyRow`].
    pub keys: Option<Vec<&'a RawValue>>,
    /// Each a [`SubscriptionRow`].
    pub subscriptions: Option<Vec<&'a RawValue>>,
    /// Each a [`PlanRow`].
    pub plans: Option<Vec<&'a RawValue>>,
    /// Each a [`DenyPolicyRow`].
    pub deny_policies: Option<Vec<&'a RawValue>>,
    /// Things that a delta removes: [`Removed`]. Ignored in a full policy.
    pub removed: Option<&'a RawValue>,
}

read_object!(PageIn<'de> {
    format,
    epoch,
    revision,
    base,
    next,
    poll,
    counts,
    confirm_removal,
    apis,
    applications,
    keys,
    subscriptions,
    plans,
    deny_policies,
    removed
});

/// A page as the policy service writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageOut<'a> {
    /// [`FORMAT`].
    pub format: u64,
    /// Identifies the policy that `revision` belongs to.
    pub epoch: Option<Str<'a>>,
    /// The revision of this page.
    pub revision: Option<u64>,
    /// The revision that this delta builds on. Absent in a full policy.
    pub base: Option<u64>,
    /// The next page of this revision.
    pub next: Option<Str<'a>>,
    /// The address of the next revision.
    pub poll: Option<Str<'a>>,
    /// A hint about the size, on the first page of a full policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Tells the shrink guard to accept this policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_removal: Option<bool>,
    /// APIs.
    pub apis: Vec<ApiRow<'a>>,
    /// Applications.
    pub applications: Vec<ApplicationRow<'a>>,
    /// Keys.
    pub keys: Vec<KeyRow<'a>>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionRow<'a>>,
    /// Plans.
    pub plans: Vec<PlanRow<'a>>,
    /// Deny policies.
    pub deny_policies: Vec<DenyPolicyRow<'a>>,
    /// Things that a delta removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed<'a>>,
}
