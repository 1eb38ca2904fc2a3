//! The plugin configuration as the filter uses it: valid, with defaults filled in and names lower-cased.
//!
//! JSON text becomes a [`Config`] in two stages: [`parse`] reads the raw shape and remembers where each value stood, then
//! checks it. Whatever is wrong is an [`InvalidConfig`] with path, line and column. A `Config` holds secrets, so its
//! `Debug` hides them; nothing here logs, and the environment is a parameter.

mod authority;
mod error;
mod fields;
mod header;
mod identity;
mod json;
mod message;
mod parse;
mod place;
mod read;
mod refusal;
mod request;
mod secret;
#[cfg(test)]
mod tests;
mod warnings;

use std::{fmt, time::Duration};

pub use error::{Expected, Found, InvalidConfig, Position, Problem, VariableProblem};
pub use fields::{FIELDS, Field, WhenAbsent};
pub use parse::{MAX_CONFIG_BYTES, MAX_DURATION_MS, MAX_POLICY_BYTES, parse};

use crate::{digest::Digest, reason::Reason};

/// Everything that one plugin configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the policy comes from and how long it is good.
    pub policy: PolicySource,
    /// Where a request may carry its key, in the order in which they are looked at; never empty.
    pub credential_sources: Vec<CredentialSource>,
    /// What to do with several different keys in one request.
    pub ambiguous_credentials: Ambiguous,
    /// How the API of a request is known.
    pub api: ApiSource,
    /// What to do with a request that belongs to no API.
    pub unknown_api: UnknownApi,
    /// Whether CORS preflights pass without a key.
    pub allow_preflight: bool,
    /// Which facts go upstream, and in which headers.
    pub forward: Forward,
    /// Which facts go into filter state on allow; `Fact::Reason` always does and is always in here.
    pub annotate: Vec<Fact>,
    /// How refusals look.
    pub replies: Replies,
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// What to do where only the lack of a policy refuses.
    pub on_policy_unavailable: OnPolicyUnavailable,
    /// Digests that win over the policy.
    pub emergency: Emergency,
    /// How usage is reported; `None`: it is neither counted nor reported.
    pub usage: Option<UsageReports>,
}

/// `usage`: where and how often usage is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReports {
    /// Where; an absolute path, at the cluster and authority of the policy.
    pub path: String,
    /// Pause between reports.
    pub interval: Duration,
}

/// `policy`: the feed.
#[derive(Clone, PartialEq)]
pub struct PolicySource {
    /// Envoy cluster that callouts go to.
    pub cluster: String,
    /// `:authority` of the callouts.
    pub authority: String,
    /// Which policy this is, whatever the headers and credentials are; `None`: they tell policies apart.
    pub name: Option<String>,
    /// Where the feed begins; an absolute path.
    pub path: String,
    /// Additional headers of the callouts, names lower-cased, in the order of the configuration. Secret.
    pub headers: Vec<(String, String)>,
    /// `authorization` of the callouts, complete (`Basic …`), made from `credentials`. Secret.
    pub authorization: Option<String>,
    /// Pause between refreshes.
    pub refresh_interval: Duration,
    /// How long a poll may be held by the service; `None`: not at all. Whole seconds.
    pub long_poll: Option<Duration>,
    /// Bound on one callout, without the wait of a long poll.
    pub timeout: Duration,
    /// Age from which the policy is reported as stale.
    pub stale_after: Duration,
    /// Age from which nothing is allowed any more; `None`: never.
    pub expire_after: Option<Duration>,
    /// How long a request waits for the very first policy; zero: not at all.
    pub startup_hold: Duration,
    /// Whether open streams end when the policy no longer allows them.
    pub close_streams: bool,
    /// Bound on what a policy takes, packed, in bytes.
    pub max_bytes: u64,
    /// Share of the known keys that a full policy may drop, in percent; 100: all.
    pub max_removed_percent: u8,
}

impl fmt::Debug for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySource")
            .field("cluster", &self.cluster)
            .field("authority", &self.authority)
            .field("name", &self.name)
            .field("path", &self.path)
            .field("headers", &format_args!("{} hidden", self.headers.len()))
            .field("authorization", &self.authorization.as_ref().map(|_| "hidden"))
            .finish_non_exhaustive()
    }
}

