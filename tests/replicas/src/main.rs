//! `bench-service` runs the policy service under load: on PostgreSQL with two replicas, one of which is killed
//! repeatedly, and on SQLite with one service. It checks that no acknowledged change is lost, and prints rates and
//! delays as a table. Then it measures receipts, pages, deltas and lists with a million keys, and imports a million rows with faults.
//! `make bench-service` calls it, `make bench-import` for the last part alone, and `make bench-console` for the console's pages in a
//! browser.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic here is a benchmark that has failed"
)]

mod beside;
mod changes;
mod database;
mod figures;
mod followers;
mod idle;
mod imported;
mod million;
mod pages;
mod receipts;
mod replicas;
mod run;
mod upkeep;
mod way_back;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use testkit::Result;

use crate::database::{Database, Kind};

/// Runs the policy service under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Duration of the load in seconds.
    #[arg(long, env = "SERVICE_SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Changes per second on PostgreSQL.
    #[arg(long, env = "SERVICE_RATE", default_value_t = 200)]
    rate: u64,
    /// Number of gateways that hold polls.
    #[arg(long, env = "SERVICE_GATEWAYS", default_value_t = 50)]
    gateways: usize,
    /// Seconds between two kills of a replica; 0 for none.
    #[arg(long, env = "SERVICE_KILL", default_value_t = 10)]
    kill: u64,
    /// Keys of the large policy; 0 for none.
    #[arg(long, env = "SERVICE_KEYS", default_value_t = 1_000_000)]
    keys: u64,
    /// Rows that are imported over HTTP; 0 for none.
    #[arg(long, env = "SERVICE_ROWS", default_value_t = 1_000_000)]
    rows: u64,
    /// Only this part.
    #[arg(long, env = "SERVICE_PART")]
    part: Option<Part>,
    /// Only this database: postgres or sqlite.
    #[arg(long, env = "SERVICE_DATABASE")]
    database: Option<Kind>,
    /// The policy service's program.
    #[arg(long, env = "POLICY_SERVICE", default_value = "target/release/policy-service")]
    service: PathBuf,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Changes and polls while replicas are killed.
    Load,
    /// Pages, deltas and lists of a large policy.
    Keys,
    /// An import over HTTP.
    Import,
    /// Receipts.
    Receipts,
    /// What gateways cost that say who they are.
    Idle,
    /// Pages of the console over a large policy, in a browser. Only if it is asked for.
    Pages,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().map_err(testkit::Error::io("starting tokio"));
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench-service: what had to hold does not");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-service: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints all results. Returns whether all required properties held.
async fn run(arguments: &Arguments) -> Result<bool> {
    let mut held = true;
    println!("| database | measure | measured |\n|---|---|---|");
    let has = |part| arguments.part.is_none_or(|only| only == part);
    for kind in [Kind::Postgres, Kind::Sqlite] {
        if arguments.database.is_some_and(|only| only != kind) {
            continue;
        }
        if has(Part::Load) {
            held &= load(kind, arguments).await?;
        }
        if has(Part::Receipts) {
            held &= receipts::measure(kind, &arguments.service).await?;
        }
        if has(Part::Idle) {
            idle::measure(kind, &arguments.service).await?;
        }
        if has(Part::Keys) && arguments.keys > 0 {
            held &= million::measure(kind, arguments.keys, &arguments.service).await?;
        }
        if has(Part::Import) && arguments.rows > 0 {
            held &= imported::measure(kind, arguments.rows, &arguments.service).await?;
        }
        if arguments.part == Some(Part::Pages) {
            held &= pages::measure(kind, arguments.keys, &arguments.service).await?;
        }
    }
    Ok(held)
}

/// Changes without and with polls, and one at a time. Returns whether all required properties held.
async fn load(kind: Kind, arguments: &Arguments) -> Result<bool> {
    let database = Database::start(kind, &arguments.service).await?;
    let floor = database.floor(Duration::from_secs(5)).await?;
    row(kind, "plain commits of one row, one after the other", format!("{floor:.0}/s"));
    let fast = run::without_polls(&database, Duration::from_secs(10)).await?;
    row(
        kind,
        "changes without polls, as fast as it goes",
        format!("{fast} ({:.0} % of the floor)", 100.0 * fast.rate / floor),
    );
    // On SQLite at most half of the rate without polls, because polls need processor time as well.
    let rate = match kind {
        Kind::Postgres => arguments.rate,
        Kind::Sqlite => arguments.rate.min((fast.rate * 0.5) as u64).max(1),
    };
    let load = run::Load {
        rate,
        during: Duration::from_secs(arguments.seconds),
        gateways: arguments.gateways,
        kill: (arguments.kill > 0).then(|| Duration::from_secs(arguments.kill)),
    };
    let found = run::under_load(&database, &load).await?;
    for (measure, text) in found.rows() {
        row(kind, &measure, text);
    }
    let mut held = found.is_right();
    if kind == Kind::Postgres {
        let idle = run::one_at_a_time(&database, 100).await?;
        row(
            kind,
            "100 changes one at a time: from the answer to that of a poll at the other replica",
            idle.to_string(),
        );
        held &= idle.p99_ms <= 200.0;
    }
    Ok(held)
}

/// Prints a row of the table.
fn row(kind: Kind, measure: &str, text: impl std::fmt::Display) {
    println!("| {kind} | {measure} | {text} |");
}
