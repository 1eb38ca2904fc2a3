//! Which processor cores a scenario runs on.
//!
//! A scenario's threads take turns: one runs, all others wait for it. On one core a turn costs half of what it costs when
//! another core has to be woken for it. Scenarios of different tests are on different cores. Where the system has no such
//! choice, all of this does nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The tests that have a core.
static TESTS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The cores of the test whose thread this is.
    static CORES: Option<Cores> = Cores::of_test();
}

/// The cores of a test.
#[derive(Clone, Copy)]
pub struct Cores {
    all: CpuSet,
    one: CpuSet,
}

impl Cores {
    fn of_test() -> Option<Self> {
        let all = sched_getaffinity(None).ok()?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let core = cores.get(TESTS.fetch_add(1, Ordering::Relaxed).checked_rem(cores.len())?)?;
        let mut one = CpuSet::new();
        one.set(*core);
        Some(Self { all, one })
    }

    /// The cores of the test on this thread.
    pub fn here() -> Option<Self> {
        CORES.with(|cores| *cores)
    }

    /// Keeps this thread, and the threads that it starts from now on, on one core.
    pub fn keep_to_one(&self) {
        let _ = sched_setaffinity(None, &self.one);
    }

    /// Gives this thread all cores, so that it runs at the same time as others.
    pub fn use_all(&self) {
        let _ = sched_setaffinity(None, &self.all);
    }
}
