//! What the policy allowed at which time. The history records each change with the times when it was sent and
//! acknowledged, each time in which the feed was disturbed, and how long the stack had to wait for a processor. From
//! this it computes the right answers for a request. Pure. Times count from the start.
//!
//! A change counts from when it is sent, because it may take effect before its answer arrives. It is certain within the
//! propagation bound after its acknowledgement. In between, both answers are right. If a change was acknowledged during
//! a disturbance of the feed, or shortly before, it is certain within the same bound after the gateway has noticed that
//! the feed works again: when it was seen to get a good answer, or when it should have asked. Its pause after failures
//! doubles, so it is never longer than the disturbance itself, and at most 30 s.
//!
//! A restored backup changes all facts that differ from it, at once. From when the service begins to run on it both
//! states are possible, and the backup's state becomes certain like any other change.
//!
//! A poll may prove more: its cursor says that no worker decides by an older revision. From then on each change up to
//! that revision is certain.
//!
//! All bounds count only time in which the stack could run. A machine that is busy with other work keeps no promise.

use std::{collections::HashMap, time::Duration};

use crate::policy::{Fact, Right, State, Subject, decide, facts};

/// The filter's longest pause after failures (docs/operations.md, "Faults of the feed").
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Number of recent disturbances that may still matter. One or two happen at once.
const MOST_AT_ONCE: usize = 16;

/// The promises of the filter.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From an acknowledged change to its effect on every worker, while the feed works.
    pub propagation: Duration,
    pub interval: Duration,
}

/// All events.
#[derive(Debug)]
pub struct History {
    bounds: Bounds,
    changes: HashMap<Fact, Vec<Change>>,
    /// Number of restored backups. Revisions are compared only within one.
    era: u32,
    /// The epoch of this era, and that of the one before.
    epochs: [Option<String>; 2],
    /// Number of changes that a poll proved before their bound.
    proofs: u64,
    disturbances: Vec<Disturbance>,
    /// Total time that the stack had waited for a processor, at which times. Both numbers rise.
    waits: Vec<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    sent: Duration,
    acknowledged: Option<Duration>,
    state: State,
    /// The era and the revision that contain it.
    revision: Option<(u32, u64)>,
    /// When a poll proved it.
    proven: Option<Duration>,
}

/// A time in which the feed did not work. Overlapping disturbances count as one: `since` is when the gateway's failures
/// began.
#[derive(Clone, Copy, Debug)]
struct Disturbance {
    from: Duration,
    since: Duration,
    until: Option<Duration>,
    /// The pause that the service asked for by `retry-after`.
    extra: Duration,
    /// When the gateway was seen to get a good answer afterwards.
    seen_well: Option<Duration>,
}

impl History {
    /// Everything is open, and always was.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            changes: HashMap::new(),
            era: 0,
            epochs: [None, None],
            proofs: 0,
            disturbances: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// Records that a change was sent. No other change of this fact may be under way.
    pub fn sent(&mut self, fact: Fact, state: State, at: Duration) {
        self.changes.entry(fact).or_default().push(Change {
            sent: at,
            acknowledged: None,
            state,
            revision: None,
            proven: None,
        });
    }

    /// Records that the last change of this fact was acknowledged.
    pub fn acknowledged(&mut self, fact: Fact, at: Duration) {
        if let Some(change) = self.changes.get_mut(&fact).and_then(|changes| changes.last_mut()) {
            change.acknowledged = Some(at);
        }
    }

    /// Records the revision that contains the last change of this fact.
    pub fn contained(&mut self, fact: Fact, revision: u64) {
        if let Some(change) = self.changes.get_mut(&fact).and_then(|changes| changes.last_mut()) {
            change.revision = Some((self.era, revision));
        }
    }

    /// Records that a poll proved a revision: no worker decides by an older one.
    pub fn proven(&mut self, epoch: &str, revision: u64, at: Duration) {
        let [current, before] = &mut self.epochs;
        if before.as_deref() == Some(epoch) || *current.get_or_insert(epoch.to_owned()) != epoch {
            return;
        }
        for change in self.changes.values_mut().flatten() {
            let is_contained = change.revision.is_some_and(|(era, known)| era == self.era && known <= revision);
            if is_contained && change.acknowledged.is_some() && change.proven.is_none() {
                change.proven = Some(at);
                self.proofs = self.proofs.saturating_add(1);
            }
        }
    }

