//! Commands that work with a folder of documents.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};

use super::args::{Yes, revision};

/// Write everything as YAML documents, for Git.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl export policy
  keygatectl export policy --force")]
pub struct Export {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Replace documents that are there; only files that `export` writes are touched
    #[arg(long)]
    pub force: bool,
}

/// What `apply` would change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl diff policy

The exit code is 2 if there is a difference.")]
pub struct Diff {
    /// The folder with the documents
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Show also what `apply --prune` would remove
    #[arg(long)]
    pub prune: bool,
    /// Show blocks that `apply --lift-blocks` would lift as changes
    #[arg(long)]
    pub lift_blocks: bool,
    /// The record of what was applied; otherwise keygate.lock in the folder
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

/// Write the documents of a folder to the service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keygatectl apply policy --dry-run
  keygatectl apply policy
  keygatectl apply policy --prune --yes

Objects that no document names stay, unless --prune is given and they were
applied from this folder before: keygate.lock in the folder is the record of
that. No block is lifted, unless --lift-blocks is given.")]
pub struct Apply {
    /// The folder with the documents
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Remove what was applied from this folder before and is in no document any more
    #[arg(long)]
    pub prune: bool,
    /// Change nothing, and show what would be changed
    #[arg(long)]
    pub dry_run: bool,
    /// Let documents lift and weaken blocks, and --prune remove deny policies
    #[arg(long)]
    pub lift_blocks: bool,
    /// Change nothing unless the policy is at this revision: that of the `diff` that was reviewed
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    pub if_revision: Option<i64>,
    /// A word for the audit log, such as a commit
    #[arg(long, value_name = "TEXT", default_value = "keygatectl apply")]
    pub label: String,
    /// The record of what was applied; otherwise keygate.lock in the folder
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    #[command(flatten)]
    pub yes: Yes,
}

/// Turn the files of other products into documents for `apply`.
#[derive(Debug, Args)]
#[command(after_help = "What could not be carried over is listed on stderr, with its place and what to
do instead.

Examples:
  keygatectl convert csv keys.csv --out converted
  keygatectl validate converted
  keygatectl apply converted --dry-run")]
pub struct Convert {
    /// Whose files they are
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(::convert::Kind::ALL.map(::convert::Kind::word)))]
    pub from: String,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The folder for the documents; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The id of the API, where the files name none
    #[arg(long, value_name = "ID")]
    pub api: Option<String>,
    /// The owner of applications, where the files name none
    #[arg(long, value_name = "SUBJECT")]
    pub owner: Option<String>,
    /// Replace documents that are there; only files that `export` writes are touched
    #[arg(long)]
    pub force: bool,
}
