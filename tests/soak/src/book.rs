//! What is known while the soak runs: those who change the policy and disturb the stack write it down before they do, and
//! those who ask have their answers judged by it.

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

/// How long Envoy may take to make a VM anew that was made to trap: it waits a second between two tries.
pub const RELOADED_WITHIN: Duration = Duration::from_secs(5);
/// Facts that were changed last, for which half of all requests ask.
const RECENT: usize = 48;

/// The book.
#[derive(Debug)]
pub struct Book {
    begun: Instant,
    pages: Mutex<Pages>,
}

/// What stands in it.
#[derive(Debug)]
pub struct Pages {
    /// Changes and disturbances.
    pub history: History,
    /// Judgements.
    pub tally: Tally,
    /// Facts that were changed last.
    pub recent: VecDeque<Fact>,
    /// Changes that were acknowledged.
    pub changes: u64,
    /// Faults, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// The policy service's process, while it runs.
    pub service: Option<u32>,
    /// What is disturbed now.
    pub now: &'static str,
    /// Looks at the memory that Envoy uses.
    pub memory: Vec<Sample>,
    /// And at what it holds.
    pub resident: Vec<Sample>,
    /// How long requests took, in microseconds.
    pub took: Vec<u32>,
    /// For each change of a fact that was still answered the old way after it was acknowledged: how long.
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
    /// An empty one, which begins now.
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

    /// The time since it began.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// To read it, or to write into it.
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        // Whoever panicked has ended the soak; what is written is whole.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// A change was sent.
    pub fn sent(&mut self, fact: Fact, state: State, at: Duration) {
        self.history.sent(fact, state, at);
        self.recent.push_back(fact);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// It was acknowledged.
    pub fn acknowledged(&mut self, fact: Fact, at: Duration) {
        self.history.acknowledged(fact, at);
        self.changes = self.changes.saturating_add(1);
    }

    /// A fault is injected.
    pub fn fault(&mut self, name: &'static str) {
        let count = self.faults.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    /// Envoy's own answers are excused from `from`, for so long.
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

    /// If the answer is not that of the newest policy: which change it has not seen, and for how long.
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
        // Where several facts change at once, which of them was not seen cannot be told.
        let mut changing = facts(subject).into_iter().filter(uncertain);
        let (Some(fact), None) = (changing.next(), changing.next()) else { return };
        if let Some((change, lag)) = self.history.lag(fact, start) {
            let known = self.lags.entry((fact, change)).or_default();
            *known = lag.max(*known);
        }
    }

    /// For each change that was still answered the old way after it was acknowledged, how long; in order.
    pub fn lags(&self) -> Vec<Duration> {
        let mut lags: Vec<Duration> = self.lags.values().copied().collect();
        lags.sort_unstable();
        lags
    }
}
