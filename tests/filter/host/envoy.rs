//! The fake Envoy as tests drive it: plugins, threads, time, the policy service's answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    audit,
    callout::{Answer, Callout, Cluster},
    faults::{Fault, Faults},
    requests::{Exchange, Outcome, Phase, Request},
    shared_data::SharedData,
    status::LogLevel,
    vm::{self, Life, Ran, Vm},
    worker,
    world::{SharedWorld, VmState, World, lock},
};

/// 2025-06-01T00:00:00Z, the clock's first reading unless the test says otherwise.
const START_SECONDS: u64 = 1_748_736_000;

/// Callouts that may be made at one instant before the test fails: a full policy in pages, many times over.
const CALLOUTS_AT_ONCE: usize = 10_000;

type Feed = Box<dyn FnMut(&Callout) -> Answer + Send>;

/// One Envoy process with keygate in it. When it is dropped, what holds after every scenario is checked.
pub struct Envoy {
    world: SharedWorld,
    workers: usize,
    plugins: Vec<Plugin>,
    vms: Vec<Vm>,
    feed: Option<Feed>,
    undecided: Vec<Callout>,
}

struct Plugin {
    vm_id: String,
    configuration: Vec<u8>,
}

/// A configuration that the filter refused, with what it logged.
#[derive(Debug)]
pub struct Refusal(pub Vec<String>);

impl Envoy {
    /// With one plugin, two workers and an empty `vm_id`.
    pub fn new(configuration: impl ToString) -> Self {
        let world = World { now: START_SECONDS * 1_000_000_000, ..World::default() };
        let world = Arc::new(std::sync::Mutex::new(world));
        let envoy = Self { world, workers: 2, plugins: Vec::new(), vms: Vec::new(), feed: None, undecided: Vec::new() };
        envoy.plugin("", configuration)
    }

    /// With so many workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With one more plugin; plugins of one `vm_id` share VMs and data.
    pub fn plugin(mut self, vm_id: &str, configuration: impl ToString) -> Self {
        let configuration = configuration.to_string().into_bytes();
        lock(&self.world).secrets.extend(audit::secrets_of(&configuration));
        self.plugins.push(Plugin { vm_id: vm_id.to_owned(), configuration });
        self
    }

    /// With an environment variable in the VMs; its value is a secret.
    pub fn environment(self, name: &str, value: &str) -> Self {
        let mut world = lock(&self.world);
        world.environment.push((name.to_owned(), value.to_owned()));
        world.secrets.insert(value.as_bytes().to_vec());
        drop(world);
        self
    }

    /// With a policy service; it is asked once about each callout, when the VM that made it has returned.
    pub fn feed(mut self, feed: impl FnMut(&Callout) -> Answer + Send + 'static) -> Self {
        self.set_feed(feed);
        self
    }

    /// Another policy service from now on.
    pub fn set_feed(&mut self, feed: impl FnMut(&Callout) -> Answer + Send + 'static) {
        self.feed = Some(Box::new(feed));
    }

    /// Loads the configuration: canary VMs first, then the main thread and each worker.
    pub fn start(mut self) -> Result<Self, Refusal> {
        for plugin in 0..self.plugins.len() {
            let mut canary = self.new_vm(0, plugin);
            let configuration = self.plugins[plugin].configuration.clone();
            let ran = canary.run(move || worker::configure(plugin, configuration));
            let mut world = lock(&self.world);
            world.vms[canary.index].roots.clear();
            world.callouts.clear();
            if ran != Ran::Finished(1) {
                drop(world);
                return Err(Refusal(self.log(LogLevel::Warn)));
            }
        }
        for thread in 0..=self.workers {
            for plugin in 0..self.plugins.len() {
                self.configure(thread, plugin);
            }
        }
        Ok(self)
    }

