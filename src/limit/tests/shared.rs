//! Tests of counts in shared data: their cost, several workers, and damaged counts.

use std::cell::{Cell, RefCell};

use super::{
    super::{
        counter::Notes,
        quota::{Bound, Subscriber},
        slot::{Count, MAX_COUNTS, SLOTS, Slot},
        window::Window,
        *,
    },
    NOW, Vm, of, per, plan, source,
};
use crate::{
    policy::rows::{Plan, Unit},
    shared::{Expected, Shared, SharedError, Versioned, key::SharedEntry, memory::Memory},
};

/// Shared data that counts its calls and can be made to lose races or to fail.
#[derive(Default)]
struct Host {
    memory: Memory,
    sets: Cell<u64>,
    gets: Cell<u64>,
    /// So many of the next sets fail because another VM wrote first.
    races: Cell<u32>,
    broken: Cell<bool>,
}

impl Shared for Host {
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError> {
        self.gets.set(self.gets.get() + 1);
        if self.broken.get() { Err(SharedError::Host) } else { self.memory.get(key) }
    }

    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError> {
        self.sets.set(self.sets.get() + 1);
        if let Some(left) = self.races.get().checked_sub(1) {
            self.races.set(left);
            return Err(SharedError::Raced);
        }
        self.memory.set(key, value, expected)
    }
}

#[test]
fn a_hot_key_asks_shared_data_once_in_a_batch_and_a_refused_one_once_in_a_tick() {
    let (host, vm, plan) = (Host::default(), Vm::new(), per(1 << 40, "hour"));
    assert_eq!(vm.pass(&host, &of(&plan), NOW, 200_000), 200_000);
    assert!(host.gets.get() < 220, "{} reads", host.gets.get());
    let (host, vm, plan) = (Host::default(), Vm::new(), per(100_000, "hour"));
    assert_eq!(vm.pass(&host, &of(&plan), NOW, 200_000), 100_000);
    assert!(host.sets.get() < 2_500, "{} writes", host.sets.get());
    let before = host.gets.get();
    assert_eq!(vm.pass(&host, &of(&plan), NOW, 1_000), 0);
    assert_eq!(host.gets.get(), before);
    vm.0.tick(&host, NOW);
    assert_eq!(vm.pass(&host, &of(&plan), NOW, 1_000), 0);
    assert_eq!((host.gets.get(), host.sets.get() < 2_500), (before + 1, true));
}

#[test]
fn unused_tokens_go_back_and_others_may_use_them() {
    let (memory, idle, busy) = (Memory::default(), Vm::new(), Vm::new());
    let plan = per(100_000, "hour");
    assert_eq!(idle.pass(&memory, &of(&plan), NOW, 1_000), 1_000);
    assert_eq!(idle.0.held(NOW), 1);
    let passed = busy.pass(&memory, &of(&plan), NOW, 200_000);
    assert!((98_000..99_000).contains(&passed), "{passed}: the idle one holds a batch");
    for vm in [&idle, &busy, &idle, &busy] {
        vm.0.tick(&memory, NOW);
    }
    assert_eq!(idle.0.held(NOW), 0);
    assert_eq!(busy.pass(&memory, &of(&plan), NOW, 2_000), 99_000 - passed, "to the last");
    assert_eq!(idle.pass(&memory, &of(&plan), NOW, 1), 0);
}

#[test]
fn workers_that_fall_silent_at_the_worst_moment_hold_no_more_than_two_percent() {
    for limit in [512, 1_000, 30_000] {
        for used in [1, 2, 3, 32, 64, 65, 128, 256, 513, 1_000, 2_048] {
            let (memory, plan) = (Memory::default(), per(limit, "second"));
            let silent: u64 = (0..3).map(|_| Vm::new().pass(&memory, &of(&plan), NOW, used)).sum();
            let passed = silent + Vm::new().pass(&memory, &of(&plan), NOW, 2 * limit);
            assert!((limit - limit * 2 / 100..=limit).contains(&passed), "{passed} of {limit} after {used}");
        }
    }
}

