//! The fake Envoy for tests: its plugins, its VMs, and the state of its process.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    audit,
    callout::{Answer, Callout},
    cores::Cores,
    requests::{Exchange, Outcome, Phase, Request},
    shared_data::SharedData,
    status::LogLevel,
    thread::Thread,
    vm::{self, Life, Ran, Vm},
    worker,
    world::{SharedWorld, VmState, World, lock},
};

/// 2025-06-01T00:00:00Z, the first reading of the clock unless the test sets another.
const START_SECONDS: u64 = 1_748_736_000;

pub(super) type Feed = Box<dyn FnMut(&Callout) -> Answer + Send>;

/// One Envoy process with keygate. Dropping it runs the audit.
pub struct Envoy {
    pub(super) world: SharedWorld,
    workers: usize,
    pub(super) plugins: Vec<Plugin>,
    pub(super) vms: Vec<Vm>,
    pub(super) feed: Option<Feed>,
    pub(super) undecided: Vec<Callout>,
}

pub(super) struct Plugin {
    vm_id: String,
    configuration: Vec<u8>,
}

/// The filter refused a configuration. Contains its log lines.
#[derive(Debug)]
pub struct Refusal(pub Vec<String>);

impl Envoy {
    /// One plugin, two workers and an empty `vm_id`.
    pub fn new(configuration: impl ToString) -> Self {
        let world = World { now: START_SECONDS * 1_000_000_000, ..World::default() };
        let world = Arc::new(std::sync::Mutex::new(world));
        let envoy = Self { world, workers: 2, plugins: Vec::new(), vms: Vec::new(), feed: None, undecided: Vec::new() };
        envoy.plugin("", configuration)
    }

    /// Sets the number of workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Adds a plugin. Plugins with the same `vm_id` share VMs and data.
    pub fn plugin(mut self, vm_id: &str, configuration: impl ToString) -> Self {
        let configuration = configuration.to_string().into_bytes();
        lock(&self.world).secrets.extend(audit::secrets_of(&configuration));
        self.plugins.push(Plugin { vm_id: vm_id.to_owned(), configuration });
        self
    }

    /// Adds an environment variable to the VMs. Its value is a secret.
    pub fn environment(self, name: &str, value: &str) -> Self {
        let mut world = lock(&self.world);
        world.environment.push((name.to_owned(), value.to_owned()));
        world.secrets.insert(value.as_bytes().to_vec());
        drop(world);
        self
    }

    /// The host gives no random bytes.
    pub fn without_random(self) -> Self {
        lock(&self.world).without_random = true;
        self
    }

    /// Adds a policy service. It is asked once about each callout, when the VM that made it has returned.
    pub fn feed(mut self, feed: impl FnMut(&Callout) -> Answer + Send + 'static) -> Self {
        self.set_feed(feed);
        self
    }

    /// Replaces the policy service.
    pub fn set_feed(&mut self, feed: impl FnMut(&Callout) -> Answer + Send + 'static) {
        self.feed = Some(Box::new(feed));
    }

