//! Counting in one VM: cheap on the path of a request, and at the tick into the slots of shared data.
//!
//! A request costs one look into a map, which knows subjects by their address; a subject that was seen since the policy
//! last changed allocates nothing. The time is that of the last tick, so the hour and a key's last use are true to a tick.
//! What a VM counted since its last tick is lost if it traps; nothing else is.

use std::{
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    Report, UsageEvent,
    report::{ALLOWED, HOUR},
    row::{self, Combination},
    slot::{self, Changed, Counted, LEVEL_COUNT, SLOTS, UNATTRIBUTED},
};
use crate::{
    reason::Reason,
    shared::{Corrupt, Shared, key::Source},
    subject::Subject,
};

/// Subjects that are counted at once, at some 300 bytes: 2.5 MB. A worker serves fewer requests between two ticks; should it
/// not, they are folded in between.
const MAX_TALLIES: usize = 8_192;
/// Rows that wait in a VM for room in shared data, or for the next tick, at some 100 bytes: 1.6 MB.
const MAX_WAITING: usize = 16_384;
/// Slots that are written in one tick, at up to 60 µs: 1 ms on a thread that serves requests. The others come in the next.
const MAX_SLOTS_PER_TICK: usize = 16;

/// For how many ticks a slot that had no room is passed over: reading it again and again would be all that a tick does.
/// What it has rows of gets second ones in the next level meanwhile, which add up.
const FULL_FOR_TICKS: u64 = 10;

/// What one VM has counted and not yet put into shared data.
#[derive(Debug, Default)]
pub struct Counting {
    tallies: HashMap<usize, Tally, BuildHasherDefault<AddressHasher>>,
    waiting: Vec<Waiting>,
    /// Up to which of the flushes each slot is passed over; empty before the first.
    full_until: Vec<u64>,
    /// Of what could not even wait: one row for each outcome and hour.
    merged: Vec<Counted>,
    /// Requests whose combination was given up, and that are not told yet.
    unattributed: u64,
    /// Ticks in which something was put into shared data; where there is more than one may do, each begins elsewhere.
    flushes: u64,
    now_seconds: u64,
}

