//! Thousands of unauthenticated connections against the real program. The administrator and the gateways must still be
//! served.
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
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use support::{Service, TOKEN, passing::quickly, program::Program, send};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// A PING frame.
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// What a connection sends before it falls silent; the number selects one.
fn opening(number: usize) -> Vec<u8> {
    match number % 5 {
        0 => Vec::new(),
        1 => PREFACE[..12].to_vec(),
        2 => [PREFACE, SETTINGS].concat(),
        3 => [PREFACE, SETTINGS, PING].concat(),
        _ => b"GET /v1/policy HTTP/1.1\r\nhost: h\r\nx-slow: ".to_vec(),
    }
}

/// A wrong credential. From the eleventh on, each waits a second for its answer. It must not keep its place meanwhile.
fn guess(_: usize) -> Vec<u8> {
    b"GET /v1/apis HTTP/1.1\r\nhost: h\r\nauthorization: Bearer guess\r\n\r\n".to_vec()
}

/// What the connection with this number sends before it falls silent.
type Opening = fn(usize) -> Vec<u8>;

/// The addresses of the clients, all in the loopback network.
#[derive(Clone, Copy)]
enum From {
    OneAddress,
    /// Connections use this number of addresses in turn.
    Addresses(usize),
}

impl From {
    fn socket(self, number: usize) -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        if let Self::Addresses(count) = self {
            let last = u8::try_from(number % count + 2).unwrap();
            socket.bind(SocketAddr::from(([127, 0, 9, last], 0))).unwrap();
        }
        socket
    }
}

/// Opens `count` connections and keeps them. A connection that the service has closed stays open at this end.
async fn hold(address: SocketAddr, count: usize, from: From, opening: Opening) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let batch = (held.len()..count).take(50);
        let connecting = batch.map(|number| async move {
            let mut stream = from.socket(number).connect(address).await.expect("a place in the queue");
            // The service may have closed it already.
            let _ = stream.write_all(&opening(number)).await;
            stream
        });
        held.extend(connected(connecting).await);
        if held.len() % 1_000 == 0 {
            // Wait until the service has accepted them all. The test checks how many it holds, not how fast this
            // machine accepts.
            let request = support::client().get(format!("http://{address}/healthz")).send();
            assert_eq!(request.await.expect("an answer").status(), 200);
        }
    }
    held
}

/// Opens all connections at the same time.
async fn connected(futures: impl Iterator<Item = impl Future<Output = TcpStream> + Send + 'static>) -> Vec<TcpStream> {
    let tasks: Vec<_> = futures.map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

/// The number of descriptors that this process may use for connections.
fn room() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    usize::try_from(maximum.unwrap_or(1 << 20)).unwrap().saturating_sub(300)
}

/// Blocks or unblocks on a new connection, which must find a place soon. How soon is measured by `make load`.
async fn block(program: &Program, action: &str) {
    let url = format!("{}/v1/subscriptions/s-1/{action}", program.url);
    let request = support::client().post(url).bearer_auth(TOKEN).timeout(Duration::from_secs(10));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
}

/// A gateway between two polls. Its connection is open and idle, for less than the service allows.
struct Resting(TcpStream, Instant);

/// How long it rests at most: a quarter of what the service allows.
const REST: Duration = Duration::from_secs(15);

impl Resting {
    async fn start(address: SocketAddr) -> Self {
        let mut gateway = Self(TcpStream::connect(address).await.unwrap(), Instant::now());
        gateway.ask().await;
        gateway
    }

