//! The fake Envoy as tests drive it: its plugins, its VMs, and what the process holds.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    audit,
    callout::{Answer, Callout},
    requests::{Exchange, Outcome, Phase, Request},
    shared_data::SharedData,
    status::LogLevel,
    thread::Thread,
    vm::{self, Life, Ran, Vm},
    worker,
    world::{SharedWorld, VmState, World, lock},
};

/// 2025-06-01T00:00:00Z, the clock's first reading unless the test says otherwise.
const START_SECONDS: u64 = 1_748_736_000;

pub(super) type Feed = Box<dyn FnMut(&Callout) -> Answer + Send>;

/// One Envoy process with keygate in it. When it is dropped, what holds after every scenario is checked.
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

    /// With a host that gives no random bytes.
    pub fn without_random(self) -> Self {
        lock(&self.world).without_random = true;
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

    /// The VM of that plugin on that thread.
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

    /// All threads: the main one, then the workers.
    pub fn threads(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.workers
    }

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
            self.renew(thread, plugin);
        }
    }

    /// A new root context takes the old one's place in one VM.
    pub(super) fn renew(&mut self, thread: usize, plugin: usize) {
        let Some(position) = self.position(thread, plugin) else { return };
        let old = self.root(position, plugin);
        self.configure(thread, plugin);
        if let Some(old) = old.filter(|_| self.vms[position].state == Life::Idle) {
            let _ = self.vms[position].run(move || worker::remove_root(old));
        }
    }

    /// The plugin's newest root context in that VM.
    pub(super) fn root(&self, position: usize, plugin: usize) -> Option<u32> {
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
