//! The service's own TLS with real clients: both listeners, both protocols, certificates that change under load, slow
//! handshakes, plain HTTP on a TLS port, and unusable pairs.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::support::{
    TOKEN,
    certificates::Root,
    passing::quickly,
    program::{Prepared, Program},
};
use policy_service::{
    metrics::Metrics,
    server::{
        self, Door,
        tls::{Files, Tls},
    },
};
use reqwest::{Version, tls};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_util::sync::CancellationToken;

const ARGUMENTS: [&str; 5] = ["serve", "--tls-cert", "tls.crt", "--tls-key", "tls.key"];

fn prepared(root: &Root) -> Prepared {
    let prepared = Program::command(&ARGUMENTS);
    root.write_pair(prepared.directory());
    prepared
}

/// The address of the feed's listener, from the log.
async fn feed_url(service: &Program) -> String {
    let line = service.logs("listening for gateways").await;
    let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    format!("{}://{address}", service.url.split("://").next().unwrap())
}

#[tokio::test]
async fn both_listeners_speak_tls_in_both_protocols_and_two_versions() {
    let root = Root::new();
    let service = prepared(&root).variable("POLICY_FEED_LISTEN", Some("127.0.0.1:0")).start();
    assert!(service.url.starts_with("https://"), "{}", service.url);
    let feed = feed_url(&service).await;
    for (client, version) in [
        (root.client(), Version::HTTP_2),
        (root.client().http1_only(), Version::HTTP_11),
        (root.client().max_tls_version(tls::Version::TLS_1_2), Version::HTTP_2),
    ] {
        let client = client.build().unwrap();
        let answer = client.get(format!("{}/v1/apis", service.url)).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let answer = client.get(format!("{feed}/v1/policy")).basic_auth("gw", Some("secret")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    let stranger = Root::new().client().build().unwrap();
    assert!(stranger.get(format!("{}/healthz", service.url)).send().await.is_err(), "another root vouches for nothing");
}

#[tokio::test]
async fn a_new_pair_is_used_without_a_failed_request_and_a_bad_one_changes_nothing() {
    let (first, second) = (Root::new(), Root::new());
    let service = prepared(&first).start();
    let url = format!("{}/v1/apis", service.url);
    let (failed, done, stop) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    // One client keeps its connection. The others open a new one for each request and trust both roots.
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let client = if number == 0 { first.client() } else { first.client().pool_max_idle_per_host(0) };
            let client = second.trusted_by(client).build().unwrap();
            let (url, failed, done, stop) = (url.clone(), failed.clone(), done.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match client.get(&url).bearer_auth(TOKEN).send().await {
                        Ok(answer) if answer.status() == 200 => done.fetch_add(1, Ordering::Relaxed),
                        other => {
                            eprintln!("{other:?}");
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            })
        })
        .collect();
    let accepts = async |root: &Root| {
        let client = root.client().build().unwrap();
        client.get(&url).bearer_auth(TOKEN).send().await.is_ok()
    };
    assert!(accepts(&first).await && !accepts(&second).await);

    let refusals = || service.log().matches("a new certificate is refused").count();
    // The key of another pair, then no key, then no file.
    fs::write(service.directory().join("tls.key"), second.pair().1).unwrap();
    service.logs("do not belong together").await;
    fs::write(service.directory().join("tls.key"), "").unwrap();
    service.logs("has no private key in PEM").await;
    fs::remove_file(service.directory().join("tls.key")).unwrap();
    service.logs("tls.key cannot be read").await;
    time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(refusals(), 3, "one line each: {}", service.log());
    assert!(accepts(&first).await && !accepts(&second).await, "the pair before is used on");

    second.write_pair(service.directory());
    service.logs("a new certificate is used").await;
    assert!(accepts(&second).await && !accepts(&first).await);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(done.load(Ordering::Relaxed) > 100, "{done:?} requests");
    assert_eq!(refusals(), 3);
}

#[tokio::test]
async fn the_metrics_say_when_the_first_certificate_of_the_chain_ends() {
    // The Unix times of the beginnings of these years.
    const YEARS: [(i32, &str); 3] = [(2040, "2208988800"), (2035, "2051222400"), (2030, "1893456000")];
    let root = Root::new();
    let service = prepared(&root).start();
    let client = root.client().build().unwrap();
    let ends = async |expected: &str| {
        let line = format!("policy_service_certificate_ends_at {expected}");
        let look = async || {
            let text = client.get(format!("{}/metrics", service.url)).send().await.unwrap().text().await.unwrap();
            if text.lines().any(|found| found == line) { Ok(()) } else { Err(text) }
        };
        testkit::deadline::eventually(line.clone(), Duration::from_secs(10), look).await.unwrap();
    };
    let write = |certificate: &str, key: &str| {
        fs::write(service.directory().join("tls.crt"), certificate).unwrap();
        fs::write(service.directory().join("tls.key"), key).unwrap();
    };
    let (certificate, key) = root.pair_until(YEARS[0].0);
    write(&certificate, &key);
    ends(YEARS[0].1).await;
    // A certificate that leads to the root ends earlier than the service's own.
    let (certificate, key) = root.pair_until(YEARS[1].0);
    let (above, _) = root.pair_until(YEARS[2].0);
    write(&format!("{certificate}{above}"), &key);
    ends(YEARS[2].1).await;
    // A pair that cannot be used changes nothing.
    write(&certificate, "");
    service.logs("has no private key in PEM").await;
    ends(YEARS[2].1).await;
}

#[test]
fn pairs_that_cannot_be_used_are_refused_at_the_start() {
    let root = Root::new();
    let ((certificate, key), (_, other_key)) = (root.pair(), root.pair());
    let large = "x".repeat(65_537);
    for (certificate, key, says) in [
        (
            Some(&certificate),
            Some(&other_key),
            "the certificate of tls.crt and the key of tls.key do not belong together",
        ),
        (None, Some(&key), "tls.crt cannot be read: No such file"),
        (Some(&certificate), None, "tls.key cannot be read: No such file"),
        (Some(&key), Some(&key), "tls.crt has no certificate in PEM"),
        (Some(&certificate), Some(&certificate), "tls.key has no private key in PEM"),
        (Some(&"garbage".to_owned()), Some(&key), "tls.crt has no certificate in PEM"),
        (Some(&large), Some(&key), "tls.crt has more than 65536 bytes"),
    ] {
        let program = Program::command(&ARGUMENTS);
        for (name, content) in [("tls.crt", certificate), ("tls.key", key)] {
            if let Some(content) = content {
                fs::write(program.directory().join(name), content).unwrap();
            }
        }
        let (success, said) = program.run();
        assert!(!success && said.contains("--tls-cert (POLICY_TLS_CERT)") && said.contains(says), "{says}: {said}");
    }
    for (given, missing) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let (success, said) = Program::command(&["serve", given, "file"]).run();
        assert!(!success && said.contains(missing), "{said}");
    }
}

