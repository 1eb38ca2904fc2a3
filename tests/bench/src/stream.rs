//! A steady stream of requests at a fixed rate, whatever the answers take, and its latencies.
//!
//! A request's time counts from when it was due. So a request that waits behind a slow one is slow too.

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

/// Connections. Each has its part of the stream.
const CONNECTIONS: u32 = 4;
/// Requests per second. Envoy needs 25 µs for each, so a worker is busy for a fortieth of the time.
const RATE: u32 = 1000;
/// Keys that take turns. All of them fit into a VM's cache.
const KEYS: usize = 1000;

/// A stream that runs until it is ended.
pub struct Stream {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<f64>>>>,
}

/// Latencies of requests, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Number of requests.
    pub count: usize,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Maximum.
    pub highest: f64,
}

impl Stream {
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

    /// Ends the stream. A request that was refused or not answered is an error.
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
