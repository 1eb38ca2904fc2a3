//! The policy as JSON: the one definition of its shape that the filter reads with and the policy service writes with.
//!
//! Rows here are as they travel: nothing is checked but JSON's own types, and of unknown fields only names are kept.
//! [`super::rows`] turns them into valid values, [`super::page`] reads whole pages. This file knows no rule of a policy.

use serde::Serialize;
use serde_json::value::RawValue;

use super::object::read_object;
pub use super::text::{Entry, Str};

/// The version of the page's shape, its `format`.
pub const FORMAT: u64 = 1;

/// A list of strings; absent (or null) means "any", empty means "none".
pub type List<'a> = Option<Vec<Entry<'a>>>;

/// An API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiRow<'a> {
    /// Its id.
    pub id: Str<'a>,
    /// Its name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// Its version, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Str<'a>>,
    /// Its lifecycle state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// Which requests belong to it.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<MatchRow<'a>>>,
    /// `api_key` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Str<'a>>,
    /// Whether an application must be subscribed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_required: Option<bool>,
    /// Key types that it has an endpoint for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: List<'a>,
}

read_object!(ApiRow<'de> { id, name, version, state, matches as "match", security, subscription_required, endpoints });

/// One host-and-path pair of an API.
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
    /// Its id.
    pub id: Str<'a>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// Who owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Str<'a>>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan that counts over all its APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which its plan is no longer used up, Unix time; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
}

read_object!(ApplicationRow<'de> { id, name, owner, state, plan, used_up_until });

/// A key, known by its digest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyRow<'a> {
    /// 64 hexadecimal digits.
    pub sha256: Str<'a>,
    /// Its public handle.
    pub id: Str<'a>,
    /// The application that it belongs to.
    pub application: Str<'a>,
    /// `PRODUCTION` or `SANDBOX`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<Str<'a>>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// First second in which it is good, Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// First second in which it is good no more, Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The only APIs that it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apis: List<'a>,
    /// Addresses and ranges that it may be used from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permitted_ips: List<'a>,
    /// Referers that it may be used from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permitted_referers: List<'a>,
}

read_object!(KeyRow<'de> {
    sha256, id, application, key_type as "type", state, not_before, expires_at, apis, permitted_ips,
    permitted_referers,
});

/// One application's subscription to one API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionRow<'a> {
    /// The application.
    pub application: Str<'a>,
    /// The API.
    pub api: Str<'a>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which its plan is no longer used up, Unix time; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
}

read_object!(SubscriptionRow<'de> { application, api, state, plan, used_up_until });

/// A usage plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRow<'a> {
    /// Its id.
    pub id: Str<'a>,
    /// How much may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitRow<'a>>>,
    /// How much may be used at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<LimitRow<'a>>,
    /// Whether a used-up limit refuses (absent: it does).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_quota_reach: Option<bool>,
    /// The only operations that it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<OperationRow<'a>>>,
}

read_object!(PlanRow<'de> { id, limits, burst, stop_on_quota_reach, operations });

/// So many requests in each window of one unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitRow<'a> {
    /// How many.
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

/// Something that is denied whatever its key says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DenyPolicyRow<'a> {
    /// Its id.
    pub id: Str<'a>,
    /// `IP`, `IP_RANGE`, `APPLICATION`, `API` or `USER`.
    #[serde(rename = "type")]
    pub kind: Str<'a>,
    /// What it denies.
    pub value: Str<'a>,
    /// Denies all but the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

read_object!(DenyPolicyRow<'de> { id, kind as "type", value, invert });

/// A subscription's identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionId<'a> {
    /// The application.
    pub application: Str<'a>,
    /// The API.
    pub api: Str<'a>,
}

read_object!(SubscriptionId<'de> { application, api });

/// What a delta takes away, before anything that it brings.
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

/// How many rows a full policy will have, over all its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Keys.
    pub keys: u64,
    /// Applications.
    pub applications: u64,
    /// Subscriptions.
    pub subscriptions: u64,
}

/// The same as the filter reads it.
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

/// A page as the filter reads it: the rows of the long lists stay raw, so that a bad one costs only itself.
#[derive(Debug)]
pub struct PageIn<'a> {
    /// [`FORMAT`].
    pub format: u64,
    /// Which policy this is a revision of.
    pub epoch: Option<Str<'a>>,
    /// Which revision this is.
    pub revision: Option<u64>,
    /// The revision that this delta builds on; absent in a full policy.
    pub base: Option<u64>,
    /// Where this revision goes on.
    pub next: Option<Str<'a>>,
    /// Where to ask for the next revision.
    pub poll: Option<Str<'a>>,
    /// A hint of the size.
    pub counts: Option<&'a RawValue>,
    /// Lets the shrink guard pass this policy.
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
    /// What a delta removes, a [`Removed`]; in a full policy it is not looked at.
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
    /// Which policy this is a revision of.
    pub epoch: Option<Str<'a>>,
    /// Which revision this is.
    pub revision: Option<u64>,
    /// The revision that this delta builds on; absent in a full policy.
    pub base: Option<u64>,
    /// Where this revision goes on.
    pub next: Option<Str<'a>>,
    /// Where to ask for the next revision.
    pub poll: Option<Str<'a>>,
    /// A hint of the size, on the first page of a full policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Lets the shrink guard pass this policy.
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
    /// What a delta removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed<'a>>,
}
