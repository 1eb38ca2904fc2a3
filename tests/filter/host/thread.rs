//! One thread of an Envoy: its requests, ticks, faults and death.

use std::collections::BTreeMap;

use super::{
    envoy::Envoy,
    faults::{Fault, Faults},
    imports,
    requests::{Exchange, Outcome, Request},
    vm::{Life, Ran, Vm},
    worker,
    world::lock,
};

/// One thread of an Envoy, for one plugin.
pub struct Thread<'a> {
    envoy: &'a mut Envoy,
    thread: usize,
    plugin: usize,
}

impl<'a> Thread<'a> {
    pub(super) fn new(envoy: &'a mut Envoy, thread: usize) -> Self {
        Self { envoy, thread, plugin: 0 }
    }

    /// Selects another plugin of the Envoy, counted from 0.
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

    /// Runs a request to its end or its first pause.
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

    /// The current state of a held request.
    pub fn outcome(&mut self, ticket: u32) -> Exchange {
        self.envoy.exchange(self.position(), ticket)
    }

    /// The client of a held request goes away.
    pub fn abort(&mut self, ticket: u32) -> Ran {
        self.vm().run(move || worker::abort(ticket))
    }

    /// One tick, due or not. Its callouts stay pending until time passes or they are answered.
    pub fn tick(&mut self) -> Ran {
        let root = self.root();
        self.vm().run(move || worker::tick(root))
    }

    /// Number of ticks of the plugin in this VM so far.
    pub fn ticks(&mut self) -> u64 {
        let (root, index) = (self.root(), self.vm().index);
        lock(&self.envoy.world).vms[index].roots[&root].ticks
    }

    /// Resumes a paused VM.
    pub fn resume(&mut self) -> Ran {
        self.vm().resume()
    }

    /// Restarts the plugin in this VM, without any state.
    pub fn renew(&mut self) {
        self.envoy.renew(self.thread, self.plugin);
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

    /// Kills the VM now.
    pub fn kill(&mut self) {
        self.faults(|faults| faults.once(None, 0, Fault::Die));
        // Any host call will do; this one is made by the test.
        let ran = self.vm().run(|| u64::from(imports::proxy_increment_metric(0, 1)));
        assert!(matches!(ran, Ran::Died(_)));
    }

    /// Replaces the dead VM by a new one, as with FAIL_RELOAD.
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
