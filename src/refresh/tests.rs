//! Tests of the refresh against a feed in memory, for every answer of the feed and for a cut at every write.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use std::{cell::Cell, collections::BTreeMap, net::IpAddr, time::Duration};

use super::{Refresh, RefreshContext, RefreshEvent};
use crate::{
    callout::{
        Fetch,
        answer::{Answer, Failure},
        lines::{Lines, Severity},
    },
    config::{self, Config},
    decision::{self, Facts},
    digest::Digest,
    fingerprint::FingerprintKey,
    held::PolicyView,
    request::head::Head,
    shared::{
        Shared,
        key::{SharedEntry, SourceId},
        memory::Memory,
    },
};

mod between;
mod costly;
mod differing;
mod held;
mod laid_down;
mod never;
mod size;
mod stores;
mod unknown;

struct Nothing;

impl Facts for Nothing {
    fn now(&self) -> u64 {
        1_000
    }
    fn address(&self) -> Option<IpAddr> {
        None
    }
    fn route_metadata(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        None
    }
}

fn config(policy: &str) -> Config {
    let json = format!(r#"{{"policy": {{"cluster": "policy-service"{policy}}}}}"#);
    config::parse(json.as_bytes(), &|_| None).unwrap()
}

/// One VM with the policy that it holds and the lines that it logged.
struct Vm {
    config: Config,
    refresh: Refresh,
    held: PolicyView,
    lines: Vec<(Severity, String)>,
    events: Vec<RefreshEvent>,
    tokens: u32,
    /// The callout in progress.
    sent: Option<(u32, Fetch)>,
}

impl Vm {
    fn new(policy: &str) -> Self {
        let config = config(policy);
        Self {
            refresh: Refresh::new(config.policy.clone()),
            held: PolicyView::new(SourceId::new(Digest::of(b"source")), Some(FingerprintKey::new([7; 16]))),
            lines: Vec::new(),
            events: Vec::new(),
            tokens: 0,
            sent: None,
            config,
        }
    }

    fn ask(
        &mut self,
        memory: &Memory,
        now_ms: u64,
        ask: impl FnOnce(&mut Refresh, &mut RefreshContext<'_, Memory>) -> Option<Fetch>,
    ) {
        let mut report = Lines::default();
        let mut context = RefreshContext { now_ms, held: &mut self.held, shared: memory, report: &mut report };
        let mut wanted = ask(&mut self.refresh, &mut context);
        while let Some(fetch) = wanted {
            self.tokens += 1;
            self.refresh.sent(self.tokens);
            self.sent = Some((self.tokens, fetch));
            wanted = self.refresh.carry_on(&mut context);
        }
        self.lines.extend(report.lines);
        self.events.extend(report.events);
    }

    fn serve(&mut self, memory: &Memory, now_ms: u64) {
        self.refresh.serves_requests(memory, self.held.source(), now_ms);
    }

    fn tick(&mut self, memory: &Memory, now_ms: u64) {
        self.held.look(memory);
        self.ask(memory, now_ms, |refresh, context| refresh.tick(0, context));
    }

    fn answer(&mut self, memory: &Memory, now_ms: u64, answer: Answer) {
        let (token, _) = self.sent.take().expect("a callout is under way");
        self.ask(memory, now_ms, |refresh, context| refresh.answered(token, answer, context));
    }

    /// Ticks and answers until no callout is in progress. Returns the paths that were asked for.
    fn settle(&mut self, memory: &Memory, now_ms: u64, feed: &mut dyn FnMut(&Fetch) -> Answer) -> Vec<String> {
        let mut paths = Vec::new();
        for _ in 0..10_000 {
            if let Some((_, fetch)) = self.sent.clone() {
                paths.push(fetch.path.clone());
                let answer = feed(&fetch);
                self.answer(memory, now_ms, answer);
            } else if self.refresh.is_busy() {
                self.tick(memory, now_ms);
            } else {
                break;
            }
        }
        paths
    }

    /// The decision for a request to `/a` with this key.
    fn decide(&mut self, memory: &Memory, key: &str) -> String {
        self.held.look(memory);
        let head = Head::new(vec![(b":authority", b"h"), (b":path", b"/a"), (b"x-api-key", key.as_bytes())]);
        let view = self.held.lookup(memory);
        match decision::decide(&head, &self.config, view.as_ref(), &Nothing).verdict {
            Ok(_) => "allowed".to_owned(),
            Err(denial) => denial.reason().as_str().to_owned(),
        }
    }
}

fn json(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: Some(200), content_type: b"application/json".to_vec(), body: body.into(), ..Answer::default() }
}

fn status(status: u16) -> Answer {
    Answer { status: Some(status), ..Answer::default() }
}

const API: &str = r#""apis": [{"id": "a", "match": [{"path": "/a"}]}]"#;

fn key(name: &str) -> String {
    format!(r#"{{"sha256": "{}", "id": "k-{name}", "application": "app"}}"#, Digest::of(name.as_bytes()).to_hex())
}

/// A full policy in which these keys may call `/a`.
fn full(revision: u64, header: &str, keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|name| key(name)).collect();
    format!(
        r#"{{"format": 1, "revision": {revision}{header}, {API}, "applications": [{{"id": "app"}}],
            "subscriptions": [{{"application": "app", "api": "a"}}], "keys": [{}]}}"#,
        keys.join(",")
    )
}

