//! Requests that no honest client sends: each is refused, and no VM dies.

use std::{net::SocketAddr, time::Duration};

use keygate_e2e::{
    Options,
    deadline::eventually,
    http::Ask,
    story::{self, Expected, ORDERS},
    workers::Workers,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Sends `request` as these bytes, and reads the status and the whole head of the answer.
async fn raw(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    let read = async {
        // Reads only the head, because Envoy keeps a refused connection open for a second.
        while !head.ends_with(b"\r\n\r\n") && stream.read_until(b'\n', &mut head).await.unwrap() > 0 {}
    };
    tokio::time::timeout(SEEN_WITHIN, read).await.expect("an answer in time");
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {head:?}")), head)
}

/// A request head with these bytes between the host and the end.
fn head(target: &[u8], headers: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n", headers, b"\r\n"].concat()
}

#[tokio::test]
async fn hostile_requests_are_refused_and_no_vm_dies() {
    let (stack, keys) = story::stage("bad-requests", Options::default()).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let allowed = Ask::get(ORDERS).key(&keys.production);
    let reaches = Expected::Reaches("production");
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&allowed, reaches).await).await.unwrap();
    let before = envoy.vms().await.unwrap();

    let orders = ORDERS.as_bytes();
    let long = [b"x-api-key: ".as_slice(), &[b'k'; 8 * 1024], b"\r\n"].concat();
    let good = format!("x-api-key: {}\r\n", keys.production);
    let cases: &[(&str, Vec<u8>, &[u16])] = &[
        ("a key that is not UTF-8", head(orders, b"x-api-key: \xff\xfe\x80\r\n"), &[401]),
        ("a key of 8 KiB", head(orders, &long), &[401]),
        ("another header that is not UTF-8", head(orders, b"x-other: \xc3\x28\xff\r\n"), &[401]),
        (
            "a forged identity that is not UTF-8",
            head(orders, b"x-application-id: \xff\r\nx-key-type: \xff\r\n"),
            &[401],
        ),
        ("a cookie that is not UTF-8", head(orders, b"cookie: a=\xff; api_key=\xfe\r\n"), &[401]),
        ("a query that is not UTF-8 when decoded", head(&[orders, b"?apikey=%ff%fe"].concat(), b""), &[401]),
        ("a broken escape in the query", head(&[orders, b"?apikey=%zz&%"].concat(), b""), &[401]),
        ("two different keys", head(orders, b"x-api-key: a\r\napikey: b\r\n"), &[401]),
        ("an escaped slash", head(b"/orders/1.0%2flist", good.as_bytes()), &[400]),
        ("a broken escape in the path", head(b"/orders/1.0/%zz", good.as_bytes()), &[400]),
        ("an escaped null", head(b"/orders/1.0/%00", good.as_bytes()), &[400]),
        ("an underscore header", head(orders, b"x_application_id: shop\r\n"), &[400]),
        ("a path of 32 KiB", head(&[b"/", [b'a'; 32 * 1024].as_slice()].concat(), b""), &[404]),
        ("50 headers of the same name", head(orders, &b"x-api-key: k\r\n".repeat(50)), &[401]),
    ];
    for (name, request, statuses) in cases {
        // Several times, so that both workers receive it.
        for _ in 0..8 {
            let (status, answer) = raw(envoy.gateway(), request).await;
            assert!(statuses.contains(&status), "{name}: {answer:?}");
        }
        workers.expect(&allowed, reaches).await.unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
    assert_eq!(envoy.vms().await.unwrap(), before, "a VM died:\n{}", envoy.log());
    stack.stop().await;
}
