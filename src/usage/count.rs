//! Counting in one VM: cheap on the path of a request, and at the tick into the slots of shared data.
//!
//! A request costs one look into a map, which knows subjects by their address; a subject that was seen since the policy
//! last changed allocates nothing. The time is that of the last tick, so the hour and a key's last use are true to a tick.
//! What a VM counted since its last tick is lost if it traps; nothing else is.

use std::{
    collections::BTreeMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    Report, UsageEvent,
    report::{ALLOWED, HOUR},
    row::{self, Combination},
    slot::{self, Changed, Counted, LEVEL_COUNT, UNATTRIBUTED},
};
use crate::{
    decision::Subject,
    reason::Reason,
    store::{Corrupt, Shared, Source},
};

/// Subjects that are counted at once, at some 300 bytes: 2.5 MB. A worker serves fewer requests between two ticks; should it
/// not, they are folded in between.
const MAX_TALLIES: usize = 8_192;
/// Rows that wait in a VM because shared data could not take them, at some 100 bytes: 1.6 MB.
const MAX_WAITING: usize = 16_384;
/// Slots that are written in one tick, at up to 60 µs: 2 ms on a thread that serves requests. The others come in the next.
const MAX_SLOTS_PER_TICK: usize = 32;

/// What one VM has counted and not yet put into shared data.
#[derive(Debug, Default)]
pub struct Counting {
    tallies: HashMap<usize, Tally, BuildHasherDefault<AddressHasher>>,
    waiting: BTreeMap<Box<[u8]>, u64>,
    /// Requests whose combination was given up, and that are not told yet.
    unattributed: u64,
    /// Ticks in which something was put into shared data; where there is more than one may do, each begins elsewhere.
    flushes: usize,
    now_seconds: u64,
}

/// Requests of one key to one API.
#[derive(Debug)]
struct Tally {
    /// Held, so that no other subject gets its address.
    subject: Rc<Subject>,
    api: Box<str>,
    allowed: u64,
    refused: Vec<(Reason, u64)>,
}

impl Tally {
    fn add(&mut self, refused: Option<Reason>) {
        let Some(reason) = refused else {
            self.allowed = self.allowed.saturating_add(1);
            return;
        };
        match self.refused.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.refused.push((reason, 1)),
        }
    }
}

impl Counting {
    /// A request of `subject`, which was made for this API, passed, or was refused for this reason.
    pub fn count(&mut self, subject: &Rc<Subject>, api: &str, refused: Option<Reason>) {
        let address = Rc::as_ptr(subject).addr();
        if let Some(tally) = self.tallies.get_mut(&address) {
            return tally.add(refused);
        }
        if self.tallies.len() >= MAX_TALLIES {
            self.fold();
            self.tallies.clear();
        }
        let mut tally = Tally { subject: Rc::clone(subject), api: api.into(), allowed: 0, refused: Vec::new() };
        tally.add(refused);
        self.tallies.insert(address, tally);
    }

    /// Time has passed: what was counted goes into shared data. `true`: the first slots are full, so it should be reported
    /// soon.
    pub fn tick(&mut self, now_ms: u64, shared: &impl Shared, source: &Source, report: &mut Report) -> bool {
        self.now_seconds = now_ms / 1_000;
        self.fold();
        if self.unattributed > 0 {
            report.event(UsageEvent::Unattributed(std::mem::take(&mut self.unattributed)));
        }
        if self.waiting.is_empty() {
            return false;
        }
        self.flush(shared, source, report)
    }