    /// Sends a request on the same connection.
    async fn ask(&mut self) {
        let head = b"GET /v1/policy?since=0 HTTP/1.1\r\nhost: h\r\nauthorization: Basic Z3c6c2VjcmV0\r\n\r\n";
        self.0.write_all(head).await.unwrap();
        let mut answer = Vec::new();
        // The page is the end of the answer.
        while !answer.ends_with(b"}") {
            let count = self.0.read_buf(&mut answer).await.unwrap();
            assert!(count > 0, "the connection of a gateway was closed");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        self.1 = Instant::now();
    }

    /// Sends a request if it has rested for long, on a busy machine.
    async fn go_on(&mut self) {
        if self.1.elapsed() > REST {
            self.ask().await;
        }
    }
}

/// Number of gateways that hold a poll meanwhile.
const POLLS: usize = 50;

/// Holds connections while the administrator blocks and unblocks, gateways hold polls, and one gateway starts.
async fn management_and_gateways_find_a_place(program: Program, count: usize, from: From, opening: Opening) {
    program.seed().await;
    let address: SocketAddr = program.url.trim_start_matches("http://").parse().unwrap();
    let revision = program.policy("/v1/policy").await["revision"].clone();
    let feed = format!("{}/v1/policy?since={revision}", program.url);
    let mut polls = Vec::new();
    for _ in 0..POLLS {
        let (client, feed) = (support::client(), feed.clone());
        let ask = move |wait: u32| {
            let request = client.get(&feed).basic_auth("gw", Some("secret"));
            request.header("prefer", format!("wait={wait}")).send()
        };
        // This request proves the gateway's connection.
        assert_eq!(ask(0).await.unwrap().status(), 304);
        polls.push(tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                let answer = ask(50).await;
                // On a busy machine the connections take longer than a poll.
                let is_over = begun.elapsed() >= Duration::from_secs(49);
                if !(is_over && answer.as_ref().is_ok_and(|answer| answer.status() == 304)) {
                    return answer;
                }
            }
        }));
    }
    let mut resting = Resting::start(address).await;
    let mut flood = tokio::spawn(hold(address, count, from, opening));
    // While connections arrive, unblocks change nothing, so the polls stay held.
    let held = loop {
        tokio::select! {
            held = &mut flood => break held.unwrap(),
            () = time::sleep(Duration::from_millis(50)) => block(&program, "unblock").await,
        }
        resting.go_on().await;
    };
    assert_eq!(held.len(), count);
    for poll in &mut polls {
        // A poll is held as long as nothing is new.
        if poll.is_finished() {
            panic!("a poll ended: {:?}\n{}", poll.await.unwrap(), program.log());
        }
    }
    // The same while all connections are open.
    for _ in 0..20 {
        block(&program, "unblock").await;
        resting.go_on().await;
    }
    resting.ask().await;
    let page = support::client().get(format!("{}/v1/policy", program.url)).basic_auth("gw", Some("secret")).send();
    assert_eq!(page.await.expect("a gateway that starts gets its policy").status(), 200);
    block(&program, "block").await;
    for poll in polls {
        let answered = poll.await.unwrap().expect("an answer to the held poll");
        assert_eq!(answered.status(), 200);
        let page: Value = answered.json().await.unwrap();
        assert_eq!(page["subscriptions"][0]["state"], "BLOCKED");
    }
    let log = program.log();
    let lines = log.lines().filter(|line| line.contains("connection")).count();
    assert!((1..=5).contains(&lines), "{lines} lines of the log are about connections\n{log}");
    drop(held);
}

/// With the descriptors that the system allows, and with the 1,024 that are a usual default of shells.
#[tokio::test]
async fn connections_without_credentials_take_nobody_the_place() {
    let count = room().min(20_000);
    for (descriptors, count, from, opening) in [
        (None, count, From::OneAddress, opening as Opening),
        (None, count, From::Addresses(200), opening),
        (Some(1_024), 1_100, From::OneAddress, opening),
        (Some(1_024), 3_000, From::Addresses(200), opening),
        (Some(1_024), 1_100, From::OneAddress, guess),
    ] {
        let mut command = Program::command(&["serve"]);
        if let Some(descriptors) = descriptors {
            command.limit_descriptors(descriptors);
        }
        management_and_gateways_find_a_place(command.start(), count, from, opening).await;
    }
}

#[tokio::test]
async fn the_limit_on_descriptors_is_raised_to_what_it_may_be() {
    let mut command = Program::command(&["serve"]);
    command.limit_descriptors_softly(256, 1_000);
    let program = command.start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1000"), "{line}");
    assert!(program.log().contains("limit on file descriptors was raised"), "{}", program.log());
}

/// What a client does until its connection is closed, and the seconds within which the service must close it. The clock
/// runs a little ahead of a busy machine, so the last of them is half as much again as the limit.
struct Idler {
    name: &'static str,
    sends: &'static [u8],
    /// Sends a ping every ten seconds. No connection of this test lives for the 60 s after which the service itself
    /// sends one.
    pings: bool,
    ends: std::ops::RangeInclusive<u64>,
}