/// A row that waits, and the number by which it spreads over slots.
#[derive(Debug)]
struct Waiting {
    counted: Counted,
    spread: u64,
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
        if self.waiting.is_empty() && self.merged.is_empty() {
            return false;
        }
        self.flush(shared, source, report)
    }

    /// Whether nothing waits to be put into shared data.
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
            && self.merged.is_empty()
            && self.tallies.values().all(|tally| tally.allowed == 0 && tally.refused.is_empty())
    }

    fn hour(&self) -> u32 {
        u32::try_from(self.now_seconds / HOUR).unwrap_or(u32::MAX)
    }

    /// Makes rows of the tallies. One that counted nothing since the last time is let go.
    fn fold(&mut self) {
        let (hour, now) = (self.hour(), self.now_seconds);
        let (waiting, merged, unattributed) = (&mut self.waiting, &mut self.merged, &mut self.unattributed);
        self.tallies.retain(|_, tally| {
            let refused = std::mem::take(&mut tally.refused);
            let allowed = std::mem::take(&mut tally.allowed);
            if allowed == 0 && refused.is_empty() {
                return false;
            }
            let subject = &tally.subject;
            let application = String::from_utf8_lossy(subject.application_id());
            let plan = subject.plan().map(String::from_utf8_lossy);
            let (pair, plan) = (Some((&*application, &*tally.api)), plan.as_deref());
            let outcomes = refused.iter().map(|(reason, count)| (reason.as_str(), *count));
            for (outcome, count) in outcomes.chain([(ALLOWED, allowed)]).filter(|(_, count)| *count > 0) {
                let row = row::requests(&Combination { pair, plan, outcome }, hour);
                *unattributed = unattributed.saturating_add(wait(waiting, merged, row, count));
            }
            wait(waiting, merged, row::key(&String::from_utf8_lossy(subject.key_id())), now);
            true
        });
    }

    /// Puts what waits into the slots, level by level.
    fn flush(&mut self, shared: &impl Shared, source: &Source, report: &mut Report) -> bool {
        let this_hour = self.hour();
        let mut left = std::mem::take(&mut self.waiting);
        let mut budget = MAX_SLOTS_PER_TICK;
        let mut crowded = false;
        self.flushes = self.flushes.saturating_add(1);
        let flushes = self.flushes;
        self.full_until.resize(SLOTS.into(), 0);
        for level in 0..LEVEL_COUNT {
            let mut slots: Vec<(u16, Vec<Waiting>)> = (0..SLOTS).map(|number| (number, Vec::new())).collect();
            for row in left.drain(..) {
                if let Some((_, rows)) = slots.get_mut(usize::from(slot::place(level, row.spread))) {
                    rows.push(row);
                }
            }
            slots.retain(|(_, rows)| !rows.is_empty());
            let first = usize::try_from(flushes).ok().and_then(|flushes| flushes.checked_rem(slots.len()));
            slots.rotate_left(first.unwrap_or(0));
            for (number, rows) in slots {
                let full_until = self.full_until.get(usize::from(number)).copied().unwrap_or(0);
                if flushes <= full_until {
                    left.extend(rows);
                    continue;
                }
                let Some(rest) = budget.checked_sub(1) else {
                    self.waiting.extend(rows);
                    continue;
                };
                budget = rest;
                match put(shared, source, number, rows.iter().map(|row| &row.counted), this_hour, report) {
                    Some(fits) => {
                        let before = left.len();
                        left.extend(rows.into_iter().zip(fits).filter(|(_, fits)| !fits).map(|(row, _)| row));
                        if left.len() > before {
                            let until = flushes.saturating_add(FULL_FOR_TICKS);
                            self.full_until.get_mut(usize::from(number)).into_iter().for_each(|full| *full = until);
                        }
                    }
                    None => self.waiting.extend(rows),
                }
            }
            crowded |= !left.is_empty();
        }
        self.merge(left, report);
        self.put_merged(shared, source, report);
        crowded
    }

    /// No slot has room: the combinations are given up, the requests are not. When a key was used is.
    fn merge(&mut self, left: Vec<Waiting>, report: &mut Report) {
        let given_up = left.into_iter().fold(0, |sum: u64, Waiting { counted: (row, value), .. }| {
            sum.saturating_add(merge(&mut self.merged, &row, value))
        });
        if given_up > 0 {
            report.event(UsageEvent::Unattributed(given_up));
        }
    }

    fn put_merged(&mut self, shared: &impl Shared, source: &Source, report: &mut Report) {
        if self.merged.is_empty() {
            return;
        }
        let this_hour = self.hour();
        let rows = std::mem::take(&mut self.merged);
        let fits = put(shared, source, UNATTRIBUTED, rows.iter(), this_hour, report).unwrap_or_default();
        let fits = fits.into_iter().chain(std::iter::repeat(false));
        self.merged.extend(rows.into_iter().zip(fits).filter(|(_, fits)| !fits).map(|(row, _)| row));
    }
}

/// Adds a row to those that wait. Where there are too many, combinations are not kept apart any more; returns how many
/// requests are concerned.
fn wait(waiting: &mut Vec<Waiting>, merged: &mut Vec<Counted>, row: Vec<u8>, value: u64) -> u64 {
    if waiting.len() >= MAX_WAITING {
        return merge(merged, &row, value);
    }
    let spread = row::spread(&row);
    waiting.push(Waiting { counted: (row.into_boxed_slice(), value), spread });
    0
}

/// Adds a row's requests to those whose combination was given up; returns how many they are.
fn merge(merged: &mut Vec<Counted>, row: &[u8], value: u64) -> u64 {
    match row::unattributed(row) {
        Ok(Some(row)) => {
            match merged.iter_mut().find(|(known, _)| **known == *row) {
                Some((_, sum)) => *sum = sum.saturating_add(value),
                None => merged.push((row.into_boxed_slice(), value)),
            }
            value
        }
        Ok(None) | Err(Corrupt) => 0,
    }
}

/// Adds rows to a slot, and says which had room; `None`: it could not be written.
fn put<'a>(
    shared: &impl Shared,
    source: &Source,
    number: u16,
    rows: impl Iterator<Item = &'a Counted>,
    this_hour: u32,
    report: &mut Report,
) -> Option<Vec<bool>> {
    let rows: Vec<(&[u8], u64)> = rows.map(|(row, value)| (&**row, *value)).collect();
    let added = slot::change(shared, source, number, &rows, |slot, rows| {
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
