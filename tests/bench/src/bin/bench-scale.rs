//! `bench-scale` runs keygate at its full size, with a million keys from the real policy service. It prints the time to
//! load, memory, the effect of a load on requests, the cost of uncached keys, a flood of unknown keys, how quickly a
//! block takes effect, and what an Envoy without requests uses. The Makefile calls it.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use keygate_bench::{
    Error, Result,
    authz::Authz,
    blocks::{self, Seen},
    cpu, figures,
    filters::Filters,
    gate::Gate,
    goals,
    listeners::{self, Listener},
    measure::{self, Extent},
    population::Population,
    scale::{FLOOD, KEYGATE, Load, Scale},
    service, variants,
};
use keygate_e2e::{artifacts, policy_service::PolicyService};
use tokio::runtime::Runtime;

/// Duration of the stream without a load. 10,000 requests, so that a hundred are slower than p99.
const IDLE: Duration = Duration::from_secs(10);
/// Workers of the second Envoy.
const WORKERS: usize = 4;
/// How long the CPU time of an Envoy without requests is measured. 300 ticks of each VM.
const AT_REST: Duration = Duration::from_secs(30);

/// Runs keygate at its full size.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of keys. Half as many applications, and as many subscriptions.
    #[arg(long, env = "KEYS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(5_000..=2_000_000))]
    keys: u32,
    /// Number of full loads with one worker, to see what memory they keep.
    #[arg(long, env = "LOADS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=100))]
    loads: u16,
    /// Number of blocks. With polls a third as many.
    #[arg(long, env = "BLOCKS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(3..=300))]
    blocks: u16,
    /// Measure only this part.
    #[arg(long, env = "PART")]
    part: Option<Part>,
    /// Measure only with this number of workers.
    #[arg(long, env = "WORKERS")]
    workers: Option<usize>,
    /// Rounds for the cost of uncached keys.
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: u16,
    /// keygate.
    #[arg(long, env = "KEYGATE_WASM", default_value = "target/keygate.wasm")]
    keygate: PathBuf,
    /// Folder of the modules that keygate is compared with.
    #[arg(long)]
    filters: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Loads, memory, and requests meanwhile, with one worker.
    Loads,
    /// Blocks, and an Envoy at rest.
    Blocks,
}

struct Bench<'r> {
    arguments: Arguments,
    runtime: &'r Runtime,
    filters: Filters,
    folder: PathBuf,
    population: Population,
    authz: Authz,
    service: PolicyService,
    begun: Instant,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Runtime::new().map_err(Error::io("starting tokio")).and_then(|runtime| run(arguments, &runtime)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, runtime: &Runtime) -> Result<()> {
    let filters = Filters::find(&arguments.keygate, None, &arguments.filters)?;
    let population = Population::of_keys(usize::try_from(arguments.keys).unwrap_or(usize::MAX));
    let folder = artifacts::root().join("target/bench-scale");
    let service = runtime.block_on(service::start(&folder, population))?;
    let authz = Authz::start()?;
    let bench = Bench { arguments, runtime, filters, folder, population, authz, service, begun: Instant::now() };
    println!("Load average of the machine before: {:.1}.\n", cpu::load_average());
    println!("| measure | goal | measured |\n|---|---|---|");
    let wanted = |part, workers| {
        let arguments = &bench.arguments;
        arguments.part.is_none_or(|wanted| wanted == part) && arguments.workers.is_none_or(|wanted| wanted == workers)
    };
    let one = if wanted(Part::Loads, 1) { Some(bench.one_worker()?) } else { None };
    for workers in [1, WORKERS].into_iter().filter(|workers| wanted(Part::Blocks, *workers)) {
        bench.waiting(workers, one)?;
        bench.polling(workers)?;
    }
    let mut service = bench.service;
    runtime.block_on(service.stop());
    Ok(())
}

