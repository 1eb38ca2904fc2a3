//! Logs wrong credentials, and delays them after some have come from one address.
//!
//! A valid credential is never delayed, even if others guess from the same address: behind a proxy all clients share
//! one. A request without a credential is not a guess. [`crate::auth`] decides whether a credential is valid.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use tokio::time::Instant;

use crate::{http::credential::Credential, metrics::Metrics};

/// Wrong credentials of one address in one [`WINDOW`] that are answered at once and logged one by one.
pub const FREE: u32 = 10;
/// The time over which wrong credentials are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The delay of each further one. With 10,000 connections that is 10,000 guesses a second, and a token of 16 characters
/// has more than 2^90 values.
const WAIT: Duration = Duration::from_secs(1);
/// Maximum number of addresses that are counted separately. At some 100 bytes each, 1 MB. Further addresses share one
/// count.
const MAX_ADDRESSES: usize = 10_000;

/// The address of the client's end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The count of one address in one window. The task that reports it at the end holds a copy, because another window may
/// have begun by then.
#[derive(Clone, Debug)]
struct Count {
    begun: Instant,
    wrong: Arc<AtomicU32>,
}

impl Count {
    fn from(begun: Instant) -> Self {
        Self { begun, wrong: Arc::default() }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= WINDOW
    }

    /// Counts one more and returns the new number.
    fn add(&self) -> u32 {
        self.wrong.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Number of wrong credentials that were not logged one by one.
    fn more(&self) -> u32 {
        self.wrong.load(Ordering::Relaxed).saturating_sub(FREE)
    }
}

/// The wrong credentials of the last minute, by address.
#[derive(Clone, Debug)]
pub struct Guesses {
    counts: Arc<Mutex<HashMap<IpAddr, Count>>>,
    metrics: Metrics,
}

/// What counts as one address: an IPv6 client has a whole /64, and an IPv4 address may be written as IPv6.
fn group(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
}

impl Guesses {
    /// No counts yet. Each wrong credential is counted in `metrics` as well.
    pub fn new(metrics: Metrics) -> Self {
        Self { counts: Arc::default(), metrics }
    }

    /// Counts a wrong credential. Returns the number in the address's window, including this one, and the window.
    fn count(&self, address: IpAddr, now: Instant) -> (u32, Count) {
        // No code panics while it holds the lock.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut address = group(address);
        if counts.len() >= MAX_ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, count| !count.is_over(now));
            if counts.len() >= MAX_ADDRESSES {
                address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            }
        }
        let count = counts.entry(address).or_insert_with(|| Count::from(now));
        if count.is_over(now) {
            *count = Count::from(now);
        }
        (count.add(), count.clone())
    }
}

/// Logs, at the end of a window, how many wrong credentials were not logged one by one.
async fn tell_later(address: IpAddr, window: Count) {
    if let Some(end) = window.begun.checked_add(WINDOW) {
        tokio::time::sleep_until(end).await;
    }
    tracing::warn!(%address, more = window.more(), "more credentials were refused within a minute");
}

/// Delays and logs wrong credentials.
pub async fn slow(State(guesses): State<Guesses>, request: Request, next: Next) -> Response {
    let has_credential = request.headers().contains_key(header::AUTHORIZATION);
    let address = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    // The path itself may have a key in it, where somebody took one for an id.
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().into());
    let method = request.method().clone();
    let response = next.run(request).await;
    let reason = match Credential::of(&response) {
        Some(Credential::Ended) => {
            tracing::info!(%address, %method, route, "a credential ended while a request with it was held");
            return response;
        }
        Some(Credential::Refused(reason)) => Some(reason),
        None if has_credential && response.status() == StatusCode::UNAUTHORIZED => None,
        None => return response,
    };
    guesses.metrics.count_refused();
    let (wrong, window) = guesses.count(address, Instant::now());
    if wrong <= FREE {
        tracing::warn!(%address, %method, route, reason = reason.as_deref(), "a credential was refused");
        return response;
    }
    if wrong == FREE.saturating_add(1) {
        tokio::spawn(tell_later(address, window));
    }
    tokio::time::sleep(WAIT).await;
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_apart_and_a_minute_long() {
        let (guesses, start) = (Guesses::new(Metrics::new().unwrap()), Instant::now());
        for (address, after, count) in [
            ("192.0.2.1", 0, 1),
            ("192.0.2.1", 59, 2),
            ("::ffff:192.0.2.1", 59, 3),
            ("192.0.2.2", 59, 1),
            ("192.0.2.1", 60, 1),
            ("2001:db8::1", 0, 1),
            ("2001:db8::ffff:1", 0, 2),
            ("2001:db8:0:1::1", 0, 1),
        ] {
            let (counted, _) = guesses.count(address.parse().unwrap(), start + Duration::from_secs(after));
            assert_eq!(counted, count, "{address} {after}");
        }
    }

    #[test]
    fn what_was_not_logged_one_by_one_is_told_of_its_own_window() {
        let (guesses, start) = (Guesses::new(Metrics::new().unwrap()), Instant::now());
        let address = "192.0.2.1".parse().unwrap();
        let windows: Vec<_> = (0..5_000).map(|_| guesses.count(address, start).1).collect();
        let eleventh = windows.get(10).unwrap();
        assert_eq!(eleventh.more(), 4_990);
        assert_eq!(guesses.count(address, start + WINDOW).0, 1, "another window");
        assert_eq!(eleventh.more(), 4_990);
    }

    #[test]
    fn the_map_does_not_grow_without_end() {
        let (guesses, start) = (Guesses::new(Metrics::new().unwrap()), Instant::now());
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(number));
        for number in 1..=u32::try_from(MAX_ADDRESSES).unwrap() + 5 {
            guesses.count(address(number), start);
        }
        assert!(guesses.counts.lock().unwrap().len() <= MAX_ADDRESSES + 1);
        assert_eq!(guesses.count(address(u32::MAX), start).0, 6, "those without room share one count");
        assert_eq!(guesses.count(address(u32::MAX), start + WINDOW).0, 1);
    }
}
