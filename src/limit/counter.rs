//! A count in one VM: the tokens that the VM has taken and not used, and the state of the count that it last saw in
//! shared data.
//!
//! A request that finds a token makes no host call. Only `Counter::take_batch` takes tokens from shared data, and only
//! `Counter::give_back` returns them.

use std::{cell::Cell, fmt};

use super::{
    Remaining,
    slot::{Count, Name, SKEW, Slot, slot_of},
    window::Window,
};
use crate::{
    policy::rows::Unit,
    shared::{
        Expected, Shared, SharedError,
        key::{SharedEntry, SourceId},
    },
};

/// A batch is at most this share of the tokens that are left. If four workers stop right after taking a batch, they
/// hold 1.6 % between two ticks. Limits below this number are counted one by one.
const SHARE: u64 = 256;
/// Largest batch. One host call of some 5 µs per 1,024 requests costs nothing that can be measured.
const MAX_BATCH: u64 = 1_024;
/// Attempts at a compare-and-swap. An attempt fails only if another VM's succeeds, so all attempts fail only against
/// that many concurrent writers.
const TRIES: u32 = 16;

/// A count as one VM holds it.
#[derive(Debug)]
pub struct Counter {
    name: Name,
    unit: Unit,
    held: Cell<UnusedTokens>,
    /// Whether the limiter has this counter on its list of those that hold tokens.
    pub(super) listed: Cell<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct UnusedTokens {
    window: Window,
    /// The limit under which tokens were last taken.
    limit: u64,
    /// Taken from shared data and not used.
    tokens: u64,
    /// The total that all VMs had taken, including these tokens, when this VM last looked.
    taken: u64,
    /// Size of the last batch.
    batch: u64,
    /// Tick in which this VM last looked at shared data.
    looked: u64,
    /// Tick in which this VM last looked because a request was refused.
    checked: u64,
    /// Tick in which a token was last used.
    used: u64,
}

/// The tokens of a window.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    /// Taken by all VMs.
    taken: u64,
    /// The number of those that this VM holds unused.
    held: u64,
}

impl Tokens {
    /// The tokens after this VM has given its own back.
    fn returned(self) -> Self {
        Self { taken: self.taken.saturating_sub(self.held), held: 0 }
    }
}

/// The result of asking shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Taken,
    UsedUp,
    /// Other VMs won every attempt, or the host failed.
    NotCounted,
}

/// Events to report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Slots that could not be read. They were started anew.
    pub damaged: u64,
    /// Counts that were evicted because their slot was full.
    pub evicted: u64,
    /// Counts that were missing.
    pub lost: u64,
    /// Requests that could not be counted. They are refused, except by a limit that does not stop requests.
    pub not_counted: u64,
}

/// Context of a call: shared data, the current time, and the events to report.
pub(super) struct CountContext<'a, S> {
    pub shared: &'a S,
    pub source: &'a SourceId,
    pub now: u64,
    pub tick: u64,
    pub notes: &'a mut Notes,
}

impl Counter {
    pub(super) fn new(name: Name, unit: Unit) -> Self {
        Self { name, unit, held: Cell::default(), listed: Cell::new(false) }
    }

    /// Whether a request can pass this limit without asking shared data.
    pub(super) fn has_token(&self, limit: u64, now: u64) -> bool {
        let held = self.held.get();
        held.tokens > 0 && held.limit == limit && held.window.contains(now)
    }

    /// Whether this VM knows that nothing is left under this limit. The knowledge is valid for one tick only, because
    /// other VMs may return tokens.
    pub(super) fn is_used_up(&self, limit: u64, now: u64, tick: u64) -> bool {
        let held = self.held.get();
        held.tokens == 0 && held.taken >= limit && held.looked == tick && held.window.contains(now)
    }

    /// Uses a token, if there is one.
    pub(super) fn use_token(&self, tick: u64) {
        let held = self.held.get();
        self.held.set(UnusedTokens { tokens: held.tokens.saturating_sub(1), used: tick, ..held });
    }

    pub(super) fn remaining(&self, limit: u64, now: u64) -> Remaining {
        let held = self.held.get();
        let (window, used) = if held.window.contains(now) {
            (held.window, held.taken.saturating_sub(held.tokens))
        } else {
            (Window::of(self.unit, now), 0)
        };
        Remaining { limit, remaining: limit.saturating_sub(used), reset: window.left(now) }
    }

    /// Whether the counter has no usable tokens: it has none, or their window has ended.
    pub(super) fn is_empty(&self, now: u64) -> bool {
        let held = self.held.get();
        held.tokens == 0 || !held.window.contains(now)
    }

    /// Whether no token was used in the last whole tick.
    pub(super) fn is_idle(&self, tick: u64) -> bool {
        self.held.get().used.saturating_add(1) < tick
    }

