//! The command line: every argument, its variable and its default.

use std::{fmt, path::PathBuf};

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

mod sign_in;

use crate::{
    secret_files::{Files, variable_of_file},
    stderr,
};
pub use sign_in::SignIn;

use management::port::{Error, Store};
use store::Settings;

/// The exit code of a wrong command line, as clap's own.
const WRONG_USAGE: i32 = 2;

/// The policy service of keygate: manages APIs, applications, keys and subscriptions, and feeds them to gateways.
#[derive(Debug, Parser)]
#[command(about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line, or ends the program. Errors name the variables of the arguments. `--version` prints
    /// `version`.
    pub fn read(version: &'static str) -> Self {
        let name = std::env::args().nth(1).unwrap_or_default();
        let (command, files) = Files::read(Self::command().version(version), &name);
        let matches = command.try_get_matches().unwrap_or_else(|error| refuse(&error));
        if let Err(wrong) = files.check(&matches) {
            stderr::say(format_args!("error: {wrong}"));
            std::process::exit(WRONG_USAGE);
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| refuse(&error))
    }
}

/// Ends the program with an error about its command line.
fn refuse(error: &clap::Error) -> ! {
    let variables = variables(error);
    if variables.is_empty() {
        error.exit();
    }
    // The error ends with a line break already.
    stderr::say(error.to_string().trim_end());
    for (argument, variable) in variables {
        let file = match is_secret(&variable) {
            true => format!(", or by {}, the path of a file that holds it", variable_of_file(&variable)),
            false => String::new(),
        };
        stderr::say(format_args!("note: {argument} can also be given by the variable {variable}{file}"));
    }
    std::process::exit(error.exit_code())
}

/// Whether an argument of any subcommand has this variable and hides its values.
fn is_secret(variable: &str) -> bool {
    let command = Cli::command();
    let mut arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    arguments.any(|argument| argument.is_hide_env_values_set() && argument.get_env().is_some_and(|env| env == variable))
}

/// The arguments that an error names, with their variables.
fn variables(error: &clap::Error) -> Vec<(String, String)> {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::MissingRequiredArgument
    ) {
        return Vec::new();
    }
    let arguments = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => std::slice::from_ref(argument),
        Some(ContextValue::Strings(arguments)) => arguments,
        _ => &[],
    };
    let names = arguments.iter().filter_map(|argument| argument.split(' ').next()?.strip_prefix("--"));
    names.map(|name| (format!("--{name}"), format!("POLICY_{}", name.replace('-', "_").to_uppercase()))).collect()
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the feed for gateways and the management API.
    Serve(Box<Serve>),
    /// Write the rows of policy pages into the database, also while the service runs.
    ///
    /// FILE holds one or more policy pages, as the feed writes them, one after the other. It is not the
    /// form of `POST /v1/import`, which has a row on each line. A row that exists with other content is replaced. A row that
    /// exists with the same content changes nothing. Only `--replace` removes rows.
    Import(Import),
    /// Names the stored rows that gateways would refuse.
    ///
    /// At its start the service leaves these rows out of the feed, except deny policies.
    Check(Check),
    /// Write the database to a file, also while the service runs.
    ///
    /// An earlier backup with this name is replaced when the new one is complete.
    Backup(Backup),
    /// Replace everything in the database by a backup, also while the service runs.
    ///
    /// All changes since the backup are lost, including blocks. The service renews the epoch, so that all gateways
    /// fetch the full policy. A backup of an earlier version is migrated; one of a later version is refused.
    Restore(Restore),
    /// Give the database a new epoch, so that all gateways fetch the full policy again.
    ///
    /// This is not needed after a restored backup: the service notices the restored database by the cursors of its
    /// gateways.
    RenewEpoch(RenewEpoch),
}

/// The database argument.
#[derive(Clone, Args)]
pub struct Database {
    /// The SQLite file, created if it does not exist, or a PostgreSQL database, as postgres://USER:PASSWORD@HOST/DATABASE.
    /// Give a password by the variable or in the file that PGPASSFILE names: every user of the machine can read arguments.
    #[arg(
        long = "database",
        env = "POLICY_DATABASE",
        hide_env_values = true,
        default_value = "sqlite:policy.db",
        value_name = "URL"
    )]
    url: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shown()).finish()
    }
}

impl Database {
    /// Opens the database. Errors name the argument.
    pub async fn open(&self, settings: Settings) -> Result<Store, String> {
        store::open(&self.url, settings).await.map_err(|error| self.named(error))
    }

    /// Its URL, without a password.
    pub fn shown(&self) -> String {
        store::shown(&self.url)
    }

    /// Its URL, if it is a file. Else an error that says how such a database is copied.
    pub fn file_url(&self) -> Result<&str, String> {
        if store::postgres::is_url(&self.url) {
            return Err(format!(
                "--database (POLICY_DATABASE) {}: PostgreSQL has programs for this, pg_dump and pg_restore; \
                 docs/operations.md says how",
                self.shown()
            ));
        }
        Ok(&self.url)
    }