impl Bench<'_> {
    fn progress(&self, what: impl Display) {
        eprintln!("{:5.0} s: {what}", self.begun.elapsed().as_secs_f64());
    }

    fn start(&self, listeners: &[Listener], workers: usize) -> Result<Scale<'_>> {
        let gate = self.runtime.block_on(Gate::start(self.service.address()))?;
        Scale::start(self.runtime, &self.folder, listeners, gate, &self.authz, self.population, workers)
    }

    fn keygate(&self, filter: fn(&str, &Path) -> serde_json::Value) -> [Listener; 1] {
        [Listener {
            name: KEYGATE.to_owned(),
            filter: Some(filter(KEYGATE, &self.filters.keygate)),
            shows_limits: false,
        }]
    }

    /// Load, requests during a load, memory after many loads, uncached keys, a flood. Returns the first load.
    fn one_worker(&self) -> Result<Load> {
        self.progress("one worker: first load");
        let only = ["rbac", "keygate-hot", "keygate-cold", "keygate-unknown"].map(str::to_owned);
        let compared = variants::all(&self.filters, self.population, self.authz.address(), false).only(&only);
        let mut scale = self.start(&compared.listeners, 1)?;
        let first = scale.first_load()?;
        row("full load, one worker", "≤ 12 s", format!("{} for {:.0} MB of JSON", took(first), first.megabytes));
        row("memory for a key, one worker, first load", "≤ 200 bytes", bytes(first));

        self.progress("requests without a load");
        let idle = scale.idle_stream(IDLE)?;
        row("stream, idle", "", format!("p50 {:.2} ms, p99 {:.2} ms of {}", idle.p50, idle.p99, idle.count));
        self.progress("requests during the second load");
        let (loading, bare, mut last) = scale.loading_stream()?;
        let (times, beside) = (loading.p99 / idle.p99, loading.p99 / bare.p99);
        row(
            "stream, during the second load",
            "p99 ≤ 1.25 ×",
            format!(
                "p50 {:.2} ms, p99 {:.2} ms ({times:.2} × idle), highest {:.1} ms; without a filter in the same {:.1} s p50 \
                 {:.2} ms, p99 {:.2} ms, highest {:.1} ms ({beside:.2} × that)",
                loading.p50, loading.p99, loading.highest, last.seconds, bare.p50, bare.p99, bare.highest
            ),
        );

        self.progress("cold keys");
        let extent = Extent { rounds: self.arguments.rounds.into(), turns: 40, warming: 10_000 };
        let (envoy, variants) = (&mut scale.envoy, &compared.variants);
        let measured = measure::run(envoy, &self.authz, variants, self.population, extent, |_| ())?;
        for goal in goals::of(&measured, KEYGATE) {
            let (low, high) = goal.found.range();
            row(
                goal.what,
                format!("≤ {:.2}", goal.limit),
                format!("{:.2} ({low:.2} to {high:.2})", goal.found.median()),
            );
        }
        let cold = goals::added(&measured, variants::id::COLD).less(&goals::added(&measured, variants::id::HOT));
        row("a cold key costs", "", format!("{:.1} µs more than a hot one", cold.median()));

        self.progress(format!("{FLOOD} unknown keys"));
        let flood = scale.flood()?;
        row(
            "flood of unknown keys",
            "no callout, no memory, nothing evicted",
            format!(
                "{} polls in {:.0} s, {:+} KiB; a known key {:.1} µs before, {:.1} µs after",
                flood.callouts,
                flood.seconds,
                flood.bytes / 1024,
                flood.before,
                flood.after
            ),
        );

        for number in 3..=self.arguments.loads {
            self.progress(format!("load {number} of {}", self.arguments.loads));
            last = scale.load_again()?;
            self.progress(format!("{} after {}", bytes(last), took(last)));
        }
        row(&format!("memory for a key after {} loads", self.arguments.loads), "≤ 350 bytes", bytes(last));
        self.runtime.block_on(scale.envoy.stop());
        Ok(first)
    }

    /// Load and memory again, blocks with long polls, and the CPU time of Envoy at rest.
    fn waiting(&self, workers: usize, one: Option<Load>) -> Result<()> {
        self.progress(format!("{workers} workers: first load"));
        let scale = self.start(&self.keygate(listeners::keygate), workers)?;
        let load = scale.first_load()?;
        if workers == WORKERS {
            let times =
                one.map_or_else(String::new, |one| format!(" ({:.2} ×)", load.bytes_per_key / one.bytes_per_key));
            row("full load, four workers", "≤ 12 s", took(load));
            row("memory for a key, four workers, first load", "within 10 %", format!("{}{times}", bytes(load)));
        }
        self.progress(format!("{workers} workers at rest"));
        row(
            &format!("CPU time at rest, workers: {workers}"),
            "",
            format!("{:.2} ms a second", scale.at_rest(AT_REST)?),
        );
        let seen = self.blocks(&scale, workers, self.arguments.blocks.into(), true)?;
        let measure = format!("block to the last worker's first refusal, long polls, workers: {workers}");
        row(&measure, "p50 ≤ 8 ms, p99 ≤ 25 ms", told(&seen));
        let seen = self.blocks(&scale, workers, self.arguments.blocks.into(), false)?;
        row("the same without a pause between two blocks", "", told(&seen));
        self.runtime.block_on(scale.envoy.stop());
        Ok(())
    }

    /// Blocks without long polls.
    fn polling(&self, workers: usize) -> Result<()> {
        self.progress(format!("{workers} workers that poll: first load"));
        let scale = self.start(&self.keygate(listeners::keygate_polling), workers)?;
        scale.first_load()?;
        let seen = self.blocks(&scale, workers, usize::from(self.arguments.blocks).div_ceil(3), false)?;
        let goal = format!("p99 ≤ {} ms", listeners::POLLING_INTERVAL_MS + 200);
        row(&format!("the same with a poll every second, workers: {workers}"), goal, told(&seen));
        self.runtime.block_on(scale.envoy.stop());
        Ok(())
    }

    fn blocks(&self, scale: &Scale<'_>, workers: usize, count: usize, waits: bool) -> Result<Vec<Seen>> {
        let address = scale.envoy.listener(KEYGATE)?;
        let mut connections = self.runtime.block_on(blocks::connect(&scale.envoy, address, workers))?;
        let progress = |number, seen: Seen| {
            self.progress(format!(
                "block {number} of {count}: {:.0} ms, {:.0} ms of them the service's",
                seen.ms, seen.answered_ms
            ))
        };
        self.runtime.block_on(blocks::measure(&self.service, &scale.gate, &mut connections, count, waits, progress))
    }
}

