//! Explains a request: whether a policy allows it, and what each rule of the decision says about it.
//!
//! The verdict comes from the functions that decide in Envoy ([`keygate::decision::decide`]): the pages of the policy
//! are taken like those of a feed, the request is put into the form in which Envoy hands it over, and the decision is
//! made. Only then [`rules`] says in words what the rules found. So an explanation cannot disagree with a gateway that
//! has the same policy, configuration and clock. It cannot know what only an Envoy knows; [`Explanation::notes`] and
//! steps with the outcome `unknown` say what that is.
//!
//! Nothing here reads a file, a variable or a clock, or writes a log. No text of an explanation contains a key.
//!
//! - [`policy`]: the rows of a policy, from pages
//! - [`configuration`]: a plugin configuration, without its secrets
//! - [`request`]: the request, and its credential at the place where a client would send it
//! - [`url`]: the URL of a request
//! - [`rules`]: the rules in their order, with a sentence for each
//! - [`times`]: the times in these sentences

mod because;
pub mod configuration;
mod decide;
mod facts;
pub mod policy;
pub mod request;
pub mod rules;
pub mod times;
pub mod url;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use decide::{NotExplained, View, explain, looked_up};

/// Whether the policy lets a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The request passes.
    Allow,
    /// The request is refused, or would be outside of shadow mode.
    Deny,
}

/// The result of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The rule does not refuse the request.
    Passed,
    /// The rule does not apply to the request.
    Skipped,
    /// The rule depends on something that only an Envoy knows. The explanation goes on as if it did not refuse.
    Unknown,
    /// The rule refuses the request. It is the last one.
    Refused,
    /// The request passes here. It is the last one.
    Allowed,
}

/// One rule of the decision, and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The reason that the rule gives if it refuses, or its own name if it only lets requests pass.
    pub rule: &'static str,
    /// Its result.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub because: String,
}

/// A decision and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub verdict: Verdict,
    /// `allowed`, or the reason of the refusal.
    pub reason: &'static str,
    /// Status of the reply; `None` if the request passes.
    pub status: Option<u16>,
    /// Body of the reply; `None` if the request passes. Of a gRPC reply: status and message.
    pub reply: Option<Value>,
    /// Headers of the reply.
    pub reply_headers: BTreeMap<&'static str, String>,
    /// Id of the API that the request belongs to.
    pub api: Option<String>,
    /// Id of the key's application.
    pub application: Option<String>,
    /// Public id of the key.
    pub key_id: Option<String>,
    /// Whether the application has a subscription to the API, whatever its state.
    pub is_subscribed: bool,
    /// The plan of the subscription.
    pub plan: Option<String>,
    /// The rules in the order of the decision, up to the one that decided.
    pub steps: Vec<Step>,
    /// What an explanation cannot know, and what the configuration makes of the verdict.
    pub notes: Vec<String>,
}
