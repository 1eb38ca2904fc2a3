//! Compares one answer with the right ones. All other files serve this judgement. Pure.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::policy::Right;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It reached an upstream.
    Reached {
        /// Whether it had the identity of its caller, reached the endpoint for its key's type, and lost its credential.
        as_itself: bool,
    },
    /// Keygate refused it with this code.
    Refused(String),
    /// 503 with an empty body: Envoy's answer if a VM is dead.
    DeadVm,
    /// A status that neither keygate nor an upstream sends.
    Foreign(u16),
    /// The connection broke.
    Broken,
    /// No answer within the time limit.
    Nothing,
}

/// The judgement of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The answer is right.
    Right,
    /// A request that had to be refused reached the upstream, or a request reached it with another identity.
    WrongAllow,
    /// A request that had to be allowed was refused.
    NeedlessRefusal,
    /// Rightly refused, but for a wrong reason.
    WrongReason,
    /// The request was never answered.
    Hung,
    /// A VM was dead although it was not made to trap, or for too long.
    DeadVm,
    /// The request bypassed the filter, an upstream failed, or a connection broke without a reason.
    Strange,
    /// Refused by Envoy while a VM that was made to trap was being replaced. Neither right nor wrong.
    Reloading,
    /// A connection that Envoy closed because its listener was replaced. Neither right nor wrong.
    Drained,
}

/// Events around a request that excuse Envoy's own answers. They excuse no answer of keygate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// A VM was made to trap and may not be back.
    pub reloading: bool,
    /// A listener was replaced, and its connections were closed.
    pub draining: bool,
}

impl Verdict {
    /// All verdicts, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::Right,
        Self::WrongAllow,
        Self::NeedlessRefusal,
        Self::WrongReason,
        Self::Hung,
        Self::DeadVm,
        Self::Strange,
        Self::Reloading,
        Self::Drained,
    ];

    /// Judges an answer. `right` must not be empty.
    pub fn of(answer: &Answer, right: &[Right], around: Around) -> Self {
        let may_pass = right.contains(&Right::Allowed);
        match answer {
            Answer::Reached { as_itself } if may_pass && *as_itself => Self::Right,
            Answer::Reached { .. } => Self::WrongAllow,
            Answer::Refused(code) if right.iter().any(|right| right.is_refusal_with(code)) => Self::Right,
            Answer::Refused(_) if may_pass => Self::NeedlessRefusal,
            Answer::Refused(_) => Self::WrongReason,
            Answer::DeadVm if around.reloading => Self::Reloading,
            Answer::DeadVm => Self::DeadVm,
            Answer::Broken if around.draining => Self::Drained,
            Answer::Broken | Answer::Foreign(_) => Self::Strange,
            Answer::Nothing => Self::Hung,
        }
    }

    /// Whether a soak fails if it has one of these.
    pub fn is_wrong(self) -> bool {
        !matches!(self, Self::Right | Self::Reloading | Self::Drained)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Right => "right",
            Self::WrongAllow => "wrong allows",
            Self::NeedlessRefusal => "needless refusals",
            Self::WrongReason => "wrong reasons",
            Self::Hung => "hung requests",
            Self::DeadVm => "dead VMs",
            Self::Strange => "past the filter, or broken",
            Self::Reloading => "refused while a VM was made anew",
            Self::Drained => "cut when a listener was replaced",
        })
    }
}

/// Number of answers by verdict, and the first wrong answers.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<Verdict, u64>,
    examples: Vec<String>,
}

impl Tally {
    /// Number of wrong answers of each kind that a report shows.
    const EXAMPLES: u64 = 3;

    /// Counts a verdict. `tell` describes the answer; it is called if the answer is wrong and one of the first.
    pub fn count(&mut self, verdict: Verdict, at: Duration, tell: impl FnOnce() -> String) {
        let count = self.counts.entry(verdict).or_default();
        *count = count.saturating_add(1);
        if verdict.is_wrong() && *count <= Self::EXAMPLES {
            self.examples.push(format!("{:.3} s: {verdict}: {}", at.as_secs_f64(), tell()));
        }
    }

