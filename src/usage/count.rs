//! Counts usage in one VM. Counting a request is cheap; a tick moves the counts into the slots of shared data.
//!
//! A request costs one look-up in a map whose keys are the addresses of subjects. Counting a subject allocates nothing
//! if it was seen since the policy last changed. The time is that of the last tick, so the hour and a key's last use
//! are accurate to one tick. If a VM traps, its counts since its last tick are lost, and nothing else is.

use std::{
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    context::{UsageEvent, say_damaged},
    report::{ALLOWED, HOUR},
    row::{self, Combination},
    slot::{self, Changed, Counted, LEVEL_COUNT, SLOTS, UNATTRIBUTED},
};
use crate::{
    callout::lines::Lines,
    reason::Reason,
    shared::{Corrupt, Shared, key::SourceId},
    subject::Subject,
};

/// Subjects with separate tallies, at some 300 bytes: 2.5 MB. A worker normally serves fewer requests between two
/// ticks. If there are more, the tallies are folded in between.
const MAX_TALLIES: usize = 8_192;
/// Rows that wait in a VM for room in shared data or for the next tick, at some 100 bytes: 1.6 MB.
const MAX_WAITING: usize = 16_384;
/// Slots that are written in one tick, at up to 60 µs: 1 ms on a thread that serves requests. The others are written in
/// the next tick.
const MAX_SLOTS_PER_TICK: usize = 16;

/// Number of flushes for which a full slot is skipped. Otherwise a tick would only read full slots again and again.
/// Meanwhile its rows get second rows in the next level; reports add them up.
const FULL_FOR_TICKS: u64 = 10;

/// Counts of one VM that are not yet in shared data.
#[derive(Debug, Default)]
pub struct Counting {
    tallies: HashMap<usize, Tally, BuildHasherDefault<AddressHasher>>,
    waiting: Vec<PendingRow>,
    /// For each slot, the number of the last flush that skips it. Empty before the first flush.
    full_until: Vec<u64>,
    /// Requests whose rows found no place even in `waiting`: one row for each outcome and hour.
    merged: Vec<Counted>,
    /// Requests whose combination was given up, and that are not reported yet.
    unattributed: u64,
    /// Number of flushes. Each flush begins with a different slot, because its budget may not reach all of them.
    flushes: u64,
    now_seconds: u64,
}

/// A waiting row, and the number that determines its slots.
#[derive(Debug)]
struct PendingRow {
    counted: Counted,
    spread: u64,
}

/// Requests of one key to one API.
#[derive(Debug)]
struct Tally {
    /// The `Rc` keeps the address in use, so no other subject can get it.
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
    /// Counts a request of `subject` to this API. `refused` is the reason if it was refused.
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

    /// Moves the counts into shared data. Returns true if slots of the first level are full, so that a report should
    /// follow soon.
    pub fn tick(
        &mut self,
        now_ms: u64,
        shared: &impl Shared,
        source: &SourceId,
        report: &mut Lines<UsageEvent>,
    ) -> bool {
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

    /// Whether all counts are in shared data.
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
            && self.merged.is_empty()
            && self.tallies.values().all(|tally| tally.allowed == 0 && tally.refused.is_empty())
    }

    fn hour(&self) -> u32 {
        u32::try_from(self.now_seconds / HOUR).unwrap_or(u32::MAX)
    }

    /// Turns the tallies into rows. Drops a tally that has counted nothing since the last time.
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

    /// Writes the waiting rows into the slots, level by level.
    fn flush(&mut self, shared: &impl Shared, source: &SourceId, report: &mut Lines<UsageEvent>) -> bool {
        let mut left = std::mem::take(&mut self.waiting);
        let mut budget = MAX_SLOTS_PER_TICK;
        let mut crowded = false;
        self.flushes = self.flushes.saturating_add(1);
        self.full_until.resize(SLOTS.into(), 0);
        for level in 0..LEVEL_COUNT {
            left = self.flush_level(level, left, &mut budget, shared, source, report);
            crowded |= !left.is_empty();
        }
        self.give_up(left, report);
        self.put_merged(shared, source, report);
        crowded
    }

