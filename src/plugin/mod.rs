//! The shell: turns Envoy's callbacks into calls of the core, and carries out the core's results.
//!
//! Nothing here decides. A VM has one [`Plugin`] for each plugin configuration. Its root context refreshes the policy,
//! and the plugin answers the requests of its streams.

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

use crate::{
    answer::reply::Prepared, config::Config, held::PolicyView, open::OpenStreams, refresh::Refresh, usage::Usage,
};
use metrics::Metrics;

/// How often a VM looks at the manifest. A block takes effect with this delay at most.
const TICK: Duration = Duration::from_millis(100);
/// Period between ticks while requests wait for the first policy, or while a page is being processed.
const FAST_TICK: Duration = Duration::from_millis(10);

/// The state of one plugin configuration in one VM.
#[derive(Debug)]
struct Plugin {
    config: Config,
    replies: Prepared,
    held: RefCell<PolicyView>,
    refresh: RefCell<Refresh>,
    metrics: Metrics,
    /// `None` if usage is not reported.
    usage: Option<RefCell<Usage>>,
    /// Requests that wait for the very first policy.
    waiting: RefCell<Vec<HeldRequest>>,
    /// Open streams. `None` if streams are not to be closed.
    open: Option<RefCell<OpenStreams>>,
    tick: Cell<Duration>,
    /// Whether this VM has served a request.
    serves: Cell<bool>,
}

#[derive(Clone, Copy, Debug)]
struct HeldRequest {
    context: u32,
    /// Beginning of the wait, in milliseconds of Unix time.
    since_ms: u64,
    /// End of the wait, in milliseconds of Unix time.
    until_ms: u64,
}

impl Plugin {
    /// Removes a waiting request. Returns whether it was in the list.
    fn forget_waiting(&self, context: u32) -> bool {
        // If the list is borrowed, waiting requests are being answered. Each of them is woken only if it still exists.
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return false };
        let place = waiting.iter().position(|waiting| waiting.context == context);
        place.map(|place| waiting.remove(place)).is_some()
    }

    /// Removes an open stream. Returns whether it was in the list.
    fn forget_open(&self, context: u32) -> bool {
        self.open.as_ref().is_some_and(|open| open.borrow_mut().remove(context))
    }

    /// On the first request, hand the lease to an idle VM before reading the request, so that a request that traps this VM
    /// cannot stop refreshing.
    fn serve(&self) {
        if !self.serves.replace(true) {
            let held = self.held.borrow();
            self.refresh.borrow_mut().serves_requests(&host::SharedData, held.source(), host::now_ms());
        }
    }

    /// Sets the period between ticks.
    fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}

proxy_wasm::main! {{
    // Installs the hook that logs the place of a panic before the VM is lost.
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Error);
    proxy_wasm::set_root_context(|context| Box::new(root::Root::new(context)));
}}
