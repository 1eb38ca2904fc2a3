//! The results as Markdown: the table, the goals, and the method.

use std::fmt::Write as _;

use crate::{
    figures::Rounds,
    goals::{self, Goal},
    load::CONNECTIONS,
    measure::{Extent, Measured, REQUESTS},
    population::Population,
    variants::{Variant, id},
};

/// The data of the report.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The variants, in the order of the table.
    pub variants: &'a [Variant],
    pub measured: &'a Measured,
    /// Number of starts of Envoy.
    pub starts: usize,
    /// Amount of measurement after each start.
    pub extent: Extent,
    pub population: Population,
    /// Size of keygate's module.
    pub module_bytes: u64,
    /// The load average of the machine before the start, and its number of processors. They show other work on it.
    pub company: (f64, usize),
    /// Whether a second build of keygate was measured.
    pub has_baseline: bool,
}

pub fn markdown(run: Run<'_>) -> String {
    // Writing to a string cannot fail.
    let mut out = String::new();
    let _ = writeln!(out, "{}\n\n{}", table(run), how(run));
    let _ = writeln!(out, "\n{}", goals_table(&goals::of(run.measured, "keygate")));
    let size = run.module_bytes.div_ceil(1000);
    let _ = writeln!(out, "Size of the module: {size} KB (goal: ≤ 450 KB).");
    if run.has_baseline {
        let _ = writeln!(out, "\n{}", against_baseline(run.measured));
    }
    out
}

fn table(run: Run<'_>) -> String {
    let mut out = String::from("| variant | added µs | lowest to highest round | × no-op |\n|---|---:|---:|---:|\n");
    let noop = goals::added(run.measured, id::NOOP);
    for variant in run.variants {
        let added = goals::added(run.measured, &variant.id);
        if variant.id == id::NONE {
            let bare = run.measured.get(id::NONE).cloned().unwrap_or_default();
            let _ = writeln!(out, "| {} | 0 (takes {:.1}) | {} | |", variant.title, bare.median(), range(&bare, 1));
        } else {
            let times = added.over(&noop).median();
            let _ = writeln!(out, "| {} | {:.1} | {} | {times:.2} |", variant.title, added.median(), range(&added, 1));
        }
    }
    out.trim_end().to_owned()
}

fn how(run: Run<'_>) -> String {
    let Extent { rounds, turns, warming } = run.extent;
    format!(
        "CPU time of the Envoy process for a request, in microseconds, less that of the listener without a filter, all within \
         one run: one worker, direct responses, ten request headers, {} keys, after {warming} requests for each variant; closed loop over {CONNECTIONS} connections, \
         slices of {REQUESTS} requests, variants in random order in each turn, `schedstat` read while Envoy is idle; a \
         round's figure is the mean of the lowest quarter of its {turns} slices, the result the median of {} rounds, \
         {rounds} after each of {} starts of Envoy, since with each start code and data get other places; ratios are taken \
         within a round. Before it began the machine's load average was {:.1} on {} processors.",
        run.population.keys(),
        rounds * run.starts,
        run.starts,
        run.company.0,
        run.company.1
    )
}

fn goals_table(goals: &[Goal]) -> String {
    let mut out = String::from(
        "| goal | at most | measured | lowest to highest round | floor | measured ÷ floor | met |\n\
         |---|---:|---:|---:|---:|---:|---|\n",
    );
    for goal in goals {
        let met = if goal.is_met() { "yes" } else { "**no**" };
        let (limit, found) = (goal.limit, goal.found.median());
        let [floor, above] = if goal.floor.0.is_empty() {
            Default::default()
        } else {
            [goal.floor.median(), goal.found.over(&goal.floor).median()].map(|ratio| format!("{ratio:.3}"))
        };
        let range = range(&goal.found, 3);
        let _ = writeln!(out, "| {} | {limit:.3} | {found:.3} | {range} | {floor} | {above} | {met} |", goal.what);
    }
    out
}

/// This build as a multiple of the other build, from the same turns.
fn against_baseline(measured: &Measured) -> String {
    let mut out = String::from(
        "| this build ÷ baseline | measured | lowest to highest round | µs saved |\n|---|---:|---:|---:|\n",
    );
    for name in ["alone", "hot", "cold", "unknown", "blocked"] {
        let ours = goals::added(measured, &format!("keygate-{name}"));
        let theirs = goals::added(measured, &format!("baseline-{name}"));
        let ratio = ours.over(&theirs);
        if ratio.0.is_empty() {
            continue;
        }
        let saved = theirs.less(&ours).median();
        let _ = writeln!(out, "| {name} | {:.3} | {} | {saved:.1} |", ratio.median(), range(&ratio, 3));
    }
    out
}

fn range(rounds: &Rounds, digits: usize) -> String {
    let (low, high) = rounds.range();
    format!("{low:.digits$} to {high:.digits$}")
}