#[test]
fn tokens_in_use_do_not_go_back_and_ended_windows_are_dropped() {
    let (host, vm, plan) = (Host::default(), Vm::new(), per(100_000, "second"));
    vm.pass(&host, &of(&plan), NOW, 1_000);
    let sets = host.sets.get();
    for _ in 0..9 {
        vm.0.tick(&host, NOW);
        vm.pass(&host, &of(&plan), NOW, 1);
    }
    assert_eq!((host.sets.get(), vm.0.held(NOW)), (sets, 1));
    vm.0.tick(&host, NOW + 1);
    assert_eq!((host.sets.get(), vm.0.held(NOW)), (sets, 0), "its window is over");
}

#[test]
fn tokens_of_a_window_that_is_over_do_not_pass_into_the_next() {
    let (memory, held, other, plan) = (Memory::default(), Vm::new(), Vm::new(), per(30_000, "second"));
    held.pass(&memory, &of(&plan), NOW, 1_000);
    assert_eq!(held.0.held(NOW), 1);
    let passed = other.pass(&memory, &of(&plan), NOW + 1, 5_000) + held.pass(&memory, &of(&plan), NOW + 1, 60_000);
    assert!((29_400..=30_000).contains(&passed), "{passed}");
    assert_eq!(other.pass(&memory, &of(&plan), NOW + 1, 60_000) + passed, 30_000);
}

#[test]
fn races_are_tried_again_a_bounded_number_of_times_and_then_refused() {
    let (host, vm, plan) = (Host::default(), Vm::new(), per(5, "hour"));
    host.races.set(15);
    assert_eq!(vm.ask(&host, &of(&plan), NOW).refusal, None);
    host.races.set(16);
    assert_eq!(
        vm.ask(&host, &of(&plan), NOW).refusal,
        Some(Refusal { level: LimitOwner::Subscription, retry_after: 1 })
    );
    assert_eq!(host.races.get(), 0);
    assert_eq!(vm.pass(&host, &of(&plan), NOW, 9), 4, "nothing was taken");
    host.broken.set(true);
    assert_eq!(Vm::new().pass(&host, &of(&per(5, "day")), NOW, 9), 0, "a host that fails");
    let soft = plan_soft();
    assert_eq!(Vm::new().pass(&host, &of(&soft), NOW, 9), 9, "unless the plan lets pass");
    assert_eq!(vm.0.tick(&host, NOW).not_counted, 1);
}