    /// Number of answers with this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    /// Number of all answers.
    pub fn all(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Number of wrong answers.
    pub fn wrong(&self) -> u64 {
        self.counts.iter().filter(|(verdict, _)| verdict.is_wrong()).map(|(_, count)| count).sum()
    }

    /// The first wrong answers.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &[Right] = &[Right::Allowed];
    const BLOCKED: &[Right] = &[Right::Refused("900907")];
    const EITHER: &[Right] = &[Right::Refused("900907"), Right::Allowed];
    const CALM: Around = Around { reloading: false, draining: false };
    const RELOADING: Around = Around { reloading: true, draining: false };
    const DRAINING: Around = Around { reloading: false, draining: true };
    const BOTH: Around = Around { reloading: true, draining: true };

    fn refused(code: &str) -> Answer {
        Answer::Refused(code.to_owned())
    }

    #[test]
    fn what_is_wrong_is_counted_and_nothing_excuses_what_keygate_says() {
        let itself = Answer::Reached { as_itself: true };
        let another = Answer::Reached { as_itself: false };
        for around in [CALM, RELOADING, DRAINING, BOTH] {
            let cases: &[(&str, &Answer, &[Right], Verdict)] = &[
                ("allowed and right", &itself, ALLOWED, Verdict::Right),
                ("allowed, either right", &itself, EITHER, Verdict::Right),
                ("blocked and passed", &itself, BLOCKED, Verdict::WrongAllow),
                ("as somebody else", &another, ALLOWED, Verdict::WrongAllow),
                ("as somebody else, blocked", &another, BLOCKED, Verdict::WrongAllow),
                ("refused and right", &refused("900907"), BLOCKED, Verdict::Right),
                ("refused, either right", &refused("900907"), EITHER, Verdict::Right),
                ("refused, nothing blocked", &refused("900907"), ALLOWED, Verdict::NeedlessRefusal),
                ("no policy, it says", &refused("900424"), ALLOWED, Verdict::NeedlessRefusal),
                ("no policy, it says, either right", &refused("900424"), EITHER, Verdict::NeedlessRefusal),
                ("another code", &refused("900901"), BLOCKED, Verdict::WrongReason),
                ("another code that is unknown", &refused("1"), BLOCKED, Verdict::WrongReason),
                ("never answered", &Answer::Nothing, ALLOWED, Verdict::Hung),
                ("never answered, blocked", &Answer::Nothing, BLOCKED, Verdict::Hung),
                ("the guard", &Answer::Foreign(403), ALLOWED, Verdict::Strange),
                ("the guard, blocked", &Answer::Foreign(403), BLOCKED, Verdict::Strange),
            ];
            for (name, answer, right, verdict) in cases {
                assert_eq!(Verdict::of(answer, right, around), *verdict, "{name}, {around:?}");
            }
        }
    }

    #[test]
    fn only_a_trap_excuses_a_dead_vm_and_only_a_new_listener_a_broken_connection() {
        let cases = [
            (Answer::DeadVm, CALM, Verdict::DeadVm),
            (Answer::DeadVm, DRAINING, Verdict::DeadVm),
            (Answer::DeadVm, RELOADING, Verdict::Reloading),
            (Answer::Broken, CALM, Verdict::Strange),
            (Answer::Broken, RELOADING, Verdict::Strange),
            (Answer::Broken, DRAINING, Verdict::Drained),
        ];
        for (answer, around, verdict) in cases {
            for right in [ALLOWED, BLOCKED, EITHER] {
                assert_eq!(Verdict::of(&answer, right, around), verdict, "{answer:?} {around:?}");
            }
        }
    }

    #[test]
    fn a_tally_tells_every_verdict_from_every_other() {
        for verdict in Verdict::ALL {
            let mut tally = Tally::default();
            tally.count(verdict, Duration::from_millis(1500), || "it".to_owned());
            for other in Verdict::ALL {
                assert_eq!(tally.of(other), u64::from(other == verdict), "{verdict:?} {other:?}");
            }
            assert_eq!(tally.all(), 1);
            assert_eq!(tally.wrong(), u64::from(verdict.is_wrong()), "{verdict:?}");
            assert_eq!(tally.examples().len(), usize::from(verdict.is_wrong()), "{verdict:?}");
        }
    }
}