    /// Takes a batch from shared data. If `stops`, it does not exceed the limit.
    pub(super) fn take_batch<S: Shared>(&self, limit: u64, stops: bool, context: &mut CountContext<'_, S>) -> Asked {
        let known = self.held.get();
        let result = self.exchange(context, |window, tokens| {
            // The tokens of this VM may have been taken under another limit. So they are returned first.
            let taken = tokens.returned().taken;
            let left = limit.saturating_sub(taken);
            let batch = if stops && left == 0 {
                0
            } else {
                let most = (if stops { left } else { left.max(limit) } / SHARE).clamp(1, MAX_BATCH);
                let before = if known.window == window { known.batch } else { 0 };
                before.saturating_mul(2).clamp(1, most)
            };
            Tokens { taken: taken.saturating_add(batch), held: batch }
        });
        let Ok(held) = result else {
            context.notes.not_counted = context.notes.not_counted.saturating_add(1);
            return Asked::NotCounted;
        };
        self.held.set(UnusedTokens { limit, ..held });
        if held.tokens > 0 { Asked::Taken } else { Asked::UsedUp }
    }

    /// Reads how much all VMs have taken, at most once per tick. If the read fails, the known state remains.
    pub(super) fn look<S: Shared>(&self, limit: u64, context: &mut CountContext<'_, S>) {
        let known = self.held.get();
        let has_looked = known.checked == context.tick && known.window.contains(context.now);
        if has_looked || self.is_used_up(limit, context.now, context.tick) {
            return;
        }
        if let Ok(held) = self.exchange(context, |_, tokens| tokens) {
            self.held.set(UnusedTokens { batch: known.batch, checked: context.tick, ..held });
        }
    }

    /// Returns unused tokens. `false`: the return failed and the VM still holds them.
    pub(super) fn give_back<S: Shared>(&self, context: &mut CountContext<'_, S>) -> bool {
        if self.is_empty(context.now) {
            self.held.set(UnusedTokens { tokens: 0, ..self.held.get() });
            return true;
        }
        match self.exchange(context, |_, tokens| tokens.returned()) {
            Ok(held) => self.held.set(held),
            Err(_) => return false,
        }
        true
    }

    /// Changes the count in shared data. `change` gets the window and the tokens of it, and returns the new tokens.
    fn exchange<S: Shared>(
        &self,
        context: &mut CountContext<'_, S>,
        change: impl Fn(Window, Tokens) -> Tokens,
    ) -> Result<UnusedTokens, SharedError> {
        let key = context.source.key(SharedEntry::Count(slot_of(&self.name)));
        let known = self.held.get();
        for _ in 0..TRIES {
            let read = context.shared.get(&key)?;
            let expected = Expected::of(read.as_ref());
            let mut noticed = Notes::default();
            let mut slot = match read.map(|read| Slot::open(&key, read.value)) {
                Some(Ok(slot)) => slot,
                Some(Err(_)) => {
                    noticed.damaged = 1;
                    Slot::default()
                }
                None => Slot::default(),
            };
            let (window, before) = self.current_count(&slot, known, context.now, &mut noticed);
            let held = if known.window == window { known.tokens } else { 0 };
            let Tokens { taken, held } = change(window, Tokens { taken: before, held });
            let done = UnusedTokens { window, tokens: held, taken, batch: held, looked: context.tick, ..known };
            if taken == before && noticed == Notes::default() {
                return Ok(done);
            }
            noticed.evicted = slot.put(&self.name, Count { end: window.end, taken }, context.now);
            match context.shared.set(&key, &slot.finish(&key), expected) {
                Ok(()) => {
                    context.notes.add(noticed);
                    return Ok(done);
                }
                Err(SharedError::Raced) => {}
                Err(SharedError::Host) => return Err(SharedError::Host),
            }
        }
        Err(SharedError::Raced)
    }

    /// The current window, and the tokens taken in it.
    fn current_count(&self, slot: &Slot, known: UnusedTokens, now: u64, noticed: &mut Notes) -> (Window, u64) {
        let window = Window::of(self.unit, now);
        let next = Window::of(self.unit, now.saturating_add(SKEW));
        match slot.find(&self.name, now) {
            Some(count) if count.end == window.end => (window, count.taken),
            // The request of another worker has already begun in the next window.
            Some(count) if count.end == next.end => (next, count.taken),
            // The clock was set back: start a new count.
            Some(_) => (window, 0),
            None if known.window == window && known.taken > 0 => {
                noticed.lost = 1;
                (window, known.taken)
            }
            None => (window, 0),
        }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { damaged, evicted, lost, not_counted } = self;
        write!(
            f,
            "limits: {damaged} slots of counts were damaged, {evicted} counts were evicted from full slots, {lost} counts \
             were missing; their windows continue from the last known count. {not_counted} requests could not be \
             counted; where a limit stops requests, they were refused"
        )
    }
}

impl Notes {
    /// Number of windows that continue with too low a count, as far as this VM noticed. A damaged slot counts as one.
    pub fn restarted(&self) -> u64 {
        self.damaged.saturating_add(self.evicted)
    }

    fn add(&mut self, other: Self) {
        self.damaged = self.damaged.saturating_add(other.damaged);
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.lost = self.lost.saturating_add(other.lost);
        self.not_counted = self.not_counted.saturating_add(other.not_counted);
    }
}
