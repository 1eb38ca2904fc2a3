//! Changes and usage reports at the single writer. A change does not wait until all gateways have reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use support::{Service, program::Program};

/// Number of connections of gateways that report as fast as the service answers.
const CONNECTIONS: usize = 32;
/// Number of blocks and unblocks meanwhile.
const BLOCKS: usize = 40;
/// Maximum number of reports between a block and its answer: the report that is being written, and those whose answers
/// are on their way. A limit in seconds would depend on the load of the machine. Without turns, a block waits for all
/// connections.
const MOST_REPORTS: usize = CONNECTIONS / 4;

/// A report with the maximum number of rows.
fn full_report(batch: &str) -> String {
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let counts: Vec<Value> = (0..keygate::usage::report::MAX_COUNTS)
        .map(|number| json!({"hour": hour, "application": format!("app-{number}"), "api": "api-1", "outcome": "allowed", "requests": 1}))
        .collect();
    json!({"format": 1, "batch": batch, "counts": counts}).to_string()
}

/// However many reports wait, a later change waits for at most one of them.
#[tokio::test]
async fn a_change_comes_before_the_reports_that_wait() {
    let service = Service::start().await;
    service.seed().await;
    let held = service.store.begin(support::act()).await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let reports: Vec<_> = (0..16)
        .map(|_| {
            let (store, done) = (service.store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut report = store.begin_report(support::act()).await.unwrap();
                report.commit_without_revision();
                tokio::time::sleep(Duration::from_millis(5)).await;
                report.commit().await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // All of them are queued, because this runtime has one thread.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let store = service.store.clone();
    let begun = Arc::clone(&done);
    let change = tokio::spawn(async move {
        let change = store.begin(support::act()).await.unwrap();
        let before = begun.load(Ordering::SeqCst);
        change.commit().await.unwrap();
        before
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let before = change.await.unwrap();
    assert!(before <= 1, "{before} reports were taken before a change");
    for report in reports {
        report.await.unwrap();
    }
    assert_eq!(done.load(Ordering::SeqCst), 16, "reports are taken after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_answered_soon_while_gateways_send_full_reports() {
    let service = Program::start();
    service.seed().await;
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reporters: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let (client, url) = (service.client.clone(), format!("{}/v1/usage", service.url));
            let (stop, taken) = (Arc::clone(&stop), Arc::clone(&taken));
            tokio::spawn(async move {
                let body = full_report("BATCH");
                for number in 0_u32.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let batch = body.replacen("BATCH", &format!("{connection}-{number}"), 1);
                    let request = client.post(&url).basic_auth("gw", Some("secret")).body(batch);
                    if request.send().await.is_ok_and(|response| response.status() == 200) {
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    let begun = Instant::now();
    while taken.load(Ordering::SeqCst) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no report is taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut waited_for = Vec::new();
    for number in 0..BLOCKS {
        let action = if number % 2 == 0 { "block" } else { "unblock" };
        let before = taken.load(Ordering::SeqCst);
        let (status, said) = service.post(&format!("/v1/subscriptions/s-1/{action}"), json!({})).await;
        waited_for.push(taken.load(Ordering::SeqCst) - before);
        assert_eq!(status, 200, "{said}");
    }
    let during = taken.load(Ordering::SeqCst);
    stop.store(true, Ordering::SeqCst);
    for reporter in reporters {
        reporter.abort();
    }
    assert!(waited_for.iter().all(|reports| *reports <= MOST_REPORTS), "{waited_for:?}");
    assert!(during > 3, "reports are taken meanwhile");
}
