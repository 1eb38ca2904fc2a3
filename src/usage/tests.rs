//! Tests of usage as a whole with shared data in memory: every count arrives once, even if VMs die and answers are lost
//! or come twice.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Usage, UsageContext, UsageEvent,
    count::Counting,
    ledger::{self, LedgerRead, Stage},
    report::{self, HOUR, Receipt},
    row, slot,
};
use crate::{
    callout::{
        Post,
        answer::{Answer, Failure},
        lines::Lines,
    },
    config::{PolicySource, UsageReports},
    digest::Digest,
    reason::Reason,
    shared::{Expected, Shared, SharedError, Versioned, key::SourceId, memory::Memory},
    subject::{Key, Subject, Subscription},
};

/// 2025-06-01T00:00:00Z.
const START_MS: u64 = 1_748_736_000_000;
const TICK_MS: u64 = 100;
const INTERVAL: Duration = Duration::from_secs(60);

fn source() -> SourceId {
    SourceId::new(Digest::of(b"usage"))
}

fn usage() -> Usage {
    let policy = PolicySource {
        name: None,
        instance: None,
        cluster: "policy-service".into(),
        authority: "policy-service".into(),
        path: "/v1/policy".into(),
        headers: vec![],
        authorization: None,
        refresh_interval: Duration::from_secs(5),
        long_poll: None,
        timeout: Duration::from_secs(5),
        stale_after: Duration::from_secs(60),
        expire_after: None,
        startup_hold: Duration::ZERO,
        max_bytes: 1 << 30,
        close_streams: false,
        max_removed_percent: 90,
    };
    Usage::new(&policy, &UsageReports { path: "/v1/usage".into(), interval: INTERVAL })
}

/// A key `k-<application>` of an application that has a subscription under a plan.
fn subject(application: &str) -> Rc<Subject> {
    let id: String = format!("k-{application}").chars().take(256).collect();
    let subscription = Subscription { plan: Some(&b"gold"[..]), ..Subscription::default() };
    Rc::new(Subject::new(
        Key { id: id.as_bytes(), application: application.as_bytes(), ..Key::default() },
        None,
        Some(subscription),
    ))
}

/// Shared data that fails for good after a number of calls, as for a VM that dies there.
struct Cut<'m> {
    memory: &'m Memory,
    left: Cell<u64>,
}

impl<'m> Cut<'m> {
    fn new(memory: &'m Memory, calls: u64) -> Self {
        Self { memory, left: Cell::new(calls) }
    }

    fn call(&self) -> Result<(), SharedError> {
        let left = self.left.get().checked_sub(1).ok_or(SharedError::Host)?;
        self.left.set(left);
        Ok(())
    }

    fn is_cut(&self) -> bool {
        self.left.get() == 0
    }
}

impl Shared for Cut<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError> {
        self.call()?;
        self.memory.get(key)
    }

    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError> {
        self.call()?;
        self.memory.set(key, value, expected)
    }
}

type Sums = BTreeMap<(String, String), u64>;

/// A policy service that adds up the counts and counts each batch once.
#[derive(Default)]
struct Service {
    batches: BTreeSet<String>,
    sums: Sums,
    keys: BTreeMap<String, u64>,
    hours: BTreeSet<u64>,
    posts: usize,
}

impl Service {
    fn accept_batch(&mut self, post: &Post) -> Answer {
        self.posts += 1;
        assert!(post.body.len() <= 256 << 10, "{} bytes", post.body.len());
        let report: report::UsageReport<'_> = serde_json::from_slice(&post.body).unwrap();
        report.check(u64::MAX / 2).unwrap_or_else(|wrong| panic!("{wrong}"));
        let repeated = !self.batches.insert(report.batch.to_string());
        if !repeated {
            for count in &report.counts {
                let application = count.application.as_deref().unwrap_or("?").to_owned();
                *self.sums.entry((application, count.outcome.to_string())).or_default() += count.requests;
                self.hours.insert(count.hour);
            }
            self.keys.extend(report.keys.iter().map(|key| (key.id.to_string(), key.last_used)));
        }
        answer(200, &serde_json::to_string(&Receipt { batch: report.batch.into(), repeated, rejected: 0 }).unwrap())
    }

