//! Slow clients. Each is ended within its limit, with a clear answer, and does not delay others. In these tests time
//! passes quickly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use reqwest::Method;
use support::{Service, TOKEN, passing::quickly, send};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{self, Instant},
};

/// Sends `begun` at once and then one byte of `x` a second until the service answers or closes. Returns the answer and
/// the time.
async fn trickle(service: &Service, begun: &str) -> (String, Duration) {
    let stream = TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    to.write_all(begun.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let answered = async {
        // The answer is complete when its problem is. A connection may also close without an answer.
        while !answer.ends_with(b"}") {
            match from.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
            }
        }
    };
    let ((), took) = quickly(answered).await;
    sending.abort();
    (String::from_utf8(answer).unwrap(), took)
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_its_connection() {
    let service = Service::start().await;
    let (answer, took) = trickle(&service, "GET /v1/policy HTTP/1.1\r\nhost: h\r\nx-slow: ").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!((30..=90).contains(&took.as_secs()), "{took:?}");
    send(service.request(Method::GET, "/healthz")).await.expect(200);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_told_so_and_changes_nothing() {
    let service = Service::start().await;
    service.seed().await;
    let before = service.revision().await;
    let head = format!(
        "POST /v1/plans HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 1000\r\n\r\n{{\"id\":\""
    );
    let (answer, took) = trickle(&service, &head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("did not arrive within"), "{answer}");
    assert!((9..=20).contains(&took.as_secs()), "{took:?}");
    assert_eq!(service.revision().await, before);
}

#[tokio::test]
async fn nobody_waits_for_those_who_are_slow() {
    let service = Service::start().await;
    service.seed().await;
    let address = service.url.trim_start_matches("http://");
    let mut slow = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun = match number % 3 {
            0 => "GET /v1/pol".to_owned(),
            1 => format!(
                "POST /v1/plans HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n{{"
            ),
            _ => String::new(),
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    for _ in 0..10 {
        service.feed("/v1/policy").await.expect(200);
        service.get("/v1/apis").await.expect(200);
    }
    service.delete("/v1/subscriptions/s-1").await.expect(204);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
