//! A proxy ends held answers while the service works all the time. The policy stays fresh, no request is refused,
//! nothing counts as a failure, the log names the setting once, and a block arrives at once.
//!
//! Each kind of proxy has a gateway of its own in front of one policy service. All gateways are watched at the same
//! time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use keygate_e2e::{
    Options, Stack,
    cutter::{Cut, Cutter},
    deadline::eventually,
    http::Ask,
    policy_service::PolicyService,
    story::{Expected, Keys, ORDERS},
    workers::Workers,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};

use crate::front::{self, Front, Nginx};

/// `policy.long_poll_ms`, `policy.timeout_ms`, and the shortest `policy.expire_after_ms` that these two permit.
const WAIT_MS: u64 = 4_000;
const TIMEOUT_MS: u64 = 1_000;
const EXPIRES_MS: u64 = WAIT_MS + 2 * TIMEOUT_MS;
const INTERVAL_MS: u64 = 200;
/// When answers are ended: after more than a wait of one second, and less than one of two.
const CUT_AFTER: Duration = Duration::from_millis(1_500);
/// Shorter than any wait: only answers that are not held arrive.
const CUT_SOON: Duration = Duration::from_millis(600);
/// The time without changes. The policy would have expired by then, and the wait has become as short as possible.
const QUIET: Duration = Duration::from_millis(EXPIRES_MS + 6_000);
/// The maximum age of the policy after that: a wait of a second, and time for a slow machine.
const FRESH_MS: u64 = 3_000;
/// How long the first policy may take.
const FIRST: Duration = Duration::from_secs(10);
/// How long a block may take. A held poll reports it at once, and an interval is not longer.
const BLOCKED_WITHIN: Duration = Duration::from_secs(2);
/// How long the fastest of several blocks may take: an interval, two checks of 100 ms, and time for a slow machine.
const QUICKEST_WITHIN: Duration = Duration::from_millis(600);
/// The protocol of the policy's cluster: as shipped, and the other one.
const HTTP_1: &str = "          http_protocol_options: {}\n";
const HTTP_2: &str = "          http2_protocol_options: {}\n";
/// Pause between two checks.
const LOOK: Duration = Duration::from_millis(100);

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");