    /// Starts an Envoy whose configuration must be good.
    #[track_caller]
    pub fn started(self) -> Self {
        self.start().unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    fn new_vm(&mut self, thread: usize, plugin: usize) -> Vm {
        let vm_id = self.plugins[plugin].vm_id.clone();
        let mut world = lock(&self.world);
        let index = world.vms.len();
        world.vms.push(VmState { thread, vm_id: vm_id.clone(), ..VmState::default() });
        drop(world);
        let mut vm = Vm::start(&self.world, index, thread, &vm_id);
        let _ = vm.run(|| {
            vm::initialize();
            0
        });
        vm
    }

    fn configure(&mut self, thread: usize, plugin: usize) {
        let position = match self.position(thread, plugin) {
            Some(position) => position,
            None => {
                let vm = self.new_vm(thread, plugin);
                self.vms.push(vm);
                self.vms.len() - 1
            }
        };
        let configuration = self.plugins[plugin].configuration.clone();
        let ran = self.vms[position].run(move || worker::configure(plugin, configuration));
        if ran != Ran::Finished(1) {
            let violation = format!("thread {thread} refused a configuration that the canary accepted: {ran:?}");
            lock(&self.world).violations.push(violation);
        }
    }

    /// The VM of that plugin on that thread.
    fn position(&self, thread: usize, plugin: usize) -> Option<usize> {
        let vm_id = &self.plugins[plugin].vm_id;
        self.vms.iter().position(|vm| vm.thread == thread && vm.vm_id == *vm_id)
    }

    /// The main thread, which serves no requests.
    pub fn main(&mut self) -> Thread<'_> {
        self.worker(0)
    }

    /// A worker, from 1.
    pub fn worker(&mut self, thread: usize) -> Thread<'_> {
        assert!(thread <= self.workers, "there is no worker {thread}");
        Thread { envoy: self, thread, plugin: 0 }
    }

    /// All threads: the main one, then the workers.
    pub fn threads(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.workers
    }

    // -- time -----------------------------------------------------------------------------------------------------

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

    // -- callouts -------------------------------------------------------------------------------------------------

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

    // -- what the process holds -------------------------------------------------------------------------------------

    /// Value of a counter or gauge.
    pub fn metric(&self, name: &str) -> i64 {
        lock(&self.world).metrics.value(name)
    }

    /// What a histogram was given.
    pub fn observations(&self, name: &str) -> Vec<u64> {
        lock(&self.world).metrics.observations(name)
    }

    /// Log lines of at least that level.
    pub fn log(&self, level: LogLevel) -> Vec<String> {
        let world = lock(&self.world);
        let lines = world.log.iter().filter(|line| line.level >= level);
        lines.map(|line| String::from_utf8_lossy(&line.message).into_owned()).collect()
    }

    /// Every entry of shared data of that `vm_id`.
    pub fn shared_data(&self, vm_id: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let world = lock(&self.world);
        let entries = world.shared.entries().filter(|(owner, ..)| *owner == vm_id);
        entries.map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Changes shared data behind the filter's back.
    pub fn tamper(&mut self, change: impl FnOnce(&mut SharedData)) {
        change(&mut lock(&self.world).shared);
    }

    /// Forgets what went wrong so far; for scenarios in which the host itself fails, and the filter cannot but fail too.
    pub fn forgive(&mut self) {
        let mut world = lock(&self.world);
        world.violations.clear();
        world.vms.iter_mut().for_each(|vm| vm.streams.clear());
    }

    /// Takes a configuration's place in every VM: the new root contexts first, then the end of the old ones.
    pub fn reconfigure(&mut self, plugin: usize, configuration: impl ToString) {
        let configuration = configuration.to_string().into_bytes();
        lock(&self.world).secrets.extend(audit::secrets_of(&configuration));
        self.plugins[plugin].configuration = configuration;
        for thread in self.threads() {
            let Some(position) = self.position(thread, plugin) else { continue };
            let old = self.root(position, plugin);
            self.configure(thread, plugin);
            if let Some(old) = old.filter(|_| self.vms[position].state == Life::Idle) {
                let _ = self.vms[position].run(move || worker::remove_root(old));
            }
        }
    }

    /// The plugin's newest root context in that VM.
    fn root(&self, position: usize, plugin: usize) -> Option<u32> {
        let world = lock(&self.world);
        let roots = world.vms[self.vms[position].index].roots.iter();
        roots.filter(|(_, root)| root.plugin == plugin).map(|(id, _)| *id).max()
    }

    /// Serves requests on every worker at once, `rounds` each, while the main thread does what `meanwhile` says; the
    /// request may depend on worker and round. The answers come by worker.
    pub fn in_parallel(
        &mut self,
        rounds: usize,
        request: impl Fn(usize, usize) -> Request + Clone + Send + 'static,
        meanwhile: impl FnOnce(&mut Self),
    ) -> Vec<Vec<Exchange>> {
        let mut running = Vec::new();
        for thread in 1..=self.workers {
            let position = self.position(thread, 0).expect("a VM for each worker");
            let root = self.root(position, 0).expect("a root context in each VM");
            let request = request.clone();
            let tickets = Arc::new(std::sync::Mutex::new(Vec::new()));
            let theirs = tickets.clone();
            self.vms[position].send(move || {
                let served = (0..rounds).map(|round| worker::begin(root, request(thread, round)));
                *theirs.lock().expect("nobody else writes tickets") = served.collect();
                0
            });
            running.push((position, tickets));
        }
        meanwhile(self);
        let mut answers = Vec::new();
        for (position, tickets) in running {
            self.vms[position].wait().finished();
            let tickets = tickets.lock().expect("the VM is done");
            answers.push(tickets.iter().map(|ticket| self.exchange(position, *ticket as u32)).collect());
        }
        answers
    }

    fn exchange(&self, position: usize, ticket: u32) -> Exchange {
        let world = lock(&self.world);
        let stream = &world.vms[self.vms[position].index].streams[&ticket];
        let outcome = match (stream.phase, &stream.reply) {
            (Phase::Refused, Some(reply)) => Outcome::Refused(reply.clone()),
            (Phase::Passed, _) => Outcome::Passed,
            (Phase::Aborted, _) => Outcome::Aborted,
            _ => Outcome::Held(ticket),
        };
        Exchange {
            outcome,
            headers: stream.headers.clone(),
            filter_state: stream.filter_state.clone(),
            route_choices: stream.route_choices,
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let found = audit::audit(&lock(&self.world));
        if !std::thread::panicking() {
            assert!(found.is_empty(), "after the scenario:\n{}", found.join("\n"));
        }
    }
}

/// One thread of an Envoy, through the eyes of one plugin.
pub struct Thread<'a> {
    envoy: &'a mut Envoy,
    thread: usize,
    plugin: usize,
}