    /// Number of changes that a poll proved.
    pub fn proofs(&self) -> u64 {
        self.proofs
    }

    /// Restores `backup`. Facts that it does not name are open. Returns the facts that differ now. Each of them changes
    /// from `at` on and must be acknowledged. No change may be under way.
    pub fn put_back(&mut self, backup: &[(Fact, State)], at: Duration) -> Vec<Fact> {
        let in_backup =
            |fact: Fact| backup.iter().find(|(known, _)| *known == fact).map_or(State::Open, |(_, state)| *state);
        let changed = self.changes.keys().map(|fact| (*fact, in_backup(*fact)));
        let lost: Vec<_> = changed.filter(|(fact, state)| self.latest(*fact) != *state).collect();
        for (fact, state) in &lost {
            self.sent(*fact, *state, at);
        }
        self.era = self.era.saturating_add(1);
        let [current, before] = &mut self.epochs;
        *before = current.take().or(before.take());
        lost.into_iter().map(|(fact, _)| fact).collect()
    }

    /// Records the beginning of a disturbance. Returns its number.
    pub fn disturbed(&mut self, at: Duration) -> usize {
        let not_noticed = |last: &&Disturbance| self.noticed(last).is_none_or(|noticed| noticed >= at);
        let since = self.disturbances.iter().filter(not_noticed).map(|last| last.since).min().unwrap_or(at);
        self.disturbances.push(Disturbance { from: at, since, until: None, extra: Duration::ZERO, seen_well: None });
        self.disturbances.len().saturating_sub(1)
    }

    /// Records the end of a disturbance. The service may have asked for a pause of `extra`.
    pub fn calmed(&mut self, disturbance: usize, at: Duration, extra: Duration) {
        if let Some(disturbance) = self.disturbances.get_mut(disturbance) {
            disturbance.until = Some(at);
            disturbance.extra = extra;
        }
    }

    /// Records that the gateway got a good answer.
    pub fn seen_well(&mut self, at: Duration) {
        for disturbance in self.disturbances.iter_mut().rev().take(MOST_AT_ONCE) {
            if disturbance.until.is_some_and(|until| until <= at) {
                disturbance.seen_well.get_or_insert(at);
            }
        }
    }

    /// When the gateway has noticed the end of a disturbance at the latest. `None`: the disturbance continues.
    fn noticed(&self, disturbance: &Disturbance) -> Option<Duration> {
        let until = disturbance.until?;
        let lasted = until.saturating_sub(disturbance.since);
        let pause = lasted.saturating_add(self.bounds.interval).min(MAX_PAUSE).max(disturbance.extra);
        let promised = self.after(until, pause);
        Some(disturbance.seen_well.map_or(promised, |seen| seen.min(promised)))
    }

    /// Records that the stack waited for a processor for the time `more`, between the previous record and `at`.
    pub fn waited(&mut self, at: Duration, more: Duration) {
        let all = self.waits.last().map_or(Duration::ZERO, |(_, all)| *all);
        self.waits.push((at, all.saturating_add(more)));
    }

    /// Total time that the stack has waited for a processor.
    pub fn waited_in_all(&self) -> Duration {
        self.waits.last().map_or(Duration::ZERO, |(_, all)| *all)
    }

    /// The time waited up to `at`. Waiting that is not recorded yet does not count.
    fn waited_by(&self, at: Duration) -> Duration {
        let next = self.waits.partition_point(|(known, _)| *known <= at);
        // All waiting of the sample around `at` counts, because its exact time is unknown.
        let wait = self.waits.get(next).or(self.waits.last());
        wait.map_or(Duration::ZERO, |(_, all)| *all)
    }

    /// When the stack has been able to run for the time `lasting` after `from`.
    fn after(&self, from: Duration, lasting: Duration) -> Duration {
        let next = self.waits.partition_point(|(known, _)| *known <= from);
        let before = next.checked_sub(1).and_then(|last| self.waits.get(last)).map_or(Duration::ZERO, |(_, all)| *all);
        let mut until = from.saturating_add(lasting);
        loop {
            let lost = self.waited_by(until).saturating_sub(before);
            let later = from.saturating_add(lasting).saturating_add(lost);
            if later <= until {
                return until;
            }
            until = later;
        }
    }