/// A VM that holds a first policy: revision 5, key `good`, polled at `/poll`.
fn holding(memory: &Memory, policy: &str) -> Vm {
    let mut vm = Vm::new(policy);
    vm.tick(memory, 1_000);
    vm.settle(memory, 1_000, &mut |_| json(full(5, r#", "poll": "/poll""#, &["good"])));
    assert_eq!(vm.decide(memory, "good"), "allowed");
    vm.lines.clear();
    vm.events.clear();
    vm
}

/// The same on a thread that serves requests. No other VM would refresh.
fn serving(memory: &Memory, policy: &str) -> Vm {
    let mut vm = holding(memory, policy);
    vm.serve(memory, 1_000);
    assert!(!vm.refresh.is_leader(), "it offers the lease to others");
    vm.tick(memory, 2_000);
    assert!(vm.refresh.is_leader(), "which nobody wants");
    vm
}

#[test]
fn the_first_policy_decides_at_once() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    assert_eq!(vm.decide(&memory, "good"), "policy_unavailable");
    vm.tick(&memory, 1_000);
    let paths = vm.settle(&memory, 1_000, &mut |_| json(full(5, "", &["good"])));
    assert_eq!(paths, ["/v1/policy"]);
    assert_eq!(vm.decide(&memory, "good"), "allowed");
    assert_eq!(vm.decide(&memory, "bad"), "key_unknown");
    assert!(vm.events.contains(&RefreshEvent::Applied));
    let mut other = Vm::new("");
    assert_eq!(other.decide(&memory, "good"), "allowed", "every VM of the process");
}

/// A VM caches a key by the place of its API in the catalogue.
#[test]
fn a_key_cached_for_an_api_is_not_found_for_the_api_that_takes_its_place() {
    let policy = |revision: u64, [first, second]: [&str; 2]| {
        format!(
            r#"{{"format": 1, "revision": {revision},
                "apis": [{{"id": "{first}", "match": [{{"path": "/a"}}]}}, {{"id": "{second}", "match": [{{"path": "/b"}}]}}],
                "applications": [{{"id": "app"}}], "subscriptions": [{{"application": "app", "api": "x"}}], "keys": [{}]}}"#,
            key("good")
        )
    };
    let memory = Memory::default();
    let mut vm = Vm::new("");
    for (revision, apis, expected) in
        [(1, ["x", "y"], "allowed"), (2, ["y", "x"], "subscription_missing"), (3, ["x", "y"], "allowed")]
    {
        let now_ms = 6_000 * revision;
        vm.tick(&memory, now_ms);
        vm.settle(&memory, now_ms, &mut |_| json(policy(revision, apis)));
        let decided = [(); 4].map(|()| vm.decide(&memory, "good"));
        assert_eq!(decided, [expected; 4], "{apis:?}, remembered or not");
    }
}