fn options(policy: SocketAddr) -> Options {
    front::asks(policy)
        .edit(r#""refresh_interval_ms": 5000"#, format!(r#""refresh_interval_ms": {INTERVAL_MS}"#))
        .edit(r#""long_poll_ms": 25000"#, format!(r#""long_poll_ms": {WAIT_MS}"#))
        .edit(r#""timeout_ms": 5000"#, format!(r#""timeout_ms": {TIMEOUT_MS}"#))
        .edit(r#""stale_after_ms": 60000"#, format!(r#""stale_after_ms": {EXPIRES_MS}"#))
        .edit(r#""expire_after_ms": 3600000"#, format!(r#""expire_after_ms": {EXPIRES_MS}"#))
}

/// A gateway behind one kind of proxy.
struct Gateway {
    name: String,
    stack: Stack,
    workers: Workers,
    /// The time in seconds that the log may name for the answer that was ended.
    took: std::ops::RangeInclusive<f64>,
    wrong: Vec<String>,
}

impl Gateway {
    async fn start(name: &str, options: Options, keys: &Keys, cut_after: Duration) -> Self {
        let stack = Stack::start(&format!("proxies-{name}"), options).await.unwrap();
        let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
        let ask = Ask::get(ORDERS).key(&keys.production);
        let (name, wrong) = (name.to_owned(), Vec::new());
        eventually(format!("{name}: the first policy"), FIRST, async || workers.expect(&ask, REACHES).await)
            .await
            .unwrap();
        // The time is rounded either way. If no answer comes, the callout's own timeout bounds it.
        let seconds = cut_after.as_secs_f64();
        let took = (seconds - 1.0).max(0.1)..=(WAIT_MS + TIMEOUT_MS) as f64 / 1_000.0 + 0.5;
        Self { name, stack, workers, took, wrong }
    }

    fn note(&mut self, what: String) {
        self.wrong.push(format!("{}: {what}", self.name));
    }

    async fn gauge(&self, name: &str) -> u64 {
        self.stack.envoy().unwrap().stat(&format!("wasmcustom.keygate.{name}")).await.unwrap()
    }

    /// Nothing changes, and every worker is asked all the time.
    async fn quiet(&mut self, keys: &Keys) {
        let ask = Ask::get(ORDERS).key(&keys.production);
        let begun = Instant::now();
        let (mut refused, mut oldest) = (0, 0);
        while begun.elapsed() < QUIET {
            for (worker, answer) in self.workers.send(&ask).await.unwrap() {
                if !REACHES.is(answer.status.as_u16(), &answer.json()) {
                    refused += 1;
                    if refused == 1 {
                        self.note(format!("{worker} after {:?}: {answer}", begun.elapsed()));
                    }
                }
            }
            oldest = oldest.max(self.gauge("policy.age_ms").await);
            tokio::time::sleep(LOOK).await;
        }
        if refused > 0 {
            self.note(format!("{refused} requests were refused"));
        }
        if oldest >= EXPIRES_MS {
            self.note(format!("the policy was {oldest} ms old"));
        }
        let age = self.gauge("policy.age_ms").await;
        if age > FRESH_MS {
            self.note(format!("the policy is {age} ms old"));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let confirmed = self.gauge("policy.confirmed_at").await;
        // The seconds are rounded down, and the gauge is updated once per check.
        if now.saturating_sub(confirmed) > FRESH_MS / 1_000 + 2 {
            self.note(format!("confirmed_at is {confirmed}, now is {now}"));
        }
    }

    /// Nothing counted as a failure, and one log line names the cause and the setting.
    async fn said(&mut self) {
        for counter in ["refresh.failed", "refresh.refused"] {
            let count = self.gauge(counter).await;
            if count > 0 {
                self.note(format!("{counter} is {count}"));
            }
        }
        let log = self.stack.envoy().unwrap().log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("policy.long_poll_ms")).collect();
        match lines.as_slice() {
            [line] => {
                println!("{}: {line}", self.name);
                let seconds = seconds(line);
                if !seconds.iter().any(|seconds| self.took.contains(seconds)) {
                    self.note(format!("{seconds:?} seconds, expected {:?}, in {line}", self.took));
                }
            }
            other => self.note(format!("{} lines name policy.long_poll_ms: {other:#?}", other.len())),
        }
        let others = log.lines().filter(|line| line.contains("wasm log") && !line.contains("policy.long_poll_ms"));
        for words in ["policy.timeout_ms", "was not refreshed", "stale", "expired"] {
            if let Some(line) = others.clone().find(|line| line.contains(words)) {
                self.note(format!("the log speaks of {words}: {line}"));
            }
        }
    }

    /// How long it takes until every worker answers as expected.
    async fn takes(&mut self, keys: &Keys, expected: Expected) -> Duration {
        let ask = Ask::get(ORDERS).key(&keys.production);
        let workers = &mut self.workers;
        match eventually("the change", 5 * BLOCKED_WITHIN, async || workers.expect(&ask, expected).await).await {
            Ok(((), took)) => took,
            Err(error) => {
                self.note(error.to_string());
                5 * BLOCKED_WITHIN
            }
        }
    }
}

/// The numbers of seconds in a line of the log.
fn seconds(line: &str) -> Vec<f64> {
    let words: Vec<&str> =
        line.split(|char: char| char.is_whitespace() || matches!(char, ',' | ';' | '(' | ')')).collect();
    let unit = |word: &str| matches!(word.trim_end_matches(['.', ':']), "s" | "second" | "seconds");
    words.windows(2).filter(|pair| unit(pair[1])).filter_map(|pair| pair[0].parse().ok()).collect()
}

/// Watches all gateways, blocks and unblocks, and fails with everything that was wrong.
async fn watch(mut gateways: Vec<Gateway>, policy: &PolicyService, keys: &Keys) {
    let each = gateways.drain(..).map(|mut gateway| {
        let keys = keys.clone();
        spawn_local(async move {
            gateway.quiet(&keys).await;
            gateway.said().await;
            gateway
        })
    });
    for gateway in each.collect::<Vec<_>>() {
        gateways.push(gateway.await.unwrap());
    }
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); gateways.len()];
    for (change, expected) in [("block", BLOCKED), ("unblock", REACHES)].into_iter().cycle().take(6) {
        policy.post(&format!("/v1/subscriptions/shop-orders/{change}"), None).await.unwrap();
        let each = gateways.drain(..).map(|mut gateway| {
            let keys = keys.clone();
            spawn_local(async move {
                let took = gateway.takes(&keys, expected).await;
                (gateway, took)
            })
        });
        for (each, took) in each.collect::<Vec<_>>().into_iter().zip(&mut took) {
            let (gateway, taken) = each.await.unwrap();
            gateways.push(gateway);
            took.push(taken);
        }
    }
    for (gateway, took) in gateways.iter_mut().zip(took) {
        println!("{}: changes were seen after {took:?}", gateway.name);
        if took.iter().any(|took| *took > BLOCKED_WITHIN) || took.iter().all(|took| *took > QUICKEST_WITHIN) {
            gateway.note(format!("changes were seen after {took:?}"));
        }
    }
    let wrong: Vec<_> = gateways.iter().flat_map(|gateway| gateway.wrong.clone()).collect();
    for gateway in gateways {
        gateway.stack.stop().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A gateway behind a proxy that cuts by `rule`. The full policy is never held, so it arrives.
async fn cutting(front: &Front, name: String, rule: (Cut, Duration)) -> (Cutter, Gateway) {
    let cutter = Cutter::start(front.policy().address()).await.unwrap();
    cutter.cut(Some(rule));
    let gateway = Gateway::start(&name, options(cutter.address()), &front.keys, rule.1).await;
    (cutter, gateway)
}

/// Checks what was asked, and when. The poll after a cut one follows at once and asks for no wait. The waits become
/// shorter, and an answer that can be held is held.
fn asked(name: &str, cutter: &Cutter, (cut, after): (Cut, Duration)) -> Vec<String> {
    let mut wrong = Vec::new();
    let asked = cutter.asked();
    for asked in &asked {
        if asked.header("keygate-version").is_none_or(str::is_empty) {
            wrong.push(format!("{name}: no keygate-version: {}", asked.head));
            break;
        }
    }
    let polls: Vec<_> = asked.iter().filter(|asked| asked.target().starts_with("/v1/policy")).collect();
    let wait = |at: usize| {
        let prefer = polls.get(at)?.header("prefer")?;
        prefer.trim().strip_prefix("wait=")?.parse::<u64>().ok()
    };
    let mut cuts = 0;
    for (at, pair) in polls.windows(2).enumerate() {
        let Some(cut_at) = pair[0].cut_at else { continue };
        // A worker that came first has given the lease to the VM of the main thread. That VM asked before this poll was
        // cut, so no VM waits for this poll any more.
        if pair[1].at < cut_at {
            continue;
        }
        cuts += 1;
        if let Some(wait) = wait(at + 1) {
            wrong.push(format!("{name}: after a poll that was cut comes one that asks for {wait} s"));
        }
        // A silent connection is given up after the callout's own timeout, not when the proxy forgets it.
        let pause = pair[1].at.saturating_duration_since(cut_at);
        if cut != Cut::Silence && pause > Duration::from_millis(800) {
            wrong.push(format!("{name}: after a poll that was cut nothing was asked for {pause:?}"));
        }
    }
    let waits: Vec<_> = (0..polls.len()).filter_map(wait).collect();
    let least = if after < Duration::from_secs(1) { None } else { Some(1) };
    println!("{name}: {cuts} of {} polls were cut, waits {waits:?}", polls.len());
    if cuts == 0 || cuts > 4 {
        wrong.push(format!("{name}: {cuts} polls were cut; waits {waits:?}"));
    }
    let last: Vec<_> = (polls.len().saturating_sub(4)..polls.len()).map(wait).collect();
    // On a busy machine an answer that was held for a second may be late, and is cut as well.
    if !last.contains(&least) {
        wrong.push(format!("{name}: the last polls asked for {last:?}, expected {least:?}; waits {waits:?}"));
    }
    wrong
}

#[tokio::test]
async fn however_held_answers_are_cut_the_policy_stays_fresh_and_a_block_arrives_at_once() {
    let front = Front::start("proxies-service", Options::default()).await;
    let mut rules: Vec<_> = Cut::ALL.map(|cut| (cut, CUT_AFTER)).to_vec();
    rules.push((Cut::Answer(504, ""), CUT_SOON));
    LocalSet::new()
        .run_until(async {
            let (mut cutters, mut gateways) = (Vec::new(), Vec::new());
            for (number, rule) in rules.iter().enumerate() {
                let name = format!("cut-{number}");
                let (cutter, mut gateway) = cutting(&front, name, *rule).await;
                gateway.name = format!("{:?} after {:?}", rule.0, rule.1);
                cutters.push((gateway.name.clone(), cutter, *rule));
                gateways.push(gateway);
            }
            watch(gateways, front.policy(), &front.keys).await;
            let wrong: Vec<_> = cutters.iter().flat_map(|(name, cutter, rule)| asked(name, cutter, *rule)).collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        })
        .await;
    front.stack.stop().await;
}

/// With HTTP/2 a poll is a stream on a connection, and the next poll would be put on the same connection. A proxy that
/// ends idle connections therefore ends a held poll, and the next poll needs a new connection.
#[tokio::test]
async fn an_http_2_connection_that_is_ended_while_a_poll_is_held_is_no_failure() {
    let front = Front::start("proxies-http2-service", Options::default()).await;
    let service = front.policy().address();
    LocalSet::new()
        .run_until(async {
            let mut gateways = Vec::new();
            for (name, resets) in [("http2-closed", false), ("http2-reset", true)] {
                let idle = idle_limit(service, CUT_AFTER, resets).await;
                let options = options(idle).edit(HTTP_1, HTTP_2);
                gateways.push(Gateway::start(name, options, &front.keys, CUT_AFTER).await);
            }
            watch(gateways, front.policy(), &front.keys).await;
        })
        .await;
    front.stack.stop().await;
}

/// A TCP proxy before `service` that ends a connection on both sides when no data came for `limit`. It ends with the
/// test's runtime.
async fn idle_limit(service: SocketAddr, limit: Duration, resets: bool) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(service).await.unwrap();
                let (mut up, mut down) = ([0; 4096], [0; 4096]);
                loop {
                    let passed = tokio::select! {
                        read = client.read(&mut up) => pass(read, &up, &mut server).await,
                        read = server.read(&mut down) => pass(read, &down, &mut client).await,
                        () = tokio::time::sleep(limit) => false,
                    };
                    if !passed {
                        break;
                    }
                }
                if resets {
                    client.set_zero_linger().unwrap();
                }
            });
        }
    });
    address
}

