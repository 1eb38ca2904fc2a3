//! The goals: ratios within one run. A missed goal is printed and is not an error, because a figure from a busy machine
//! should not break a build.

use crate::{figures::Rounds, measure::Measured, variants::id};

/// A goal and its measurement.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Description of the comparison.
    pub what: &'static str,
    /// The highest ratio that is good.
    pub limit: f64,
    /// The ratio of each round.
    pub found: Rounds,
    /// The same ratio for a module that makes keygate's host calls and decides nothing. No filter on this host can be
    /// below it. For an allowed key that module also does the unavoidable work: it finds the key, reads the path, and
    /// looks up API and key in a map. For an uncached key it computes the digest, verifies both shards, finds a record
    /// in each, and reads both.
    pub floor: Rounds,
}

impl Goal {
    /// Whether the median is within the limit.
    pub fn is_met(&self) -> bool {
        self.found.median() <= self.limit
    }
}

/// The cost that a variant adds to a request without a filter, in microseconds. Empty if it was not measured.
pub fn added(measured: &Measured, id: &str) -> Rounds {
    let rounds = |id: &str| measured.get(id).cloned().unwrap_or_default();
    rounds(id).less(&rounds(self::id::NONE))
}

/// All goals about CPU time, for the variants whose ids begin with `prefix`.
pub fn of(measured: &Measured, prefix: &str) -> Vec<Goal> {
    let added = |id: &str| added(measured, id);
    let ours = |name: &str| added(&format!("{prefix}-{name}"));
    let goal = |what, limit, found, floor| Goal { what, limit, found, floor };
    let sum = |left: &Rounds, right: &Rounds| left.with(right, |left, right| left + right);
    let (hot, alone, cold, unknown) = (ours("hot"), ours("alone"), ours("cold"), ours("unknown"));
    let (calls, work) = (added(id::CALLS), added(id::CALLS_WORK));
    let (noop, plain, authz) = (added(id::NOOP), added(id::PLAIN), added(id::EXT_AUTHZ));
    let refusal = sum(&added(id::RBAC), &cold.less(&hot));
    let floor_cold = added(id::CALLS_COLD);
    let floor_refusal = sum(&added(id::RBAC), &floor_cold.less(&calls));
    let none = Rounds::default;
    let goals = vec![
        goal("allowed, hot key ÷ no-op of the stock SDK", 2.0, hot.over(&noop), work.over(&noop)),
        goal("allowed, hot key ÷ plain stock-SDK filter", 0.75, hot.over(&plain), work.over(&plain)),
        goal("allowed, hot key ÷ the same host calls", 1.05, hot.over(&calls), work.over(&calls)),
        goal(
            "deciding alone ÷ no-op of the stock SDK",
            1.3,
            alone.over(&noop),
            added(id::CALLS_ALONE_WORK).over(&noop),
        ),
        goal("allowed, hot key ÷ ext_authz with its server", 1.0 / 6.0, hot.over(&authz), work.over(&authz)),
        goal("each request another key ÷ hot key", 1.35, cold.over(&hot), added(id::CALLS_COLD_WORK).over(&work)),
        goal("hot key with a limit ÷ without", 1.3, ours("limited").over(&hot), none()),
        goal("the worst policy ÷ no-op of the stock SDK", 200.0, ours("worst").over(&noop), none()),
        goal(
            "refused unknown key ÷ (RBAC's refusal + the cold lookup)",
            1.0,
            unknown.over(&refusal),
            added(id::CALLS_UNKNOWN).over(&floor_refusal),
        ),
    ];
    // Goals of variants that were left out are dropped.
    goals.into_iter().filter(|goal| !goal.found.0.is_empty()).collect()
}