    /// The message for an error of the database, with the argument that is wrong.
    pub fn named(&self, error: Error) -> String {
        match error {
            Error::Url(_) | Error::Parameter { .. } => error.to_string(),
            _ => format!("--database (POLICY_DATABASE) {}: {error}", self.shown()),
        }
    }
}

/// Arguments of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Host name or address, and port, to listen on. Port 0 takes a free port; the first line on stdout names it.
    #[arg(long, env = "POLICY_LISTEN", default_value = "127.0.0.1:8085", value_name = "HOST:PORT",
          value_parser = parse_listen)]
    pub listen: String,
    /// Name or address, and port, for gateways only. The feed and usage reports are then served here and not at
    /// `--listen`.
    #[arg(long, env = "POLICY_FEED_LISTEN", value_name = "HOST:PORT", value_parser = parse_listen)]
    pub feed_listen: Option<String>,
    /// The service's certificate and its chain, a PEM file. All listeners then speak TLS. The file is read again when
    /// it changes.
    #[arg(long, env = "POLICY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file without a passphrase.
    #[arg(long, env = "POLICY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The administrator's token, sent as `authorization: Bearer` to the management API. Prefer the variable, because
    /// every user of the machine can read arguments.
    #[arg(long, env = "POLICY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: String,
    /// Gateways that may read the feed, as client_id:client_secret[,…], besides those that have a credential in the
    /// database (`POST /v1/gateways/credentials`). A client_id may appear twice while its secret is being changed. Prefer
    /// the variable.
    #[arg(long, env = "POLICY_GATEWAYS", hide_env_values = true, value_name = "ID:SECRET,…")]
    pub gateways: Option<String>,
    /// Gateways that see only some APIs, and the applications, keys and subscriptions that reach them: a JSON object
    /// from client_id to a list of API ids. Other gateways see everything.
    #[arg(long, env = "POLICY_GATEWAY_APIS", value_name = r#"{"ID":["API",…],…}"#)]
    pub gateway_apis: Option<String>,
    /// Maximum number of rows on one page of the feed.
    #[arg(long, env = "POLICY_PAGE_ROWS", default_value_t = 5_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub page_rows: u32,
    /// The longest time for which a poll is held, in seconds; 0 holds none. Proxies between must wait longer; their
    /// usual limit is 60.
    #[arg(long, env = "POLICY_MAX_WAIT", default_value_t = 50, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub max_wait: u32,
    /// Number of replaced and removed rows that are remembered, so that gateways can catch up by deltas. A gateway that
    /// missed more changes fetches the full policy.
    #[arg(long, env = "POLICY_HISTORY_ROWS", default_value_t = 100_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub history_rows: u32,
    /// Days for which replaced and removed rows are remembered, of those that --history-rows keeps; 0: no limit of days.
    #[arg(long, env = "POLICY_HISTORY_DAYS", default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub history_days: u32,
    /// Days for which hourly usage is kept.
    #[arg(long, env = "POLICY_USAGE_DAYS", default_value_t = 400, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub usage_days: u32,
    /// Days for which entries of the audit log are kept; 0: for ever.
    #[arg(long, env = "POLICY_AUDIT_DAYS", default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub audit_days: u32,
    /// Seconds after which a gateway that is not heard of is gone, and receipts do not wait for it any more; never before
    /// its policy has expired. They count from when it should have called again.
    #[arg(long, env = "POLICY_GATEWAY_GONE_AFTER", default_value_t = 3_600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub gateway_gone_after: u32,
    /// Sessions of people and how they sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
    /// Tell gateways to accept a full policy that drops most of the keys that they know. They refuse it otherwise.
    #[arg(long, env = "POLICY_CONFIRM_REMOVAL", value_parser = clap::builder::BoolishValueParser::new(),
          action = clap::ArgAction::SetTrue)]
    pub confirm_removal: bool,
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("listen", &self.listen).field("database", &self.database).finish_non_exhaustive()
    }
}

/// Checks the shape of `HOST:PORT`. Whether the host exists shows when the service listens on it.
fn parse_listen(text: &str) -> Result<String, &'static str> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if host.is_empty() || !is_port {
        return Err("expected a name or an address and a port, such as localhost:8085 or [::1]:8085");
    }
    Ok(text.to_owned())
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// Changes nothing, and says what would be changed. Other changes wait meanwhile.
    #[arg(long)]
    pub dry_run: bool,
    /// Removes what the file does not have, unless a row is refused. Blocks and deny policies stay.
    #[arg(long)]
    pub replace: bool,
    /// Lets rows lift and weaken blocks, and `--replace` remove deny policies.
    #[arg(long)]
    pub lift_blocks: bool,
    /// The file with the pages; `-` is the standard input.
    pub file: PathBuf,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The file to write; only its owner may read it.
    pub file: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The backup to restore.
    pub file: PathBuf,
}

/// Arguments of `renew-epoch`.
#[derive(Debug, Args)]
pub struct RenewEpoch {
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
