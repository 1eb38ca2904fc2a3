//! The counters of one VM. It takes the tokens that a request needs and returns unused tokens.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    Refusal, Remaining, Taking,
    counter::{Asked, CountContext, Counter, Notes},
    quota::{self, Bound, Counting, Plans, Quota, Quotas, Subscriber},
    slot::Name,
};
use crate::shared::{Shared, key::SourceId};

/// Counters that a VM finds by name, at 200 bytes each: 3 MB. If there are more, the VM forgets all of them. Counters
/// of cached keys survive, and a new counter asks shared data.
const MAX_COUNTERS: usize = 1 << 14;
/// Counters on the list of those that hold unused tokens. Tokens of further counters are lost at the end of their
/// windows.
const MAX_HOLDING: usize = 1 << 12;
/// Counters that return tokens in one tick, on a thread that serves requests. At some 8 µs each: one millisecond.
const GIVING_PER_TICK: usize = 128;

#[derive(Debug)]
pub struct Limiter {
    source: SourceId,
    counters: RefCell<HashMap<Name, Rc<Counter>>>,
    /// Counters that may hold tokens.
    holding: RefCell<Vec<Rc<Counter>>>,
    tick: Cell<u64>,
    notes: Cell<Notes>,
}

impl Limiter {
    pub fn new(source: SourceId) -> Self {
        Self {
            source,
            counters: RefCell::default(),
            holding: RefCell::default(),
            // Starts at 1, so that a counter that has never looked (0) has not looked in this tick.
            tick: Cell::new(1),
            notes: Cell::default(),
        }
    }

    /// The quotas of a subscriber. They are bound on the first call.
    pub fn quotas<'b>(&self, bound: &'b Bound, subscriber: Subscriber<'_>, plans: &Plans<'_>) -> &'b Quotas {
        bound.0.get_or_init(|| {
            quota::quotas(plans, subscriber, |name, unit| self.counter(name, || Counter::new(name, unit)))
        })
    }

    fn counter(&self, name: Name, new: impl FnOnce() -> Counter) -> Rc<Counter> {
        let mut counters = self.counters.borrow_mut();
        if let Some(counter) = counters.get(&name) {
            return counter.clone();
        }
        if counters.len() >= MAX_COUNTERS {
            counters.clear();
        }
        let counter = Rc::new(new());
        counters.insert(name, counter.clone());
        counter
    }

    /// Checks a request against its quotas at this Unix second. A request that passes takes a token of each. A request
    /// that is refused here, or for another reason (`passes` is false), takes none.
    pub fn spend_tokens<S: Shared>(&self, shared: &S, quotas: &Quotas, now: u64, passes: bool) -> Taking {
        let tick = self.tick.get();
        let mut notes = self.notes.take();
        let mut context = CountContext { shared, source: &self.source, now, tick, notes: &mut notes };
        let refused = first_used_up(quotas, now, tick).or_else(|| self.take_tokens(quotas, passes, &mut context));
        let refused = refused.map(|quota| {
            // After this look, every worker reports the same first limit and the same `retry_after`.
            quotas.all.iter().for_each(|quota| quota.look(&mut context));
            first_used_up(quotas, now, tick).unwrap_or(quota)
        });
        self.notes.set(notes);
        let remaining = quotas.all.iter().filter_map(|quota| quota.remaining(now)).reduce(Remaining::tighter);
        let refusal = refused.map(|quota| Refusal { level: quota.level, retry_after: retry_after(quotas, now) });
        Taking { refusal, remaining }
    }

    /// Takes a token of each quota for a request, and uses them if the request passes. Returns the quota that refuses it.
    fn take_tokens<'q, S: Shared>(
        &self,
        quotas: &'q Quotas,
        passes: bool,
        context: &mut CountContext<'_, S>,
    ) -> Option<&'q Quota> {
        let mut asked = Vec::new();
        let refused = quotas.all.iter().find(|quota| !has_token(quota, context, &mut asked));
        if refused.is_none() && passes {
            counters(quotas).for_each(|counter| counter.use_token(context.tick));
        } else {
            // The request will not use these tokens, and another worker may need them.
            asked.iter().for_each(|counter| {
                counter.give_back(context);
            });
        }
        asked.into_iter().for_each(|counter| self.list(counter, context.now));
        refused
    }

    /// Adds a counter with unused tokens to the list, so that a later tick returns them.
    fn list(&self, counter: &Rc<Counter>, now: u64) {
        let mut holding = self.holding.borrow_mut();
        if counter.is_empty(now) || counter.listed.get() || holding.len() >= MAX_HOLDING {
            return;
        }
        counter.listed.set(true);
        holding.push(counter.clone());
    }

    /// Returns tokens that were not used since the last tick. Reports the events since then.
    pub fn tick(&self, shared: &impl Shared, now: u64) -> Notes {
        let tick = self.tick.get().saturating_add(1);
        self.tick.set(tick);
        let mut notes = self.notes.take();
        let mut context = CountContext { shared, source: &self.source, now, tick, notes: &mut notes };
        let mut giving = 0..GIVING_PER_TICK;
        self.holding.borrow_mut().retain(|counter| {
            let keep = if counter.is_empty(now) {
                false
            } else if counter.is_idle(tick) && giving.next().is_some() {
                !counter.give_back(&mut context)
            } else {
                true
            };
            counter.listed.set(keep);
            keep
        });
        notes
    }
}

/// The first quota that is known to be used up.
fn first_used_up(quotas: &Quotas, now: u64, tick: u64) -> Option<&Quota> {
    quotas.all.iter().find(|quota| quota.is_used_up(now, tick))
}

/// Seconds until the last window ends that refuses requests and is used up.
fn retry_after(quotas: &Quotas, now: u64) -> u64 {
    let all_remaining = quotas.all.iter().filter(|quota| quota.stops).filter_map(|quota| quota.remaining(now));
    let resets = all_remaining.filter(|remaining| remaining.remaining == 0).map(|remaining| remaining.reset);
    resets.max().unwrap_or(1)
}

fn counters(quotas: &Quotas) -> impl Iterator<Item = &Rc<Counter>> {
    quotas.all.iter().filter_map(|quota| match &quota.source {
        Counting::Here(counter) => Some(counter),
        Counting::Elsewhere(_) => None,
    })
}

/// Whether a request can pass a quota. If this VM has no token, it asks shared data and adds the counter to `asked`.
fn has_token<'q, S: Shared>(
    quota: &'q Quota,
    context: &mut CountContext<'_, S>,
    asked: &mut Vec<&'q Rc<Counter>>,
) -> bool {
    let counter = match &quota.source {
        Counting::Here(counter) => counter,
        // The caller has already checked whether the policy says that it is used up.
        Counting::Elsewhere(_) => return true,
    };
    if counter.has_token(quota.limit, context.now) {
        return true;
    }
    asked.push(counter);
    match counter.take_batch(quota.limit, quota.stops, context) {
        Asked::Taken => true,
        Asked::UsedUp | Asked::NotCounted => !quota.stops,
    }
}

#[cfg(test)]
impl Limiter {
    /// Number of counters that hold tokens.
    pub(super) fn held(&self, now: u64) -> usize {
        self.holding.borrow().iter().filter(|counter| !counter.is_empty(now)).count()
    }
}