    fn total(&self) -> u64 {
        self.sums.values().sum()
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status: Some(status), body: body.as_bytes().to_vec(), ..Answer::default() }
}

/// Some VMs of one process, and the lines that their reporting logged.
struct Process {
    memory: Memory,
    now_ms: u64,
    /// The time between two ticks of its VMs: 100 ms, or longer where only time has to pass.
    step_ms: u64,
    vms: Vec<Usage>,
    /// The callouts in progress: the number of the VM and the report.
    posts: Vec<(usize, Post)>,
    /// The VMs whose callouts were answered.
    senders: BTreeSet<usize>,
    lines: RefCell<Vec<String>>,
    events: RefCell<Vec<UsageEvent>>,
    tokens: u32,
}

impl Process {
    fn new(vms: usize) -> Self {
        Self {
            memory: Memory::default(),
            now_ms: START_MS,
            step_ms: TICK_MS,
            vms: (0..vms).map(|_| usage()).collect(),
            posts: Vec::new(),
            senders: BTreeSet::new(),
            lines: RefCell::default(),
            events: RefCell::default(),
            tokens: 0,
        }
    }

    /// Calls one VM. The first VM serves no requests.
    fn call(
        &mut self,
        vm: usize,
        calls: u64,
        ask: impl FnOnce(&mut Usage, &mut UsageContext<'_, Cut<'_>>) -> Option<Post>,
    ) -> bool {
        let shared = Cut::new(&self.memory, calls);
        let mut report = Lines::default();
        let source = source();
        let mut context = UsageContext { now_ms: self.now_ms, shared: &shared, source: &source, report: &mut report };
        let post = ask(&mut self.vms[vm], &mut context);
        let cut = shared.is_cut();
        self.lines.borrow_mut().extend(report.lines.into_iter().map(|(_, line)| line));
        self.events.borrow_mut().extend(report.events);
        if let Some(post) = post.filter(|_| !cut) {
            self.tokens += 1;
            self.vms[vm].sent(self.tokens);
            self.posts.push((vm, post));
        }
        cut
    }

    fn tick(&mut self, vm: usize, calls: u64) -> bool {
        let random = self.now_ms.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ vm as u64;
        self.call(vm, calls, |usage, context| usage.tick(random, vm > 0, context))
    }

    /// Replaces the VM by a new one, as if it had died.
    fn replace(&mut self, vm: usize) {
        self.vms[vm] = usage();
        self.posts.retain(|(other, _)| *other != vm);
    }

    fn count(&mut self, vm: usize, subject: &Rc<Subject>, refused: Option<Reason>, requests: u64) {
        (0..requests).for_each(|_| self.vms[vm].counting.count(subject, "payments-1.0", refused));
    }

    /// Answers the callouts in progress.
    fn answer(&mut self, mut service: impl FnMut(&Post) -> Answer) {
        while let Some((vm, post)) = self.posts.pop() {
            let answer = service(&post);
            self.senders.insert(vm);
            self.call(vm, u64::MAX, |usage, context| usage.answered(&answer, context));
        }
    }

    /// Lets time pass while the service answers.
    fn run(&mut self, time: Duration, service: &mut Service) {
        self.run_with(time, |post| service.accept_batch(post));
    }

    fn run_with(&mut self, time: Duration, mut service: impl FnMut(&Post) -> Answer) {
        let until = self.now_ms + u64::try_from(time.as_millis()).unwrap();
        while self.now_ms < until {
            self.now_ms += self.step_ms;
            for vm in 0..self.vms.len() {
                self.tick(vm, u64::MAX);
            }
            self.answer(&mut service);
        }
    }

    fn said(&self, words: &str) -> usize {
        self.lines.borrow().iter().filter(|line| line.contains(words)).count()
    }
}