#[test]
fn after_any_bad_answer_the_current_policy_stays_and_one_line_says_why() {
    type Case = (&'static str, Answer, &'static str);
    let page = |body: &str| json(body);
    let truncated = full(6, "", &["good"]);
    let cases: Vec<Case> = vec![
        ("reset", Answer::default(), "reset"),
        ("401", status(401), "`policy.credentials.client_secret`"),
        ("403", status(403), "`policy.credentials.client_secret`"),
        ("500", status(500), "status 500"),
        ("302", status(302), "status 302"),
        ("204", status(204), "status 204"),
        ("429", status(429), "status 429"),
        ("503 of the service's own", status(503), "status 503"),
        ("refused connection", Answer { body: b"upstream connect error or x".to_vec(), ..status(503) }, "connect"),
        ("time-out", Answer { body: b"upstream request timeout".to_vec(), ..status(504) }, "`policy.timeout_ms`"),
        ("html", Answer { content_type: b"text/html".to_vec(), body: b"<p>".to_vec(), ..status(200) }, "content type"),
        ("html as json", page("<html>"), "is not JSON (line 1 column 1)"),
        ("empty", page(""), "empty"),
        ("truncated", page(&truncated[..truncated.len() - 9]), "ends too early"),
        ("byte order mark", page("\u{feff}{}"), "byte order mark"),
        ("UTF-16", json(b"\xff\xfe{\0}\0".to_vec()), "byte order mark"),
        ("gzip unsaid", json(b"\x1f\x8b\x08".to_vec()), "gzip"),
        (
            "gzip",
            Answer { content_encoding: b"GZIP".to_vec(), ..json(b"\x1f\x8b".to_vec()) },
            "`content-encoding: gzip`",
        ),
        ("brotli", Answer { content_encoding: b"br".to_vec(), ..page("{}") }, "`content-encoding: br`"),
        (
            "odd encoding",
            Answer { content_encoding: b"hunter2".to_vec(), ..page("{}") },
            "`content-encoding: another one`",
        ),
        (
            "another Envoy's 504",
            Answer { body: b"upstream request timeout".to_vec(), has_date: true, ..status(504) },
            "status 504",
        ),
        (
            "another Envoy's 503",
            Answer { body: b"no healthy upstream".to_vec(), has_date: true, ..status(503) },
            "status 503",
        ),
        ("400", status(400), "`policy.authority`"),
        ("not UTF-8", json(b"{\"format\":1,\"epoch\":\"\xff\"}".to_vec()), "UTF-8"),
        ("format 2", page(r#"{"format":2}"#), "`format` is 2"),
        ("no format", page("{}"), "missing field `format`"),
        ("a list", page("[]"), "expected a JSON object"),
        ("a list of its fields", page("[1,null,6]"), "expected a JSON object"),
        ("bad epoch", page(r#"{"format":1,"epoch":5}"#), "expected a string"),
        ("field twice", page(r#"{"format":1,"format":1}"#), "duplicate field"),
        ("revision 2^53", page(r#"{"format":1,"revision":9007199254740992}"#), "`revision`"),
        ("rollback", page(&full(4, "", &["good"])), "below the current one"),
        ("next elsewhere", page(&full(6, r#", "next": "//evil/x""#, &[])), "`next`"),
        ("next absolute", page(&full(6, r#", "next": "http://evil/x""#, &[])), "`next`"),
        ("poll elsewhere", page(&full(6, r#", "poll": "x""#, &[])), "`poll`"),
        ("bad api", page(r#"{"format":1,"revision":6,"apis":[{"id":""}]}"#), "could allow too much"),
        (
            "bad deny policy",
            page(r#"{"format":1,"revision":6,"deny_policies":[{"id":"d","type":"X","value":"1"}]}"#),
            "IP",
        ),
        (
            "bad plan",
            page(r#"{"format":1,"revision":6,"plans":[{"id":"p","limits":[{"requests":1,"per":"x"}]}]}"#),
            "month",
        ),
        ("bad removal", page(r#"{"format":1,"base":5,"revision":6,"removed":{"keys":["x"]}}"#), "removed.keys"),
    ];
    for (name, answer, expected) in cases {
        let memory = Memory::default();
        let mut vm = holding(&memory, r#", "long_poll_ms": 0"#);
        vm.tick(&memory, 6_000);
        let mut answer = Some(answer);
        vm.settle(&memory, 6_000, &mut |_| answer.take().unwrap_or(status(500)));
        assert_eq!(vm.decide(&memory, "good"), "allowed", "{name}");
        assert_eq!(vm.decide(&memory, "bad"), "key_unknown", "{name}");
        let warnings: Vec<_> = vm.lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
        for part in [expected, "policy-service", "/poll", "stays in use"] {
            assert!(warnings[0].contains(part), "{name}: {part} in {}", warnings[0]);
        }
        let failed = vm.events.iter().any(|event| matches!(event, RefreshEvent::Failed | RefreshEvent::Refused));
        assert!(failed, "{name}: {:?}", vm.events);
    }
}

#[test]
fn a_lasting_failure_is_logged_once_and_the_pauses_grow() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    let mut tries = Vec::new();
    for now_ms in (6_000..120_000).step_by(100) {
        vm.tick(&memory, now_ms);
        if vm.sent.is_some() {
            tries.push(now_ms / 1_000);
            vm.answer(&memory, now_ms, status(501));
        }
    }
    assert_eq!(tries, [6, 11, 21, 41, 71, 101]);
    assert_eq!(vm.lines.len(), 1);
    vm.tick(&memory, 131_000);
    vm.answer(&memory, 131_000, status(304));
    assert!(vm.lines[1].1.contains("after 6 failures"), "{:?}", vm.lines);
}

#[test]
fn a_feed_without_a_first_page_is_logged_with_its_status() {
    for code in [404, 410] {
        let memory = Memory::default();
        let mut vm = Vm::new("");
        vm.tick(&memory, 1_000);
        let paths = vm.settle(&memory, 1_000, &mut |_| status(code));
        assert_eq!(paths, ["/v1/policy"], "asked once");
        assert!(vm.lines[0].1.contains(&format!("has status {code}")), "{:?}", vm.lines);
        assert!(vm.events.contains(&RefreshEvent::Failed));
    }
}

#[test]
fn alternating_failures_are_each_logged_once() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    let codes = [500, 401, 502];
    for (number, now_ms) in (6_000..2_000_000).step_by(30_000).enumerate() {
        vm.tick(&memory, now_ms);
        vm.answer(&memory, now_ms, status(codes[number % 3]));
    }
    assert_eq!(vm.lines.len(), 3, "{:?}", vm.lines);
    vm.tick(&memory, 2_100_000);
    vm.answer(&memory, 2_100_000, status(304));
    vm.tick(&memory, 2_200_000);
    vm.answer(&memory, 2_200_000, status(500));
    assert_eq!(vm.lines.len(), 5, "that it is well again, and that it is not: {:?}", vm.lines);
}

#[test]
fn a_fault_in_every_refresh_is_logged_once_an_hour_and_counted_each_time() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    let bad = full(5, r#", "next": "/2""#, &["good"]).replace("\"keys\": [", "\"keys\": [{\"sha256\": \"x\"},");
    let last = r#"{"format": 1, "revision": 5, "apis": [{"id": "b", "match": [{"path": "/a"}]}]}"#;
    let mut refreshes = 0;
    for now_ms in (1_000..1_800_000).step_by(100) {
        vm.tick(&memory, now_ms);
        let answer = |fetch: &Fetch| json(if fetch.path == "/2" { last.to_owned() } else { bad.clone() });
        refreshes += vm.settle(&memory, now_ms, &mut |fetch| answer(fetch)).len() / 2;
    }
    let rejected = vm.events.iter().filter(|event| matches!(event, RefreshEvent::RowsRejected(1))).count();
    assert!(refreshes > 300 && rejected == refreshes, "{rejected} in {refreshes}");
    let lines: Vec<_> = vm.lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines.len(), 3, "the row, the policy, the match: {lines:?}");
    for now_ms in (1_800_000..3_800_000).step_by(100) {
        vm.tick(&memory, now_ms);
        vm.settle(&memory, now_ms, &mut |fetch| json(if fetch.path == "/2" { last.to_owned() } else { bad.clone() }));
    }
    assert_eq!(vm.lines.len(), 6, "and again after an hour: {:?}", vm.lines);
}

#[test]
fn retry_after_is_honoured_up_to_five_minutes() {
    // The second of the next attempt. The failure was at second 6; without the header the next attempt is at second 11.
    let honoured = [
        ("20", 26),
        ("3600", 306),
        ("1", 7),
        ("Thu, 01 Jan 1970 00:00:40 GMT", 40),
        ("Thu, 01 Jan 1970 01:00:00 GMT", 306),
        // A time in the past means: soon.
        ("Thu, 01 Jan 1970 00:00:01 GMT", 7),
        ("0", 7),
        ("x", 11),
        ("-5", 11),
        ("99999999999999999999999", 11),
    ];
    let cases = [429, 503].into_iter().flat_map(|code| honoured.map(|(header, expected)| (code, header, expected)));
    for (code, header, expected) in cases.chain([(500, "20", 11), (401, "20", 11)]) {
        let memory = Memory::default();
        let mut vm = holding(&memory, r#", "long_poll_ms": 0"#);
        vm.tick(&memory, 6_000);
        vm.answer(&memory, 6_000, Answer { retry_after: header.as_bytes().to_vec(), ..status(code) });
        let next = (6_000..400_000).step_by(100).find(|&now_ms| {
            vm.tick(&memory, now_ms);
            vm.sent.is_some()
        });
        assert_eq!(next, Some(expected * 1_000), "{code} {header}");
    }
}

#[test]
fn a_callout_that_is_never_answered_or_never_sent_is_tried_again() {
    let memory = Memory::default();
    let mut vm = holding(&memory, r#", "long_poll_ms": 0"#);
    vm.tick(&memory, 6_000);
    vm.sent = None;
    for now_ms in (6_100..13_500).step_by(100) {
        vm.tick(&memory, now_ms);
    }
    assert!(vm.lines[0].1.contains("no answer came"), "{:?}", vm.lines);
    let (mut now_ms, mut sent) = (13_500, false);
    while !sent {
        now_ms += 100;
        vm.tick(&memory, now_ms);
        sent = vm.sent.is_some();
    }
    vm.sent = None;
    for (failure, words) in [(Failure::NoCluster, "`policy.cluster`"), (Failure::NotSent, "healthy host")] {
        vm.ask(&memory, now_ms, |refresh, context| {
            refresh.not_sent(failure, context);
            None
        });
        assert!(vm.lines.last().unwrap().1.contains(words), "{:?}", vm.lines);
        while vm.sent.take().is_none() {
            now_ms += 100;
            vm.tick(&memory, now_ms);
        }
    }
    assert_eq!(vm.decide(&memory, "good"), "allowed");
}

#[test]
fn a_delta_changes_what_it_names_and_nothing_else() {
    let blocked = r#""subscriptions": [{"application": "app", "api": "a", "state": "BLOCKED"}]"#;
    let removed_key = format!(r#""removed": {{"keys": ["{}"]}}"#, Digest::of(b"good").to_hex());
    let cases = [
        (blocked.to_owned(), "subscription_blocked"),
        (removed_key.clone(), "key_unknown"),
        (format!(r#"{removed_key}, "keys": [{}]"#, key("good")), "allowed"),
        (r#""removed": {"subscriptions": [{"application": "app", "api": "a"}]}"#.to_owned(), "subscription_missing"),
        (r#""removed": {"subscriptions": [{"application": "app", "api": "b"}]}"#.to_owned(), "allowed"),
        (r#""removed": {"applications": ["app"]}"#.to_owned(), "subscription_missing"),
        (r#""removed": {"apis": ["a"]}"#.to_owned(), "api_not_found"),
        (r#""applications": [{"id": "app", "state": "BLOCKED"}]"#.to_owned(), "application_blocked"),
        (r#""deny_policies": [{"id": "d", "type": "APPLICATION", "value": "app"}]"#.to_owned(), "denied_by_policy"),
        (r#""keys": [{"sha256": "x"}]"#.to_owned(), "allowed"),
    ];
    for (rows, expected) in cases {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 6_000);
        let page = format!(r#"{{"format": 1, "base": 5, "revision": 6, "poll": "/poll6", {rows}}}"#);
        vm.settle(&memory, 6_000, &mut |_| json(page.clone()));
        assert_eq!(vm.decide(&memory, "good"), expected, "{rows}");
        let manifest = vm.held.manifest().unwrap();
        assert_eq!((manifest.revision, manifest.poll.as_deref()), (Some(6), Some("/poll6")), "{rows}");
    }
}

#[test]
fn the_next_request_goes_where_the_delta_says_on_any_page_and_else_to_the_beginning() {
    let page = |header: &str| json(format!(r#"{{"format": 1, "base": 5, "revision": 6{header}}}"#));
    let removed = r#", "removed": {"keys": []}, "deny_policies": [{"id": "d", "type": "API", "value": "b"}]"#;
    for (first, last, expected) in [
        (r#", "next": "/2", "poll": "/p""#.to_owned(), r#", "poll": null"#.to_owned(), "/p"),
        (r#", "next": "/2", "poll": "/p""#.to_owned(), r#", "poll": "/q""#.to_owned(), "/q"),
        (r#", "next": "/2""#.to_owned(), r#", "poll": "/q""#.to_owned(), "/q"),
        (r#", "next": "/2""#.to_owned(), String::new(), "/v1/policy"),
        (format!(r#", "poll": "/p"{removed}"#), String::new(), "/p"),
        (removed.to_owned(), String::new(), "/v1/policy"),
    ] {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 6_000);
        vm.settle(&memory, 6_000, &mut |fetch| page(if fetch.path == "/2" { &last } else { &first }));
        vm.tick(&memory, 12_000);
        let (_, fetch) = vm.sent.clone().unwrap();
        assert_eq!(fetch.path, expected, "{first} {last}");
    }
}

#[test]
fn the_first_page_of_the_feed_may_be_a_delta_on_the_current_policy() {
    let blocked = r#""subscriptions": [{"application": "app", "api": "a", "state": "BLOCKED"}]"#;
    for (base, expected) in [(5, "subscription_blocked"), (4, "allowed")] {
        let memory = Memory::default();
        let mut vm = Vm::new("");
        vm.tick(&memory, 1_000);
        vm.settle(&memory, 1_000, &mut |_| json(full(5, "", &["good"])));
        vm.tick(&memory, 7_000);
        let (_, fetch) = vm.sent.clone().unwrap();
        assert_eq!((fetch.path.as_str(), fetch.wait), ("/v1/policy", Some(Duration::from_secs(25))));
        let delta = format!(r#"{{"format": 1, "base": {base}, "revision": 6, {blocked}}}"#);
        vm.settle(&memory, 7_000, &mut |_| json(delta.clone()));
        assert_eq!(vm.decide(&memory, "good"), expected, "base {base}");
    }
}

#[test]
fn a_delta_that_does_not_fit_and_a_cursor_that_is_gone_lead_to_the_full_policy() {
    let delta = |base: u64| format!(r#"{{"format": 1, "base": {base}, "revision": 9}}"#);
    let other_epoch = r#"{"format": 1, "epoch": "other", "base": 5, "revision": 9}"#.to_owned();
    for first in [json(delta(4)), json(delta(6)), json(other_epoch), status(404), status(410)] {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 6_000);
        let mut first = Some(first);
        let paths = vm.settle(&memory, 6_000, &mut |_| first.take().unwrap_or_else(|| json(full(9, "", &["new"]))));
        assert_eq!(paths, ["/poll", "/v1/policy"]);
        assert_eq!(vm.decide(&memory, "new"), "allowed");
        assert_eq!(vm.decide(&memory, "good"), "key_unknown");
    }
}

#[test]
fn pages_take_effect_together_or_not_at_all() {
    let page =
        |revision: u64, next: &str, keys: &[&str]| full(revision, &format!(r#", "epoch": "e", "next": {next}"#), keys);
    let good: BTreeMap<&str, String> = BTreeMap::from([
        ("/poll", page(6, r#""/2""#, &["one"])),
        ("/2", page(6, r#""/3""#, &["two"])),
        ("/3", page(6, "null", &["three"])),
    ]);
    type Variant = (&'static str, Option<(&'static str, String)>, bool);
    let variants: Vec<Variant> = vec![
        ("all", None, true),
        ("another revision in the middle", Some(("/2", page(7, r#""/3""#, &["two"]))), false),
        ("another epoch in the middle", Some(("/2", full(6, r#", "next": "/3""#, &["two"]))), false),
        ("a cycle", Some(("/3", page(6, r#""/2""#, &["three"]))), false),
        ("garbage at the end", Some(("/3", "{".to_owned())), false),
        ("a delta at the end", Some(("/3", page(6, r#"null, "base": 5"#, &["three"]))), false),
    ];
    for (name, changed, applied) in variants {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 6_000);
        let mut seen = Vec::new();
        vm.settle(&memory, 6_000, &mut |fetch| {
            let path = fetch.path.as_str();
            seen.push(path.to_owned());
            match &changed {
                Some((replaced, body)) if *replaced == path => json(body.clone()),
                _ => good.get(path).map_or(status(404), |body| json(body.clone())),
            }
        });
        for key in ["one", "two", "three"] {
            assert_eq!(vm.decide(&memory, key), if applied { "allowed" } else { "key_unknown" }, "{name}: {key}");
        }
        assert_eq!(vm.decide(&memory, "good"), if applied { "key_unknown" } else { "allowed" }, "{name}");
        assert!(seen.len() < 5, "{name}: {seen:?}");
    }
}

/// A page of a full policy with more rows than a slice of work holds on a thread that serves requests.
fn long_page(next: &str, first: usize) -> String {
    let rows: Vec<String> = (first..first + 3_000).map(|number| key(&format!("key-{number}"))).collect();
    format!(r#"{{"format": 1, "revision": 6, "next": {next}, "confirm_removal": true, "keys": [{}]}}"#, rows.join(","))
}

#[test]
fn the_next_page_is_asked_for_before_the_work_on_this_one() {
    let memory = Memory::default();
    let mut vm = serving(&memory, "");
    vm.tick(&memory, 6_000);
    vm.answer(&memory, 6_000, json(long_page(r#""/2""#, 0)));
    let (_, fetch) = vm.sent.clone().expect("the second page is asked for");
    assert_eq!(fetch.path, "/2");
    assert!(vm.refresh.is_busy(), "the first page is not in yet");
    vm.answer(&memory, 6_000, json(long_page("null", 3_000)));
    assert!(vm.sent.is_none(), "an answer that came early waits for its turn");
    assert_eq!(vm.settle(&memory, 6_000, &mut |_| status(500)), Vec::<String>::new(), "nothing is asked for twice");
    assert_eq!(vm.decide(&memory, "good"), "api_not_found", "the new policy, without APIs, decides: {:?}", vm.lines);
}

#[test]
fn a_page_requested_early_that_fails_or_was_never_sent_changes_nothing() {
    let memory = Memory::default();
    let mut vm = serving(&memory, "");
    vm.tick(&memory, 6_000);
    vm.answer(&memory, 6_000, json(long_page(r#""/2""#, 0)));
    vm.answer(&memory, 6_000, status(500));
    vm.settle(&memory, 6_000, &mut |_| status(500));
    assert_eq!(vm.decide(&memory, "good"), "allowed", "the policy held serves on");
    assert!(vm.lines[0].1.contains("status 500"), "{:?}", vm.lines);

    let memory = Memory::default();
    let mut vm = serving(&memory, "");
    vm.tick(&memory, 6_000);
    vm.answer(&memory, 6_000, json(long_page(r#""/2""#, 0)));
    let mut report = Lines::default();
    let mut context = RefreshContext { now_ms: 6_000, held: &mut vm.held, shared: &memory, report: &mut report };
    vm.refresh.not_sent(Failure::NotSent, &mut context);
    vm.sent = None;
    let asked = vm.settle(&memory, 6_000, &mut |_| json(long_page("null", 3_000)));
    assert_eq!(asked, ["/2"], "it is asked for again when it is its turn: {:?}", vm.lines);
}

#[test]
fn a_feed_that_never_ends_is_given_up() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 6_000);
    let number = Cell::new(0);
    for _ in 0..super::progress::MAX_PAGES + 2 {
        if vm.sent.is_none() {
            break;
        }
        number.set(number.get() + 1);
        let page = format!(r#"{{"format": 1, "revision": 6, "next": "/{}"}}"#, number.get());
        vm.answer(&memory, 6_000, json(page));
    }
    assert!(vm.sent.is_none() && vm.lines[0].1.contains("pages"), "{:?}", vm.lines);
    assert_eq!(vm.decide(&memory, "good"), "allowed");
}

#[test]
fn a_policy_that_drops_too_many_keys_must_confirm_it() {
    let names: Vec<String> = (0..200).map(|number| format!("key-{number}")).collect();
    let keys = |count: usize| names.iter().take(count).map(String::as_str).collect::<Vec<_>>();
    let others: Vec<String> = (0..200).map(|number| format!("other-{number}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    for (name, setting, header, next, applied) in [
        ("one tenth stays", "", "", keys(20), true),
        ("less than a tenth stays", "", "", keys(19), false),
        ("none stays", "", "", vec![], false),
        ("as many others", "", "", others.clone(), false),
        ("confirmed", "", r#", "confirm_removal": true"#, vec![], true),
        ("another epoch", "", r#", "epoch": "new""#, vec![], false),
        ("switched off", r#", "max_removed_percent": 100"#, "", vec![], true),
        ("stricter", r#", "max_removed_percent": 10"#, "", keys(179), false),
    ] {
        let memory = Memory::default();
        let mut vm = Vm::new(setting);
        vm.tick(&memory, 1_000);
        vm.settle(&memory, 1_000, &mut |_| json(full(5, "", &keys(200))));
        vm.tick(&memory, 6_000);
        vm.settle(&memory, 6_000, &mut |_| json(full(6, header, &next)));
        let revision = vm.held.manifest().unwrap().revision;
        assert_eq!(revision, Some(if applied { 6 } else { 5 }), "{name}");
        assert_eq!(vm.events.contains(&RefreshEvent::RefusedShrink), !applied, "{name}");
        let told = vm.refresh.parts.complaints.refused.map(|(_, why)| why);
        assert_eq!(told, (!applied).then_some("shrink"), "{name}");
    }
}

#[test]
fn one_bad_row_costs_only_itself() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    vm.tick(&memory, 1_000);
    let digest = Digest::of(b"listed").to_hex();
    let listed = format!(r#"["{digest}", "k", "app"]"#);
    let rows = [r#""x""#, "null", "{}", &listed, r#"{"sha256": "zz", "id": "k", "application": "app"}"#];
    let page = full(5, "", &["good"]).replace("\"keys\": [", &format!("\"keys\": [{},", rows.join(",")));
    vm.settle(&memory, 1_000, &mut |_| json(page.clone()));
    assert_eq!(vm.decide(&memory, "good"), "allowed");
    assert_eq!(vm.decide(&memory, "listed"), "key_unknown", "a row is an object");
    let rejected = vm.events.iter().filter(|event| matches!(event, RefreshEvent::RowsRejected(1))).count();
    assert_eq!(rejected, rows.len());
    assert!(vm.lines.iter().any(|(_, line)| line.contains("`keys`, row at byte")), "{:?}", vm.lines);
}

#[test]
fn a_long_poll_follows_at_once_only_when_the_service_waits() {
    let waited = |answer: Answer| Answer { preference_applied: b"wait".to_vec(), ..answer };
    for (name, answer, after_ms, at_once) in [
        ("held back", waited(status(304)), 25_000, true),
        ("not held back", status(304), 0, false),
        ("says so, but at once", waited(status(304)), 0, false),
        ("news at once", waited(json(r#"{"format":1,"base":5,"revision":6,"poll":"/poll"}"#)), 0, true),
    ] {
        let memory = Memory::default();
        let mut vm = holding(&memory, "");
        vm.tick(&memory, 6_000);
        let (_, fetch) = vm.sent.clone().unwrap();
        assert_eq!(fetch.wait, Some(Duration::from_secs(25)));
        assert_eq!(fetch.timeout, Duration::from_secs(30));
        let mut now_ms = 6_000;
        while now_ms < 6_000 + after_ms {
            now_ms += 1_000;
            vm.tick(&memory, now_ms);
        }
        vm.answer(&memory, now_ms, answer);
        vm.tick(&memory, now_ms + 100);
        assert_eq!(vm.sent.is_some(), at_once, "{name}");
    }
}

#[test]
fn the_first_poll_follows_a_full_policy_at_once_but_a_feed_that_starts_over_is_not_hammered() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    let mut polls = Vec::new();
    for now_ms in (1_000..16_000).step_by(100) {
        vm.tick(&memory, now_ms);
        let paths = vm.settle(&memory, now_ms, &mut |fetch| match fetch.path.as_str() {
            "/poll" => status(410),
            _ => json(full(5, r#", "poll": "/poll""#, &["good", "new"])),
        });
        polls.extend(paths.iter().filter(|path| *path == "/poll").map(|_| now_ms / 1_000));
    }
    assert_eq!(polls, [1, 6, 6, 11], "at once after the first, then twice in an interval at most");
}

#[test]
fn one_vm_fetches_and_another_takes_over_when_it_dies() {
    let memory = Memory::default();
    let mut first = holding(&memory, "");
    let mut second = Vm::new("");
    for now_ms in (1_000..4_000).step_by(100) {
        first.tick(&memory, now_ms);
        second.tick(&memory, now_ms);
        assert!(second.sent.is_none(), "{now_ms}");
    }
    let taken = (4_000..20_000).step_by(100).find(|&now_ms| {
        second.tick(&memory, now_ms);
        second.refresh.is_leader()
    });
    assert!(taken.is_some_and(|now_ms| now_ms <= 10_000), "{taken:?}");
    assert_eq!(second.decide(&memory, "good"), "allowed");
}

#[test]
fn a_vm_that_loses_the_lease_and_takes_it_again_with_one_answer_fetches_on() {
    let memory = Memory::default();
    let (mut first, mut second) = (Vm::new(""), Vm::new(""));
    first.tick(&memory, 1_000);
    assert!(first.sent.is_some() && first.refresh.is_leader());
    // The first VM is slow. The second takes the lead and gives it back.
    second.tick(&memory, 60_000);
    assert!(second.refresh.is_leader());
    second.refresh.resign(&memory, second.held.source(), 60_000);
    first.answer(&memory, 60_000, json(full(1, "", &["good"])));
    assert!(first.refresh.is_leader());
    let fetched = (60_100..70_000).step_by(100).any(|now_ms| {
        first.tick(&memory, now_ms);
        first.sent.is_some()
    });
    assert!(fetched, "it holds the lease, so nobody else fetches");
}

#[test]
fn a_vm_that_serves_gives_the_lease_to_one_that_does_not_and_takes_it_where_there_is_none() {
    for with_idle in [true, false] {
        let memory = Memory::default();
        let (mut serving, mut idle) = (holding(&memory, ""), Vm::new(""));
        serving.serve(&memory, 1_000);
        assert!(!serving.refresh.is_leader(), "at once");
        for now_ms in (1_100..5_000).step_by(100) {
            serving.tick(&memory, now_ms);
            if with_idle {
                idle.tick(&memory, now_ms);
            }
        }
        assert_eq!(idle.refresh.is_leader(), with_idle);
        assert_eq!(serving.refresh.is_leader(), !with_idle);
    }
}

#[test]
fn work_in_progress_is_finished_before_the_lease_is_offered() {
    let memory = Memory::default();
    let mut vm = Vm::new("");
    vm.tick(&memory, 1_000);
    vm.serve(&memory, 1_000);
    assert!(vm.refresh.is_leader(), "it waits for a policy");
    vm.answer(&memory, 1_000, json(long_page(r#""/2""#, 0)));
    vm.serve(&memory, 1_000);
    assert!(vm.refresh.is_leader() && vm.refresh.is_busy(), "it works on a page");
    vm.settle(&memory, 1_000, &mut |_| json(long_page("null", 3_000)));
    assert!(vm.refresh.is_leader());
    vm.tick(&memory, 1_100);
    assert!(!vm.refresh.is_leader(), "now others may have it");
}

#[test]
fn a_refresh_that_is_cut_anywhere_leaves_the_old_policy_or_the_new_one() {
    let names: Vec<String> = (0..300).map(|number| format!("key-{number}")).collect();
    let mut keys: Vec<&str> = names.iter().map(String::as_str).collect();
    keys.push("good");
    let page = full(6, "", &keys);
    for cut in 0.. {
        let memory = Memory::default();
        let mut vm = serving(&memory, "");
        let steps = Cell::new(0);
        let cutting = Cutting { memory: &memory, left: Cell::new(cut), steps: &steps };
        for now_ms in (3_000..9_000).step_by(10) {
            let mut report = Lines::default();
            vm.held.look(&memory);
            let mut context = RefreshContext { now_ms, held: &mut vm.held, shared: &cutting, report: &mut report };
            let sent = vm.refresh.tick(0, &mut context).is_some();
            if sent {
                vm.refresh.sent(77);
                vm.refresh.answered(77, json(page.clone()), &mut context);
            }
        }
        // The next VM finds a policy that decides, and can continue from it.
        let mut next = Vm::new("");
        assert_eq!(next.decide(&memory, "good"), "allowed", "cut after {cut} writes");
        assert_eq!(next.decide(&memory, "bad"), "key_unknown", "cut after {cut} writes");
        next.tick(&memory, 60_000);
        next.tick(&memory, 60_300);
        next.settle(&memory, 60_300, &mut |_| json(page.clone()));
        assert_eq!(next.decide(&memory, "key-7"), "allowed", "cut after {cut} writes");
        if steps.get() < cut {
            assert!(cut > 20, "the whole refresh was {cut} writes");
            return;
        }
    }
}

/// Shared data that fails every write after a number of writes, as for a VM that has died.
struct Cutting<'a> {
    memory: &'a Memory,
    left: Cell<usize>,
    steps: &'a Cell<usize>,
}

impl Shared for Cutting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<crate::shared::Versioned>, crate::shared::SharedError> {
        self.memory.get(key)
    }

    fn set(
        &self,
        key: &[u8],
        value: &[u8],
        expected: crate::shared::Expected,
    ) -> Result<(), crate::shared::SharedError> {
        self.steps.set(self.steps.get() + 1);
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                self.memory.set(key, value, expected)
            }
            None => Err(crate::shared::SharedError::Host),
        }
    }
}

#[test]
fn damaged_shared_data_never_allows_and_heals() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    for entry in memory.keys() {
        let value = memory.get(&entry).unwrap().unwrap().value;
        let damages = [Vec::new(), b"x".to_vec(), value[..value.len() / 2].to_vec(), [&value[..], b"\0"].concat()];
        for damage in damages {
            memory.overwrite(&entry, &damage);
            let mut fresh = Vm::new("");
            for vm in [&mut vm, &mut fresh] {
                assert_ne!(vm.decide(&memory, "bad"), "allowed", "{}", String::from_utf8_lossy(&entry));
            }
            memory.overwrite(&entry, &value);
        }
    }
    let manifest = vm.held.source().key(SharedEntry::Manifest);
    memory.overwrite(&manifest, b"garbage");
    assert_eq!(vm.decide(&memory, "good"), "allowed", "what it held is whole");
    assert_eq!(vm.decide(&memory, "bad"), "policy_unavailable", "a miss proves nothing now");
    vm.tick(&memory, 20_000);
    vm.tick(&memory, 20_100);
    let paths = vm.settle(&memory, 20_100, &mut |_| json(full(6, "", &["good"])));
    assert_eq!(paths, ["/v1/policy"]);
    assert_eq!(Vm::new("").decide(&memory, "good"), "allowed");
    assert_eq!(vm.decide(&memory, "bad"), "key_unknown");
}

#[test]
fn the_old_bank_is_emptied_and_the_set_of_keys_stays_finite() {
    let names: Vec<String> = (0..2_000).map(|number| format!("key-{number}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let memory = Memory::default();
    let mut vm = Vm::new("");
    let mut sizes = Vec::new();
    for revision in 1..8 {
        let now_ms = revision * 6_000;
        vm.tick(&memory, now_ms);
        vm.settle(&memory, now_ms, &mut |_| json(full(revision, "", &keys)));
        assert_eq!(vm.decide(&memory, "key-1999"), "allowed", "revision {revision}");
        sizes.push((memory.keys().len(), memory.bytes()));
    }
    assert_eq!(sizes[2..].iter().map(|(keys, _)| keys).max(), sizes[2..].iter().map(|(keys, _)| keys).min());
    let (first, last) = (sizes[0].1, sizes[6].1);
    assert!(last < first + 5_000, "{sizes:?}");
    assert!(first / 2_000 < 90, "{} bytes a key", first / 2_000);
}
