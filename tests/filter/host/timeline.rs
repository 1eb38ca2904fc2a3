//! What happens as time passes: ticks that are due, callouts that time out, the policy service's answers.

use std::time::Duration;

use super::{
    audit,
    callout::{Answer, Callout, Cluster},
    envoy::Envoy,
    vm::{Life, Ran},
    worker,
    world::lock,
};

/// Callouts that may be made at one instant before the test fails: a full policy in pages, many times over.
const CALLOUTS_AT_ONCE: usize = 10_000;

impl Envoy {
    /// Steady nanoseconds; they begin as the wall clock's.
    fn now(&self) -> u64 {
        lock(&self.world).now
    }

    /// Somebody sets the wall clock forward or back, in seconds; timers do not notice.
    pub fn adjust_clock(&mut self, seconds: i64) {
        lock(&self.world).skew += seconds * 1_000_000_000;
    }

    /// Lets time pass: every tick that is due, every callout's timeout, and the service's answers, in order.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now() + u64::try_from(duration.as_nanos()).expect("a duration of years at most");
        self.exchange_callouts();
        loop {
            let due = self.ticks().map(|(at, ..)| at).min();
            let given_up = lock(&self.world).callouts.iter().filter_map(|callout| callout.deadline).min();
            let Some(next) = due.into_iter().chain(given_up).min().filter(|next| *next <= end) else { break };
            let now = self.now().max(next);
            lock(&self.world).now = now;
            self.give_up_callouts();
            for (_, position, root) in self.ticks().filter(|(at, ..)| *at <= now).collect::<Vec<_>>() {
                if self.vms[position].state == Life::Idle {
                    let _ = self.vms[position].run(move || worker::tick(root));
                }
            }
            self.exchange_callouts();
        }
        lock(&self.world).now = end;
    }

    /// Lets time pass until that holds, but no longer than that; whether it holds.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&mut Self) -> bool) -> bool {
        const STEP: Duration = Duration::from_millis(500);
        let steps = limit.as_nanos() / STEP.as_nanos();
        (0..steps).any(|_| {
            self.run_for(STEP);
            holds(self)
        })
    }

    /// Every timer that runs: when it is due, on which VM, for which root context.
    fn ticks(&self) -> impl Iterator<Item = (u64, usize, u32)> + use<> {
        let world = lock(&self.world);
        let mut ticks = Vec::new();
        for (position, vm) in self.vms.iter().enumerate().filter(|(_, vm)| vm.state == Life::Idle) {
            let roots = world.vms[vm.index].roots.iter().filter(|(_, root)| root.tick_period > 0);
            ticks.extend(roots.map(|(id, root)| (root.next_tick, position, *id)));
        }
        ticks.into_iter()
    }

    /// Callouts that are still to be answered.
    pub fn pending(&self) -> Vec<Callout> {
        lock(&self.world).callouts.clone()
    }

    /// How a cluster is from now on; `None`: simply there.
    pub fn set_cluster(&mut self, name: &str, cluster: Option<Cluster>) {
        let mut world = lock(&self.world);
        match cluster {
            Some(cluster) => world.clusters.insert(name.to_owned(), cluster),
            None => world.clusters.remove(name),
        };
    }

    /// Answers one pending callout, then whatever the service answers of what follows.
    pub fn answer(&mut self, callout: &Callout, answer: Answer) -> Ran {
        let ran = self.deliver(callout, answer);
        self.exchange_callouts();
        ran
    }

    fn deliver(&mut self, callout: &Callout, answer: Answer) -> Ran {
        let mut world = lock(&self.world);
        let same = |other: &Callout| (other.vm, other.root, other.token) == (callout.vm, callout.root, callout.token);
        self.undecided.retain(|other| !same(other));
        match answer {
            Answer::Pending => return Ran::Finished(0),
            Answer::Never => {
                let forgotten = world.callouts.iter_mut().find(|other| same(other));
                forgotten.into_iter().for_each(|callout| callout.deadline = None);
                return Ran::Finished(0);
            }
            _ => world.callouts.retain(|other| !same(other)),
        }
        world.secrets.extend(audit::digests_of(&answer));
        drop(world);
        match self.vms.iter_mut().find(|vm| vm.index == callout.vm) {
            Some(vm) if vm.state == Life::Idle => {
                let (callout, delivered) = (callout.clone(), answer.delivered());
                vm.run(move || worker::answer(&callout, delivered))
            }
            _ => Ran::Died("the VM that asked is gone".to_owned()),
        }
    }

    /// Offers new callouts to the service until there are no more.
    fn exchange_callouts(&mut self) {
        let Some(mut feed) = self.feed.take() else { return };
        for round in 0.. {
            assert!(round < CALLOUTS_AT_ONCE, "callouts without end at one instant");
            let known = |all: &[Callout], one: &Callout| all.iter().any(|c| (c.vm, c.token) == (one.vm, one.token));
            let next = lock(&self.world).callouts.iter().find(|one| !known(&self.undecided, one)).cloned();
            let Some(callout) = next else { break };
            let answer = feed(&callout);
            let open = matches!(answer, Answer::Pending | Answer::Never);
            let _ = self.deliver(&callout, answer);
            if open {
                self.undecided.push(callout);
            }
        }
        self.feed = Some(feed);
    }

    /// Envoy's own 504 for what has waited long enough.
    fn give_up_callouts(&mut self) {
        let now = self.now();
        let late = |callout: &Callout| callout.deadline.is_some_and(|deadline| deadline <= now);
        for callout in self.pending().into_iter().filter(late) {
            let _ = self.deliver(&callout, Answer::Timeout);
        }
    }
}
