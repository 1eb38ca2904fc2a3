//! Commands that change nothing, and those of gateways.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use clap_complete::Shell;

use super::{
    args::{KindName, Yes, number, revision},
    changes::NewCredential,
};
use crate::times::{Moment, Span};

/// List objects of a kind, or show one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl get subscriptions --state BLOCKED
  keygatectl get keys --application app-1 --sort -last_used
  keygatectl get applications --owner alice --output json
  keygatectl get api payments-1.0")]
pub struct Get {
    /// What to list
    #[arg(value_name = "KIND")]
    pub kind: KindName,
    /// Show only the object with this id
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub filters: Filters,
    /// At most so many objects
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub limit: Option<u64>,
    /// The order, such as id, changed or owner; with a minus before it, the other way round
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
}

/// What a list is filtered by.
#[derive(Debug, Default, Args)]
pub struct Filters {
    /// Only with this text in id or name
    #[arg(long, short, value_name = "TEXT")]
    pub q: Option<String>,
    /// Only in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// Only of this owner
    #[arg(long, value_name = "SUBJECT")]
    pub owner: Option<String>,
    /// Only of this application
    #[arg(long, alias = "app", value_name = "ID")]
    pub application: Option<String>,
    /// Only of this API
    #[arg(long, value_name = "ID")]
    pub api: Option<String>,
    /// Only of this plan
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub of_type: Option<String>,
    /// Only the key with this digest
    #[arg(long, value_name = "DIGEST")]
    pub sha256: Option<String>,
    /// Only keys that were not used since this time; 90d means 90 days ago
    #[arg(long, value_name = "TIME")]
    pub last_used_before: Option<Moment>,
    /// Only subscriptions with a block that has yet to begin; with =false only those without
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub planned: Option<bool>,
}

/// Show one object with its block, receipt, usage and history.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl describe subscription sub-7
  keygatectl describe application app-1")]
pub struct Describe {
    #[arg(value_name = "KIND")]
    pub kind: KindName,
    #[arg(value_name = "ID")]
    pub id: String,
}

/// The gateways that follow the policy, and their credentials.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  keygatectl gateways
  keygatectl gateways --state silent
  keygatectl gateways credentials"
)]
pub struct Gateways {
    #[command(subcommand)]
    pub command: Option<GatewaysCommand>,
    #[command(flatten)]
    pub list: GatewaysList,
}

/// Which gateways.
#[derive(Debug, Default, Args)]
pub struct GatewaysList {
    /// Only in this state
    #[arg(long, value_parser = ["live", "silent", "gone"])]
    pub state: Option<String>,
    /// Only with these credentials
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Only of this Envoy
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Only with this text in a name
    #[arg(long, short, value_name = "TEXT")]
    pub q: Option<String>,
}

