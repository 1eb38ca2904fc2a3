//! All VMs decide by a new policy at once, and the next poll says that they do. Its cursor goes out when no VM can decide
//! by the older policy any more.

use std::time::Duration;

use serde_json::json;

use crate::{
    host::{Answer, Callout, Envoy, Fault, Life, Request},
    policy::*,
};

const MOMENT: Duration = Duration::from_millis(10);

/// The first revision is a full policy, the others are changes of one subscription: it is blocked in even revisions.
fn page(revision: u64) -> Page {
    let state = if revision.is_multiple_of(2) { "BLOCKED" } else { "UNBLOCKED" };
    let page = if revision == 1 { Page::demo(1) } else { Page::new(revision).with("base", revision - 1) };
    let page = page.subscription("app-1", "payments-1.0", state);
    page.with("poll", format!("/v1/policy?since={revision}"))
}

fn verdict(envoy: &mut Envoy, thread: usize) -> String {
    envoy.worker(thread).request(Request::get("/payments/1.0").key(PRODUCTION_KEY)).verdict()
}

/// An Envoy with four workers that hold the first revision, and its held poll.
fn four_workers(change: impl FnOnce(&mut Envoy)) -> (Envoy, Callout) {
    let mut envoy = Envoy::new(configuration([])).workers(4);
    change(&mut envoy);
    let mut first = Some(Answer::json(page(1).0));
    let feed = move |_: &Callout| first.take().unwrap_or(Answer::Pending);
    let mut envoy = envoy.feed(feed).started();
    envoy.run_for(Duration::from_secs(7));
    // After some requests each worker has cached the key, so it decides without reading shared data.
    for thread in (1..=4).cycle().take(12) {
        assert_eq!(verdict(&mut envoy, thread), "allowed");
    }
    envoy.run_for(Duration::from_secs(1));
    let poll = held_poll(&envoy);
    (envoy, poll)
}

fn held_poll(envoy: &Envoy) -> Callout {
    let pending = envoy.pending();
    assert_eq!(pending.len(), 1, "{pending:#?}");
    pending[0].clone()
}

fn publish(envoy: &mut Envoy, poll: &Callout, revision: u64) {
    let answer = Answer::json(page(revision).0).header("preference-applied", "wait");
    envoy.answer(poll, answer).finished();
}

