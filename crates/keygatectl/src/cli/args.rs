//! Values and options that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::times::Span;

/// Reads the number of a revision.
pub fn revision(text: &str) -> Result<i64, String> {
    let read = text.parse().ok().filter(|revision| *revision >= 0);
    read.ok_or_else(|| "expected the number of a revision, such as 42".to_owned())
}

/// Reads how many rows to show.
pub fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number, such as 50".to_owned())
}

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindName {
    #[value(name = "apis", alias = "api")]
    Apis,
    #[value(name = "applications", aliases = ["application", "app", "apps"])]
    Applications,
    #[value(name = "keys", alias = "key")]
    Keys,
    #[value(name = "subscriptions", aliases = ["subscription", "sub", "subs"])]
    Subscriptions,
    #[value(name = "plans", alias = "plan")]
    Plans,
    #[value(name = "deny-policies", aliases = ["deny-policy", "deny_policies", "deny_policy", "deny"])]
    DenyPolicies,
}

/// How long to wait for gateways.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// Wait up to this long (at most 30s) until every gateway decides by the change, and exit with 4 if one does not
    #[arg(long, value_name = "SPAN")]
    pub wait: Option<Span>,
}

/// Whether to go on without a question.
#[derive(Clone, Copy, Debug, Args)]
pub struct Yes {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// Where a key comes from.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct KeySource {
    /// A file with the key; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The SHA-256 of the key, 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST")]
    pub sha256: Option<String>,
}

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum TypeName {
    Production,
    Sandbox,
}

/// The state of a blocked subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BlockName {
    // No request passes.
    Blocked,
    // Requests with SANDBOX keys pass.
    ProdOnlyBlocked,
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    // May do everything.
    Administrator,
    // Owns APIs and plans.
    Publisher,
    // Owns applications.
    Subscriber,
    // Sees everything, and blocks.
    Operator,
    // Sees everything, and changes nothing.
    Auditor,
}

/// The name of a value, as it is written on the command line.
pub fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
