//! A block while the policy service is under its maximum permitted load: thousands of connections that send nothing,
//! full usage reports on all connections of a fleet, and held polls. The administrator gets the answer within a second,
//! and every worker of Envoy refuses within two.
//!
//! `make load` runs it, by itself. That a change does not wait behind reports is tested with the policy service (`turns`).

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use keygate_e2e::{
    Options,
    deadline::eventually,
    http::{Ask, Connection},
    policy_service::{GATEWAY_ID, GATEWAY_SECRET, PolicyService},
    story::{self, Expected, ORDERS},
    workers::Workers,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

/// The time limits, both from when the change is sent: until its answer, and until every worker decides by it.
const ANSWERED: Duration = Duration::from_secs(1);
const SEEN: Duration = Duration::from_secs(2);
/// `gateway-1:demo-gateway-secret`.
const GATEWAY: &str = "Basic Z2F0ZXdheS0xOmRlbW8tZ2F0ZXdheS1zZWNyZXQ=";
/// File descriptors of this process for everything but the silent connections.
const RESERVED: u64 = 400;
/// How long a silent connection is kept before another one replaces it. The service ends it after 30 s.
const HELD: Duration = Duration::from_secs(20);
/// The pause between two replacements.
const REPLACING: Duration = Duration::from_millis(50);

/// The load: silent connections, those that send reports, those that poll; and alternating blocks and unblocks under it.
const SILENT: usize = 20_000;
const REPORTERS: usize = 32;
const POLLS: usize = 50;
const CHANGES: usize = 100;

/// What a silent connection sends before it falls silent.
fn opening(number: usize) -> &'static [u8] {
    match number % 4 {
        0 => b"",
        1 => b"PRI * HTTP/2.0\r\n",
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        _ => b"GET /v1/policy HTTP/1.1\r\nhost: h\r\nx-slow: ",
    }
}

/// Opens a silent connection. Every second one comes from one address, the others from two hundred addresses.
async fn open(service: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    if number.is_multiple_of(2) {
        let last = u8::try_from(number / 2 % 200 + 2).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 8, last], 0))).unwrap();
    }
    let mut stream = timeout(Duration::from_secs(10), socket.connect(service)).await.ok()?.ok()?;
    // The service may have closed it already.
    let _ = stream.write_all(opening(number)).await;
    Some(stream)
}

/// Opens `count` silent connections and keeps them. Some are replaced all the time, so that each is younger than the
/// service's limit. `held` is the number of open ones.
async fn be_silent(service: SocketAddr, count: usize, held: Arc<AtomicUsize>) {
    let mut all: VecDeque<TcpStream> = VecDeque::new();
    let mut number = 0;
    while all.len() < count {
        let opening = (0..50).map(|offset| tokio::spawn(open(service, number + offset)));
        for opened in opening.collect::<Vec<_>>() {
            all.extend(opened.await.unwrap());
        }
        number += 50;
        held.store(all.len(), Ordering::SeqCst);
    }
    let at_once = (count * REPLACING.as_millis() as usize).div_ceil(HELD.as_millis() as usize);
    let mut ticks = interval(REPLACING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        all.drain(..at_once);
        for _ in 0..at_once {
            number += 1;
            all.extend(open(service, number).await);
        }
        held.store(all.len(), Ordering::SeqCst);
    }
}

/// A report of the maximum size. Its id is `BATCH`.
fn full_report() -> String {
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let row = |number| json!({"hour": hour, "application": format!("app-{number}"), "api": "orders-1.0", "outcome": "allowed", "requests": 1});
    let counts: Vec<Value> = (0..keygate::usage::report::MAX_COUNTS).map(row).collect();
    json!({"format": 1, "batch": "BATCH", "counts": counts}).to_string()
}

/// Sends the next report as soon as the last one is answered. `taken` counts the accepted ones.
async fn report(service: SocketAddr, name: usize, taken: Arc<AtomicUsize>) {
    let mut connection = Connection::open(service).await.unwrap();
    let report = full_report();
    for number in 0_u32.. {
        let ask = Ask::new("POST", "/v1/usage").header("authorization", GATEWAY);
        let ask = ask.text(report.replacen("BATCH", &format!("{name}-{number}"), 1));
        match connection.send(&ask).await {
            Ok(answer) if answer.status == 200 => {
                taken.fetch_add(1, Ordering::SeqCst);
            }
            // 503: the report waited too long. A gateway sends it again.
            Ok(answer) => assert_eq!(answer.status, 503, "{answer}"),
            Err(_) => connection = Connection::open(service).await.unwrap(),
        }
    }
}

