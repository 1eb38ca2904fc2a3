//! The state of one plugin configuration in one VM. Its callers decide what happens to it.

use std::{
    cell::{Cell, OnceCell, RefCell},
    time::Duration,
};

use super::{host, metrics::Metrics};
use crate::{
    answer::reply::Prepared, config::Config, held::PolicyView, open::OpenStreams, refresh::Refresh,
    shared::place::Place, usage::Usage,
};

/// How often a VM looks at the manifest, if no word wakes it. A block takes effect with this delay at most.
pub const TICK: Duration = Duration::from_millis(100);
/// Period between ticks while requests wait for the first policy, or while a page is being processed.
pub const FAST_TICK: Duration = Duration::from_millis(10);
/// Period between ticks of a VM that serves no requests and that a word in its queue wakes. It costs half of [`TICK`].
pub const RESTING_TICK: Duration = Duration::from_millis(200);
/// The shortest period between ticks: while the next poll waits until all VMs have adopted the policy.
pub const SHORTEST_TICK: Duration = Duration::from_millis(2);
/// A VM that has served no request for so many ticks rests. By then it has returned its unused tokens of limits.
const TICKS_TO_REST: u8 = 3;

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
    /// The place of this VM among those that decide by the policy.
    pub place: RefCell<Place>,
    /// What each callout says about this Envoy. Made for the first one.
    pub sender: OnceCell<Sender>,
    pub tick: Cell<Duration>,
    /// Whether this VM has served a request.
    pub serves: Cell<bool>,
    /// Number of ticks since the last request, up to [`TICKS_TO_REST`].
    pub quiet_ticks: Cell<u8>,
}

/// What each callout says about this Envoy.
#[derive(Debug)]
pub struct Sender {
    /// How this Envoy is named.
    pub instance: String,
    /// What tells this store from those of other processes.
    pub process: String,
    /// Seconds after which this plugin allows nothing without a confirmation; 0 if it goes on for ever.
    pub expires_after: u64,
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

    /// Called on the first request after a tick. On the very first one, hand the lease to an idle VM before reading the
    /// request, so that a request that traps this VM cannot stop refreshing.
    pub fn serve(&self) {
        self.quiet_ticks.set(0);
        if self.tick.get() > TICK {
            self.tick_every(TICK);
        }
        if !self.serves.replace(true) {
            let held = self.held.borrow();
            self.refresh.borrow_mut().serves_requests(&host::SharedData, held.source(), host::now_ms());
        }
    }

    /// Counts a tick.
    pub fn count_tick(&self) {
        self.quiet_ticks.set(self.quiet_ticks.get().saturating_add(1).min(TICKS_TO_REST));
    }

    /// The period between ticks if nothing is due sooner.
    pub fn usual_tick(&self) -> Duration {
        let rests = self.quiet_ticks.get() >= TICKS_TO_REST && self.place.borrow().queue().is_some();
        if rests { RESTING_TICK } else { TICK }
    }

    /// Looks at the manifest, and says so in this VM's place.
    pub fn look(&self, now_ms: u64) {
        self.held.borrow_mut().look(&host::SharedData);
        self.looked(now_ms);
    }

    /// The VM has looked at `now_ms` or later, and decides by the policy that it holds.
    pub fn looked(&self, now_ms: u64) {
        let held = self.held.borrow();
        let sequence = held.manifest().map_or(0, |manifest| manifest.sequence);
        self.place.borrow_mut().looked(&host::SharedData, held.source(), now_ms, sequence, host::register_queue);
    }

    /// Looks again if this VM was stalled, so that it does not decide by a policy that all others have left.
    #[inline(always)]
    pub fn look_if_late(&self) {
        let now_ms = host::now_ms();
        if !self.place.borrow().may_decide(now_ms) {
            self.look(now_ms);
        }
    }

    /// Sets the period between ticks.
    pub fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}