    /// Whether nothing waits to be put into shared data.
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && self.tallies.values().all(|tally| tally.allowed == 0 && tally.refused.is_empty())
    }

    fn hour(&self) -> u32 {
        u32::try_from(self.now_seconds / HOUR).unwrap_or(u32::MAX)
    }

    /// Makes rows of the tallies. One that counted nothing since the last time is let go.
    fn fold(&mut self) {
        let (hour, now) = (self.hour(), self.now_seconds);
        let (waiting, unattributed) = (&mut self.waiting, &mut self.unattributed);
        self.tallies.retain(|_, tally| {
            let refused = std::mem::take(&mut tally.refused);
            let allowed = std::mem::take(&mut tally.allowed);
            if allowed == 0 && refused.is_empty() {
                return false;
            }
            let subject = &tally.subject;
            let plan = subject.subscription.as_ref().and_then(|subscription| subscription.plan.as_deref());
            let pair = Some((&*subject.application_id, &*tally.api));
            let outcomes = refused.iter().map(|(reason, count)| (reason.as_str(), *count));
            for (outcome, count) in outcomes.chain([(ALLOWED, allowed)]).filter(|(_, count)| *count > 0) {
                let row = row::requests(&Combination { pair, plan, outcome }, hour);
                *unattributed = unattributed.saturating_add(wait(waiting, row, count));
            }
            wait(waiting, row::key(&subject.key_id), now);
            true
        });
    }

    /// Puts what waits into the slots, level by level.
    fn flush(&mut self, shared: &impl Shared, source: &Source, report: &mut Report) -> bool {
        let this_hour = self.hour();
        let mut left: Vec<Counted> = std::mem::take(&mut self.waiting).into_iter().collect();
        let mut budget = MAX_SLOTS_PER_TICK;
        self.flushes = self.flushes.wrapping_add(1);
        let mut crowded = false;
        for level in 0..LEVEL_COUNT {
            let mut slots: BTreeMap<u16, Vec<Counted>> = BTreeMap::new();
            for (row, value) in left.drain(..) {
                slots.entry(slot::place(level, row::spread(&row))).or_default().push((row, value));
            }
            let mut slots: Vec<_> = slots.into_iter().collect();
            let first = self.flushes.checked_rem(slots.len()).unwrap_or(0);
            slots.rotate_left(first);
            for (number, rows) in slots {
                match budget.checked_sub(1) {
                    Some(rest) => budget = rest,
                    None => {
                        self.waiting.extend(rows);
                        continue;
                    }
                }
                match put(shared, source, number, &rows, this_hour, report) {
                    Some(fits) => left.extend(rows.into_iter().zip(fits).filter(|(_, fits)| !fits).map(|(row, _)| row)),
                    None => self.waiting.extend(rows),
                }
            }
            crowded |= !left.is_empty();
            if left.is_empty() {
                return crowded;
            }
        }
        self.merge_unattributed(left, shared, source, report);
        crowded
    }

    /// No slot has room: the combinations are given up, the requests are not. When a key was used is.
    fn merge_unattributed(&mut self, left: Vec<Counted>, shared: &impl Shared, source: &Source, report: &mut Report) {
        let this_hour = self.hour();
        let mut merged: BTreeMap<Box<[u8]>, u64> = BTreeMap::new();
        let mut requests: u64 = 0;
        for (row, value) in left {
            if let Ok(Some(row)) = row::unattributed(&row) {
                requests = requests.saturating_add(value);
                let sum = merged.entry(row.into_boxed_slice()).or_default();
                *sum = sum.saturating_add(value);
            }
        }
        let rows: Vec<Counted> = merged.into_iter().collect();
        if rows.is_empty() {
            return;
        }
        report.event(UsageEvent::Unattributed(requests));
        let fits = put(shared, source, UNATTRIBUTED, &rows, this_hour, report).unwrap_or_default();
        let fits = fits.into_iter().chain(std::iter::repeat(false));
        self.waiting.extend(rows.into_iter().zip(fits).filter(|(_, fits)| !fits).map(|(row, _)| row));
    }
}

/// Adds a row to those that wait. Where there are too many, combinations are not kept apart any more; returns how many
/// requests are concerned.
fn wait(waiting: &mut BTreeMap<Box<[u8]>, u64>, row: Vec<u8>, value: u64) -> u64 {
    let (row, given_up) = if waiting.len() < MAX_WAITING || waiting.contains_key(&*row) {
        (row, 0)
    } else {
        match row::unattributed(&row) {
            Ok(Some(row)) => (row, value),
            Ok(None) | Err(Corrupt) => return 0,
        }
    };
    match waiting.get_mut(&*row) {
        Some(known) => *known = row::combine(&row, *known, value),
        None => {
            waiting.insert(row.into_boxed_slice(), value);
        }
    }
    given_up
}

/// Adds rows to a slot, and says which had room; `None`: it could not be written.
fn put(
    shared: &impl Shared,
    source: &Source,
    number: u16,
    rows: &[Counted],
    this_hour: u32,
    report: &mut Report,
) -> Option<Vec<bool>> {
    let added = slot::change(shared, source, number, rows, |slot, rows| {
        rows.iter().map(|(row, value)| slot.add(row, *value, this_hour)).collect()
    });
    match added {
        Changed::Done(fits) => Some(fits),
        Changed::Anew(fits) => {
            report.damaged();
            Some(fits)
        }
        Changed::Failed => None,
    }
}

/// Addresses are as good as random in the bits that are left when those of their alignment are folded in.
#[derive(Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let address = u64::try_from(address).unwrap_or_default();
        let mixed = (self.0 ^ address).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