fn row(measure: &str, goal: impl Display, measured: impl Display) {
    println!("| {measure} | {goal} | {measured} |");
}

fn took(load: Load) -> String {
    format!("{:.1} s ({:.1} s of Envoy's CPU time)", load.seconds, load.cpu_seconds)
}

fn bytes(load: Load) -> String {
    format!("{:.0} bytes", load.bytes_per_key)
}

fn told(seen: &[Seen]) -> String {
    let all = |figure: fn(&Seen) -> f64| seen.iter().map(figure).collect::<Vec<f64>>();
    let (times, answered) = (all(|seen| seen.ms), all(|seen| seen.answered_ms));
    let quantile = |part| figures::quantile(&times, part);
    let (least, most) = (seen.iter().map(|seen| seen.bytes).min(), seen.iter().map(|seen| seen.bytes).max());
    let after: Vec<f64> = seen.iter().map(|seen| (seen.ms - seen.answered_ms).max(0.0)).collect();
    let later = |part| figures::quantile(&after, part);
    format!(
        "p50 {:.0} ms, p99 {:.0} ms, highest {:.0} ms of {}; from the service's answer p50 {:.1} ms, p99 {:.1} ms, highest \
         {:.1} ms, which was there after {:.0} ms (p50), {:.0} ms (highest); {} to {} bytes with the answer's head",
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
        seen.len(),
        later(0.5),
        later(0.99),
        later(1.0),
        figures::median(&answered),
        figures::quantile(&answered, 1.0),
        least.unwrap_or(0),
        most.unwrap_or(0)
    )
}
