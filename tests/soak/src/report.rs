//! The result on one screen, and whether it is good. Pure.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::{
    history::Bounds,
    slope::Slope,
    verdict::{Tally, Verdict},
};

/// Permitted rise of the memory from the end of the warm-up to the end, as a share of its mean.
pub const FLAT: f64 = 0.05;

/// The results of a soak.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub lasted: Duration,
    pub seed: u64,
    /// Number of applications.
    pub applications: usize,
    /// The promises of the filter.
    pub bounds: Bounds,
    pub tally: Tally,
    /// Durations of requests: median, 99th percentile, maximum.
    pub took: [Duration; 3],
    /// Number of acknowledged changes.
    pub changes: u64,
    /// Number of changes that a poll of the filter proved before their bound.
    pub proofs: u64,
    /// For each change whose effect was still missing after its acknowledgement: for how long. Sorted.
    pub lags: Vec<Duration>,
    /// Faults, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Answers that the proxy cut off or did not deliver.
    pub cuts: u64,
    /// VMs that trapped although the soak did not make them.
    pub traps_not_asked_for: u64,
    /// Requests that the guard behind the filter refused.
    pub guarded: u64,
    /// How long the stack had to wait for a processor.
    pub waited: Duration,
    /// Number of VMs at the beginning and at the end.
    pub vms: (u64, u64),
    /// Number of billed requests, and of requests made.
    pub billed: (u64, u64),
    /// Used memory after the warm-up, in KiB. `None` if the soak was too short.
    pub memory: Option<Slope>,
    /// The same for resident memory.
    pub resident: Option<Slope>,
}

impl Outcome {
    /// Dead VMs: answers of dead VMs, unexpected traps, and VMs that are missing at the end.
    pub fn dead_vms(&self) -> u64 {
        let missing = self.vms.0.saturating_sub(self.vms.1);
        self.tally.of(Verdict::DeadVm).saturating_add(self.traps_not_asked_for).saturating_add(missing)
    }

    /// Whether all promises were kept.
    pub fn is_good(&self) -> bool {
        self.tally.all() > 0
            && self.changes > 0
            && self.proofs > 0
            && self.tally.wrong() == 0
            && self.dead_vms() == 0
            && self.guarded == 0
            && self.vms.1 <= self.vms.0
            && (1..=self.billed.1).contains(&self.billed.0)
            && self.memory.is_none_or(|memory| memory.is_flat(FLAT))
    }

    pub fn report(&self) -> String {
        // Writing to a string cannot fail.
        let mut out = String::new();
        let seconds = self.lasted.as_secs();
        let mut line = |name: &str, text: String| {
            let _ = writeln!(out, "{name:<18}{text}");
        };
        line("soak", format!("{seconds} s, seed {}, 4 workers, {} applications", self.seed, self.applications));
        let rate = self.tally.all().checked_div(seconds).unwrap_or_default();
        let [half, most, slowest] = self.took.map(|took| format!("{:.1} ms", took.as_secs_f64() * 1e3));
        line("requests", format!("{} ({rate}/s), p50 {half}, p99 {most}, slowest {slowest}", self.tally.all()));
        let waited = self.waited.as_secs_f64() / self.lasted.as_secs_f64().max(1.0) * 100.0;
        line(
            "machine",
            format!("made a change's way through the stack wait for a processor {waited:.0} % of the time"),
        );
        line("changes", format!("{}; {}", self.changes, self.seen()));
        line("proofs", format!("a poll proved {} changes, and later answers were judged by them", self.proofs));
        line("faults", format!("{}; {} answers cut on the way", faults(&self.faults), self.cuts));
        line("wrong allows", self.tally.of(Verdict::WrongAllow).to_string());
        line("needless refusals", self.tally.of(Verdict::NeedlessRefusal).to_string());
        line("wrong reasons", self.tally.of(Verdict::WrongReason).to_string());
        line("hung requests", self.tally.of(Verdict::Hung).to_string());
        line("dead VMs", format!("{}{}", self.dead_vms(), self.dead()));
        line("broken", format!("{} (past the filter: {})", self.tally.of(Verdict::Strange), self.guarded));
        line("billed", format!("{} of {} requests", self.billed.0, self.billed.1));
        line("memory", self.memory());
        let [reloading, drained] = [Verdict::Reloading, Verdict::Drained].map(|verdict| self.tally.of(verdict));
        line("not judged", format!("{reloading} {}, {drained} {}", Verdict::Reloading, Verdict::Drained));
        for example in self.tally.examples() {
            line("", example.clone());
        }
        line("verdict", if self.is_good() { "good".to_owned() } else { "NOT GOOD".to_owned() });
        out
    }

    fn seen(&self) -> String {
        let bound = self.bounds.propagation.as_millis();
        let seen = |share: u64| {
            // A change that no request saw late was visible at once.
            let late = u64::try_from(self.lags.len()).unwrap_or(u64::MAX);
            let rank = self.changes.saturating_mul(share) / 100;
            let index = rank.checked_sub(self.changes.saturating_sub(late));
            let lag = index.and_then(|index| self.lags.get(usize::try_from(index).ok()?));
            lag.copied().unwrap_or_default().as_millis()
        };
        let slowest = self.lags.last().copied().unwrap_or_default().as_millis();
        format!(
            "without a fault seen everywhere after {} ms (p50), {} ms (p99), {slowest} ms (slowest), bound {bound} ms",
            seen(50),
            seen(99)
        )
    }