fn plan_soft() -> Plan {
    plan(r#"{"id": "p", "stop_on_quota_reach": false, "limits": [{"requests": 3, "per": "day"}]}"#)
}

#[test]
fn every_damage_of_a_count_is_noticed_and_the_window_continues_from_the_known_count() {
    let plan = per(5, "hour");
    let fresh = || {
        let (memory, vm) = (Memory::default(), Vm::new());
        assert_eq!(vm.pass(&memory, &of(&plan), NOW, 3), 3);
        let key = memory.keys().pop().unwrap();
        let value = memory.get(&key).unwrap().unwrap().value;
        (memory, vm, key, value)
    };
    let length = fresh().3.len();
    let mut damages: Vec<Vec<u8>> = (0..length).map(|end| fresh().3[..end].to_vec()).collect();
    for index in 0..length {
        let mut value = fresh().3;
        value[index] ^= 0x40;
        damages.push(value);
    }
    damages.push(b"somebody else's value".to_vec());
    for damage in damages {
        let (memory, vm, key, _) = fresh();
        memory.overwrite(&key, &damage);
        assert_eq!(vm.pass(&memory, &of(&plan), NOW, 9), 2, "{damage:?}: what this VM knows");
        assert_eq!(vm.0.tick(&memory, NOW), Notes { damaged: 1, lost: 1, ..Notes::default() }, "{damage:?}");
        let (memory, _, key, _) = fresh();
        memory.overwrite(&key, &damage);
        let other = Vm::new();
        assert_eq!(other.pass(&memory, &of(&plan), NOW, 9), 5, "{damage:?}: one that knows nothing begins anew");
        assert_eq!(other.0.tick(&memory, NOW).damaged, 1, "{damage:?}");
    }
}

#[test]
fn a_slot_is_bounded_and_ended_counts_are_evicted_first() {
    let name = |number: u8| [number; 16];
    let mut slot = Slot::default();
    for number in 0..128 {
        let end = if number < 3 { NOW } else { NOW + 60 + u64::from(number) };
        assert_eq!(slot.put(&name(number), Count { end, taken: 7 }, NOW - 1), 0);
    }
    assert_eq!(slot.put(&name(200), Count { end: NOW + 9_999, taken: 1 }, NOW), 0, "three had ended");
    let value = slot.finish(b"key");
    assert_eq!(value.len(), 8 + 126 * 32);
    let mut slot = Slot::open(b"key", value).unwrap();
    assert_eq!(slot.find(&name(2), NOW), None);
    assert_eq!([201, 202].map(|number| slot.put(&name(number), Count { end: NOW + 9_999, taken: 2 }, NOW)), [0, 0]);
    assert_eq!(slot.put(&name(203), Count { end: NOW + 9_999, taken: 3 }, NOW), 1, "full");
    assert_eq!(slot.find(&name(3), NOW), None, "the one that ends soonest");
    assert!(slot.find(&name(4), NOW).is_some() && slot.find(&name(203), NOW).is_some());
    // A count that ends later than any window can was written under another clock. It is not found, and its place is
    // free.
    let mut slot = Slot::default();
    for number in 0..128 {
        slot.put(&name(number), Count { end: NOW + 32 * 86_400, taken: 7 }, NOW);
    }
    assert_eq!(slot.find(&name(5), NOW), None);
    assert_eq!(slot.put(&name(200), Count { end: NOW + 1, taken: 1 }, NOW), 0);
    assert_eq!(slot.finish(b"key").len(), 8 + 32);
    // Of the counts that end together the least used one is evicted.
    let mut slot = Slot::default();
    for number in 0..128 {
        slot.put(&name(number), Count { end: NOW + 60, taken: if number == 77 { 1 } else { 5 } }, NOW);
    }
    assert_eq!(slot.put(&name(200), Count { end: NOW + 60, taken: 0 }, NOW), 1);
    assert_eq!(slot.find(&name(77), NOW), None);
    assert_eq!(slot.put(&name(200), Count { end: NOW + 60, taken: 9 }, NOW), 0, "what is there is replaced");
    let value = slot.finish(b"key");
    assert_eq!(value.len(), 8 + MAX_COUNTS * 32);
    assert!(Slot::open(b"key", [&value[..], &[0; 32]].concat()).is_err());
    assert!(Slot::open(b"other", value).is_err());
}

#[test]
fn the_counts_of_many_subscribers_stay_in_the_slots() {
    let (memory, vm, one) = (Memory::default(), Vm::new(), per(1, "second"));
    for number in 0..20_000 {
        let application = format!("app-{number}");
        let subscriber = Subscriber { application: application.as_bytes(), api: "api" };
        assert_eq!(vm.ask_as(&memory, &of(&one), subscriber, NOW + number / 5_000).refusal, None);
    }
    let slots = usize::try_from(SLOTS).unwrap();
    assert!(memory.keys().len() <= slots);
    assert!(memory.keys().iter().all(|key| key.starts_with(b"keygate/") && key.len() < 80));
    assert!(memory.bytes() <= slots * (8 + MAX_COUNTS * 32));
}

#[test]
fn a_clock_that_was_set_back_begins_anew_and_a_worker_that_is_ahead_is_followed() {
    let (memory, vm, plan) = (Memory::default(), Vm::new(), per(5, "second"));
    assert_eq!(vm.pass(&memory, &of(&plan), NOW + 1, 3), 3);
    let behind = Vm::new();
    assert_eq!(behind.pass(&memory, &of(&plan), NOW, 9), 2, "its request began just before the second");
    assert_eq!(vm.pass(&memory, &of(&plan), NOW + 1, 9), 0);
    let hour = 3_600;
    assert_eq!(vm.pass(&memory, &of(&plan), NOW - hour, 9), 5, "set back by an hour");
    assert_eq!(vm.pass(&memory, &of(&plan), NOW - hour, 9), 0);
    assert_eq!(behind.pass(&memory, &of(&plan), NOW - hour, 9), 0);
}

/// A simple generator that gives the same numbers in each run.
struct Random(RefCell<u64>);

impl Random {
    fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.borrow_mut();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }
}