    /// Puts rows into the slots of one level. Returns those for which their slots have no room. Rows whose slots are not
    /// written in this tick wait.
    fn flush_level(
        &mut self,
        level: usize,
        rows: Vec<PendingRow>,
        budget: &mut usize,
        shared: &impl Shared,
        source: &SourceId,
        report: &mut Lines<UsageEvent>,
    ) -> Vec<PendingRow> {
        let this_hour = self.hour();
        let mut left = Vec::new();
        for (number, rows) in self.by_slot(level, rows) {
            if self.skips(number) {
                left.extend(rows);
                continue;
            }
            let can_write = *budget > 0;
            *budget = budget.saturating_sub(1);
            let counted = rows.iter().map(|row| &row.counted);
            match can_write.then(|| put(shared, source, number, counted, this_hour, report)).flatten() {
                Some(fits) => {
                    let before = left.len();
                    left.extend(rows.into_iter().zip(fits).filter(|(_, fits)| !fits).map(|(row, _)| row));
                    if left.len() > before {
                        self.skip(number);
                    }
                }
                None => self.waiting.extend(rows),
            }
        }
        left
    }

    /// Rows by their slots in a level. Each flush begins with a different slot.
    fn by_slot(&self, level: usize, rows: Vec<PendingRow>) -> Vec<(u16, Vec<PendingRow>)> {
        let mut slots: Vec<(u16, Vec<PendingRow>)> = (0..SLOTS).map(|number| (number, Vec::new())).collect();
        for row in rows {
            if let Some((_, rows)) = slots.get_mut(usize::from(slot::place(level, row.spread))) {
                rows.push(row);
            }
        }
        slots.retain(|(_, rows)| !rows.is_empty());
        let first = usize::try_from(self.flushes).ok().and_then(|flushes| flushes.checked_rem(slots.len()));
        slots.rotate_left(first.unwrap_or(0));
        slots
    }

    /// Whether this flush skips a slot because it was full.
    fn skips(&self, number: u16) -> bool {
        self.full_until.get(usize::from(number)).is_some_and(|until| self.flushes <= *until)
    }

    /// The next flushes skip a slot that is full.
    fn skip(&mut self, number: u16) {
        let until = self.flushes.saturating_add(FULL_FOR_TICKS);
        self.full_until.get_mut(usize::from(number)).into_iter().for_each(|full| *full = until);
    }

    /// No slot has room. The requests are kept, but their combinations are given up. The last uses of keys are dropped.
    fn give_up(&mut self, left: Vec<PendingRow>, report: &mut Lines<UsageEvent>) {
        let given_up = left.into_iter().fold(0, |sum: u64, PendingRow { counted: (row, value), .. }| {
            sum.saturating_add(add_unattributed(&mut self.merged, &row, value))
        });
        if given_up > 0 {
            report.event(UsageEvent::Unattributed(given_up));
        }
    }

    fn put_merged(&mut self, shared: &impl Shared, source: &SourceId, report: &mut Lines<UsageEvent>) {
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

/// Adds a row to the waiting rows. If there are too many, gives up its combination. Returns the number of requests
/// concerned.
fn wait(waiting: &mut Vec<PendingRow>, merged: &mut Vec<Counted>, row: Vec<u8>, value: u64) -> u64 {
    if waiting.len() >= MAX_WAITING {
        return add_unattributed(merged, &row, value);
    }
    let spread = row::spread(&row);
    waiting.push(PendingRow { counted: (row.into_boxed_slice(), value), spread });
    0
}

/// Adds a row's requests to those without a combination. Returns their number.
fn add_unattributed(merged: &mut Vec<Counted>, row: &[u8], value: u64) -> u64 {
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

/// Adds rows to a slot. Returns for each row whether it had room, or `None` if the slot could not be written.
fn put<'a>(
    shared: &impl Shared,
    source: &SourceId,
    number: u16,
    rows: impl Iterator<Item = &'a Counted>,
    this_hour: u32,
    report: &mut Lines<UsageEvent>,
) -> Option<Vec<bool>> {
    let rows: Vec<(&[u8], u64)> = rows.map(|(row, value)| (&**row, *value)).collect();
    let added = slot::change(shared, source, number, &rows, |slot, rows| {
        rows.iter().map(|(row, value)| slot.add(row, *value, this_hour)).collect()
    });
    match added {
        Changed::Done(fits) => Some(fits),
        Changed::Anew(fits) => {
            say_damaged(report);
            Some(fits)
        }
        Changed::Failed => None,
    }
}

/// Hashes an address. Apart from the bits of their alignment, addresses are as good as random.
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
