//! The shell: turns Envoy's callbacks into calls of the core, and carries out what the core says.
//!
//! Nothing here decides. One [`Plugin`] belongs to each plugin configuration of a VM; its root context refreshes the
//! policy, and its streams' requests are answered by it.

mod host;
mod http;
mod memory;
mod metrics;
mod root;
mod streams;
mod version;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use crate::{answer::reply::Prepared, config::Config, held::Held, open::OpenStreams, refresh::Refresh, usage::Usage};
use metrics::Metrics;

/// How often a VM looks at the manifest: the delay that it adds to a block.
const TICK: Duration = Duration::from_millis(100);
/// How often while requests wait for the first policy, or work on a page goes on.
const FAST_TICK: Duration = Duration::from_millis(10);

/// What one plugin configuration has in one VM.
#[derive(Debug)]
struct Plugin {
    config: Config,
    replies: Prepared,
    held: RefCell<Held>,
    refresh: RefCell<Refresh>,
    metrics: Metrics,
    /// What is used; `None` where it is not reported.
    usage: Option<RefCell<Usage>>,
    /// Requests that wait for the very first policy.
    waiting: RefCell<Vec<Waiting>>,
    /// Streams that are open; `None` where they are not to be closed.
    open: Option<RefCell<OpenStreams>>,
    tick: Cell<Duration>,
    /// This VM has served a request.
    serves: Cell<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    context: u32,
    /// From when, in milliseconds of Unix time.
    since_ms: u64,
    /// Until when.
    until_ms: u64,
}

impl Plugin {
    /// Lets go of a request that waits; whether it did.
    fn forget_waiting(&self, context: u32) -> bool {
        // While waiting requests are answered the list is not here, and each is woken only if it still exists.
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return false };
        let place = waiting.iter().position(|waiting| waiting.context == context);
        place.map(|place| waiting.remove(place)).is_some()
    }

    /// Lets go of an open stream; whether it was one.
    fn forget_open(&self, context: u32) -> bool {
        self.open.as_ref().is_some_and(|open| open.borrow_mut().remove(context))
    }

    /// Requests come: with the first of them the lease goes to a VM that serves none, before anything of it is looked at,
    /// so that whatever a request does to this VM, the policy is refreshed.
    fn serve(&self) {
        if !self.serves.replace(true) {
            let held = self.held.borrow();
            self.refresh.borrow_mut().serves_requests(&host::SharedData, held.source(), host::now_ms());
        }
    }

    /// Ticks so often from now on.
    fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}

proxy_wasm::main! {{
    // Installs the hook that logs a panic's place before the VM is lost.
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Error);
    proxy_wasm::set_root_context(|context| Box::new(root::Root::new(context)));
}}