#[tokio::test]
async fn no_connection_outlives_its_limit() {
    const WHOLE: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n";
    const TRICKLED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\nGET /healthz HTTP/1.1\r\nx: ";
    for idler in [
        Idler { name: "silent", sends: b"", pings: false, ends: 29..=45 },
        Idler { name: "half a preface", sends: &PREFACE[..12], pings: false, ends: 29..=45 },
        Idler { name: "a preface", sends: PREFACE, pings: false, ends: 29..=45 },
        Idler { name: "half a head", sends: b"GET /healthz HTTP/1.1\r\nx: ", pings: false, ends: 29..=45 },
        Idler { name: "pings", sends: PREFACE, pings: true, ends: 29..=45 },
        Idler { name: "one request", sends: WHOLE, pings: false, ends: 29..=90 },
        Idler { name: "one request, and half a head", sends: TRICKLED, pings: false, ends: 29..=90 },
    ] {
        let service = Service::start().await;
        let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(idler.sends).await.unwrap();
        if idler.pings {
            stream.write_all(SETTINGS).await.unwrap();
        }
        // Ensures that the connection was accepted and its bytes were read before time passes.
        send(service.request(reqwest::Method::GET, "/healthz")).await.expect(200);
        let (mut from, mut to) = stream.into_split();
        let pinging = tokio::spawn(async move {
            while idler.pings && to.write_all(PING).await.is_ok() {
                time::sleep(Duration::from_secs(10)).await;
            }
            // The sending half must stay open.
            std::future::pending::<()>().await;
        });
        let mut sink = [0; 4096];
        let ended = async { while !matches!(from.read(&mut sink).await, Ok(0) | Err(_)) {} };
        let (ended, took) = quickly(time::timeout(Duration::from_secs(600), ended)).await;
        pinging.abort();
        assert!(ended.is_ok() && idler.ends.contains(&took.as_secs()), "{}: {took:?}", idler.name);
    }
}

#[tokio::test]
async fn told_to_stop_the_service_does_not_wait_for_those_who_never_asked() {
    let service = Service::start().await;
    let address = service.url.trim_start_matches("http://").parse().unwrap();
    let held = hold(address, 50, From::OneAddress, opening).await;
    // All connections were accepted, and their bytes were read.
    send(service.request(reqwest::Method::GET, "/healthz")).await.expect(200);
    time::sleep(Duration::from_millis(100)).await;
    service.stopping.cancel();
    time::timeout(Duration::from_secs(1), service.serving).await.expect("an end at once").unwrap();
    drop(held);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_its_connection() {
    // An HTTP/2 client that does not accept any byte of a body: SETTINGS_INITIAL_WINDOW_SIZE 0.
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0][..], &[0, 4, 0, 0, 0, 0]].concat();
    // HEADERS, END_STREAM and END_HEADERS, stream 1: GET http /openapi.json with an authority.
    let path = b"/openapi.json";
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend([0x41, 1, b'h']);
    let mut head = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    head.extend(block);
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(&[PREFACE, &settings, &head].concat()).await.unwrap();
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.unwrap();
    send(service.request(reqwest::Method::GET, "/healthz")).await.expect(200);
    let (mut from, mut to) = stream.into_split();
    let pinging = tokio::spawn(async move {
        while to.write_all(PING).await.is_ok() {
            time::sleep(Duration::from_secs(10)).await;
        }
        std::future::pending::<()>().await;
    });
    let mut sink = [0; 4096];
    let ended = async { while !matches!(from.read(&mut sink).await, Ok(0) | Err(_)) {} };
    let ((), took) = quickly(ended).await;
    pinging.abort();
    assert!((59..=90).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_gateway_on_http_2_goes_on_for_as_long_as_it_asks() {
    let service = Service::start().await;
    service.seed().await;
    let stream = TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let poll = || async {
        let request = axum::http::Request::get(format!("{}/v1/policy?since=4", service.url));
        let request =
            request.header("authorization", "Basic Z3c6c2VjcmV0").header("prefer", "wait=50").body(()).unwrap();
        let mut requests = requests.clone().ready().await.unwrap();
        requests.send_request(request, true).unwrap().0.await.expect("an answer").status().as_u16()
    };
    for _ in 0..3 {
        assert_eq!(quickly(poll()).await.0, 304);
    }
    let answer = service.post("/v1/plans", json!({"id": "p"})).await;
    answer.expect(201);
    assert_eq!(poll().await, 200);
}
