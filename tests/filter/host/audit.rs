//! The rules that hold after every scenario.

use std::collections::{BTreeSet, HashMap};

use keygate::reason::Reason;
use serde_json::Value;

use super::{
    callout::Answer,
    requests::{Phase, Stream},
    world::World,
};

/// Shorter values are not searched for, because they occur by chance.
const SHORTEST_SECRET: usize = 6;

/// Length of a digest in hexadecimal.
const DIGEST_LENGTH: usize = 64;

/// All violations, in words.
pub fn audit(world: &World) -> Vec<String> {
    let mut found = world.violations.clone();
    let secrets = Secrets::new(&world.secrets);
    logs(world, &secrets, &mut found);
    metrics(world, &mut found);
    shared_data(world, &secrets, &mut found);
    for stream in world.vms.iter().flat_map(|vm| vm.streams.values()) {
        exchange(&secrets, stream, &mut found);
    }
    found
}

/// The secrets, by their first bytes. So a search visits each byte once, however many secrets there are.
struct Secrets<'a>(HashMap<&'a [u8], Vec<&'a [u8]>>);

impl<'a> Secrets<'a> {
    fn new(secrets: &'a BTreeSet<Vec<u8>>) -> Self {
        let mut by_start = HashMap::<_, Vec<_>>::new();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            by_start.entry(&secret[..SHORTEST_SECRET]).or_default().push(secret.as_slice());
        }
        Self(by_start)
    }

    /// The first secret in these bytes.
    fn find(&self, bytes: &[u8]) -> Option<&'a [u8]> {
        bytes
            .windows(SHORTEST_SECRET)
            .enumerate()
            .find_map(|(at, start)| self.0.get(start)?.iter().find(|secret| bytes[at..].starts_with(secret)).copied())
    }
}

fn logs(world: &World, secrets: &Secrets<'_>, found: &mut Vec<String>) {
    for line in &world.log {
        let text = String::from_utf8_lossy(&line.message);
        if str::from_utf8(&line.message).is_err() {
            found.push(format!("a log line is not UTF-8: {text}"));
        }
        if text.chars().any(char::is_control) {
            found.push(format!("a log line holds control characters: {text:?}"));
        }
        leak(secrets, &line.message, "a log line", found);
    }
}

fn metrics(world: &World, found: &mut Vec<String>) {
    let known = metric_names();
    for name in world.metrics.names() {
        if !str::from_utf8(name).is_ok_and(|name| known.contains(name)) {
            found.push(format!("an unknown metric: {}", String::from_utf8_lossy(name)));
        }
    }
    for vm in &world.vms {
        for (name, times) in vm.metric_ids.definitions().into_iter().filter(|(_, times)| *times > vm.roots_made) {
            found.push(format!("{} is defined {times} times in one VM", String::from_utf8_lossy(name)));
        }
    }
}

/// The finite set of names in the documentation.
fn metric_names() -> BTreeSet<String> {
    let plain = [
        "allowed",
        "allowed_without_policy",
        "streams_closed",
        "refresh.applied",
        "refresh.not_modified",
        "refresh.failed",
        "refresh.refused",
        "refresh.duration_ms",
        "policy.rows_rejected",
        "policy.unknown_fields",
        "policy.refused_rollback",
        "policy.refused_shrink",
        "limits.restarted",
        "limits.not_counted",
        "usage.reported",
        "usage.failed",
        "usage.unattributed",
    ];
    // Gauges of a policy without a name, and of the policy that the tests call `edge`.
    let gauges = ["revision", "keys", "subscriptions", "applications", "apis", "bytes", "age_ms", "confirmed_at"];
    let gauges = gauges.iter().flat_map(|name| [format!("policy.{name}"), format!("policy.edge.{name}")]);
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let refusals = reasons.flat_map(|reason| [format!("denied.{reason}"), format!("would_deny.{reason}")]);
    plain.map(str::to_owned).into_iter().chain(gauges).chain(refusals).map(|name| format!("keygate.{name}")).collect()
}

fn shared_data(world: &World, secrets: &Secrets<'_>, found: &mut Vec<String>) {
    for (_, key, value) in world.shared.entries() {
        let name = String::from_utf8_lossy(key);
        if !key.starts_with(b"keygate/") {
            found.push(format!("a shared key without the prefix: {name}"));
        }
        leak(secrets, value, &format!("shared data {name}"), found);
    }
}

