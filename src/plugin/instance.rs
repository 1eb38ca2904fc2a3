//! The state of one plugin configuration in one VM. What happens to it is decided by those who call it.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use super::{host, metrics::Metrics};
use crate::{
    answer::reply::Prepared, config::Config, held::PolicyView, open::OpenStreams, refresh::Refresh, usage::Usage,
};

/// How often a VM looks at the manifest. A block takes effect with this delay at most.
pub const TICK: Duration = Duration::from_millis(100);
/// Period between ticks while requests wait for the first policy, or while a page is being processed.
pub const FAST_TICK: Duration = Duration::from_millis(10);

/// The state of one plugin configuration in one VM.
#[derive(Debug)]
pub struct Plugin {
    pub config: Config,
    pub replies: Prepared,
    pub held: RefCell<PolicyView>,
    pub refresh: RefCell<Refresh>,
    pub metrics: Metrics,
    /// `None` if usage is not reported.
    pub usage: Option<RefCell<Usage>>,
    /// Requests that wait for the very first policy.
    pub waiting: RefCell<Vec<HeldRequest>>,
    /// Open streams. `None` if streams are not to be closed.
    pub open: Option<RefCell<OpenStreams>>,
    pub tick: Cell<Duration>,
    /// Whether this VM has served a request.
    pub serves: Cell<bool>,
}

#[derive(Clone, Copy, Debug)]
pub struct HeldRequest {
    pub context: u32,
    /// Beginning of the wait, in milliseconds of Unix time.
    pub since_ms: u64,
    /// End of the wait, in milliseconds of Unix time.
    pub until_ms: u64,
}

impl Plugin {
    /// Removes a waiting request. Returns whether it was in the list.
    pub fn forget_waiting(&self, context: u32) -> bool {
        // If the list is borrowed, waiting requests are being answered. Each of them is woken only if it still exists.
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return false };
        let place = waiting.iter().position(|waiting| waiting.context == context);
        place.map(|place| waiting.remove(place)).is_some()
    }

    /// Removes an open stream. Returns whether it was in the list.
    pub fn forget_open(&self, context: u32) -> bool {
        self.open.as_ref().is_some_and(|open| open.borrow_mut().remove(context))
    }

    /// On the first request, hand the lease to an idle VM before reading the request, so that a request that traps this VM
    /// cannot stop refreshing.
    pub fn serve(&self) {
        if !self.serves.replace(true) {
            let held = self.held.borrow();
            self.refresh.borrow_mut().serves_requests(&host::SharedData, held.source(), host::now_ms());
        }
    }

    /// Sets the period between ticks.
    pub fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}