#[test]
fn what_is_counted_arrives_within_an_interval() {
    let mut process = Process::new(3);
    let mut service = Service::default();
    process.run(Duration::from_secs(1), &mut service);
    let subjects = ["app-1", "app-2"].map(subject);
    for vm in 1..3 {
        process.count(vm, &subjects[0], None, 100);
        process.count(vm, &subjects[0], Some(Reason::QuotaExceeded), 5);
        process.count(vm, &subjects[1], None, 1);
    }
    process.run(INTERVAL, &mut service);
    let sums = [(("app-1", "allowed"), 200), (("app-1", "quota_exceeded"), 10), (("app-2", "allowed"), 2)];
    let sums = sums.map(|((application, outcome), sum)| ((application.to_owned(), outcome.to_owned()), sum));
    assert_eq!(service.sums, Sums::from(sums));
    assert_eq!(service.posts, 1, "one batch is enough for a few");
    assert_eq!(service.keys["k-app-1"], START_MS / 1_000 + 1);
    assert_eq!(service.hours, BTreeSet::from([START_MS / 1_000]));
    process.run(3 * INTERVAL, &mut service);
    assert_eq!(service.posts, 1, "nothing was used, nothing is said");
    assert_eq!(*process.events.borrow(), [UsageEvent::Reported]);
    assert_eq!(process.lines.borrow().len(), 0);
}

#[test]
fn the_vm_that_serves_no_requests_reports_and_others_do_when_it_is_gone() {
    let mut process = Process::new(3);
    let subject = subject("app-1");
    for _ in 0..5 {
        process.count(2, &subject, None, 1);
        let mut senders = Vec::new();
        for _ in 0..700 {
            process.now_ms += TICK_MS;
            for vm in [2, 1, 0] {
                process.tick(vm, u64::MAX);
            }
            senders.extend(process.posts.iter().map(|(vm, _)| *vm));
            process.answer(|post| Service::default().accept_batch(post));
        }
        assert_eq!(senders, [0]);
    }
    process.count(2, &subject, None, 1);
    let mut senders = Vec::new();
    for _ in 0..700 {
        process.now_ms += TICK_MS;
        for vm in [1, 2] {
            process.tick(vm, u64::MAX);
        }
        senders.extend(process.posts.iter().map(|(vm, _)| *vm));
        process.answer(|post| Service::default().accept_batch(post));
    }
    assert_eq!(senders.len(), 1);
}

/// A copy of shared data.
fn copy(memory: &Memory) -> Memory {
    let copied = Memory::default();
    for key in memory.keys() {
        copied.overwrite(&key, &memory.get(&key).unwrap().unwrap().value);
    }
    copied
}

/// One report, cut at every call of shared data. The VM that was cut starts again or never comes back.
#[test]
fn a_reporter_may_die_at_every_step() {
    // More than one batch, so that the step from one to the next is cut too.
    let mut filled = Process::new(2);
    filled.run(Duration::from_secs(1), &mut Service::default());
    filled.count(1, &subject("app-1"), None, 7);
    (0..700).for_each(|number| filled.count(1, &subject(&format!("app-{number}")), None, 1));
    for _ in 0..3 {
        filled.tick(1, u64::MAX);
    }
    assert!(filled.vms[1].counting.is_flushed());
    for comes_back in [false, true] {
        for lost_answer in [false, true] {
            let (mut cuts, mut whole) = (0, false);
            for calls in 0.. {
                let mut process = Process { memory: copy(&filled.memory), step_ms: 5_000, ..Process::new(2) };
                let mut service = Service::default();
                process.now_ms += 62_000;
                let mut died = process.tick(0, calls);
                if let Some((_, post)) = process.posts.pop() {
                    let answer = service.accept_batch(&post);
                    died |= lost_answer || process.call(0, calls, |usage, context| usage.answered(&answer, context));
                    whole = lost_answer;
                }
                if died {
                    cuts += 1;
                    process.replace(0);
                }
                if died && !comes_back {
                    for _ in 0..60 {
                        process.now_ms += 5_000;
                        process.tick(1, u64::MAX);
                        process.answer(|post| service.accept_batch(post));
                    }
                    assert_eq!(service.total(), 707, "cut after {calls} calls, {lost_answer}");
                }
                process.run(5 * INTERVAL, &mut service);
                assert_eq!(service.total(), 707, "cut after {calls} calls, {comes_back} {lost_answer}");
                assert!(service.batches.len() > 1);
                if !died || whole {
                    break;
                }
            }
            assert!(cuts > if lost_answer { 15 } else { 30 }, "{cuts}");
        }
    }
}

