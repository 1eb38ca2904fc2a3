//! `bench` compares the cost of keygate per request with that of alternatives, prints a table and draws a chart. The
//! Makefile builds the modules and calls it.

use std::{fs, num::NonZero, path::PathBuf, process::ExitCode, thread, time::Instant};

use clap::Parser;
use keygate_bench::{
    Error, Result,
    authz::Authz,
    chart, cpu,
    envoy::Envoy,
    feed::Feed,
    filters::Filters,
    listeners::{self, Places},
    measure::{self, Extent, Measured},
    population::Population,
    proof,
    report::{self, Run},
    variants,
};
use keygate_e2e::artifacts;
use tokio::runtime::Runtime;

/// Compares the cost of keygate per request with that of alternatives.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of starts of Envoy. Each start places code and data differently, which changes results by up to 5 %.
    #[arg(long, env = "STARTS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    starts: u16,
    /// Rounds after each start. The result is the median of all rounds.
    #[arg(long, env = "ROUNDS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Turns of a round. In each turn every variant has one slice.
    #[arg(long, env = "TURNS", default_value_t = 40, value_parser = clap::value_parser!(u16).range(4..=10_000))]
    turns: u16,
    /// Requests that each variant serves before the measurement.
    #[arg(long, env = "WARMING", default_value_t = 30_000)]
    warming: u32,
    /// Keys of the policy.
    #[arg(long, env = "KEYS", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(5_000..=2_000_000))]
    keys: u32,
    /// keygate.
    #[arg(long, env = "KEYGATE_WASM", default_value = "target/keygate.wasm")]
    keygate: PathBuf,
    /// Another build of keygate, measured in the same turns.
    #[arg(long, env = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Folder of the modules that keygate is compared with.
    #[arg(long)]
    filters: PathBuf,
    /// Only variants whose id begins with one of these. The reference variants are always measured.
    #[arg(long, env = "ONLY", value_delimiter = ',')]
    only: Vec<String>,
    /// Also measure the host calls one by one.
    #[arg(long, env = "ANATOMY")]
    anatomy: bool,
    /// Store table and chart here.
    #[arg(long, env = "KEEP")]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Runtime::new().map_err(Error::io("starting tokio")).and_then(|runtime| run(&arguments, &runtime)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, runtime: &Runtime) -> Result<()> {
    let company = (cpu::load_average(), thread::available_parallelism().map_or(1, NonZero::get));
    let filters = Filters::find(&arguments.keygate, arguments.baseline.as_deref(), &arguments.filters)?;
    let population = Population::of_keys(usize::try_from(arguments.keys).unwrap_or(usize::MAX));
    let warming = usize::try_from(arguments.warming).unwrap_or(usize::MAX);
    let starts = usize::from(arguments.starts);
    let extent = Extent { rounds: arguments.rounds.into(), turns: arguments.turns.into(), warming };
    let authz = Authz::start()?;
    let compared = variants::all(&filters, population, authz.address(), arguments.anatomy).only(&arguments.only);

    let feed = runtime.block_on(Feed::start(population))?;
    let places = Places { policy: feed.address(), authz: authz.address() };
    let config = listeners::bootstrap(&compared.listeners, places);
    let folder = artifacts::root().join("target/bench");
    let (listeners, begun) = (compared.listeners.len(), Instant::now());
    let mut measured = Measured::new();
    for start in 1..=starts {
        eprintln!("start {start} of {starts}: Envoy with {listeners} listeners and {} keys", population.keys());
        let mut envoy = runtime.block_on(Envoy::start(&folder, &config, 1))?;
        runtime.block_on(proof::of(&envoy, &compared.variants, population))?;
        let found = measure::run(&mut envoy, &authz, &compared.variants, population, extent, |round| {
            let what = if round == 0 { "warmed up".to_owned() } else { format!("round {round} of {}", extent.rounds) };
            eprintln!("{what}: {:.0} s", begun.elapsed().as_secs_f64());
        })?;
        found.into_iter().for_each(|(id, rounds)| measured.entry(id).or_default().0.extend(rounds.0));
        runtime.block_on(envoy.stop());
    }

    let module_bytes = fs::metadata(&filters.keygate).map_or(0, |metadata| metadata.len());
    let has_baseline = filters.baseline.is_some();
    let variants = &compared.variants;
    let report = report::markdown(Run {
        variants,
        measured: &measured,
        starts,
        extent,
        population,
        module_bytes,
        company,
        has_baseline,
    });
    println!("\n{report}");
    if let Some(folder) = &arguments.keep {
        fs::create_dir_all(folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::write(&file, text).map_err(Error::io(format!("writing {}", file.display())))
        };
        write("bench.md", &report)?;
        write("bench.svg", &chart::svg(variants, &measured)?)?;
        println!("kept in {}", folder.display());
    }
    Ok(())
}