fn header(callout: &Callout, name: &str) -> Option<String> {
    callout.headers.first(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn every_worker_refuses_at_the_moment_of_the_answer() {
    let (mut envoy, mut poll) = four_workers(|_| {});
    for revision in 2..12 {
        publish(&mut envoy, &poll, revision);
        let expected = if revision % 2 == 0 { "401 subscription_blocked" } else { "allowed" };
        // No time has passed, so no tick was due. A worker that has a cached key does not look by itself.
        for thread in 1..=4 {
            assert_eq!(verdict(&mut envoy, thread), expected, "worker {thread} at {revision}");
        }
        envoy.run_for(MOMENT);
        poll = held_poll(&envoy);
        assert_eq!(poll.path(), format!("/v1/policy?since={revision}"));
        assert_eq!((header(&poll, "keygate-lagging"), header(&poll, "prefer")), (None, Some("wait=25".to_owned())));
    }
}

/// A large change has several pages, and nobody holds the later ones. The next poll follows as soon as after one page.
#[test]
fn after_a_change_in_pages_the_next_poll_follows_at_once() {
    let (mut envoy, mut poll) = four_workers(|_| {});
    // Once in an interval a poll follows at once whatever the service says. So the second change counts.
    for revision in 2..5 {
        let (base, next) = (revision - 1, format!("/v1/policy?since={0}&revision={revision}&after=1", revision - 1));
        let first = Page::new(revision).with("base", base).with("next", next.clone());
        envoy.answer(&poll, Answer::json(first.0).header("preference-applied", "wait")).finished();
        let further = held_poll(&envoy);
        assert_eq!(further.path(), next);
        envoy.answer(&further, Answer::json(page(revision).0)).finished();
        let expected = if revision % 2 == 0 { "401 subscription_blocked" } else { "allowed" };
        assert_eq!(verdict(&mut envoy, 1), expected);
        envoy.run_for(MOMENT);
        poll = held_poll(&envoy);
        assert_eq!(poll.path(), format!("/v1/policy?since={revision}"));
    }
}

#[test]
fn without_queues_ticks_do_it() {
    let (mut envoy, poll) = four_workers(Envoy::forbid_queues);
    publish(&mut envoy, &poll, 2);
    assert_eq!(verdict(&mut envoy, 3), "allowed", "nothing has woken it");
    envoy.run_for(Duration::from_millis(120));
    for thread in 1..=4 {
        assert_eq!(verdict(&mut envoy, thread), "401 subscription_blocked", "worker {thread}");
    }
    let next = held_poll(&envoy);
    assert_eq!((next.path(), header(&next, "keygate-lagging")), ("/v1/policy?since=2".to_owned(), None));
}

#[test]
fn a_callout_says_who_asks() {
    let policy = [("policy/instance", json!("edge-7")), ("policy/expire_after_ms", json!(3_600_001))];
    for (configuration, node, instance) in [
        (configuration(policy.clone()), "node-1", Some("edge-7")),
        (configuration([]), "sidecar~10.0.0.1~pod.ns~größe", Some("sidecar~10.0.0.1~pod.ns~gr%C3%B6%C3%9Fe")),
        // It allows after its policy has expired, so it must never count as gone.
        (configuration([("on_policy_unavailable", json!("allow"))]), "", None),
    ] {
        let mut envoy = Envoy::new(&configuration).workers(2);
        envoy.name_node(node);
        let mut first = Some(Answer::json(page(1).0));
        let mut envoy = envoy.feed(move |_| first.take().unwrap_or(Answer::Pending)).started();
        envoy.run_for(Duration::from_secs(7));
        let poll = held_poll(&envoy);
        let process = header(&poll, "keygate-process").unwrap();
        assert!(process.len() == 16 && process.bytes().all(|byte| byte.is_ascii_hexdigit()), "{process}");
        assert_eq!(header(&poll, "keygate-instance").as_deref(), Some(instance.unwrap_or(&process)), "{node}");
        assert_eq!(header(&poll, "keygate-workers").as_deref(), Some("2"));
        let expires = match (node, instance) {
            ("", _) => "0",
            (_, Some("edge-7")) => "3601",
            _ => "3600",
        };
        assert_eq!(header(&poll, "keygate-expires-after").as_deref(), Some(expires));
        // A wait of 25 s, the timeout of 5 s, a pause of 30 s, 2 s until a callout counts as never answered, rounded up.
        assert_eq!(header(&poll, "keygate-heard-within").as_deref(), Some("63"));
    }
}

/// Two plugins with one policy: the service hears of the one that allows longest, whichever of them asks.
#[test]
fn of_two_plugins_the_one_that_allows_longest_is_told() {
    let minutes = |minutes: u64| configuration([("policy/expire_after_ms", json!(60_000 * minutes))]);
    let for_ever = || configuration([("on_policy_unavailable", json!("allow"))]);
    for (first, second, expected) in [
        (minutes(10), minutes(60), "3600"),
        (minutes(60), minutes(10), "3600"),
        (minutes(10), for_ever(), "0"),
        (for_ever(), minutes(10), "0"),
        (minutes(10), minutes(10), "600"),
    ] {
        let mut answered = Some(Answer::json(page(1).0));
        let feed = move |_: &Callout| answered.take().unwrap_or(Answer::Pending);
        let mut envoy = Envoy::new(&first).plugin("", &second).workers(2).feed(feed).started();
        envoy.run_for(Duration::from_secs(7));
        let poll = held_poll(&envoy);
        assert_eq!(header(&poll, "keygate-expires-after").as_deref(), Some(expected), "{first} {second}");
    }
}

/// A VM without requests looks half as often, and its queue still wakes it at once. The first request ends its rest.
#[test]
fn a_vm_without_requests_rests() {
    let (mut envoy, poll) = four_workers(|_| {});
    let ticks = |envoy: &mut Envoy, thread: usize| {
        let before = envoy.worker(thread).ticks();
        envoy.run_for(Duration::from_secs(2));
        envoy.worker(thread).ticks() - before
    };
    assert_eq!(ticks(&mut envoy, 1), 10);
    publish(&mut envoy, &poll, 2);
    assert_eq!(verdict(&mut envoy, 1), "401 subscription_blocked");
    let before = envoy.worker(1).ticks();
    for _ in 0..20 {
        envoy.run_for(Duration::from_millis(100));
        assert_eq!(verdict(&mut envoy, 1), "401 subscription_blocked");
    }
    assert_eq!(envoy.worker(1).ticks() - before, 20);
    let (mut envoy, _) = four_workers(Envoy::forbid_queues);
    assert_eq!(ticks(&mut envoy, 1), 20, "nothing else wakes it");
}

#[test]
fn a_stalled_worker_keeps_the_cursor_back_for_a_second_and_is_told_as_lagging() {
    let (mut envoy, poll) = four_workers(|_| {});
    stall(&mut envoy, 2);
    publish(&mut envoy, &poll, 2);
    assert_eq!(verdict(&mut envoy, 1), "401 subscription_blocked");
    envoy.run_for(Duration::from_millis(900));
    assert_eq!(envoy.pending().len(), 0, "{:#?}", envoy.pending());
    envoy.run_for(Duration::from_millis(200));
    let told = held_poll(&envoy);
    assert_eq!(
        (told.path(), header(&told, "keygate-lagging")),
        ("/v1/policy?since=2".to_owned(), Some("1".to_owned()))
    );
    assert_eq!(header(&told, "prefer").as_deref(), Some("wait=1"), "the next one follows soon");
    // Now the worker cannot decide by the older policy any more, whether it goes on or not.
    envoy.run_for(Duration::from_secs(2));
    let unchanged = Answer::status(304, "").header("preference-applied", "wait");
    envoy.answer(&told, unchanged).finished();
    envoy.run_for(MOMENT);
    let next = held_poll(&envoy);
    assert_eq!((header(&next, "keygate-lagging"), header(&next, "keygate-workers")), (None, Some("3".to_owned())));
    assert_eq!(envoy.longest_queue(), 1);
    envoy.worker(2).resume().finished();
    assert_eq!(verdict(&mut envoy, 2), "401 subscription_blocked");
}

/// Stops a worker in the middle of a tick, behind its look at the manifest.
fn stall(envoy: &mut Envoy, thread: usize) {
    envoy.worker(thread).faults(|faults| faults.once(Some("proxy_record_metric"), 0, Fault::Pause));
    let _ = envoy.worker(thread).tick();
    assert_eq!(envoy.worker(thread).life(), Life::Paused);
}

#[test]
fn whenever_a_cursor_has_gone_out_no_worker_decides_by_an_older_policy() {
    // The worker stops before one of its host calls, for a while, and answers a request as soon as it goes on.
    for pause_ms in [0, 500, 1_500, 3_000] {
        for step in 0..12 {
            let (mut envoy, poll) = four_workers(|_| {});
            envoy.worker(3).faults(|faults| faults.once(None, step, Fault::Pause));
            let _ = envoy.worker(3).tick();
            let is_stalled = envoy.worker(3).life() == Life::Paused;
            envoy.worker(3).faults(|faults| faults.clear());
            publish(&mut envoy, &poll, 2);
            envoy.run_for(Duration::from_millis(pause_ms));
            let proven = envoy
                .pending()
                .iter()
                .any(|callout| callout.path() == "/v1/policy?since=2" && header(callout, "keygate-lagging").is_none());
            if is_stalled {
                envoy.worker(3).resume().finished();
            }
            let decided = verdict(&mut envoy, 3);
            assert!(!proven || decided == "401 subscription_blocked", "{pause_ms} ms, before call {step}: {decided}");
            assert!(envoy.longest_queue() <= 1);
        }
    }
}

/// A VM that refreshed may be stalled until another one has taken over. Then an answer to its old poll comes first.
#[test]
fn an_answer_to_a_stalled_holder_of_the_lease_is_no_look() {
    let (mut envoy, first) = four_workers(|_| {});
    envoy.main().kill();
    let old = poll_of_another(&mut envoy, &[first.thread]);
    let holder = old.thread;
    stall(&mut envoy, holder);
    let poll = poll_of_another(&mut envoy, &[first.thread, holder]);
    publish(&mut envoy, &poll, 2);
    let proven = |poll: &Callout| poll.path() == "/v1/policy?since=2" && header(poll, "keygate-lagging").is_none();
    assert!(envoy.run_until(Duration::from_secs(30), |envoy| envoy.pending().iter().any(proven)));
    envoy.worker(holder).resume().finished();
    let _ = envoy.answer(&old, Answer::status(304, "").header("preference-applied", "wait"));
    assert_eq!(verdict(&mut envoy, holder), "401 subscription_blocked");
}

#[test]
fn a_dead_vm_gets_one_word_and_its_successor_takes_it() {
    let (mut envoy, mut poll) = four_workers(|_| {});
    envoy.worker(4).kill();
    for revision in 2..8 {
        publish(&mut envoy, &poll, revision);
        envoy.run_for(Duration::from_millis(1_200));
        poll = held_poll(&envoy);
        assert!(envoy.longest_queue() <= 1, "at {revision}");
    }
    assert_eq!(header(&poll, "keygate-workers").as_deref(), Some("3"));
    envoy.worker(4).revive();
    envoy.run_for(Duration::from_secs(1));
    assert_eq!(verdict(&mut envoy, 4), "allowed");
    publish(&mut envoy, &poll, 8);
    assert_eq!(verdict(&mut envoy, 4), "401 subscription_blocked", "its own queue wakes it");
    assert_eq!(envoy.longest_queue(), 0);
}

#[test]
fn a_replaced_configuration_leaves_its_places() {
    let (mut envoy, _) = four_workers(|_| {});
    for _ in 0..20 {
        envoy.reconfigure(0, configuration([("mode", json!("enforce"))]));
        envoy.run_for(Duration::from_millis(300));
    }
    let places = envoy.shared_data("").keys().filter(|key| key.windows(6).any(|part| part == b"place/")).count();
    assert!(places <= 10, "{places}");
    let poll = envoy.pending().pop().unwrap();
    assert_eq!(header(&poll, "keygate-workers").as_deref(), Some("4"));
}

#[test]
fn a_refused_revision_is_told_with_the_next_poll() {
    for (answer, told) in [(page(1).with("revision", 0u64).0.to_string(), "0; rollback"), ("{".to_owned(), "0; page")] {
        let (mut envoy, poll) = four_workers(|_| {});
        envoy.answer(&poll, Answer::json(answer)).finished();
        let next = next_poll(&mut envoy);
        assert_eq!(header(&next, "keygate-refused").as_deref(), Some(told));
        envoy.answer(&next, Answer::status(304, "")).finished();
        let after = next_poll(&mut envoy);
        assert_eq!(header(&after, "keygate-refused"), None, "told until it succeeds");
    }
}

/// Lets time pass until the filter asks again.
fn next_poll(envoy: &mut Envoy) -> Callout {
    assert!(envoy.run_until(Duration::from_secs(30), |envoy| !envoy.pending().is_empty()), "it asks again");
    held_poll(envoy)
}

/// Lets time pass until a thread asks that is none of `before`. Each worker that takes the lease offers it once to the
/// others, which leaves its poll unanswered. So the latest poll is that of the VM that refreshes, once all have done so.
fn poll_of_another(envoy: &mut Envoy, before: &[usize]) -> Callout {
    let find = |envoy: &Envoy| envoy.pending().into_iter().rfind(|poll| !before.contains(&poll.thread));
    assert!(envoy.run_until(Duration::from_secs(60), |envoy| find(envoy).is_some()), "another VM takes over");
    envoy.run_for(Duration::from_secs(10));
    find(envoy).unwrap()
}