    fn dead(&self) -> String {
        let (before, after) = self.vms;
        format!(" ({before} VMs at the beginning, {after} at the end, {} trapped unasked)", self.traps_not_asked_for)
    }

    fn memory(&self) -> String {
        let Some(memory) = self.memory else { return "not judged: too short".to_owned() };
        let flat = if memory.is_flat(FLAT) { "flat" } else { "NOT FLAT" };
        let mib = |kib: f64| kib / 1024.0;
        let resident = self.resident.map_or_else(String::new, |resident| {
            format!("; resident {:.0} MiB, {:+.1} %", mib(resident.mean), resident.rise() * 100.0)
        });
        format!(
            "{flat}: {:+.2} MiB a minute on {:.0} MiB that are used, {:+.1} % in {:.0} minutes{resident}",
            mib(memory.per_minute),
            mib(memory.mean),
            memory.rise() * 100.0,
            memory.minutes
        )
    }
}

fn faults(faults: &BTreeMap<&'static str, u64>) -> String {
    let all: u64 = faults.values().sum();
    let each: Vec<String> = faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{all}: {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let mut tally = Tally::default();
        for _ in 0..1000 {
            tally.count(Verdict::Right, Duration::ZERO, String::new);
        }
        tally.count(Verdict::Reloading, Duration::ZERO, String::new);
        tally.count(Verdict::Drained, Duration::ZERO, String::new);
        Outcome {
            lasted: Duration::from_secs(600),
            seed: 1,
            applications: 10,
            bounds: Bounds { propagation: Duration::from_secs(1), interval: Duration::from_millis(500) },
            tally,
            took: [Duration::from_millis(1); 3],
            changes: 100,
            proofs: 90,
            lags: (1..=50).map(Duration::from_millis).collect(),
            faults: BTreeMap::from([("killed", 3), ("backup put back", 2), ("cut by 504", 1), ("secret rotated", 4)]),
            cuts: 17,
            traps_not_asked_for: 0,
            guarded: 0,
            waited: Duration::from_secs(30),
            vms: (6, 6),
            billed: (990, 1002),
            memory: Some(Slope { per_minute: 10.0, mean: 200_000.0, minutes: 9.0 }),
            resident: Some(Slope { per_minute: 2000.0, mean: 250_000.0, minutes: 9.0 }),
        }
    }

    type Spoil = fn(&mut Outcome);

    #[test]
    fn good_is_only_what_has_nothing_against_it() {
        assert!(good().is_good(), "{}", good().report());
        let cases: &[(&str, Spoil)] = &[
            ("wrong allow", |outcome| outcome.tally.count(Verdict::WrongAllow, Duration::ZERO, String::new)),
            ("needless", |outcome| outcome.tally.count(Verdict::NeedlessRefusal, Duration::ZERO, String::new)),
            ("wrong reason", |outcome| outcome.tally.count(Verdict::WrongReason, Duration::ZERO, String::new)),
            ("hung", |outcome| outcome.tally.count(Verdict::Hung, Duration::ZERO, String::new)),
            ("dead", |outcome| outcome.tally.count(Verdict::DeadVm, Duration::ZERO, String::new)),
            ("strange", |outcome| outcome.tally.count(Verdict::Strange, Duration::ZERO, String::new)),
            ("trapped unasked", |outcome| outcome.traps_not_asked_for = 1),
            ("a VM is missing", |outcome| outcome.vms.1 = 5),
            ("a VM is left over", |outcome| outcome.vms.1 = 7),
            ("guarded", |outcome| outcome.guarded = 1),
            ("nothing asked", |outcome| outcome.tally = Tally::default()),
            ("nothing changed", |outcome| outcome.changes = 0),
            ("more is billed than was asked", |outcome| outcome.billed.0 = 1003),
            ("nothing is billed", |outcome| outcome.billed.0 = 0),
            ("it grows", |outcome| {
                outcome.memory = Some(Slope { per_minute: 2000.0, mean: 200_000.0, minutes: 9.0 });
            }),
        ];
        for (name, spoil) in cases {
            let mut outcome = good();
            spoil(&mut outcome);
            assert!(!outcome.is_good(), "{name}");
            assert!(outcome.report().contains("NOT GOOD"), "{name}: {}", outcome.report());
        }
    }

    #[test]
    fn changes_that_nobody_saw_late_count_as_seen_at_once() {
        // 50 of 100 changes were seen late, by 1 to 50 ms.
        let report = good().report();
        assert!(report.contains("after 1 ms (p50), 50 ms (p99), 50 ms (slowest), bound 1000 ms"), "{report}");
    }

    #[test]
    fn a_report_counts_each_fault_and_the_answers_that_were_cut() {
        let report = good().report();
        let faults = "10: backup put back 2, cut by 504 1, killed 3, secret rotated 4; 17 answers cut on the way";
        assert!(report.contains(faults), "{report}");
    }

    #[test]
    fn a_report_fits_on_a_screen() {
        let mut outcome = good();
        for _ in 0..1000 {
            outcome.tally.count(Verdict::WrongAllow, Duration::ZERO, || "it".to_owned());
        }
        assert!(outcome.report().lines().count() <= 25, "{}", outcome.report());
    }
}