/// Gateways and their credentials.
#[derive(Debug, Subcommand)]
pub enum GatewaysCommand {
    /// Take gateways off the list; one that is still there comes back
    Forget {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// List the credentials that gateways use
    Credentials,
    /// Make a credential; its secret alone is on stdout
    Issue(NewCredential),
    /// Change which APIs a credential sees
    #[command(group = ArgGroup::new("which").required(true))]
    Scope {
        #[arg(value_name = "ID")]
        id: String,
        /// The only APIs that it sees
        #[arg(long, value_name = "ID", value_delimiter = ',', group = "which")]
        apis: Vec<String>,
        /// It sees all APIs
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Revoke credentials at once
    Revoke {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

/// Which gateways decide by a revision.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl receipt
  keygatectl receipt 2

The exit code is 4 if a gateway does not.")]
pub struct Receipt {
    /// The revision; the latest unless given
    #[arg(value_name = "REVISION", value_parser = revision)]
    pub revision: Option<i64>,
}

/// How many requests, by hour, application, API and outcome.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl usage --application app-1
  keygatectl usage --api payments-1.0 --from 7d --by outcome")]
pub struct Usage {
    /// Only of this application
    #[arg(long, alias = "app", value_name = "ID")]
    pub application: Option<String>,
    /// Only of this API
    #[arg(long, value_name = "ID")]
    pub api: Option<String>,
    /// From this time on; 24h means 24 hours ago
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub from: Moment,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Add up by
    #[arg(long, value_name = "FIELD", value_parser = ["hour", "application", "api", "plan", "outcome"])]
    pub by: Option<String>,
}

/// Who changed what.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl audit
  keygatectl audit --kind subscription --id sub-7
  keygatectl audit --actor alice --action block --from 7d")]
pub struct Audit {
    /// Only of this kind, such as subscription or token
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only about this object
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Only by this person, team or program
    #[arg(long, value_name = "SUBJECT")]
    pub actor: Option<String>,
    /// Only such changes, such as block or issue
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// From this time on; 7d means 7 days ago
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// At most so many entries, the latest first
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = number)]
    pub limit: u64,
}

/// The revisions of the policy, and what differs between two of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl history
  keygatectl history --diff 1 2
  keygatectl history --diff 1")]
pub struct History {
    /// What differs between two revisions; the second is the latest unless given
    #[arg(long, num_args = 1..=2, value_names = ["FROM", "TO"], value_parser = revision)]
    pub diff: Option<Vec<i64>>,
    /// At most so many revisions, the latest first
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = number)]
    pub limit: u64,
}

/// Changes, blocks and gateways as they happen.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl watch --for 1s
  keygatectl watch --for 1s --since 1h --output json")]
pub struct Watch {
    /// End after this time; otherwise with Ctrl-C
    #[arg(long = "for", value_name = "SPAN")]
    pub span: Option<Span>,
    /// Begin with the changes since this time; 1h means an hour ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
}

/// Why a request is allowed or refused, by a service or by files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl explain /payments/1.0/orders --key-id k-1
  keygatectl explain https://api.example.com/payments/1.0 --key-file key.txt
  keygatectl explain /payments/1.0 --key-id k-1 -X POST --plugin plugin.json
  keygatectl explain /payments/1.0/orders --key-id k-1 --policy page.json

With --policy no service is asked. The exit code is 3 if the request is refused.")]
pub struct Explain {
    /// The URL as clients send it, or only its path
    #[arg(value_name = "URL")]
    pub request: String,
    /// The method
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A file with the key; `-` for standard input
    #[arg(long, value_name = "FILE", group = "whose")]
    pub key_file: Option<PathBuf>,
    /// The SHA-256 of the key
    #[arg(long, value_name = "DIGEST", group = "whose")]
    pub sha256: Option<String>,
    /// The id of the key
    #[arg(long, value_name = "ID", group = "whose")]
    pub key_id: Option<String>,
    /// The address of the client
    #[arg(long, value_name = "IP")]
    pub address: Option<String>,
    /// The referer
    #[arg(long, value_name = "URL")]
    pub referer: Option<String>,
    /// A further header; a key does not belong here, but into --key-file
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// The plugin configuration of the gateway, as JSON or inside YAML for Envoy, Istio or Envoy Gateway
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// The time of the request; now unless given
    #[arg(long, value_name = "TIME")]
    pub at: Option<Moment>,
    /// The revision of the policy; the latest unless given
    #[arg(long, value_name = "REVISION", conflicts_with = "policy", value_parser = revision)]
    pub at_revision: Option<i64>,
    /// Decide by a policy page, or by the documents of a folder, and ask no service
    #[arg(long, value_name = "FILE|DIR")]
    pub policy: Option<PathBuf>,
}

/// Check files without a service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl validate page.json
  keygatectl validate plugin.json policy

A file is a policy page or a plugin configuration in JSON, YAML in which one
stands (Envoy, Istio's WasmPlugin and EnvoyFilter, EnvoyExtensionPolicy), or a
document of `export`.")]
pub struct Validate {
    /// Files, or folders of exported documents
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Write completions for a shell to stdout.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl completions bash
  keygatectl completions zsh")]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: Shell,
}
