//! The goals: ratios within one run. A missed goal is printed, not an error: a figure taken on a busy machine should not
//! break a build.

use crate::{figures::Rounds, measure::Measured, variants::id};

/// A goal and what was measured.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What is compared with what.
    pub what: &'static str,
    /// The highest ratio that is good.
    pub limit: f64,
    /// The ratio of each round.
    pub found: Rounds,
}

impl Goal {
    /// Whether the median is within the limit.
    pub fn is_met(&self) -> bool {
        self.found.median() <= self.limit
    }
}

/// What a variant adds to a request without a filter, in microseconds; empty if it was not measured.
pub fn added(measured: &Measured, id: &str) -> Rounds {
    let rounds = |id: &str| measured.get(id).cloned().unwrap_or_default();
    rounds(id).less(&rounds(self::id::NONE))
}

/// Every goal about CPU time, for the variants whose ids begin with `prefix`.
pub fn of(measured: &Measured, prefix: &str) -> Vec<Goal> {
    let added = |id: &str| added(measured, id);
    let ours = |name: &str| added(&format!("{prefix}-{name}"));
    let goal = |what, limit, found| Goal { what, limit, found };
    let cold_lookup = ours("cold").less(&ours("hot"));
    let refusal = added(id::RBAC).with(&cold_lookup, |refusal, lookup| refusal + lookup);
    let goals = vec![
        goal("allowed, hot key ÷ no-op of the stock SDK", 2.0, ours("hot").over(&added(id::NOOP))),
        goal("allowed, hot key ÷ plain stock-SDK filter", 0.75, ours("hot").over(&added(id::PLAIN))),
        goal("allowed, hot key ÷ the same host calls", 1.05, ours("hot").over(&added(id::CALLS))),
        goal("deciding alone ÷ no-op of the stock SDK", 1.3, ours("alone").over(&added(id::NOOP))),
        goal("allowed, hot key ÷ ext_authz with its server", 1.0 / 6.0, ours("hot").over(&added(id::EXT_AUTHZ))),
        goal("each request another key ÷ hot key", 1.35, ours("cold").over(&ours("hot"))),
        goal("hot key with a limit ÷ without", 1.3, ours("limited").over(&ours("hot"))),
        goal("refused unknown key ÷ (RBAC's refusal + the cold lookup)", 1.0, ours("unknown").over(&refusal)),
    ];
    // What was left out says nothing.
    goals.into_iter().filter(|goal| !goal.found.0.is_empty()).collect()
}
