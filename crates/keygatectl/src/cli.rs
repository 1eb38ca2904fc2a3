//! The command line: every command with its options, help and examples. What they do stands in `commands`.
//!
//! No option takes a key or a token. They come from a file, from standard input, a prompt or the environment.

pub mod apply;
pub mod args;
pub mod changes;
pub mod reads;

use std::{env, ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    // Tables and texts for people.
    #[default]
    Table,
    // JSON for scripts.
    Json,
}

/// Who may call which API with which key: look, block, explain, and keep it all in Git
#[derive(Debug, Parser)]
#[command(
    name = "keygatectl",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "First use:
  keygatectl login https://policy.example.com     asks for a token, and keeps it
  keygatectl get subscriptions --state BLOCKED    who is blocked
  keygatectl block sub-7 --until 2h --wait 5s     until every gateway has it

Variables: KEYGATE_URL, KEYGATE_TOKEN or KEYGATE_TOKEN_FILE, KEYGATE_CA_FILE,
NO_COLOR

Exit codes: 0 done, 1 failed, 2 there is a difference (diff), 3 the policy
refuses (explain), 4 a receipt that is not complete, 64 wrong usage"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The policy service, such as https://policy.example.com; otherwise the one of `login` [env: KEYGATE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// A file with the token (`-`: standard input), instead of the variable KEYGATE_TOKEN or the `login` [env:
    /// KEYGATE_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted beside those of the system [env: KEYGATE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Use plain HTTP to another machine, although everyone on the way can read the token
    #[arg(long, global = true)]
    pub allow_http: bool,
    /// Tables for people, or JSON for scripts
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

impl Cli {
    /// Reads a command line. A command that needs arguments and has none shows its help.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut matches = helpful(Self::command()).try_get_matches_from(arguments)?;
        let mut cli = Self::from_arg_matches_mut(&mut matches)?;
        cli.global.add_environment();
        Ok(cli)
    }
}

fn helpful(command: clap::Command) -> clap::Command {
    let needs = command.is_subcommand_required_set() || command.get_arguments().any(clap::Arg::is_required_set);
    command.arg_required_else_help(needs).mut_subcommands(helpful)
}

impl Global {
    /// Takes from the environment what no option says. The parser does not, because it would count a variable as an
    /// argument, in the usage that an error shows and where it asks whether there is any.
    fn add_environment(&mut self) {
        let of = |name| env::var_os(name).filter(|text| !text.is_empty());
        self.url = self.url.take().or_else(|| of("KEYGATE_URL").map(|url| url.to_string_lossy().into_owned()));
        self.token_file = self.token_file.take().or_else(|| of("KEYGATE_TOKEN_FILE").map(PathBuf::from));
        self.ca_file = self.ca_file.take().or_else(|| of("KEYGATE_CA_FILE").map(PathBuf::from));
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep the URL and a token of a policy service for later commands
    Login(changes::Login),
    /// Forget what `login` has kept
    Logout,
    /// Who asks, by the token that is used
    #[command(alias = "me")]
    Whoami,
    /// List objects of a kind, or show one
    Get(reads::Get),
    /// Show one object with its block, receipt, usage and history
    Describe(reads::Describe),
    /// Make the objects of documents, with the rights of your role
    #[command(after_help = "Examples:
  keygatectl create new.yaml

A document is what `export` writes: a row of the API with its kind. `apply`
sends all documents of a folder at once, and is for administrators.")]
    Create(changes::Documents),
    /// Replace the objects of documents, with the rights of your role
    #[command(after_help = "Examples:
  keygatectl replace policy/plans.yaml")]
    Replace(changes::Documents),
    /// Delete objects; the block of a deleted subscription or application stays
    Delete(changes::Delete),
    /// Block a subscription, or an application
    Block(changes::Block),
    /// End the block of a subscription, or of an application
    Unblock(changes::Unblock),
    /// Approve subscriptions that wait for it
    #[command(after_help = "Examples:
  keygatectl get subscriptions --state ON_HOLD
  keygatectl approve sub-9 --reason 'contract signed'")]
    Approve(changes::Decide),
    /// Reject subscriptions that wait for approval
    #[command(after_help = "Examples:
  keygatectl reject sub-9 --reason 'no contract'")]
    Reject(changes::Decide),
    /// Issue, regenerate, revoke and look up keys
    #[command(subcommand, after_help = "`keygatectl get keys` lists keys.")]
    Keys(changes::Keys),
    /// Tokens of people, teams and programs
    Tokens {
        #[command(subcommand)]
        command: Option<changes::Tokens>,
    },
    /// The gateways that follow the policy, and their credentials
    Gateways(reads::Gateways),
    /// Which gateways decide by a revision
    Receipt(reads::Receipt),
    /// How many requests, by hour, application, API and outcome
    Usage(reads::Usage),
    /// Who changed what
    Audit(reads::Audit),
    /// The revisions of the policy, and what differs between two of them
    History(reads::History),
    /// Put the policy back as it was at a revision; blocks and revocations stay
    Restore(changes::Restore),
    /// Changes, blocks and gateways as they happen
    Watch(reads::Watch),
    /// Why a request is allowed or refused, by a service or by files
    Explain(reads::Explain),
    /// Check policy pages, plugin configurations and exported documents, without a service
    Validate(reads::Validate),
    /// Write everything as YAML documents, for Git
    Export(apply::Export),
    /// What `apply` would change
    Diff(apply::Diff),
    /// Write the documents of a folder to the service
    Apply(apply::Apply),
    /// Turn the files of other products into documents for `apply`
    Convert(apply::Convert),
    /// Write completions for a shell to stdout
    Completions(reads::Completions),
    /// Write the manual page to stdout
    Man,
}