    /// When a change becomes certain. `None`: that is not known yet.
    fn certain(&self, change: &Change) -> Option<Duration> {
        let promised = self.promised(change);
        change.proven.map_or(promised, |proven| Some(promised.map_or(proven, |promised| promised.min(proven))))
    }

    /// When a change becomes certain without a proof.
    fn promised(&self, change: &Change) -> Option<Duration> {
        let acknowledged = change.acknowledged?;
        let mut certain = self.after(acknowledged, self.bounds.propagation);
        for disturbance in &self.disturbances {
            if disturbance.from > certain {
                break;
            }
            let noticed = self.noticed(disturbance)?;
            if noticed >= acknowledged {
                certain = certain.max(self.after(noticed, self.bounds.propagation));
            }
        }
        Some(certain)
    }

    /// The possible states of a fact during a request from `start` to `end`.
    fn possible(&self, fact: Fact, start: Duration, end: Duration) -> Vec<State> {
        let mut possible = Vec::new();
        // From the newest change back to the last certain one.
        for change in self.changes.get(&fact).into_iter().flatten().rev().filter(|change| change.sent <= end) {
            possible.push(change.state);
            if self.certain(change).is_some_and(|certain| certain <= start) {
                return possible;
            }
        }
        possible.push(State::Open);
        possible
    }

    /// The right answers for a request from `start` to `end`. If nothing changes, there is one; otherwise one for each
    /// combination of possible states.
    pub fn right(&self, subject: Subject, start: Duration, end: Duration) -> Vec<Right> {
        let mut combinations: Vec<Vec<(Fact, State)>> = vec![Vec::new()];
        for fact in facts(subject) {
            let possible = self.possible(fact, start, end);
            combinations = combinations
                .into_iter()
                .flat_map(|known| possible.iter().map(move |state| [known.as_slice(), &[(fact, *state)]].concat()))
                .collect();
        }
        let mut right: Vec<Right> = Vec::new();
        for known in combinations {
            let state = |fact| known.iter().find(|(known, _)| *known == fact).map_or(State::Open, |(_, state)| *state);
            let decided = decide(subject, state);
            if !right.contains(&decided) {
                right.push(decided);
            }
        }
        right
    }

    /// The newest state of a fact, whether it is acknowledged or not.
    pub fn latest(&self, fact: Fact) -> State {
        self.changes.get(&fact).and_then(|changes| changes.last()).map_or(State::Open, |change| change.state)
    }

    /// Whether more than one state of this fact is possible for a request from `start` to `end`.
    pub fn is_uncertain(&self, fact: Fact, start: Duration, end: Duration) -> bool {
        self.possible(fact, start, end).len() > 1
    }

    /// For a request that began at `start` and did not see the last change of this fact: which change that was, and the
    /// time since its acknowledgement. `None` if the change should have been visible, so that something else is wrong,
    /// or if a disturbance makes the answer meaningless.
    pub fn lag(&self, fact: Fact, start: Duration) -> Option<(usize, Duration)> {
        let changes = self.changes.get(&fact)?;
        let last = changes.last()?;
        let acknowledged = last.acknowledged?;
        let undisturbed = self.promised(last) == Some(self.after(acknowledged, self.bounds.propagation));
        let lag = start.checked_sub(acknowledged).filter(|lag| undisturbed && *lag < self.bounds.propagation);
        lag.map(|lag| (changes.len(), lag))
    }

    /// The last changes of a subject's facts for a reader, each with the times of its acknowledgement and certainty, in
    /// seconds.
    pub fn tell(&self, subject: Subject) -> String {
        let seconds = |at: Option<Duration>| at.map_or("never".to_owned(), |at| format!("{:.3}", at.as_secs_f64()));
        let last = |fact| Some((fact, self.changes.get(&fact)?.last()?));
        let told = facts(subject).into_iter().filter_map(last).map(|(fact, change)| {
            let (acknowledged, certain) = (seconds(change.acknowledged), seconds(self.certain(change)));
            format!("{fact:?} {:?} acknowledged {acknowledged}, certain {certain}", change.state)
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// When all changes so far are certain. `None` while a change or a disturbance is under way.
    pub fn settled(&self) -> Option<Duration> {
        let last = self.changes.values().filter_map(|changes| changes.last());
        last.map(|change| self.certain(change)).try_fold(Duration::ZERO, |latest, certain| Some(latest.max(certain?)))
    }
}

#[cfg(test)]
mod tests;