#[test]
fn however_workers_interleave_no_more_pass_than_the_limit_and_hardly_fewer() {
    let random = Random(RefCell::new(0x9e37_79b9_7f4a_7c15));
    for round in 0..120 {
        let workers: Vec<Vm> = (0..1 + random.below(8)).map(|_| Vm::new()).collect();
        let limit = [1, 5, 60, 100, 300, 1_000, 3_000, 10_000][usize::try_from(random.below(8)).unwrap()];
        let unit = [("second", Unit::Second), ("minute", Unit::Minute)][usize::try_from(random.below(2)).unwrap()];
        let (plan, host) = (per(limit, unit.0), Host::default());
        let bounds: Vec<Bound> = workers.iter().map(|_| Bound::default()).collect();
        let mut now_ms = NOW * 1000;
        let mut next_tick: Vec<u64> = workers.iter().map(|_| now_ms + random.below(100)).collect();
        let (mut window, mut asked, mut passed, mut full) = (Window::of(unit.1, NOW), 0, 0, 0);
        // Some workers get more requests than others, and the busiest worker changes.
        let mut favourite = 0;
        while full < 4 {
            // A window has about 200 steps, and together they ask for about three times the limit.
            now_ms += random.below((window.end - window.begin) * 1000 / 100);
            let now = now_ms / 1000;
            if !window.contains(now) {
                assert!(passed <= limit, "round {round}: {passed} of {limit}");
                // A worker that asked for at least twice the limit got nearly all of it.
                if asked >= 2 * limit {
                    let least = limit - limit * 2 / 100;
                    assert!(passed >= least, "round {round}: {passed} of {limit} with {} workers", workers.len());
                }
                full += 1;
                (window, asked, passed) = (Window::of(unit.1, now), 0, 0);
            }
            if random.below(50) == 0 {
                favourite = random.below(u64::try_from(workers.len()).unwrap());
            }
            for (worker, due) in workers.iter().zip(&mut next_tick) {
                if now_ms >= *due {
                    worker.0.tick(&host, now);
                    *due = now_ms + 100;
                }
            }
            for _ in 0..1 + limit * 3 / 200 {
                let any = random.below(u64::try_from(workers.len()).unwrap());
                let number = if random.below(3) > 0 { favourite } else { any };
                let number = usize::try_from(number).unwrap();
                host.races.set(if random.below(20) == 0 { 3 } else { 0 });
                let subscriber = Subscriber { application: b"app", api: "api" };
                let (worker, plans) = (&workers[number].0, of(&plan));
                let quotas = worker.quotas(&bounds[number], subscriber, &plans);
                asked += 1;
                passed += u64::from(worker.spend_tokens(&host, quotas, now, true).refusal.is_none());
            }
        }
    }
}

#[test]
fn the_keys_of_counts_are_those_of_the_slots() {
    let key = |number| String::from_utf8_lossy(&source().key(SharedEntry::Count(number))).into_owned();
    assert!(key(0).ends_with("/count/0") && key(SLOTS - 1).ends_with("/count/16383"), "{}", key(0));
}
