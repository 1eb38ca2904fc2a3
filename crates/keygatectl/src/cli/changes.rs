//! Commands that change something.

use clap::{Args, Subcommand};

use super::args::{BlockName, KeySource, KindName, RoleName, TypeName, Wait, Yes, revision};
use crate::times::{Moment, Span};

/// Keep the URL and a token of a policy service for later commands.
#[derive(Debug, Args)]
#[command(after_help = "The token is read from standard input, or asked for at the terminal. It is
kept in ~/.config/keygate/login.json (or below XDG_CONFIG_HOME), which only
you may read.

Examples:
  keygatectl login https://policy.example.com
  keygatectl login https://policy.example.com < token.txt")]
pub struct Login {
    /// The policy service
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
}

/// Delete objects.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl delete subscription sub-8 --yes")]
pub struct Delete {
    #[arg(value_name = "KIND")]
    pub kind: KindName,
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub yes: Yes,
}

/// Block a subscription, or an application.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl block sub-7
  keygatectl block sub-7 --until 2h --reason 'ticket 17' --note 'ask support'
  keygatectl block sub-7 --state PROD_ONLY_BLOCKED
  keygatectl block sub-7 --from 2030-01-31T22:00 --until 2030-02-01T06:00
  keygatectl block sub-7 --dry-run
  keygatectl block --application app-1 --wait 5s")]
pub struct Block {
    /// The subscription
    #[arg(value_name = "ID")]
    pub id: String,
    /// The id is that of an application: all of its subscriptions are blocked
    #[arg(long, alias = "app")]
    pub application: bool,
    /// Whether sandbox keys are blocked as well: PROD_ONLY_BLOCKED lets them pass
    #[arg(long, value_enum, default_value = "BLOCKED", ignore_case = true, value_name = "STATE")]
    pub state: BlockName,
    /// Why; the subscriber does not see it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What the subscriber is told
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// When the block begins; at once unless given
    #[arg(long, value_name = "TIME", conflicts_with = "application")]
    pub from: Option<Moment>,
    /// When the block ends by itself: after a span such as 2h, or at a time
    #[arg(long, value_name = "TIME", conflicts_with = "application")]
    pub until: Option<Moment>,
    /// Change nothing, and say what the block would concern
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// End the block of a subscription, or of an application.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl unblock sub-7
  keygatectl unblock --application app-1 --reason 'paid' --wait 5s")]
pub struct Unblock {
    /// The subscription
    #[arg(value_name = "ID")]
    pub id: String,
    /// The id is that of an application
    #[arg(long, alias = "app")]
    pub application: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Make or replace the objects of documents.
#[derive(Debug, Args)]
pub struct Documents {
    /// Files of documents, or folders of them
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<std::path::PathBuf>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Approve or reject subscriptions.
#[derive(Debug, Args)]
pub struct Decide {
    /// The subscriptions
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Issue, regenerate, revoke and look up keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Issue a key to an application; the key alone is on stdout
    #[command(after_help = "Examples:
  keygatectl keys issue app-1 --expires-in 90d
  keygatectl keys issue app-1 --type SANDBOX --id k-ci | tee key.txt")]
    Issue(IssueKey),
    /// Issue a key that replaces another; the new key alone is on stdout
    #[command(after_help = "Examples:
  keygatectl keys regenerate k-2 --overlap 1h")]
    Regenerate(RegenerateKey),
    /// Revoke keys for ever
    #[command(after_help = "Examples:
  keygatectl keys revoke k-3 --yes")]
    Revoke {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        yes: Yes,
    },
    /// Whose key it is
    #[command(after_help = "Examples:
  keygatectl keys lookup --key-file key.txt
  keygatectl keys lookup --key-file - < key.txt")]
    Lookup {
        #[command(flatten)]
        source: KeySource,
    },
    /// Whether a text can be a key of keygate, by its checksum; no service is asked
    #[command(after_help = "Examples:
  keygatectl keys check --key-file key.txt

The exit code is 1 if it was mistyped, or has another form.")]
    Check {
        /// A file with the key; `-` for standard input
        #[arg(long, value_name = "FILE")]
        key_file: std::path::PathBuf,
    },
}

/// Issue a key to an application.
#[derive(Debug, Args)]
pub struct IssueKey {
    /// The application
    #[arg(value_name = "APPLICATION")]
    pub application: String,
    /// The type
    #[arg(long = "type", value_enum, ignore_case = true, value_name = "TYPE", default_value = "PRODUCTION")]
    pub of_type: TypeName,
    /// The id of the key, for logs
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// When it ends, from now on
    #[arg(long, value_name = "SPAN")]
    pub expires_in: Option<Span>,
    /// When it begins
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<Moment>,
    /// The only APIs that it opens
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub apis: Option<Vec<String>>,
    /// The only addresses and ranges that it may be used from
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    pub permitted_ips: Option<Vec<String>>,
    /// The only referers that it may be used from
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub permitted_referers: Option<Vec<String>>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Issue a key that replaces another.
#[derive(Debug, Args)]
pub struct RegenerateKey {
    /// The key to replace
    #[arg(value_name = "ID")]
    pub id: String,
    /// How long both keys are valid; without it the old key is revoked at once
    #[arg(long, value_name = "SPAN")]
    pub overlap: Option<Span>,
    /// The id of the new key
    #[arg(long, value_name = "ID")]
    pub new_id: Option<String>,
    /// When the new key ends, from now on; otherwise when the old one would have
    #[arg(long, value_name = "SPAN")]
    pub expires_in: Option<Span>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Tokens of people, teams and programs.
#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// List tokens, without the tokens themselves
    List,
    /// Issue a token; the token alone is on stdout
    #[command(after_help = "Examples:
  keygatectl tokens issue --role publisher --subject payments --expires-in 90d")]
    Issue {
        /// What the token may do
        #[arg(long, value_enum)]
        role: RoleName,
        /// The person, team or program that has it
        #[arg(long, value_name = "NAME")]
        subject: String,
        /// When it ends, from now on; never unless given
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<Span>,
    },
    /// Revoke tokens at once
    Revoke {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

/// Make a credential of gateways.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl gateways issue --client-id edge-1 --expires-in 365d")]
pub struct NewCredential {
    /// The name of the gateways that use it; several credentials may have one name
    #[arg(long, value_name = "NAME")]
    pub client_id: String,
    /// The only APIs that they see
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub apis: Option<Vec<String>>,
    /// When it ends, from now on; never unless given
    #[arg(long, value_name = "SPAN")]
    pub expires_in: Option<Span>,
}

/// Put the policy back as it was at a revision.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl history
  keygatectl restore 3 --dry-run
  keygatectl restore 3 --yes")]
pub struct Restore {
    /// The revision
    #[arg(value_name = "REVISION", value_parser = revision)]
    pub revision: i64,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Lift blocks and remove deny policies that were not there then
    #[arg(long)]
    pub lift_blocks: bool,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub yes: Yes,
}