/// One place where a request may carry its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// The whole value of a header; the name is lower-cased.
    Header {
        /// Name of the header, lower-cased.
        name: String,
    },
    /// A header whose value begins with a scheme, as `Bearer`.
    Scheme {
        /// Name of the header, lower-cased.
        name: String,
        /// The scheme, compared without case.
        scheme: String,
    },
    /// A query argument.
    Query {
        /// Its name, decoded; compared with case.
        name: String,
    },
    /// A cookie.
    Cookie {
        /// Its name; compared with case.
        name: String,
    },
    /// One half of HTTP Basic in `authorization`.
    Basic {
        /// Which half.
        part: BasicPart,
    },
}

/// Which half of HTTP Basic holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicPart {
    /// What stands before the first colon.
    Username,
    /// What stands after it.
    Password,
}

/// `ambiguous_credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// Several different keys are refused.
    Reject,
    /// The first value given decides alone.
    First,
}

/// `api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiSource {
    /// The policy's own `match`.
    Match,
    /// Every request belongs to this API.
    Fixed(String),
    /// The id stands in the route's metadata.
    RouteMetadata {
        /// Filter metadata namespace.
        namespace: String,
        /// Key in it.
        key: String,
    },
}

/// `unknown_api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownApi {
    /// 404.
    Deny,
    /// Passes, without identity.
    Allow,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decisions are carried out.
    Enforce,
    /// Decisions are counted and annotated only.
    Shadow,
}

/// `on_policy_unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPolicyUnavailable {
    /// 503.
    Deny,
    /// Passes.
    Allow,
}

/// `forward`: what upstreams are told, and in which headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Whether the credential stays in an allowed request.
    pub credential: bool,
    /// The headers that carry a fact about who asks, lower-cased and all different. No other fact is told.
    pub headers: Vec<(Fact, String)>,
}

/// Defines [`Fact`] with, for each: its name in JSON and in filter state.
macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A fact that can be annotated.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fact { $($(#[$doc])* $variant),* }

        impl Fact {
            /// All facts.
            pub const ALL: &[Fact] = &[$(Fact::$variant),*];

            /// The name in JSON and, after `wasm.keygate.`, in filter state.
            pub fn as_str(self) -> &'static str {
                match self { $(Fact::$variant => $name),* }
            }
        }
    };
}

facts! {
    /// `allowed`, or why not.
    Reason = "reason",
    /// The application's id.
    ApplicationId = "application_id",
    /// The application's name.
    ApplicationName = "application_name",
    /// The application's owner.
    Owner = "owner",
    /// The key's public handle.
    KeyId = "key_id",
    /// The API's id.
    ApiId = "api_id",
    /// PRODUCTION or SANDBOX.
    KeyType = "key_type",
    /// The subscription's plan.
    Plan = "plan",
    /// The policy's revision.
    Revision = "revision",
    /// Of the plan's limit with the smallest share left: requests in one window.
    Limit = "limit",
    /// Of the same: requests that are left.
    Remaining = "remaining",
    /// Of the same: seconds until the next window.
    Reset = "reset",
}

/// `replies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies {
    /// Shape of the body.
    pub format: ReplyFormat,
    /// Realm of `www-authenticate`.
    pub realm: String,
    /// Changes by reason.
    pub overrides: Vec<(Reason, ReplyOverride)>,
}

impl Default for Replies {
    fn default() -> Self {
        Self { format: ReplyFormat::Wso2, realm: "keygate".to_owned(), overrides: Vec::new() }
    }
}

/// Shape of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFormat {
    /// `{"code","message","description"}`.
    Wso2,
    /// `{"error_message","code","error_description"}`.
    Choreo,
    /// RFC 9457.
    Problem,
}

/// What an operator changes of one refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyOverride {
    /// 400 to 599.
    pub status: Option<u16>,
    /// The message.
    pub message: Option<String>,
    /// The description.
    pub description: Option<String>,
}

/// `emergency`: digests that win over the policy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Emergency {
    /// Denied always; sorted.
    pub deny_keys: Vec<Digest>,
    /// Allowed even without a policy; sorted.
    pub allow_keys: Vec<Digest>,
}

impl fmt::Debug for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emergency {{ {} deny_keys, {} allow_keys }}", self.deny_keys.len(), self.allow_keys.len())
    }
}
