//! The targets of deny policies, in one form for all spellings.
//!
//! The filter's own parser reads the row, so addresses are compared here as the filter compares them. The rules decide
//! whether two policies with one target are rejected.

use keygate::policy::{
    rows::{DenyPolicy, DenyTarget},
    wire,
};

/// The target in the row of a deny policy. `None` if the filter cannot read the row.
pub fn parse(document: &str) -> Option<DenyTarget> {
    let row = serde_json::from_str::<wire::DenyPolicyRow<'_>>(document).ok()?;
    DenyPolicy::try_from(row).ok().map(|policy| policy.target)
}

/// The type and the value, in one form for all spellings. `None` if the filter cannot read the row.
pub fn target(document: &str) -> Option<String> {
    Some(match parse(document)? {
        DenyTarget::Range(range) => format!("address {}", range.trunc()),
        DenyTarget::Application(id) => format!("application {}", id.as_str()),
        DenyTarget::Api(id) => format!("api {}", id.as_str()),
        DenyTarget::Owner(owner) => format!("user {}", owner.as_str()),
    })
}