fn exchange(secrets: &Secrets<'_>, stream: &Stream, found: &mut Vec<String>) {
    for (name, value) in &stream.filter_state {
        leak(secrets, value, &format!("filter state {name}"), found);
        if !name.starts_with("wasm.keygate.") {
            found.push(format!("filter state {name} is not keygate's"));
        }
    }
    let reason = stream.filter_state.get("wasm.keygate.reason").map(Vec::as_slice);
    if stream.phase == Phase::Passed {
        if reason.is_none() {
            found.push(format!("a request passed without a reason: {:?}", stream.headers));
        }
        let control = |value: &[u8]| value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
        for (name, _) in stream.headers.iter().filter(|(_, value)| control(value)) {
            found.push(format!("control characters go upstream in {}", String::from_utf8_lossy(name)));
        }
    }
    let Some(reply) = &stream.reply else { return };
    leak(secrets, &reply.body, "a reply", found);
    leak(secrets, reply.details.as_bytes(), "response code details", found);
    reply.headers.iter().for_each(|(_, value)| leak(secrets, value, "a reply's header", found));
    if Some(reply.details.as_bytes()) != reason.map(|reason| [b"keygate_", reason].concat()).as_deref() {
        found.push(format!("details {} do not agree with the reason {reason:?}", reply.details));
    }
    if !reply.body.is_empty() && serde_json::from_slice::<Value>(&reply.body).is_err() {
        found.push(format!("a reply's body is not JSON: {reply}"));
    }
    let required = match reply.http_status {
        401 => Some("www-authenticate"),
        429 | 503 if reply.details != "keygate_api_blocked" => Some("retry-after"),
        _ => None,
    };
    if let Some(name) = required.filter(|name| reply.headers.first(name).is_none()) {
        found.push(format!("{reply} has no {name}"));
    }
}

/// Reports a secret or a digest in a place where none may be.
fn leak(secrets: &Secrets<'_>, bytes: &[u8], place: &str, found: &mut Vec<String>) {
    let text = || String::from_utf8_lossy(bytes);
    if let Some(secret) = secrets.find(bytes) {
        found.push(format!("{place} holds the secret {}: {}", String::from_utf8_lossy(secret), text()));
    }
    if bytes.windows(DIGEST_LENGTH).any(|window| window.iter().all(u8::is_ascii_hexdigit)) {
        found.push(format!("{place} holds a digest in hexadecimal: {}", text()));
    }
}

/// The secrets in a configuration.
pub fn secrets_of(configuration: &[u8]) -> Vec<Vec<u8>> {
    let Ok(configuration) = serde_json::from_slice::<Value>(configuration) else { return Vec::new() };
    let policy = &configuration["policy"];
    let headers = policy["headers"].as_object().into_iter().flat_map(|headers| headers.values());
    let credentials = [&policy["credentials"]["client_secret"]];
    let digests = ["deny_keys", "allow_keys"].map(|list| &configuration["emergency"][list]);
    let digests = digests.into_iter().filter_map(Value::as_array).flatten();
    let all = headers.chain(credentials).chain(digests).filter_map(Value::as_str);
    all.filter(|secret| secret.len() >= SHORTEST_SECRET).map(|secret| secret.as_bytes().to_vec()).collect()
}

/// The digests in a policy page.
pub fn digests_of(answer: &Answer) -> Vec<Vec<u8>> {
    let Answer::Response { body, .. } = answer else { return Vec::new() };
    let Ok(page) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let rows = page["keys"].as_array().into_iter().flatten();
    rows.filter_map(|row| Some(row["sha256"].as_str()?.as_bytes().to_vec())).collect()
}

#[test]
fn the_audit_finds_each_kind_of_violation() {
    use super::{
        requests::Request,
        status::LogLevel,
        world::{LogLine, VmState},
    };
    let log = |message: &[u8]| {
        let mut world = World::default();
        world.secrets.insert(b"hunter-2".to_vec());
        world.log.push(LogLine { level: LogLevel::Info, message: message.to_vec() });
        audit(&world).len()
    };
    assert_eq!(log(b"all is well"), 0);
    for leak in [&b"the key is hunter-2"[..], b"\xff", b"two\nlines", &[b'a'; 64]] {
        assert_eq!(log(leak), 1, "{}", String::from_utf8_lossy(leak));
    }
    let mut world = World::default();
    world.shared.set("", b"somebody/else", b"", 0).unwrap();
    assert_eq!(audit(&world).len(), 1);
    let mut world = World::default();
    let mut stream = Stream::new(1, Request::get("/"));
    stream.phase = Phase::Passed;
    world.vms.push(VmState { streams: [(2, stream)].into(), ..Default::default() });
    assert_eq!(audit(&world).len(), 1, "passed without a reason");
}
