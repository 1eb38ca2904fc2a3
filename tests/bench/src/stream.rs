//! A steady stream of requests, so many a second whatever the answers take, and how long they took.
//!
//! A request's time counts from when it was due: one that waits behind a slow one is slow too.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Error, Result, figures,
    load::{self, Connection},
    population,
};

/// Connections, each with its part of the stream.
const CONNECTIONS: u32 = 4;
/// Requests a second. With Envoy's 25 µs for each, a worker is busy for a fortieth of the time.
const RATE: u32 = 1000;
/// Keys that take turns: all of them fit into what a VM remembers.
const KEYS: usize = 1000;

/// A stream that runs until it is ended.
pub struct Stream {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<f64>>>>,
}

/// How long requests took, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Requests.
    pub count: usize,
    /// Half were quicker.
    pub p50: f64,
    /// One in a hundred was slower.
    pub p99: f64,
    /// The slowest.
    pub highest: f64,
}

impl Stream {
    /// Starts one.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let ended = Arc::<AtomicBool>::default();
        let begun = Instant::now();
        let pause = Duration::from_secs(1) * CONNECTIONS / RATE;
        let threads = (0..CONNECTIONS)
            .map(|index| {
                let connection = Connection::open(address)?;
                let ended = Arc::clone(&ended);
                let begun = begun + pause * index / CONNECTIONS;
                Ok(thread::spawn(move || run(connection, begun, pause, &ended)))
            })
            .collect::<Result<_>>()?;
        Ok(Self { ended, threads })
    }

    /// Ends it. A request that was refused or not answered is an error.
    pub fn end(self) -> Result<Latency> {
        self.ended.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for thread in self.threads {
            let ended = thread.join().map_err(|_| Error::unexpected("the stream", "it to run", "a panic"))?;
            times.extend(ended?);
        }
        let quantile = |part| figures::quantile(&times, part);
        Ok(Latency { count: times.len(), p50: quantile(0.5), p99: quantile(0.99), highest: quantile(1.0) })
    }
}

fn run(mut connection: Connection, begun: Instant, pause: Duration, ended: &AtomicBool) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut due = begun;
    while !ended.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = times.len() % KEYS;
        connection.send(&load::request("api.example.com", &population::path(key), &population::key(key)))?;
        let status = connection.status()?;
        if status != 200 {
            return Err(Error::unexpected("a request of the stream", "200", status.to_string()));
        }
        times.push(due.elapsed().as_secs_f64() * 1e3);
        due += pause;
    }
    Ok(times)
}