/// Follows the policy as a gateway does: a poll is held until there is a change. `answered` counts the deltas.
async fn follow(service: SocketAddr, answered: Arc<AtomicUsize>) {
    let mut connection = Connection::open(service).await.unwrap();
    let mut target = "/v1/policy".to_owned();
    loop {
        let ask = Ask::get(&target).header("authorization", GATEWAY).header("prefer", "wait=25");
        let Ok(answer) = connection.send(&ask).await else {
            connection = Connection::open(service).await.unwrap();
            continue;
        };
        if answer.status == 304 {
            continue;
        }
        assert_eq!(answer.status, 200, "{answer}");
        let page = answer.json();
        target = page["next"].as_str().or(page["poll"].as_str()).unwrap().to_owned();
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Aborts its tasks when dropped.
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    /// Fails the test if one of the tasks has failed.
    async fn check(&mut self) {
        for task in &mut self.0 {
            if task.is_finished() {
                task.await.unwrap();
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The median, the 99th percentile and the maximum.
fn summary(times: &mut [Duration]) -> [Duration; 3] {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).saturating_sub(1)];
    [at(50), at(99), times[times.len() - 1]]
}

/// Sends a change and returns when its answer came.
async fn change(policy: &PolicyService, action: &str) -> Duration {
    let begun = Instant::now();
    policy.post(&format!("/v1/subscriptions/shop-orders/{action}"), None).await.unwrap();
    begun.elapsed()
}

/// Raises the limit of file descriptors. Returns how many are free for silent connections.
fn room() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    usize::try_from(most.saturating_sub(RESERVED)).unwrap()
}

/// Too heavy to run beside other tests, and it measures time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make load` runs it, by itself"]
async fn a_block_is_quick_in_a_crowd() {
    let silent = room().min(SILENT);
    assert_eq!((GATEWAY_ID, GATEWAY_SECRET), ("gateway-1", "demo-gateway-secret"));
    let (stack, keys) = story::stage("crowd", Options::default()).await.unwrap();
    let policy = stack.policy().unwrap();
    let ask = Ask::get(ORDERS).key(&keys.production);
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let [allowed, blocked] = [Expected::Reaches("production"), story::BLOCKED];
    eventually("the policy", SEEN * 5, async || workers.expect(&ask, allowed).await).await.unwrap();

    let [held, taken, followed] = [const { AtomicUsize::new(0) }; 3].map(Arc::new);
    let service = policy.address();
    let mut tasks = Tasks(vec![tokio::spawn(be_silent(service, silent, Arc::clone(&held)))]);
    tasks.0.extend((0..POLLS).map(|_| tokio::spawn(follow(service, Arc::clone(&followed)))));
    tasks.0.extend((0..REPORTERS).map(|name| tokio::spawn(report(service, name, Arc::clone(&taken)))));
    eventually("all of them", Duration::from_secs(60), async || {
        let found = [&held, &followed, &taken].map(|count| count.load(Ordering::SeqCst));
        if found[0] >= silent && found[1] >= POLLS && found[2] > 0 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();

    let [before, begun] = [taken.load(Ordering::SeqCst), followed.load(Ordering::SeqCst)];
    let (mut answered, mut seen) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for number in 0..CHANGES {
        let (action, expected) = if number.is_multiple_of(2) { ("block", blocked) } else { ("unblock", allowed) };
        let begun = Instant::now();
        answered.push(change(policy, action).await);
        eventually(action, SEEN * 5, async || workers.expect(&ask, expected).await).await.unwrap();
        seen.push(begun.elapsed());
        tasks.check().await;
    }
    let took = started.elapsed();
    let held = held.load(Ordering::SeqCst);
    let [reports, deltas] = [taken.load(Ordering::SeqCst) - before, followed.load(Ordering::SeqCst) - begun];
    drop(tasks);
    let [answered, seen] = [summary(&mut answered), summary(&mut seen)];
    println!(
        "{held} silent connections, {} that report ({reports} full reports taken), {} that poll ({deltas} deltas): {} changes in {took:.1?}",
        REPORTERS, POLLS, CHANGES
    );
    for (what, [median, most, slowest]) in [("answered", answered), ("on every worker", seen)] {
        println!("{what}: p50 {median:.0?}, p99 {most:.0?}, slowest {slowest:.0?}");
    }
    assert!(answered[1] < ANSWERED, "a change has its answer in {answered:?}\n{}", policy.log());
    assert!(seen[1] < SEEN, "a change is on every worker in {seen:?}");
    assert!(reports > 0 && deltas > 0, "{reports} reports were taken and {deltas} deltas followed meanwhile");
    stack.stop().await;
}