#[test]
fn an_answer_that_is_lost_counts_nothing_twice() {
    let mut process = Process::new(2);
    let mut service = Service::default();
    process.count(1, &subject("app-1"), None, 10);
    let mut posts = 0;
    process.run_with(10 * INTERVAL, |post| {
        posts += 1;
        let receipt = service.accept_batch(post);
        match posts {
            1 => Answer::default(),
            2 => answer(504, "upstream request timeout"),
            3 => answer(200, "{}"),
            4 => answer(200, r#"{"batch":"another"}"#),
            _ => receipt,
        }
    });
    assert_eq!((posts, service.total(), service.batches.len()), (5, 10, 1));
    assert_eq!(process.said("it is kept and sent later"), 3, "each is said once: {:?}", process.lines);
    assert_eq!(process.said("reported again, after 4 failures"), 1);
}

#[test]
fn a_service_that_is_away_for_hours_gets_all_of_it() {
    let mut process = Process::new(3);
    let mut service = Service::default();
    let subjects: Vec<_> = (0..50).map(|number| subject(&format!("app-{number}"))).collect();
    let mut counted = 0;
    process.step_ms = 1_000;
    for minute in 0..150_u64 {
        for (number, subject) in subjects.iter().enumerate() {
            process.count(1 + number % 2, subject, None, minute % 3 + 1);
            counted += minute % 3 + 1;
        }
        process.run_with(Duration::from_secs(60), |_| answer(503, "upstream connect error"));
    }
    assert_eq!(service.total(), 0);
    let bytes = process.memory.bytes();
    assert!(bytes < 50 * 3 * 3 * 100, "{bytes} bytes for 50 applications and 3 hours");
    assert_eq!(process.said("usage was not reported"), 1, "{:?}", process.lines);
    process.run(2 * INTERVAL, &mut service);
    assert_eq!(service.total(), counted);
    assert_eq!(service.hours.len(), 3, "{:?}", service.hours);
    assert!(!service.sums.keys().any(|(application, _)| application == "?"));
}

#[test]
fn requests_that_cannot_be_distinguished_are_counted_all_the_same() {
    let mut process = Process::new(2);
    let mut service = Service::default();
    let mut counted = 0;
    process.step_ms = 5_000;
    // For hours each request is of another application with a long name, and no service takes the reports.
    for round in 0..12_u64 {
        for number in 0..1_500 {
            process.count(1, &subject(&format!("application-{round}-{number:060}")), None, 1);
            counted += 1;
        }
        process.run_with(Duration::from_secs(240), |_| answer(404, ""));
    }
    assert!(process.vms[1].counting.is_flushed());
    let bytes = process.memory.bytes();
    assert!(bytes <= 85 * 2 * (slot::MAX_SLOT_BYTES + 2_000), "{bytes} bytes");
    let given_up = process.events.borrow().iter().fold(0, |sum, event| match event {
        UsageEvent::Unattributed(requests) => sum + requests,
        _ => sum,
    });
    assert!(given_up > 0 && given_up < counted, "{given_up} of {counted}");
    process.run(5 * INTERVAL, &mut service);
    assert_eq!(service.total(), counted);
    assert_eq!(service.sums[&("?".to_owned(), "allowed".to_owned())], given_up);
    assert!(process.said("check `usage.path`") <= 2, "each VM says it once: {:?}", process.lines);
}

#[test]
fn a_report_has_an_end_however_slow_its_answers_and_however_busy_its_workers() {
    let mut process = Process::new(2);
    let mut service = Service::default();
    let subject = subject("app-1");
    for _ in 0..600 {
        process.count(1, &subject, None, 1);
        process.now_ms += TICK_MS;
        process.tick(0, u64::MAX);
        process.tick(1, u64::MAX);
        // The answer comes after the workers have counted more.
        process.count(1, &subject, None, 1);
        process.tick(1, u64::MAX);
        process.answer(|post| service.accept_batch(post));
    }
    assert!(service.posts <= 2, "{}", service.posts);
    process.run(2 * INTERVAL, &mut service);
    assert_eq!(service.total(), 1_200);
}

#[test]
fn many_combinations_are_reported_early() {
    let mut process = Process::new(2);
    let mut service = Service::default();
    process.run(Duration::from_secs(2), &mut service);
    for number in 0..5_000 {
        process.count(1, &subject(&format!("app-{number}")), None, 1);
    }
    process.run(Duration::from_secs(10), &mut service);
    assert_eq!(service.total(), 5_000);
    assert_eq!(process.senders, BTreeSet::from([0]), "also when it is pressing, by the VM that serves no requests");
    assert_eq!(service.keys.len(), 5_000);
    assert!(!service.sums.keys().any(|(application, _)| application == "?"));
}

#[test]
fn more_subjects_than_a_vm_remembers_between_two_ticks_are_counted() {
    let mut counting = Counting::default();
    let memory = Memory::default();
    for number in 0..20_000 {
        counting.count(&subject(&format!("app-{}", number % 9_000)), "api", None);
    }
    let mut report = Lines::default();
    for _ in 0..100 {
        counting.tick(START_MS, &memory, &source(), &mut report);
    }
    assert!(counting.is_flushed());
    let mut process = Process { memory, ..Process::new(1) };
    let mut service = Service::default();
    process.run(3 * INTERVAL, &mut service);
    assert_eq!(service.total(), 20_000);
}

#[test]
fn the_largest_batch_stays_within_its_bound() {
    let mut process = Process::new(1);
    let mut service = Service::default();
    process.run(Duration::from_secs(1), &mut service);
    for (length, escaped) in [(1, false), (1, true), (40, true), (256, true), (256, false), (20, false)] {
        for number in 0..3_000 {
            let filler = if escaped { "\"" } else { "x" };
            let tail = format!("{number}");
            let id = format!("{}{tail}", filler.repeat(usize::saturating_sub(length, tail.len())));
            process.count(0, &subject(&id), None, 1);
        }
        process.run(3 * INTERVAL, &mut service);
    }
    assert_eq!(service.total(), 18_000);
}

#[test]
fn a_batch_that_is_refused_for_good_makes_room_and_is_logged() {
    for (status, refused) in [
        (400, true),
        (413, true),
        (422, true),
        (401, false),
        (403, false),
        (404, false),
        (405, false),
        (409, false),
        (429, false),
        (500, false),
        (301, false),
        (204, false),
    ] {
        let mut process = Process { step_ms: 1_000, ..Process::new(1) };
        let mut service = Service::default();
        process.count(0, &subject("app-1"), None, 3);
        process.run_with(5 * INTERVAL, |_| answer(status, ""));
        assert_eq!(process.said("refused for good"), usize::from(refused), "{status}: {:?}", process.lines);
        assert_eq!(process.said("its 3 requests are not reported"), usize::from(refused));
        assert_eq!(process.said("is kept and sent later"), usize::from(!refused), "{status}: {:?}", process.lines);
        process.count(0, &subject("app-2"), None, 4);
        process.run(3 * INTERVAL, &mut service);
        assert_eq!(service.total(), if refused { 4 } else { 7 }, "{status}");
    }
}

#[test]
fn a_callout_that_cannot_be_made_or_is_never_answered_is_tried_again() {
    let mut process = Process::new(1);
    let mut service = Service::default();
    process.count(0, &subject("app-1"), None, 3);
    let sent = |process: &mut Process| {
        for _ in 0..700 {
            process.now_ms += TICK_MS;
            process.tick(0, u64::MAX);
            if let Some((_, post)) = process.posts.pop() {
                return post;
            }
        }
        panic!("nothing was sent")
    };
    let post = sent(&mut process);
    process.call(0, u64::MAX, |usage, context| {
        usage.not_sent(Failure::NoCluster, context);
        None
    });
    assert_eq!(process.said("`policy.cluster` has to name one"), 1);
    assert_eq!(sent(&mut process), post);
    assert_eq!(sent(&mut process), post, "what is never answered is sent again");
    assert_eq!(process.said("no answer came, and no time-out either"), 1);
    process.run(3 * INTERVAL, &mut service);
    assert_eq!((service.total(), service.batches.len()), (3, 1));
}

#[test]
fn damage_is_logged_and_loses_only_the_damaged_counts() {
    let keys: Vec<Vec<u8>> = {
        let mut process = Process::new(1);
        process.count(0, &subject("app-1"), None, 1);
        process.run(2 * INTERVAL, &mut Service::default());
        process.memory.keys()
    };
    assert!(keys.len() > 1);
    for key in keys {
        for value in [&b""[..], b"x", &[0xff; 40]] {
            for moment in [Duration::from_secs(10), Duration::from_secs(90)] {
                let mut process = Process { step_ms: 1_000, ..Process::new(2) };
                let mut service = Service::default();
                process.count(1, &subject("app-1"), None, 1);
                process.run(moment, &mut service);
                process.memory.overwrite(&key, value);
                process.count(1, &subject("app-1"), None, 1);
                process.count(1, &subject("app-2"), None, 1);
                process.run(5 * INTERVAL, &mut service);
                let total = service.total();
                assert!((2..=3).contains(&total), "{} = {value:?}: {total}", String::from_utf8_lossy(&key));
                assert!(total == 3 || value.is_empty() || process.said("damaged") > 0, "{:?}", process.lines);
                assert!(service.sums.values().all(|sum| *sum <= 2), "nothing is counted twice");
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_or_ahead_stops_nothing() {
    for (name, jump) in [("back", -86_400_000_i64), ("ahead", 86_400_000)] {
        for moment in [Duration::from_secs(10), Duration::from_secs(60)] {
            let mut process = Process::new(2);
            let mut service = Service::default();
            process.count(1, &subject("app-1"), None, 1);
            process.run(moment, &mut service);
            process.now_ms = process.now_ms.saturating_add_signed(jump);
            process.count(1, &subject("app-1"), None, 1);
            process.run(3 * INTERVAL, &mut service);
            assert_eq!(service.total(), 2, "{name} after {moment:?}");
        }
    }
}

#[test]
fn old_hours_become_one_only_when_there_is_no_room() {
    let combination =
        |application| row::Combination { pair: Some((application, "api")), plan: None, outcome: "allowed" };
    let (memory, source) = (Memory::default(), source());
    let filler: Vec<String> = (0..slot::MAX_SLOT_ROWS - 4).map(|number| format!("filler-{number}")).collect();
    let mut rows: Vec<slot::Counted> =
        [10, 11, 18, 19].map(|hour| (row::requests(&combination("app"), hour).into(), 1)).into();
    rows.extend(filler.iter().map(|id| (row::requests(&combination(id), 19).into(), 1)));
    let add = |rows: &[slot::Counted], hour| {
        let rows: Vec<slot::Row<'_>> = rows.iter().map(|(row, value)| (&**row, *value)).collect();
        let added = slot::change(&memory, &source, 0, &rows, |slot, rows| {
            rows.iter().map(|(row, value)| slot.add(row, *value, hour)).collect::<Vec<_>>()
        });
        let slot::Changed::Done(added) = added else { panic!("{added:?}") };
        added
    };
    let hours = || {
        slot::change(&memory, &source, 0, &[], |slot, _| slot.freeze(1));
        let mut report = report::UsageReport::default();
        let read = memory.get(&source.key(crate::shared::key::SharedEntry::UsageSlot(0))).unwrap().unwrap();
        let slot = slot::Slot::read(&source.key(crate::shared::key::SharedEntry::UsageSlot(0)), &read.value).unwrap();
        slot.frozen_in(1).iter().for_each(|(row, value)| row::tell(&mut report, row, *value).unwrap());
        let of_app = report.counts.iter().filter(|count| count.application.as_deref() == Some("app"));
        of_app.map(|count| (count.hour / HOUR, count.requests)).collect::<Vec<_>>()
    };
    assert!(add(&rows, 20).into_iter().all(|fits| fits), "all hours are kept apart while there is room");
    let more = [(row::requests(&combination("app"), 20).into_boxed_slice(), 1)];
    assert_eq!(add(&more, 20), [true]);
    assert_eq!(hours(), [(18, 3), (19, 1), (20, 1)]);
}

#[test]
fn what_stands_in_shared_data_is_read_whatever_it_is() {
    // Arbitrary bytes do not panic, and a written value is read back.
    let mut value = Vec::new();
    for byte in 0..=255_u8 {
        value.push(byte);
        let _ = slot::Slot::read(b"key", &value);
        let _ = row::unattributed(&value);
        let _ = row::split_hour(&value);
        let _ = row::tell(&mut report::UsageReport::default(), &value, 1);
    }
    for level in 0..9 {
        assert!(slot::place(level, u64::MAX) < slot::SLOTS || level >= slot::LEVEL_COUNT);
    }
    let spread: BTreeSet<u16> = (0..10_000_u64)
        .map(|number| row::spread(&row::key(&number.to_string())))
        .flat_map(|spread| (0..slot::LEVEL_COUNT).map(move |level| slot::place(level, spread)))
        .collect();
    assert_eq!(spread.len(), usize::from(slot::UNATTRIBUTED), "all slots but the last are used");
}

#[test]
fn the_ids_of_batches_are_never_the_same() {
    let mut ids = BTreeSet::new();
    for start in 0..50 {
        let mut process = Process { step_ms: 1_000, ..Process::new(1) };
        process.now_ms += start;
        for number in 0..5 {
            process.count(0, &subject(&format!("app-{number}")), None, 1);
            process.run_with(2 * INTERVAL, |post| {
                let report: report::UsageReport<'_> = serde_json::from_slice(&post.body).unwrap();
                assert!(ids.insert(report.batch.to_string()), "{}", report.batch);
                Service::default().accept_batch(post)
            });
        }
    }
    assert_eq!(ids.len(), 250);
}

#[test]
fn the_keys_of_shared_data_are_a_finite_set() {
    let mut process = Process::new(2);
    for number in 0..3_000 {
        process.count(1, &subject(&format!("app-{number}")), None, 1);
        if number % 500 == 0 {
            process.run(2 * INTERVAL, &mut Service::default());
        }
    }
    process.run(5 * INTERVAL, &mut Service::default());
    assert!(process.memory.keys().len() <= usize::from(slot::SLOTS) + 1);
    let page = ledger::look(&process.memory, &source()).unwrap();
    assert!(matches!(page.found, LedgerRead::Ledger(ledger) if ledger.stage == Stage::Done));
    assert!(process.memory.bytes() < 86 * 64, "what has arrived is let go: {} bytes", process.memory.bytes());
}

/// Random numbers from a known seed, so that a failure can be repeated (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Requests, ticks, deaths at any call, lost answers and late answers, in any order.
#[test]
fn every_count_arrives_once_after_any_events_in_any_order() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut process = Process::new(3);
        let mut service = Service::default();
        let subjects: Vec<_> = (0..6).map(|number| subject(&format!("app-{number}"))).collect();
        // The counts that certainly reached shared data, and the counts that may have.
        let (mut certain, mut perhaps) = (0_u64, 0_u64);
        let mut unflushed = [0_u64; 3];
        for _ in 0..600 {
            let vm = usize::try_from(dice.roll(3)).unwrap();
            match dice.roll(12) {
                0..=3 if vm > 0 => {
                    let requests = dice.roll(5);
                    let refused = (dice.roll(4) == 0).then_some(Reason::QuotaExceeded);
                    process.count(vm, &subjects[usize::try_from(dice.roll(6)).unwrap()], refused, requests);
                    unflushed[vm] += requests;
                }
                4..=7 => {
                    process.now_ms += [100, 100, 1_000, 20_000][usize::try_from(dice.roll(4)).unwrap()];
                    process.tick(vm, u64::MAX);
                    certain += std::mem::take(&mut unflushed[vm]);
                }
                8 => {
                    process.now_ms += 30_000;
                    if process.tick(vm, dice.roll(120)) {
                        perhaps += std::mem::take(&mut unflushed[vm]);
                        process.replace(vm);
                    } else {
                        certain += std::mem::take(&mut unflushed[vm]);
                    }
                }
                9 => process.answer(|post| service.accept_batch(post)),
                10 => process.answer(|_| answer(503, "no healthy upstream")),
                _ => process.answer(|post| {
                    // The report arrives, but the answer is lost.
                    service.accept_batch(post);
                    Answer::default()
                }),
            }
        }
        certain += unflushed.iter().sum::<u64>();
        process.step_ms = 1_000;
        process.run(10 * INTERVAL, &mut service);
        let total = service.total();
        assert!((certain..=certain + perhaps).contains(&total), "seed {seed}: {certain} + {perhaps}, but {total}");
    }
}
