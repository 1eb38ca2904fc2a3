//! The plugin configuration as the filter uses it: valid, with defaults filled in and names in lower case.
//!
//! [`parse`] turns JSON text into a [`Config`] in two stages. It reads the raw shape and remembers where each value
//! stood, then it checks the values. Every error is an [`InvalidConfig`] with path, line and column. A `Config` holds
//! secrets, so its `Debug` hides them. Nothing here logs, and the environment is a parameter.

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

pub use error::{Expected, FoundValue, InvalidConfig, Position, Problem, VariableProblem};
pub use fields::{FIELDS, Field, WhenAbsent};
pub use parse::{MAX_CONFIG_BYTES, MAX_DURATION_MS, MAX_POLICY_BYTES, parse};

use crate::{digest::Digest, reason::Reason};

/// All settings of one plugin configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub policy: PolicySource,
    /// Places where a request may carry its key, in the order in which the filter searches them. Never empty.
    pub credential_sources: Vec<CredentialSource>,
    /// What happens if one request carries several different keys.
    pub ambiguous_credentials: Ambiguous,
    /// How the filter finds the API of a request.
    pub api: ApiSource,
    /// What happens to a request that belongs to no API.
    pub unknown_api: UnknownApi,
    pub allow_preflight: bool,
    /// Which facts are sent upstream, and in which headers.
    pub forward: Forward,
    /// Facts that are written to filter state when a request is allowed. `Fact::Reason` is always in this list.
    pub annotate: Vec<Fact>,
    pub replies: Replies,
    pub mode: Mode,
    /// What happens if a request is refused only because no policy is available.
    pub on_policy_unavailable: OnPolicyUnavailable,
    /// Digests that override the policy.
    pub emergency: Emergency,
    /// How usage is reported. `None`: usage is neither counted nor reported.
    pub usage: Option<UsageReports>,
}

/// `usage`: where and how often the filter reports usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReports {
    /// An absolute path, at the cluster and authority of the policy.
    pub path: String,
    pub interval: Duration,
}

/// `policy`: the feed.
#[derive(Clone, PartialEq)]
pub struct PolicySource {
    /// Envoy cluster that receives the callouts.
    pub cluster: String,
    /// `:authority` of the callouts.
    pub authority: String,
    /// Name that identifies the policy, whatever the headers and credentials are. `None`: headers and credentials
    /// identify it.
    pub name: Option<String>,
    /// How this Envoy is named to the policy service. `None`: by Envoy's own `node.id`.
    pub instance: Option<String>,
    /// Absolute path of the first page.
    pub path: String,
    /// Additional headers of the callouts, names in lower case, in the order of the configuration. Secret.
    pub headers: Vec<(String, String)>,
    /// Complete `authorization` value of the callouts (`Basic …`), made from `credentials`. Secret.
    pub authorization: Option<String>,
    pub refresh_interval: Duration,
    /// How long the service may hold a poll, in whole seconds. `None`: the filter does not ask it to.
    pub long_poll: Option<Duration>,
    /// Time limit of one callout, without the wait of a long poll.
    pub timeout: Duration,
    /// Age from which the filter reports the policy as stale.
    pub stale_after: Duration,
    /// Age from which the filter allows nothing any more. `None`: never.
    pub expire_after: Option<Duration>,
    /// How long a request waits for the very first policy. Zero: it does not wait.
    pub startup_hold: Duration,
    /// Whether an open stream is reset when the policy no longer allows it.
    pub close_streams: bool,
    /// Limit of the packed policy, in bytes.
    pub max_bytes: u64,
    /// Share of the known keys that a full policy may drop, in percent. 100 permits all.
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
    /// The whole value of a header.
    Header {
        /// In lower case.
        name: String,
    },
    /// A header whose value begins with a scheme, such as `Bearer`.
    Scheme {
        /// In lower case.
        name: String,
        /// Compared without case.
        scheme: String,
    },
    /// A query argument.
    Query {
        /// Decoded; compared with case.
        name: String,
    },
    /// A cookie.
    Cookie {
        /// Compared with case.
        name: String,
    },
    /// One half of HTTP Basic in `authorization`.
    Basic { part: BasicPart },
}

/// Which half of HTTP Basic holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicPart {
    /// The text before the first colon.
    Username,
    /// The text after the first colon.
    Password,
}

/// `ambiguous_credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// Several different keys are refused.
    Reject,
    /// The first value found decides alone.
    First,
}

/// `api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiSource {
    /// The policy's own `match`.
    Match,
    /// Every request belongs to this API.
    Fixed(String),
    /// The route's metadata holds the API's id.
    RouteMetadata {
        /// Namespace of the filter metadata.
        namespace: String,
        /// Key in that namespace.
        key: String,
    },
}

/// `unknown_api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownApi {
    /// Answers 404.
    Deny,
    /// The request passes, without identity headers.
    Allow,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The filter carries out its decisions.
    Enforce,
    /// The filter only counts and annotates its decisions.
    Shadow,
}

/// `on_policy_unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPolicyUnavailable {
    /// Answers 503.
    Deny,
    /// The request passes.
    Allow,
}

/// `forward`: facts that are sent upstream, and their headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Whether an allowed request keeps its credential.
    pub credential: bool,
    /// The header of each fact that is sent, in lower case; no two are the same.
    pub headers: Vec<(Fact, String)>,
}

/// Defines [`Fact`]. Each entry has a variant and its name in JSON and in filter state.
macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A fact that can be annotated.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fact { $($(#[$doc])* $variant),* }

        impl Fact {
            pub const ALL: &[Fact] = &[$(Fact::$variant),*];

            /// The name in JSON. In filter state it follows `wasm.keygate.`.
            pub fn as_str(self) -> &'static str {
                match self { $(Fact::$variant => $name),* }
            }
        }
    };
}

facts! {
    /// `allowed`, or the reason of the refusal.
    Reason = "reason",
    ApplicationId = "application_id",
    ApplicationName = "application_name",
    Owner = "owner",
    /// The public id of the key.
    KeyId = "key_id",
    ApiId = "api_id",
    /// `PRODUCTION` or `SANDBOX`.
    KeyType = "key_type",
    Plan = "plan",
    Revision = "revision",
    /// Requests per window, of that limit of the plan which has the smallest share left.
    Limit = "limit",
    /// Requests that are left, of the same limit.
    Remaining = "remaining",
    /// Seconds until the next window, of the same limit.
    Reset = "reset",
    /// First second in which the block that refuses has ended, Unix time.
    BlockedUntil = "blocked_until",
}

/// `replies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies {
    pub format: ReplyFormat,
    /// Realm of `www-authenticate`.
    pub realm: String,
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

/// Settings that an operator overrides for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyOverride {
    /// From 400 to 599.
    pub status: Option<u16>,
    pub message: Option<String>,
    pub description: Option<String>,
}

/// `emergency`: digests that override the policy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Emergency {
    /// These keys are always denied. Sorted.
    pub deny_keys: Vec<Digest>,
    /// These keys are allowed even without a policy. Sorted.
    pub allow_keys: Vec<Digest>,
}

impl fmt::Debug for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emergency {{ {} deny_keys, {} allow_keys }}", self.deny_keys.len(), self.allow_keys.len())
    }
}
