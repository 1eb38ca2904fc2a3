//! One thread of an Envoy: its requests, its ticks, its faults, its death.

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

/// One thread of an Envoy, through the eyes of one plugin.
pub struct Thread<'a> {
    envoy: &'a mut Envoy,
    thread: usize,
    plugin: usize,
}

impl<'a> Thread<'a> {
    pub(super) fn new(envoy: &'a mut Envoy, thread: usize) -> Self {
        Self { envoy, thread, plugin: 0 }
    }

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

    /// The plugin begins anew in this VM, with nothing remembered.
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

    /// The VM ends, now.
    pub fn kill(&mut self) {
        self.faults(|faults| faults.once(None, 0, Fault::Die));
        // Any host call of the host's own will do.
        let ran = self.vm().run(|| u64::from(imports::proxy_increment_metric(0, 1)));
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
