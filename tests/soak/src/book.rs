//! The record of the soak. The tasks that change the policy and disturb the stack write to it in advance, and the load
//! has its answers judged by it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    history::{Bounds, History},
    policy::{Fact, Right, State, Subject, decide, facts},
    slope::Sample,
    verdict::{Answer, Around, Tally, Verdict},
};

/// How long Envoy may take to replace a VM that was made to trap. It waits a second between two attempts.
pub const RELOADED_WITHIN: Duration = Duration::from_secs(5);
/// Number of recently changed facts. Half of all requests are about these.
const RECENT: usize = 48;

#[derive(Debug)]
pub struct Book {
    begun: Instant,
    pages: Mutex<Pages>,
}

/// The content of the book.
#[derive(Debug)]
pub struct Pages {
    /// Changes and disturbances.
    pub history: History,
    pub tally: Tally,
    /// Recently changed facts.
    pub recent: VecDeque<Fact>,
    /// Number of acknowledged changes.
    pub changes: u64,
    /// Faults, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// The policy service's process while it runs.
    pub service: Option<u32>,
    /// The current disturbance.
    pub now: &'static str,
    /// Samples of the memory that Envoy uses.
    pub memory: Vec<Sample>,
    /// Samples of Envoy's resident memory.
    pub resident: Vec<Sample>,
    /// Durations of requests, in microseconds.
    pub took: Vec<u32>,
    /// For each change whose effect was still missing after its acknowledgement: for how long.
    lags: HashMap<(Fact, usize), Duration>,
    windows: Vec<Window>,
}

/// A time in which Envoy's own answers are excused.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Duration,
    until: Duration,
    around: Around,
}

impl Book {
    /// An empty book that begins now.
    pub fn begin(bounds: Bounds) -> Self {
        let pages = Pages {
            history: History::new(bounds),
            tally: Tally::default(),
            recent: VecDeque::new(),
            changes: 0,
            faults: BTreeMap::new(),
            service: None,
            now: "",
            memory: Vec::new(),
            resident: Vec::new(),
            took: Vec::new(),
            lags: HashMap::new(),
            windows: Vec::new(),
        };
        Self { begun: Instant::now(), pages: Mutex::new(pages) }
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Opens the book for reading and writing.
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        // A panic of another task has ended the soak; the entries are complete.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Records that a change was sent.
    pub fn sent(&mut self, fact: Fact, state: State, at: Duration) {
        self.history.sent(fact, state, at);
        self.recent.push_back(fact);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Records that it was acknowledged.
    pub fn acknowledged(&mut self, fact: Fact, at: Duration) {
        self.history.acknowledged(fact, at);
        self.changes = self.changes.saturating_add(1);
    }

    /// Counts a fault.
    pub fn fault(&mut self, name: &'static str) {
        let count = self.faults.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    /// Excuses Envoy's own answers from `from`, for the time `lasting`.
    pub fn excuse(&mut self, around: Around, from: Duration, lasting: Duration) {
        self.windows.push(Window { from, until: from.saturating_add(lasting), around });
    }

    /// Judges an answer.
    pub fn judge(&mut self, subject: Subject, start: Duration, end: Duration, answer: &Answer) -> Verdict {
        let right = self.history.right(subject, start, end);
        let verdict = Verdict::of(answer, &right, self.around(start, end));
        self.tally.count(verdict, end, || {
            let took = end.saturating_sub(start).as_millis();
            let told = self.history.tell(subject);
            format!("{subject:?} after {took} ms: {answer:?}, where {right:?} would have been right; {told}")
        });
        self.took.push(u32::try_from(end.saturating_sub(start).as_micros()).unwrap_or(u32::MAX));
        self.note_lag(subject, start, end, answer);
        verdict
    }

    fn around(&self, start: Duration, end: Duration) -> Around {
        let mut around = Around::default();
        for window in self.windows.iter().filter(|window| window.from <= end && start <= window.until) {
            around.reloading |= window.around.reloading;
            around.draining |= window.around.draining;
        }
        around
    }

    /// If the answer does not follow the newest policy: notes which change is missing, and for how long.
    fn note_lag(&mut self, subject: Subject, start: Duration, end: Duration, answer: &Answer) {
        let newest = decide(subject, |fact| self.history.latest(fact));
        let is_newest = match answer {
            Answer::Reached { .. } => newest == Right::Allowed,
            Answer::Refused(code) => newest.is_refusal_with(code),
            _ => return,
        };
        if is_newest {
            return;
        }
        let uncertain = |fact: &Fact| self.history.is_uncertain(*fact, start, end);
        // If several facts are changing, nobody can tell which of them is missing.
        let mut changing = facts(subject).into_iter().filter(uncertain);
        let (Some(fact), None) = (changing.next(), changing.next()) else { return };
        if let Some((change, lag)) = self.history.lag(fact, start) {
            let known = self.lags.entry((fact, change)).or_default();
            *known = lag.max(*known);
        }
    }

    /// For each change whose effect was still missing after its acknowledgement: for how long. Sorted.
    pub fn lags(&self) -> Vec<Duration> {
        let mut lags: Vec<Duration> = self.lags.values().copied().collect();
        lags.sort_unstable();
        lags
    }
}
