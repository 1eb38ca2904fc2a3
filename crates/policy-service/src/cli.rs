//! The command line: every argument, its variable and its default.

use std::{path::PathBuf, sync::Arc};

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    secret_files::{Files, variable_of_file},
    stderr,
};
use management::port::Error;
use store::{Settings, SqliteStore};

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
    /// Reads the command line, or ends the program. An error names the variables of the arguments that it is about.
    /// `--version` prints `version`.
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

/// Ends the program with what is wrong on its command line.
fn refuse(error: &clap::Error) -> ! {
    let variables = variables(error);
    if variables.is_empty() {
        error.exit();
    }
    // It ends with a line break of its own.
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

/// The arguments that an error is about, and their variables.
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
    Serve(Serve),
    /// Put the rows of policy pages into the database, also while the service runs.
    ///
    /// FILE holds one or more pages as the feed writes them, one after the other (NDJSON is fine). Rows that are there
    /// with other content are replaced, rows that are there as they are cost nothing, nothing is removed.
    Import(Import),
    /// Write the database to a file, also while the service runs.
    ///
    /// An earlier backup of this name is replaced once the new one is whole.
    Backup(Backup),
    /// Put a backup in the place of all that the database holds, also while the service runs.
    ///
    /// What was changed since the backup is lost, blocks as well. The epoch is renewed, so that all gateways fetch the whole
    /// policy. A backup of an earlier version is brought up to date; one of a later version is refused.
    Restore(Restore),
    /// Give the database a new epoch, so that all gateways fetch the whole policy anew.
    ///
    /// Nobody needs this after a backup was put back: the service notices it by the cursors of its gateways.
    RenewEpoch(RenewEpoch),
}

/// Where the database is.
#[derive(Clone, Debug, Args)]
pub struct Database {
    /// The SQLite file, made if there is none.
    #[arg(
        long = "database",
        env = "POLICY_DATABASE",
        hide_env_values = true,
        default_value = "sqlite:policy.db",
        value_name = "URL"
    )]
    pub url: String,
}

impl Database {
    /// The file that it names.
    pub fn file(&self) -> Result<PathBuf, Error> {
        store::file_of(&self.url).map(PathBuf::from)
    }

    /// Opens it; an error says where it was to be.
    pub async fn open(&self, settings: Settings) -> Result<Arc<SqliteStore>, String> {
        SqliteStore::open(&self.url, settings).await.map(Arc::new).map_err(|error| match error {
            Error::Url(_) => error.to_string(),
            _ => format!("--database (POLICY_DATABASE) {}: {error}", self.url),
        })
    }
}

/// Arguments of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Name or address, and port, to listen on; port 0 takes a free one, and the first line on stdout says which.
    #[arg(long, env = "POLICY_LISTEN", default_value = "127.0.0.1:8085", value_name = "HOST:PORT",
          value_parser = parse_listen)]
    pub listen: String,
    /// Name or address, and port, for gateways alone: the feed and reports of usage are then served here, and no more where
    /// `--listen` says.
    #[arg(long, env = "POLICY_FEED_LISTEN", value_name = "HOST:PORT", value_parser = parse_listen)]
    pub feed_listen: Option<String>,
    /// The service's certificate and those that lead to its root, a file in PEM: all listeners then speak TLS. It is read
    /// again when it changes.
    #[arg(long, env = "POLICY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a file in PEM without a passphrase.
    #[arg(long, env = "POLICY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The administrator's token, sent as `authorization: Bearer` to the management API. Better given by the variable:
    /// arguments can be read by every user of the machine.
    #[arg(long, env = "POLICY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: String,
    /// Gateways that may read the feed, as client_id:client_secret[,…]. A client_id may stand there twice while its
    /// secret is being changed. Better given by the variable.
    #[arg(long, env = "POLICY_GATEWAYS", hide_env_values = true, value_name = "ID:SECRET,…")]
    pub gateways: String,
    /// Gateways that see only some APIs, and the applications, keys and subscriptions that reach them: a JSON object
    /// from client_id to a list of API ids. The others see everything.
    #[arg(long, env = "POLICY_GATEWAY_APIS", value_name = r#"{"ID":["API",…],…}"#)]
    pub gateway_apis: Option<String>,
    /// Rows on one page of the feed.
    #[arg(long, env = "POLICY_PAGE_ROWS", default_value_t = 5_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub page_rows: u32,
    /// The longest that a poll is held, in seconds; 0 holds none. Proxies between must wait longer; their usual limit is 60.
    #[arg(long, env = "POLICY_MAX_WAIT", default_value_t = 50, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub max_wait: u32,
    /// Replaced and removed rows that are remembered, so that gateways can catch up by deltas. A gateway that was away
    /// for more changes than these fetches the whole policy.
    #[arg(long, env = "POLICY_HISTORY_ROWS", default_value_t = 100_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub history_rows: u32,
    /// Days for which hourly usage is kept.
    #[arg(long, env = "POLICY_USAGE_DAYS", default_value_t = 400, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub usage_days: u32,
    /// Tell gateways to accept a full policy that drops most of the keys they know, which they otherwise refuse.
    #[arg(long, env = "POLICY_CONFIRM_REMOVAL", value_parser = clap::builder::BoolishValueParser::new(),
          action = clap::ArgAction::SetTrue)]
    pub confirm_removal: bool,
}

impl std::fmt::Debug for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("listen", &self.listen).field("database", &self.database).finish_non_exhaustive()
    }
}

/// Checks the shape of `HOST:PORT`; whether there is such a host is found out when it is listened on.
fn parse_listen(text: &str) -> Result<String, &'static str> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if host.is_empty() || !is_port {
        return Err("expected a name or an address, and a port, as localhost:8085 or [::1]:8085");
    }
    Ok(text.to_owned())
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The pages; `-` is the standard input.
    pub file: PathBuf,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The file that is written; only its owner may read it.
    pub file: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The backup.
    pub file: PathBuf,
}

/// Arguments of `renew-epoch`.
#[derive(Debug, Args)]
pub struct RenewEpoch {
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
