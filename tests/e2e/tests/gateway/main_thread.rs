//! The VM on the thread that serves no requests refreshes, whichever VM had the lease first. Envoy's log names the
//! thread of each callout, and the kernel counts the work of each thread. No test depends on time: CPU time is compared
//! between threads that got the same requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use keygate::digest::Digest;
use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    http::{self, Ask},
    story::{self, Expected, Keys, ORDERS},
    threads,
    workers::Workers,
};
use serde_json::json;

/// A generous time limit for a busy machine.
const WITHIN: Duration = Duration::from_secs(60);
/// The keys of the large change. A VM needs about 0.2 s to make shards of their pages.
const KEYS: usize = 60_000;
/// The keys on one of its pages, as many as the policy service's own pages have.
const KEYS_PER_PAGE: usize = 5_000;
/// Rounds of requests without a refresh, to measure the cost of a tick.
const QUIET_ROUNDS: u32 = 200;

/// The pause between rounds of requests while the change is loaded. The load is low enough to tell the work of the
/// threads apart, however long a busy machine takes.
const PACE: Duration = Duration::from_millis(50);

/// CPU time by thread.
type Used = BTreeMap<String, Duration>;

const REACHES: Expected = Expected::Reaches("production");

/// Four workers that have all served requests, and a policy that is polled often.
async fn stage(name: &str) -> (Stack, Keys, Workers) {
    let options = Options::default()
        .workers(4)
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 0"#);
    let (stack, keys) = story::stage(name, options).await.unwrap();
    let envoy = stack.envoy().unwrap();
    // From now on Envoy logs each request and each callout with its cluster and the id of its thread.
    http::send(envoy.admin(), &Ask::new("POST", "/logging?router=debug")).await.unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let ask = Ask::get(ORDERS).key(&keys.production);
    eventually("the policy on every worker", WITHIN, async || workers.expect(&ask, REACHES).await).await.unwrap();
    (stack, keys, workers)
}

/// The threads that have sent a request to `cluster`, in order, from byte `from` of the log.
fn senders(stack: &Stack, cluster: &str, from: usize) -> Vec<u32> {
    let log = stack.envoy().unwrap().log();
    let line = format!("cluster '{cluster}' match for URL");
    let thread = |line: &str| line.split('[').nth(2)?.split(']').next()?.parse().ok();
    log.get(from..).unwrap().lines().filter(|known| known.contains(&line)).map(|line| thread(line).unwrap()).collect()
}

#[tokio::test]
async fn callouts_and_pages_are_the_main_threads_while_four_workers_serve() {
    let (stack, keys, mut workers) = stage("main-thread").await;
    let envoy = stack.envoy().unwrap();
    let main = envoy.id();
    // If a worker that serves began, it gives the lease away. The lease then stays there.
    let ask = Ask::get(ORDERS).key(&keys.production);
    eventually("the main thread to ask for the policy", WITHIN, async || {
        workers.expect(&ask, REACHES).await.unwrap();
        let asked = senders(&stack, "policy-service", 0);
        if asked.len() > 5 && asked.iter().rev().take(3).all(|thread| *thread == main) {
            Ok(())
        } else {
            Err(format!("{asked:?}"))
        }
    })
    .await
    .unwrap();
    let handed_over = envoy.log().len();

    let before = threads::used(main).unwrap();
    for _ in 0..QUIET_ROUNDS {
        workers.expect(&ask, REACHES).await.unwrap();
    }
    let quiet = threads::used(main).unwrap();

    let last = Ask::get(ORDERS).key(&key(KEYS - 1));
    let pages = stack.folder().join("keys.json");
    fs::write(&pages, (0..KEYS / KEYS_PER_PAGE).map(page).collect::<String>()).unwrap();
    let mut rounds = 0;
    let seen = eventually("the last key on every worker", WITHIN, async || {
        rounds += 1;
        tokio::time::sleep(PACE).await;
        workers.expect(&ask, REACHES).await.unwrap();
        workers.expect(&last, REACHES).await
    });
    let (imported, seen) = tokio::join!(stack.policy().unwrap().import(&pages), seen);
    imported.unwrap();
    seen.unwrap();
    let loaded = threads::used(main).unwrap();

    let asked = senders(&stack, "policy-service", handed_over);
    assert!(asked.len() >= KEYS / KEYS_PER_PAGE, "{asked:?}");
    assert!(asked.iter().all(|thread| *thread == main), "callouts by {asked:?}, the main thread is {main}");
    let served: BTreeSet<u32> = senders(&stack, "upstream", handed_over).into_iter().collect();
    assert_eq!(served.len(), 4, "{served:?}");
    assert!(!served.contains(&main));

    let spent = |name: &str, from: &Used, to: &Used| to[name].saturating_sub(from[name]);
    let (ticking, loading) = (spent("main", &before, &quiet), spent("main", &quiet, &loaded));
    let workers: Vec<_> = loaded.keys().filter(|name| name.starts_with("wrk:")).collect();
    assert_eq!(workers.len(), 4, "{loaded:?}");
    let serving: Vec<_> = workers.iter().map(|name| spent(name, &quiet, &loaded)).collect();
    println!("{rounds} rounds of requests: the main thread used {loading:?}, the workers {serving:?}");
    println!("{QUIET_ROUNDS} rounds without a change: the main thread used {ticking:?}");
    // On a busy machine the quiet rounds take longer, and the main thread ticks more often in them.
    assert!(loading > 3 * ticking, "the change was no work for the main thread: {loading:?}, else {ticking:?}");
    // Each worker got the same requests, so a worker that also made shards would have used that much more time.
    let uneven = *serving.iter().max().unwrap() - *serving.iter().min().unwrap();
    assert!(uneven < loading, "a worker did more than the others: {serving:?}, the main thread {loading:?}");
    stack.stop().await;
}

fn key(number: usize) -> String {
    format!("a-key-of-many-{number}")
}

/// A page of further production keys of the application `shop`.
fn page(number: usize) -> String {
    let keys: Vec<_> = (number * KEYS_PER_PAGE..(number + 1) * KEYS_PER_PAGE)
        .map(|number| {
            let digest = Digest::of(key(number).as_bytes());
            json!({"sha256": digest.to_hex(), "id": format!("many-{number}"), "application": "shop"})
        })
        .collect();
    json!({"format": 1, "keys": keys}).to_string()
}
