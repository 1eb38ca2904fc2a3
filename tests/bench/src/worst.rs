//! The most expensive policy and request for keygate, each as large as allowed: the harm that an owner of one API and
//! one key can do to a worker.
//!
//! The host is below 32 other hosts that have prefixes of 64 segments, none of which is the path's. The plan has as
//! many operations as possible, and only the last one matches. The key has 1,000 permitted referers, and only the last
//! one matches. All others match nearly. The records of key and application are as long as possible, so the key is not
//! cached and is read with each request. The head has some 8 KiB.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::listeners::PROBE_HOST;

/// The path of its policy.
pub const PATH: &str = "/worst/policy";
/// Its key, as its client sends it.
const KEY: &str = "bench-key-worst";
/// A segment of a path.
const SEGMENT: &str = "/segment-000000";
/// The filter's limits for segments of a prefix and of a template, labels of a host, entries of a list, patterns that
/// need a search, and methods of an operation.
const SEGMENTS: usize = 64;
const LABELS: usize = 32;
const ENTRIES: usize = 1_000;
const SEARCHED: usize = 6;
const METHODS: usize = 64;
/// Segments and methods of all operations.
const PARTS: usize = 12_000;

/// Subscriptions of its application: 13 bytes each, all but one without use, up to 512 KiB.
const SUBSCRIPTIONS: usize = 40_000;

/// Its policy of one page.
pub fn page() -> Value {
    let digest: String = Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut apis: Vec<Value> = (1..=LABELS).map(host_row).collect();
    apis.push(json!({"id": "worst", "match": [{"path": SEGMENT}]}));
    json!({
        "format": 1,
        "epoch": "bench",
        "revision": 1,
        "apis": apis,
        "plans": [{"id": "worst", "operations": operations()}],
        "applications": [{"id": "app-0000000"}],
        "subscriptions": subscriptions(),
        "keys": [{"sha256": digest, "id": "k-worst", "application": "app-0000000", "permitted_referers": referers()}],
    })
}

/// As many subscriptions as an application's record can hold, all short. The requested one is the last.
fn subscriptions() -> Vec<Value> {
    let mut rows: Vec<Value> =
        (0..SUBSCRIPTIONS).map(|number| json!({"application": "app-0000000", "api": format!("{number:08}")})).collect();
    rows.push(json!({"application": "app-0000000", "api": "worst", "plan": "worst"}));
    rows
}

/// An API of the hosts below this many labels. Only the last byte of its prefix differs from the path.
fn host_row(labels: usize) -> Value {
    let path = SEGMENT.repeat(SEGMENTS - 1) + "/segment-00000x";
    json!({"id": format!("host-{labels}"), "match": [{"hosts": [format!("*{}", ".a".repeat(labels))], "path": path}]})
}

/// Templates that match the path, for methods other than the request's. The last one permits any method.
fn operations() -> Vec<Value> {
    let methods: Vec<_> =
        (0..METHODS).map(|number| format!("{}{}E", char::from(b'A' + (number % 26) as u8), number / 26)).collect();
    let path = SEGMENT.repeat(SEGMENTS - 1);
    let nearly = json!({"methods": methods, "path": path});
    let mut operations = vec![nearly; PARTS / (METHODS + SEGMENTS - 1)];
    operations.push(json!({"path": "/**"}));
    operations
}

/// The path of a referer. Pieces nearly match at each of its bytes.
fn referer_path() -> String {
    format!("/{}", "a".repeat(4_070))
}

fn referers() -> Vec<String> {
    let searched = format!("r.test/*{}b*", "a".repeat(490));
    let compared = format!("r.test/{}b*", "a".repeat(490));
    let mut patterns = vec![searched; SEARCHED];
    patterns.resize(ENTRIES - 1, compared);
    patterns.push("r.test/*".to_owned());
    patterns
}

/// The bytes of its request, either to the probe host or to the most expensive host.
pub fn request(host: &str) -> Vec<u8> {
    let path = SEGMENT.repeat(SEGMENTS);
    let query = "a=1&".repeat(660);
    let host = if host == PROBE_HOST { host.to_owned() } else { format!("h{}", ".a".repeat(LABELS)) };
    let referer = format!("https://r.test{}", referer_path());
    format!("GET {path}?{query} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {KEY}\r\nreferer: {referer}\r\n\r\n")
        .into_bytes()
}
