//! Large policies, in pages: complete and replaced all at once, on the main thread or on a worker; or endless.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    host::{Answer, Envoy, LogLevel, Request},
    policy::*,
};

const PAGES: usize = 3;
const KEYS_ON_A_PAGE: usize = 700;

/// The n-th key of a generation.
fn key(generation: u64, n: usize) -> String {
    format!("key-{n}-of-generation-{generation}")
}

/// All pages of a generation, by path. The generation is the revision.
fn pages(generation: u64) -> Vec<(String, Page)> {
    let page = |number: usize| {
        let mut page = Page::new(generation).with("confirm_removal", true);
        if number == 0 {
            page = page.with("counts", serde_json::json!({"keys": PAGES * KEYS_ON_A_PAGE, "applications": 1}));
            page = page.api("payments-1.0", "/payments/1.0").application("app-1");
            page = page.subscription("app-1", "payments-1.0", "UNBLOCKED");
        }
        if number + 1 < PAGES {
            page = page.with("next", format!("/v1/policy?page={}", number + 1));
        }
        let numbers = number * KEYS_ON_A_PAGE..(number + 1) * KEYS_ON_A_PAGE;
        numbers.fold(page, |page, n| page.key(&key(generation, n), &format!("k-{n}"), "app-1", "PRODUCTION"))
    };
    let path = |number| if number == 0 { "/v1/policy".to_owned() } else { format!("/v1/policy?page={number}") };
    (0..PAGES).map(|number| (path(number), page(number))).collect()
}

fn publish(service: &Service, generation: u64) {
    let pages = pages(generation);
    service.route(&pages.iter().map(|(path, page)| (path.as_str(), page)).collect::<Vec<_>>());
}

/// The generations whose keys a worker allows now. Of the tested keys of a generation it must allow all or none.
#[track_caller]
fn allowed(envoy: &mut Envoy, thread: usize, generations: &[u64]) -> Vec<u64> {
    let mut allowed = Vec::new();
    for generation in generations {
        let sample = (0..PAGES * KEYS_ON_A_PAGE).step_by(331);
        let verdicts: Vec<_> = sample
            .map(|n| envoy.worker(thread).request(Request::get("/payments/1.0").key(key(*generation, n))).verdict())
            .collect();
        if verdicts.iter().all(|verdict| verdict == "allowed") {
            allowed.push(*generation);
        } else {
            assert!(verdicts.iter().all(|verdict| verdict == "401 key_unknown"), "half of {generation}: {verdicts:?}");
        }
    }
    allowed
}

#[track_caller]
fn replace_over_and_over(mut envoy: Envoy, service: &Service) {
    publish(service, 1);
    assert!(envoy.run_until(Duration::from_secs(30), |envoy| envoy.metric("keygate.policy.keys") > 0));
    for generation in 2..4 {
        publish(service, generation);
        let mut current = vec![generation - 1];
        for _ in 0..150 {
            envoy.run_for(Duration::from_millis(100));
            for thread in [1, 2] {
                // Ask for the newer generation first: on a miss a worker looks for a newer policy.
                let now = allowed(&mut envoy, thread, &[generation, generation - 1]);
                assert!(now == [generation - 1] || now == [generation], "{now:?} while {generation} is loaded");
                current = now;
            }
            if current == [generation] {
                break;
            }
        }
        envoy.run_for(Duration::from_secs(1));
        for thread in [1, 2] {
            assert_eq!(allowed(&mut envoy, thread, &[generation, generation - 1]), [generation]);
        }
        assert_eq!(envoy.metric("keygate.policy.keys"), (PAGES * KEYS_ON_A_PAGE) as i64);
    }
}

#[test]
fn a_large_policy_is_replaced_all_at_once() {
    let service = Service::saying(Answer::status(500, ""));
    let envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    replace_over_and_over(envoy, &service);
}

#[test]
fn a_worker_without_another_vm_refreshes_itself() {
    let service = Service::saying(Answer::status(500, ""));
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    envoy.main().kill();
    replace_over_and_over(envoy, &service);
}

/// Size of shared data in bytes.
fn taken(envoy: &Envoy) -> usize {
    envoy.shared_data("").values().map(Vec::len).sum()
}

/// A page of half a megabyte that always names a next page.
fn endless(number: usize) -> Answer {
    let referers = vec![format!("example.com/{}", "x".repeat(500)); 1_000];
    let sha256 = sha256(format!("key-{number}"));
    let row = json!({"sha256": sha256, "id": "k", "application": "app-1", "permitted_referers": referers});
    Answer::json(Page::new(2).with("next", format!("/v1/policy?page={number}")).row("keys", row).0)
}

#[test]
fn a_policy_that_never_ends_is_refused_and_gives_its_memory_back() {
    for on_a_worker in [false, true] {
        let configuration = configuration([("policy/max_bytes", json!(8_000_000))]);
        let (mut envoy, _service) = running_with(configuration, &Page::demo(1));
        if on_a_worker {
            envoy.main().kill();
        }
        let before = taken(&envoy);
        let decided = verdicts(&mut envoy);
        let pages = Arc::new(AtomicUsize::new(0));
        let served = pages.clone();
        envoy.set_feed(move |_| endless(served.fetch_add(1, Ordering::Relaxed)));
        let is_refused = |envoy: &Envoy| envoy.metric("keygate.refresh.refused") > 0;
        let mut most = 0;
        for _ in 0..6_000 {
            envoy.run_for(Duration::from_millis(10));
            most = most.max(taken(&envoy));
            if is_refused(&envoy) {
                break;
            }
        }
        assert!(is_refused(&envoy), "after {} pages", pages.load(Ordering::Relaxed));
        let pages = pages.load(Ordering::Relaxed);
        assert!((15..30).contains(&pages), "{pages} pages of 530 KB");
        assert!((before + 4_000_000..before + 12_000_000).contains(&most), "{most}");
        let lines = envoy.log(LogLevel::Warn);
        assert!(lines.iter().any(|line| line.contains("more than `policy.max_bytes` (8000000)")), "{lines:#?}");
        envoy.set_feed(|_| Answer::status(500, ""));
        envoy.run_for(Duration::from_secs(2));
        assert!(taken(&envoy) < before + 1_000, "{} are left of {most}", taken(&envoy) - before);
        assert_eq!(verdicts(&mut envoy), decided, "the policy held serves on");
    }
}
