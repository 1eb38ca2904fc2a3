//! The policy as JSON: the one definition of its shape that the filter reads with and the policy service writes with.
//!
//! Rows here are as they travel: nothing is checked but JSON's own types, and unknown fields are ignored. [`super::rows`]
//! turns them into valid values, [`super::page`] reads whole pages. This file knows no rule of a policy.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The version of the page's shape, its `format`.
pub const FORMAT: u64 = 1;

/// A string that is borrowed from the page where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Str<'a>(pub Cow<'a, str>);

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(StrVisitor)
    }
}

/// One entry of a list of strings. An entry that is no string is kept as `None`: it permits nothing, and its neighbours
/// hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Entry<'a>(pub Option<Cow<'a, str>>);

impl<'a> From<&'a str> for Entry<'a> {
    fn from(text: &'a str) -> Self {
        Self(Some(Cow::Borrowed(text)))
    }
}

impl From<String> for Entry<'_> {
    fn from(text: String) -> Self {
        Self(Some(Cow::Owned(text)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Entry(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Entry(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Entry(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Entry(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Entry(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Entry(None))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entry(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entry(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Entry(None))
            }
        }
        deserializer.deserialize_any(EntryVisitor)
    }
}

/// A list of strings; absent (or null) means "any", empty means "none".
pub type List<'a> = Option<Vec<Entry<'a>>>;

/// An API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiRow<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Str<'a>,
    /// Its name, for people.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// Its version, for people.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Str<'a>>,
    /// Its lifecycle state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// Which requests belong to it.
    #[serde(borrow, rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<MatchRow<'a>>>,
    /// `api_key` or `none`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Str<'a>>,
    /// Whether an application must be subscribed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_required: Option<bool>,
    /// Key types that it has an endpoint for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub endpoints: List<'a>,
}

/// One host-and-path pair of an API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatchRow<'a> {
    /// Host names, or `*.suffix`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub hosts: List<'a>,
    /// Path prefix.
    #[serde(borrow)]
    pub path: Str<'a>,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationRow<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Str<'a>,
    /// Its name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Str<'a>>,
    /// Who owns it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Str<'a>>,
    /// Its state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan that counts over all its APIs.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which its plan is no longer used up, Unix time; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
}

/// A key, known by its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRow<'a> {
    /// 64 hexadecimal digits.
    #[serde(borrow)]
    pub sha256: Str<'a>,
    /// Its public handle.
    #[serde(borrow)]
    pub id: Str<'a>,
    /// The application that it belongs to.
    #[serde(borrow)]
    pub application: Str<'a>,
    /// `PRODUCTION` or `SANDBOX`.
    #[serde(borrow, rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<Str<'a>>,
    /// Its state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// First second in which it is good, Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// First second in which it is good no more, Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The only APIs that it opens.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub apis: List<'a>,
    /// Addresses and ranges that it may be used from.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub permitted_ips: List<'a>,
    /// Referers that it may be used from.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub permitted_referers: List<'a>,
}

/// One application's subscription to one API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionRow<'a> {
    /// The application.
    #[serde(borrow)]
    pub application: Str<'a>,
    /// The API.
    #[serde(borrow)]
    pub api: Str<'a>,
    /// Its state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Str<'a>>,
    /// The plan of its requests.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Str<'a>>,
    /// First second in which its plan is no longer used up, Unix time; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_up_until: Option<i64>,
}

/// A usage plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRow<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Str<'a>,
    /// How much may be used.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitRow<'a>>>,
    /// How much may be used at once.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<LimitRow<'a>>,
    /// Whether a used-up limit refuses (absent: it does).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_on_quota_reach: Option<bool>,
    /// The only operations that it opens.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<OperationRow<'a>>>,
}

/// So many requests in each window of one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitRow<'a> {
    /// How many.
    pub requests: u64,
    /// `second`, `minute`, `hour`, `day` or `month`.
    #[serde(borrow)]
    pub per: Str<'a>,
}

/// Methods and a path template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRow<'a> {
    /// Methods.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub methods: List<'a>,
    /// Path template, relative to the API's prefix.
    #[serde(borrow)]
    pub path: Str<'a>,
}

/// Something that is denied whatever its key says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenyPolicyRow<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Str<'a>,
    /// `IP`, `IP_RANGE`, `APPLICATION`, `API` or `USER`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// What it denies.
    #[serde(borrow)]
    pub value: Str<'a>,
    /// Denies all but the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

/// A subscription's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionId<'a> {
    /// The application.
    #[serde(borrow)]
    pub application: Str<'a>,
    /// The API.
    #[serde(borrow)]
    pub api: Str<'a>,
}

/// What a delta takes away, before anything that it brings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removed<'a> {
    /// Ids of APIs.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub apis: Option<Vec<Str<'a>>>,
    /// Ids of applications.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub applications: Option<Vec<Str<'a>>>,
    /// Digests of keys.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Str<'a>>>,
    /// Subscriptions.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<Vec<SubscriptionId<'a>>>,
    /// Ids of plans.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub plans: Option<Vec<Str<'a>>>,
    /// Ids of deny policies.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub deny_policies: Option<Vec<Str<'a>>>,
}

/// How many rows a full policy will have, over all its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Keys.
    pub keys: u64,
    /// Applications.
    pub applications: u64,
    /// Subscriptions.
    pub subscriptions: u64,
}

/// A page as the filter reads it: the rows of the long lists stay raw, so that a bad one costs only itself.
#[derive(Debug, Deserialize)]
pub struct PageIn<'a> {
    /// [`FORMAT`].
    pub format: u64,
    /// Which policy this is a revision of.
    #[serde(borrow, default)]
    pub epoch: Option<Str<'a>>,
    /// Which revision this is.
    #[serde(default)]
    pub revision: Option<u64>,
    /// The revision that this delta builds on; absent in a full policy.
    #[serde(default)]
    pub base: Option<u64>,
    /// Where this revision goes on.
    #[serde(borrow, default)]
    pub next: Option<Str<'a>>,
    /// Where to ask for the next revision.
    #[serde(borrow, default)]
    pub poll: Option<Str<'a>>,
    /// A hint of the size.
    #[serde(borrow, default)]
    pub counts: Option<&'a RawValue>,
    /// Lets the shrink guard pass this policy.
    #[serde(default)]
    pub confirm_removal: Option<bool>,
    /// Each an [`ApiRow`].
    #[serde(borrow, default)]
    pub apis: Option<Vec<&'a RawValue>>,
    /// Each an [`ApplicationRow`].
    #[serde(borrow, default)]
    pub applications: Option<Vec<&'a RawValue>>,
    /// Each a [`KeyRow`].
    #[serde(borrow, default)]
    pub keys: Option<Vec<&'a RawValue>>,
    /// Each a [`SubscriptionRow`].
    #[serde(borrow, default)]
    pub subscriptions: Option<Vec<&'a RawValue>>,
    /// Each a [`PlanRow`].
    #[serde(borrow, default)]
    pub plans: Option<Vec<&'a RawValue>>,
    /// Each a [`DenyPolicyRow`].
    #[serde(borrow, default)]
    pub deny_policies: Option<Vec<&'a RawValue>>,
    /// What a delta removes, a [`Removed`]; in a full policy it is not looked at.
    #[serde(borrow, default)]
    pub removed: Option<&'a RawValue>,
}

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
