//! `soak` runs a soak and prints its report. It ends with 1 if a promise was broken. `soak arm IN OUT`, for the
//! Makefile, installs the trap in the module.

use std::{path::PathBuf, process::ExitCode, sync::LazyLock, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use keygate_soak::{
    arm,
    between::Feed,
    faults::Plan,
    history::Bounds,
    run::{self, Options},
};

/// The version and the commit of this build. Only `make soak` sets the commit; a plain Cargo build has none.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (commit {})", env!("CARGO_PKG_VERSION"), option_env!("KEYGATE_COMMIT").unwrap_or("unknown"))
});

/// A real Envoy under load while everything around the filter fails.
#[derive(Parser)]
#[command(version = VERSION.as_str())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Duration in seconds.
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Seed of all random choices. By default different in each run.
    #[arg(long, env = "SOAK_SEED")]
    seed: Option<u64>,
    /// Applications, each with two keys and four subscriptions.
    #[arg(long, env = "SOAK_APPLICATIONS", default_value_t = 1000)]
    applications: usize,
    /// Requests per second, approximately.
    #[arg(long, env = "SOAK_RATE", default_value_t = 800)]
    rate: u32,
    /// How long a change may be invisible after its acknowledgement, in milliseconds.
    #[arg(long, env = "SOAK_BOUND_MS", default_value_t = 2000)]
    bound_ms: u64,
    /// Kinds of faults. By default all.
    #[arg(long, env = "SOAK_FAULTS", value_delimiter = ',')]
    faults: Option<Vec<Fault>>,
    /// The feed reports blocked things as open. The soak must notice.
    #[arg(long, env = "SOAK_LYING")]
    lying: bool,
    /// The module that can be made to trap.
    #[arg(long, default_value = "target/soak/keygate.wasm")]
    armed: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Installs the trap in the module.
    Arm {
        /// The linked module.
        input: PathBuf,
        /// The module for Envoy.
        output: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// No faults.
    None,
    /// The policy service and its feed.
    Feed,
    /// VMs trap.
    Traps,
    /// Listeners are replaced.
    Listeners,
    /// A proxy in front of the policy service ends held answers.
    Cuts,
    /// A backup of the policy service's database is put back.
    Backups,
    /// The gateway's secret is rotated.
    Secrets,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Arm { input, output }) = &arguments.command {
        return ended(arm::arm(input, output).map(|()| true));
    }
    let wanted = |fault| arguments.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let options = Options {
        seconds: arguments.seconds,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        applications: arguments.applications.max(1),
        rate: arguments.rate.max(1),
        bounds: Bounds { propagation: Duration::from_millis(arguments.bound_ms), interval: Duration::from_millis(500) },
        plan: Plan {
            feed: wanted(Fault::Feed),
            traps: wanted(Fault::Traps),
            listeners: wanted(Fault::Listeners),
            cuts: wanted(Fault::Cuts),
            backups: wanted(Fault::Backups),
            secrets: wanted(Fault::Secrets),
        },
        well: if arguments.lying { Feed::Lying } else { Feed::Well },
        armed: arguments.armed,
    };
    eprintln!("soak {}: {} s with seed {}", *VERSION, options.seconds, options.seed);
    ended(run::run(&options).await.map(|outcome| {
        println!("{}", outcome.report());
        outcome.is_good()
    }))
}

fn ended(good: keygate_e2e::Result<bool>) -> ExitCode {
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}