impl Thread<'_> {
    /// For another of the Envoy's plugins, from 0.
    pub fn plugin(mut self, plugin: usize) -> Self {
        self.plugin = plugin;
        self
    }

    fn position(&self) -> usize {
        self.envoy.position(self.thread, self.plugin).expect("a VM for each plugin and thread")
    }

    fn root(&self) -> u32 {
        self.envoy.root(self.position(), self.plugin).expect("a root context in each VM")
    }

    fn vm(&mut self) -> &mut Vm {
        let position = self.position();
        &mut self.envoy.vms[position]
    }

    /// A request, up to its end or its first pause.
    pub fn request(&mut self, request: Request) -> Exchange {
        assert!(self.thread > 0, "the main thread serves no requests");
        let root = self.root();
        let dead = |why: String| Exchange {
            outcome: Outcome::Dead(why),
            headers: Default::default(),
            filter_state: BTreeMap::new(),
            route_choices: 0,
        };
        if self.vm().state == Life::Dead {
            return dead("before the request".to_owned());
        }
        match self.vm().run(move || worker::begin(root, request)) {
            Ran::Finished(ticket) => self.envoy.exchange(self.position(), ticket as u32),
            Ran::Died(why) => dead(why),
            Ran::Paused => dead("paused by a fault; requests cannot be resumed".to_owned()),
        }
    }

    /// How a request that was held stands now.
    pub fn outcome(&mut self, ticket: u32) -> Exchange {
        self.envoy.exchange(self.position(), ticket)
    }

    /// The client of a held request goes away.
    pub fn abort(&mut self, ticket: u32) -> Ran {
        self.vm().run(move || worker::abort(ticket))
    }

    /// One tick, due or not; callouts that it makes stay pending until time passes or they are answered.
    pub fn tick(&mut self) -> Ran {
        let root = self.root();
        self.vm().run(move || worker::tick(root))
    }

    /// Lets a paused VM go on.
    pub fn resume(&mut self) -> Ran {
        self.vm().resume()
    }

    /// Whether the VM can run.
    pub fn life(&mut self) -> Life {
        self.vm().state
    }

    /// Plans faults for this VM.
    pub fn faults<T>(&mut self, plan: impl FnOnce(&mut Faults) -> T) -> T {
        let index = self.vm().index;
        plan(&mut lock(&self.envoy.world).vms[index].faults)
    }

    /// The VM ends, now.
    pub fn kill(&mut self) {
        self.faults(|faults| faults.once(None, 0, Fault::Die));
        // Any host call of the host's own will do.
        let ran = self.vm().run(|| u64::from(super::imports::proxy_increment_metric(0, 1)));
        assert!(matches!(ran, Ran::Died(_)));
    }

    /// A new VM takes the dead one's place, as with FAIL_RELOAD.
    pub fn revive(&mut self) {
        let position = self.position();
        let vm = self.envoy.new_vm(self.thread, self.plugin);
        self.envoy.vms[position] = vm;
        for plugin in 0..self.envoy.plugins.len() {
            if self.envoy.position(self.thread, plugin) == Some(position) {
                self.envoy.configure(self.thread, plugin);
            }
        }
    }
}