/// Passes on the bytes that were read. `false` means that the connection has ended.
async fn pass(read: std::io::Result<usize>, bytes: &[u8], to: &mut TcpStream) -> bool {
    match read {
        Ok(0) | Err(_) => false,
        Ok(size) => to.write_all(&bytes[..size]).await.is_ok(),
    }
}

#[tokio::test]
async fn behind_an_envoy_and_an_nginx_whose_time_is_shorter_than_a_long_poll_the_policy_stays_fresh() {
    let front = Front::start("proxies-real-service", Options::default()).await;
    let service = front.policy().address();
    let timeout = format!("{}s", CUT_AFTER.as_secs_f64());
    let envoy =
        front::envoy("proxies-envoy", service, &["*"], json!({"prefix": "/"}), json!({"timeout": timeout})).await;
    let nginx =
        Nginx::start("proxies-nginx", service, &format!("proxy_read_timeout {}ms;", CUT_AFTER.as_millis())).await;
    LocalSet::new()
        .run_until(async {
            let gateways = vec![
                Gateway::start("behind-envoy", options(envoy.gateway()), &front.keys, CUT_AFTER).await,
                Gateway::start("behind-nginx", options(nginx.address), &front.keys, CUT_AFTER).await,
            ];
            watch(gateways, front.policy(), &front.keys).await;
        })
        .await;
    // The proxies ended answers in the same ways as the test proxy of the other tests.
    assert!(envoy.stat("cluster.policy.upstream_rq_timeout").await.unwrap() > 0, "Envoy ended no answer");
    front.stack.stop().await;
}
