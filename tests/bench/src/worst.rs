//! The policy and the request that cost keygate the most, each as large as it may be: what an owner of one API and one key
//! can do to a worker.
//!
//! A host below 32 others that have prefixes of 64 segments, none of which is the path's; as many operations as fit, of
//! which only the last one is the request's; 1,000 permitted referers, of which only the last one fits. Each of the others
//! fits nearly. The records of key and application are as long as they may be, and such a key is read with each request. The
//! head has some 8 KiB.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::listeners::PROBE_HOST;

/// Where its policy is.
pub const PATH: &str = "/worst/policy";
/// Its key, as its client sends it.
const KEY: &str = "bench-key-worst";
/// A segment of a path.
const SEGMENT: &str = "/segment-000000";
/// Segments of a prefix and of a template, labels of a host, entries of a list, patterns that are searched for and methods
/// of an operation: as many as the filter takes.
const SEGMENTS: usize = 64;
const LABELS: usize = 32;
const ENTRIES: usize = 1_000;
const SEARCHED: usize = 6;
const METHODS: usize = 64;
/// Segments and methods of all operations.
const PARTS: usize = 12_000;

/// Subscriptions of its application: 13 bytes each, one of them for nothing, up to 512 KiB.
const SUBSCRIPTIONS: usize = 40_000;

/// Its policy, of one page.
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

/// As many subscriptions as an application's record has room for, short ones. The one that is asked for comes last.
fn subscriptions() -> Vec<Value> {
    let mut rows: Vec<Value> =
        (0..SUBSCRIPTIONS).map(|number| json!({"application": "app-0000000", "api": format!("{number:08}")})).collect();
    rows.push(json!({"application": "app-0000000", "api": "worst", "plan": "worst"}));
    rows
}

/// An API of the hosts below so many labels, with a prefix that only its last byte tells from the path.
fn host_row(labels: usize) -> Value {
    let path = SEGMENT.repeat(SEGMENTS - 1) + "/segment-00000x";
    json!({"id": format!("host-{labels}"), "match": [{"hosts": [format!("*{}", ".a".repeat(labels))], "path": path}]})
}

/// Templates that fit the path, for methods that are not the request's; the last one is for any.
fn operations() -> Vec<Value> {
    let methods: Vec<_> =
        (0..METHODS).map(|number| format!("{}{}E", char::from(b'A' + (number % 26) as u8), number / 26)).collect();
    let path = SEGMENT.repeat(SEGMENTS - 1);
    let nearly = json!({"methods": methods, "path": path});
    let mut operations = vec![nearly; PARTS / (METHODS + SEGMENTS - 1)];
    operations.push(json!({"path": "/**"}));
    operations
}

/// The path of a referer: pieces nearly stand in it at each of its bytes.
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

/// The bytes of its request: to the host that is asked for what the filter made of it, or to the one that costs most.
pub fn request(host: &str) -> Vec<u8> {
    let path = SEGMENT.repeat(SEGMENTS);
    let query = "a=1&".repeat(660);
    let host = if host == PROBE_HOST { host.to_owned() } else { format!("h{}", ".a".repeat(LABELS)) };
    let referer = format!("https://r.test{}", referer_path());
    format!("GET {path}?{query} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {KEY}\r\nreferer: {referer}\r\n\r\n")
        .into_bytes()
}
