//! The program: reads the command line, opens the database, and serves until it is told to stop.

use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use crate::{
    auth::{Administrator, Credentials, Gateways},
    backup,
    cli::{Cli, Command, Database, Serve},
    clock::{act, act_of_service},
    due,
    feed::{self, Feed},
    import,
    metrics::Metrics,
    server::{
        self, Door, Served,
        tls::{Files, Tls},
    },
    signin::{Settings, SignIn},
    stderr, stored,
};
use management::port::{Actor, Store, places::Clash};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Characters of an administrator's token below which the log warns. 16 random characters have more than 90 bits.
const SHORT_TOKEN: usize = 16;

/// Runs a command of the program. `version` is what the program reports as its version.
#[tokio::main]
pub async fn run(version: &'static str) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise the logger reports a line that it cannot write with `eprintln!`, which then panics.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .init();
    let arguments = Cli::read(version);
    if let Err(error) = outlive_a_full_file() {
        tracing::warn!(%error, "a file that reaches the limit of its size will end this program");
    }
    let result = match arguments.command {
        Command::Serve(arguments) => serve(*arguments, version).await,
        Command::Check(arguments) => stored::check(&arguments).await,
        Command::Import(arguments) => import::run(&arguments).await,
        Command::Backup(arguments) => backup::backup(&arguments).await,
        Command::Restore(arguments) => backup::restore(&arguments).await,
        Command::RenewEpoch(arguments) => renew_epoch(&arguments.database).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Serve, version: &str) -> Result<(), Box<dyn Error>> {
    server::descriptors::raise();
    let administrator = Administrator::new(&arguments.admin_token)?;
    if arguments.admin_token.len() < SHORT_TOKEN {
        tracing::warn!(
            "POLICY_ADMIN_TOKEN has fewer than {SHORT_TOKEN} characters and can be guessed; make a longer one at random"
        );
    }
    let gateways = Gateways::parse(arguments.gateways.as_deref(), arguments.gateway_apis.as_deref())?;
    gateways.check_apart(&administrator)?;
    let settings = store::Settings {
        history_rows: arguments.history_rows.into(),
        history_days: arguments.history_days.into(),
        usage_days: arguments.usage_days.into(),
        audit_days: arguments.audit_days.into(),
        ..store::Settings::default()
    };
    let store = arguments.database.open(settings).await?;
    let stopping = CancellationToken::new();
    let feed_settings = feed::Settings {
        page_rows: usize::try_from(arguments.page_rows)?,
        confirm_removal: arguments.confirm_removal,
        max_wait: Duration::from_secs(arguments.max_wait.into()),
        gone_after: Duration::from_secs(arguments.gateway_gone_after.into()),
    };
    let left_out = stored::warn(&store).await?;
    let feed = Feed::new(store.clone(), feed_settings, stopping.clone()).leaving_out(left_out);
    let tls = open_tls(&arguments)?;
    let sign_in = open_sign_in(&arguments, tls.is_some())?;

    warn_of_clashes(&store).await?;
    let metrics = Metrics::new()?;
    let credentials = Credentials::new(administrator, gateways, store.clone());
    let gateways = feed.gateways().clone();
    let served = Served { store: store.clone(), feed, credentials, metrics: metrics.clone(), sign_in };
    let doors = open_doors(&arguments, tls.as_ref(), served).await?;
    let state = store.state().await?;
    let what = if store.is_new() { "a new database was made" } else { "the database was opened" };
    tracing::info!(database = arguments.database.shown(), revision = state.revision, "{what}");
    // A supervisor that reads the lines below may send a signal at once.
    stop_on_signal(stopping.clone())?;
    say_where(&doors, tls.is_some())?;
    tracing::info!(version, revision = state.revision, epoch = state.epoch, "serving");

    let reading_again = tls.map(|tls| tokio::spawn(tls.watch(metrics.clone())));
    let watch = tokio::spawn({
        let store = store.clone();
        async move { store.watch(act_of_service).await }
    });
    let due = tokio::spawn({
        let metrics = metrics.clone();
        due::run(store.clone(), act_of_service, move |kind, action| metrics.count_change(kind, action))
    });
    let hearing = tokio::spawn({
        let stopping = stopping.clone();
        async move { gateways.watch(stopping).await }
    });
    server::serve_all(doors, metrics, stopping.clone()).await;
    watch.abort();
    due.abort();
    stopping.cancel();
    // It ends by itself, after it has noted what it heard.
    let _ = hearing.await;
    if let Some(reading_again) = reading_again {
        reading_again.abort();
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn open_tls(arguments: &Serve) -> Result<Option<Tls>, String> {
    let (Some(certificate), Some(key)) = (arguments.tls_cert.clone(), arguments.tls_key.clone()) else {
        return Ok(None);
    };
    let opened = Tls::open(Files { certificate, key });
    opened.map(Some).map_err(|error| format!("--tls-cert (POLICY_TLS_CERT), --tls-key (POLICY_TLS_KEY): {error}"))
}

/// Checks the configuration of sign-in, also if the console is off.
fn open_sign_in(arguments: &Serve, speaks_tls: bool) -> Result<Option<SignIn>, String> {
    let settings = Settings::new(&arguments.sign_in, speaks_tls).map_err(|error| error.to_string())?;
    if !settings.console {
        return Ok(None);
    }
    if settings.is_open_to_the_network() {
        tracing::warn!(
            "--public-url (POLICY_PUBLIC_URL) is not https: who reads the network can take over sessions of the console"
        );
    }
    let issuer = settings.provider.as_ref().map(|provider| provider.issuer.as_str());
    tracing::info!(issuer, "the console is served");
    SignIn::new(settings).map(Some).map_err(|error| format!("the identity provider cannot be asked over TLS: {error}"))
}

/// The listeners with their routes: one for all, or one for management and one for the feed.
async fn open_doors(arguments: &Serve, tls: Option<&Tls>, served: Served) -> Result<Vec<Door>, String> {
    let listen = async |argument: &str, variable: &str, address: &str| {
        let listening = server::listen(address).await;
        listening.map_err(|error| format!("{argument} ({variable}): cannot listen on {address}: {error}"))
    };
    let listener = listen("--listen", "POLICY_LISTEN", &arguments.listen).await?;
    let door = |listener, router| Door { listener, router, tls: tls.cloned() };
    let Some(address) = &arguments.feed_listen else {
        return Ok(vec![door(listener, server::router(served))]);
    };
    let of_feed = listen("--feed-listen", "POLICY_FEED_LISTEN", address).await?;
    let (managing, feeding) = server::routers(served);
    Ok(vec![door(listener, managing), door(of_feed, feeding)])
}

/// Writes the lines on stdout, one for each listener. The process that started the service reads the ports from them.
/// stdout may be closed already.
fn say_where(doors: &[Door], is_tls: bool) -> io::Result<()> {
    let scheme = if is_tls { "https" } else { "http" };
    for (door, what) in doors.iter().zip(["listening", "listening for gateways"]) {
        let address = door.listener.local_addr()?;
        let _ = writeln!(io::stdout(), "{what} on {scheme}://{address}");
        tracing::info!(%address, scheme, "{what}");
    }
    Ok(())
}

/// Logs pairs of APIs with the same match, which were stored before such APIs were refused.
async fn warn_of_clashes(store: &Store) -> Result<(), Box<dyn Error>> {
    for Clash { meant, shadowed, place } in store.clashes().await? {
        tracing::warn!(
            meant,
            shadowed,
            "two APIs have the match {place}; gateways take the first for all requests; change the match of one of them"
        );
    }
    Ok(())
}

/// Ignores SIGXFSZ, which would end the program. A write beyond the file size limit then is an error like a full disk.
fn outlive_a_full_file() -> std::io::Result<()> {
    const SIGXFSZ: i32 = 25;
    // The handler stays registered; nothing waits for the signal.
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

fn stop_on_signal(stopping: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(())
}

async fn renew_epoch(database: &Database) -> Result<(), Box<dyn Error>> {
    // A mistyped name must not create an empty database and report success.
    let store = database.open(store::Settings { must_exist: true, ..store::Settings::default() }).await?;
    let epoch = store.renew_epoch(&act(Actor::administrator())).await?;
    store.close().await;
    stderr::say(format_args!("the new epoch is {epoch}; gateways will fetch the full policy"));
    Ok(())
}
