//! The passing of time: ticks that are due, callouts that time out, and the answers of the policy service.

use std::time::Duration;

use super::{
    audit,
    callout::{Answer, Callout, Cluster},
    envoy::Envoy,
    vm::{Life, Ran},
    worker,
    world::lock,
};

/// Maximum number of callouts at one instant. Enough for many full policies in pages.
const CALLOUTS_AT_ONCE: usize = 10_000;

impl Envoy {
    /// Nanoseconds of the steady clock, which begins with the time of the wall clock.
    fn now(&self) -> u64 {
        lock(&self.world).now
    }

    /// Sets the wall clock forward or back, in seconds. Timers are not affected.
    pub fn adjust_clock(&mut self, seconds: i64) {
        lock(&self.world).skew += seconds * 1_000_000_000;
    }

    /// Lets time pass: runs all ticks that are due, all timeouts of callouts, and the service's answers, in order.
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

    /// Lets time pass until `holds` is true, but no longer than `limit`. Returns whether it became true.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&mut Self) -> bool) -> bool {
        const STEP: Duration = Duration::from_millis(500);
        let steps = limit.as_nanos() / STEP.as_nanos();
        (0..steps).any(|_| {
            self.run_for(STEP);
            holds(self)
        })
    }

    /// All running timers: when each is due, its VM and its root context.
    fn ticks(&self) -> impl Iterator<Item = (u64, usize, u32)> + use<> {
        let world = lock(&self.world);
        let mut ticks = Vec::new();
        for (position, vm) in self.vms.iter().enumerate().filter(|(_, vm)| vm.state == Life::Idle) {
            let roots = world.vms[vm.index].roots.iter().filter(|(_, root)| root.tick_period > 0);
            ticks.extend(roots.map(|(id, root)| (root.next_tick, position, *id)));
        }
        ticks.into_iter()
    }

    /// Callouts that have not been answered.
    pub fn pending(&self) -> Vec<Callout> {
        lock(&self.world).callouts.clone()
    }

    /// Sets the state of a cluster. `None`: a normal cluster.
    pub fn set_cluster(&mut self, name: &str, cluster: Option<Cluster>) {
        let mut world = lock(&self.world);
        match cluster {
            Some(cluster) => world.clusters.insert(name.to_owned(), cluster),
            None => world.clusters.remove(name),
        };
    }

    /// Answers one pending callout, and then all callouts that follow from it.
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

    /// Tells the owners of queues of their words. Words to a VM that is dead or stalled stay in its queue.
    fn tell_queues(&mut self) {
        loop {
            let Some((index, root, queue)) = lock(&self.world).queues.next_told() else { break };
            if let Some(vm) = self.vms.iter_mut().find(|vm| vm.index == index && vm.state == Life::Idle) {
                let _ = vm.run(move || worker::queue_ready(root, queue));
            }
        }
    }

    /// Passes new callouts to the service until there are none.
    fn exchange_callouts(&mut self) {
        let Some(mut feed) = self.feed.take() else { return self.tell_queues() };
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
        self.tell_queues();
    }

    /// Envoy's own 504 for callouts whose time is over.
    fn give_up_callouts(&mut self) {
        let now = self.now();
        let late = |callout: &Callout| callout.deadline.is_some_and(|deadline| deadline <= now);
        for callout in self.pending().into_iter().filter(late) {
            let _ = self.deliver(&callout, Answer::Timeout);
        }
    }
}
