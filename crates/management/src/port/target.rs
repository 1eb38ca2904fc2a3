//! What deny policies are about, in one form for all spellings.
//!
//! A row is read with the filter's own parser, so addresses are compared here as the filter compares them. Whether two
//! such policies are refused is decided by the rules.

use keygate::policy::{
    rows::{DenyPolicy, DenyTarget},
    wire,
};

/// What the row of a deny policy is about; `None`: the filter cannot read the row.
pub fn parse(document: &str) -> Option<DenyTarget> {
    let row = serde_json::from_str::<wire::DenyPolicyRow<'_>>(document).ok()?;
    DenyPolicy::try_from(row).ok().map(|policy| policy.target)
}

/// The kind and the value, in one form for all spellings; `None`: the filter cannot read the row.
pub fn target(document: &str) -> Option<String> {
    Some(match parse(document)? {
        DenyTarget::Range(range) => format!("address {}", range.trunc()),
        DenyTarget::Application(id) => format!("application {}", id.as_str()),
        DenyTarget::Api(id) => format!("api {}", id.as_str()),
        DenyTarget::Owner(owner) => format!("user {}", owner.as_str()),
    })
}