#[tokio::test]
async fn plain_http_to_a_port_of_tls_is_told_so() {
    let root = Root::new();
    let service = prepared(&root).start();
    let address = service.url.trim_start_matches("https://");
    for sent in ["GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("this port speaks TLS"), "{sent}: {answer}");
        assert!(answer.contains("\r\nx-request-id: ") && answer.contains("\"request_id\":\""), "{answer}");
    }
    for sent in [&b"\x16\x03\x01\x00\x05hello"[..], &[0; 500], b"\x80\x2e\x01\x03\x01"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // The service closes the connection, with or without an alert.
        let _ = time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("its end");
        assert!(!answer.starts_with(b"HTTP"));
    }
    let client = root.client().build().unwrap();
    assert_eq!(client.get(format!("{}/healthz", service.url)).send().await.unwrap().status(), 200);
}

/// A handshake that stalls. It runs in this process, so that the test controls the time.
#[tokio::test]
async fn a_handshake_that_does_not_end_ends_its_connection_and_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new();
    root.write_pair(directory.path());
    let files = Files { certificate: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/healthz", axum::routing::get(|| async { "ok" }));
    let stopping = CancellationToken::new();
    let door = Door { listener, router, tls: Some(Tls::open(files).unwrap()) };
    let serving = tokio::spawn(server::serve_all(vec![door], Metrics::new().unwrap(), stopping.clone()));

    let mut held = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The first byte of a record, half of a record's head, or nothing.
        stream.write_all([&b"\x16"[..], b"\x16\x03\x01", b""][number % 3]).await.unwrap();
        held.push(stream);
    }
    let client = root.client().build().unwrap();
    for _ in 0..5 {
        let asked = time::timeout(Duration::from_secs(5), client.get(format!("https://{address}/healthz")).send());
        assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    }
    let silent = held.pop().unwrap();
    let (mut from, mut to) = silent.into_split();
    // The head of a record of 16 KiB and then one byte a second, which does not extend the time limit.
    tokio::spawn(async move {
        let mut next = &b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"[..];
        while to.write_all(next).await.is_ok() {
            next = b"\0";
            time::sleep(Duration::from_secs(1)).await;
        }
    });
    let (_, took) = quickly(from.read_to_end(&mut Vec::new())).await;
    // The clock runs ahead when the machine is busy, but the record would take hours.
    assert!((29..300).contains(&took.as_secs()), "{took:?}");
    drop(held);
    stopping.cancel();
    serving.await.unwrap();
}