    /// Loads the configuration: canary VMs first, then the main thread and each worker.
    pub fn start(mut self) -> Result<Self, Refusal> {
        if let Some(cores) = Cores::here() {
            cores.keep_to_one();
        }
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

    /// Starts an Envoy whose configuration must be valid.
    #[track_caller]
    pub fn started(self) -> Self {
        self.start().unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    pub(super) fn new_vm(&mut self, thread: usize, plugin: usize) -> Vm {
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

    pub(super) fn configure(&mut self, thread: usize, plugin: usize) {
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

    /// The VM of this plugin on this thread.
    pub(super) fn position(&self, thread: usize, plugin: usize) -> Option<usize> {
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
        Thread::new(self, thread)
    }

    /// All threads: the main thread, then the workers.
    pub fn threads(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.workers
    }

    /// Value of a counter or gauge.
    pub fn metric(&self, name: &str) -> i64 {
        lock(&self.world).metrics.value(name)
    }

    /// The values of a histogram.
    pub fn observations(&self, name: &str) -> Vec<u64> {
        lock(&self.world).metrics.observations(name)
    }

    /// Log lines of at least this level.
    pub fn log(&self, level: LogLevel) -> Vec<String> {
        let world = lock(&self.world);
        let lines = world.log.iter().filter(|line| line.level >= level);
        lines.map(|line| String::from_utf8_lossy(&line.message).into_owned()).collect()
    }

    /// All entries of shared data of this `vm_id`.
    pub fn shared_data(&self, vm_id: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let world = lock(&self.world);
        let entries = world.shared.entries().filter(|(owner, ..)| *owner == vm_id);
        entries.map(|(_, key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Changes shared data behind the filter's back.
    pub fn tamper(&mut self, change: impl FnOnce(&mut SharedData)) {
        change(&mut lock(&self.world).shared);
    }

    /// The host permits no queues.
    pub fn forbid_queues(&mut self) {
        lock(&self.world).queues.forbidden = true;
    }

    /// The number of words in the longest queue.
    pub fn longest_queue(&self) -> usize {
        lock(&self.world).queues.longest()
    }

    /// Sets Envoy's `node.id`.
    pub fn name_node(&mut self, id: &str) {
        lock(&self.world).node_id = id.as_bytes().to_vec();
    }

    /// Forgets all violations so far. For scenarios in which the host itself fails, so that the filter must fail too.
    pub fn forgive(&mut self) {
        let mut world = lock(&self.world);
        world.violations.clear();
        world.vms.iter_mut().for_each(|vm| vm.streams.clear());
    }

    /// Replaces the configuration in every VM: first makes the new root contexts, then ends the old ones.
    pub fn reconfigure(&mut self, plugin: usize, configuration: impl ToString) {
        let configuration = configuration.to_string().into_bytes();
        lock(&self.world).secrets.extend(audit::secrets_of(&configuration));
        self.plugins[plugin].configuration = configuration;
        for thread in self.threads() {
            self.renew(thread, plugin);
        }
    }

    /// Replaces the root context in one VM.
    pub(super) fn renew(&mut self, thread: usize, plugin: usize) {
        let Some(position) = self.position(thread, plugin) else { return };
        let old = self.root(position, plugin);
        self.configure(thread, plugin);
        if let Some(old) = old.filter(|_| self.vms[position].state == Life::Idle) {
            let _ = self.vms[position].run(move || worker::remove_root(old));
        }
    }

    /// The plugin's newest root context in this VM.
    pub(super) fn root(&self, position: usize, plugin: usize) -> Option<u32> {
        let world = lock(&self.world);
        let roots = world.vms[self.vms[position].index].roots.iter();
        roots.filter(|(_, root)| root.plugin == plugin).map(|(id, _)| *id).max()
    }

    /// Serves requests on all workers at once, `rounds` on each, while the main thread does `meanwhile`. The request
    /// may depend on worker and round. Returns the results by worker.
    pub fn in_parallel(
        &mut self,
        rounds: usize,
        request: impl Fn(usize, usize) -> Request + Clone + Send + 'static,
        meanwhile: impl FnOnce(&mut Self),
    ) -> Vec<Vec<Exchange>> {
        let mut running = Vec::new();
        let cores = Cores::here();
        for thread in 1..=self.workers {
            let position = self.position(thread, 0).expect("a VM for each worker");
            let root = self.root(position, 0).expect("a root context in each VM");
            let request = request.clone();
            let tickets = Arc::new(std::sync::Mutex::new(Vec::new()));
            let theirs = tickets.clone();
            self.vms[position].send(move || {
                if let Some(cores) = cores {
                    cores.use_all();
                }
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

    pub(super) fn exchange(&self, position: usize, ticket: u32) -> Exchange {
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
