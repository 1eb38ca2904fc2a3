//! `soak`: runs a soak and prints its report; ends with 1 if anything was not as promised. `soak arm IN OUT`, for the
//! Makefile, puts the trap into the module.

use std::{path::PathBuf, process::ExitCode, sync::LazyLock, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use keygate_soak::{
    arm,
    between::Feed,
    faults::Plan,
    history::Bounds,
    run::{self, Options},
};

/// The version and the commit of this build; Cargo alone knows no commit, `make soak` does.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (commit {})", env!("CARGO_PKG_VERSION"), option_env!("KEYGATE_COMMIT").unwrap_or("unknown"))
});

/// A real Envoy under load while everything around the filter fails.
#[derive(Parser)]
#[command(version = VERSION.as_str())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long.
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 600)]
    seconds: u64,
    /// What all is chosen from; another each time unless given.
    #[arg(long, env = "SOAK_SEED")]
    seed: Option<u64>,
    /// Applications, each with two keys and four subscriptions.
    #[arg(long, env = "SOAK_APPLICATIONS", default_value_t = 1000)]
    applications: usize,
    /// Requests a second, about.
    #[arg(long, env = "SOAK_RATE", default_value_t = 800)]
    rate: u32,
    /// How long after its acknowledgement a change may go unseen, in milliseconds.
    #[arg(long, env = "SOAK_BOUND_MS", default_value_t = 2000)]
    bound_ms: u64,
    /// Which faults there are; all unless given.
    #[arg(long, env = "SOAK_FAULTS", value_delimiter = ',')]
    faults: Option<Vec<Fault>>,
    /// Lets the feed say of what is blocked that it is open: the soak has to notice.
    #[arg(long, env = "SOAK_LYING")]
    lying: bool,
    /// The module that can be made to trap.
    #[arg(long, default_value = "target/soak/keygate.wasm")]
    armed: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Puts the trap into the module.
    Arm {
        /// As it was linked.
        input: PathBuf,
        /// As Envoy is to load it.
        output: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Nothing fails.
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
