//! The head of a request and its credentials. A client writes them.
//!
//! An input that begins with a zero byte is a header map in the host's serialization. Any other input is text, one
//! header per line.

use std::{collections::BTreeSet, sync::LazyLock};

use keygate::{
    answer::{
        edit::Edit,
        outcome::{self, RequestEdits},
        reply::Prepared,
    },
    config::{self, Ambiguous, Config},
    credential::{self, Credential},
    decision::{self, Denial, Facts},
    digest::Digest,
    held::PolicyView,
    reason::Reason,
    request::{head::Head, path::RequestPath},
    shared::{key::SourceId, memory::Memory},
};
use serde_json::json;

use crate::{
    cases::{self, core::NOW},
    readings,
};

const FORGED: &[u8] = b"forged-by-the-client";

/// See the head of this file, and [`check_headers`].
pub fn check(bytes: &[u8]) {
    if let Some((0, rest)) = bytes.split_first() {
        if let Ok(head) = Head::parse(rest) {
            check_head(&head);
        }
        return;
    }
    let lines = bytes.split(|&byte| byte == b'\n');
    let header = |line: &[u8]| {
        let colon = line.iter().skip(1).position(|&byte| byte == b':')? + 1;
        Some((line[..colon].to_ascii_lowercase(), line[colon + 1..].to_vec()))
    };
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = lines.filter_map(header).collect();
    // The host sends each pseudo header once, before all others.
    headers.sort_by_key(|(name, _)| !name.starts_with(b":"));
    let mut pseudo = BTreeSet::new();
    headers.retain(|(name, _)| !name.starts_with(b":") || pseudo.insert(name.clone()));
    CONFIGS.iter().for_each(|config| check_headers(&headers, config));
}

static CONFIGS: LazyLock<[Config; 2]> = LazyLock::new(|| ["reject", "first"].map(config));

fn config(ambiguous: &str) -> Config {
    let json = json!({
        "policy": {"cluster": "c"},
        "credential_sources": [
            {"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"}, {"query": "a b"},
            {"header": "authorization", "scheme": "Bearer"}, {"header": "x-token", "scheme": "Token"},
            {"cookie": "api_key"}, {"basic": "password"}, {"basic": "username"}
        ],
        "ambiguous_credentials": ambiguous,
        "forward": {"owner": "x-owner", "plan": "x-plan"},
        "replies": {"format": "problem"},
    });
    config::parse(json.to_string().as_bytes(), &|_| None).unwrap()
}

type Headers = [(Vec<u8>, Vec<u8>)];

fn head(headers: &Headers) -> Head<'_> {
    Head::new(headers.iter().map(|(name, value)| (&**name, &**value)).collect())
}

/// Whatever the headers are: without a key of the policy nothing is allowed. In the request that goes on, no source has
/// a value, no forged identity is left, and all other headers are unchanged.
fn check_headers(headers: &Headers, config: &Config) {
    let before = head(headers);
    check_head(&before);
    let found = credential::find(&before, &config.credential_sources);
    let credential = found.resolve(config.ambiguous_credentials);
    if let Credential::Present(key) = credential {
        assert!(found.any_in(&[Digest::of(key)]));
    }
    if config.ambiguous_credentials == Ambiguous::Reject && credential == Credential::Absent {
        assert!(matches!(found.resolve(Ambiguous::First), Credential::Absent));
    }

    let memory = Memory::default();
    let held = PolicyView::new(SourceId::new(Digest::of(b"head")), None);
    let view = held.lookup(&memory);
    let decision = decision::decide(&before, config, view.as_ref(), &Nothing);
    assert_eq!(decision.verdict, Err(Denial::NoPolicy));
    let replies = Prepared::new(&config.replies, config.policy.refresh_interval);
    let outcome = outcome::follow(&before, config, &replies, &decision);
    assert!(outcome.reply.is_some());
    check_change(headers, config, &outcome.change, false);

    // A request that passes although there is no policy.
    let config = Config { on_policy_unavailable: config::OnPolicyUnavailable::Allow, ..config.clone() };
    let outcome = outcome::follow(&before, &config, &replies, &decision);
    assert!(outcome.reply.is_none());
    check_change(headers, &config, &outcome.change, true);

    let outcome = outcome::refuse(&before, &config, &replies, Reason::KeyUnknown);
    check_change(headers, &config, &outcome.change, false);
    let reply = outcome.reply.unwrap();
    assert!(!reply.headers.iter().any(|(_, value)| value.contains(char::is_control)), "a header that ends early");
}

fn check_change(headers: &Headers, config: &Config, change: &RequestEdits<'_>, passes: bool) {
    let after = changed(headers, config, change);
    let left = credential::find(&head(&after), &config.credential_sources);
    assert_eq!(left.resolve(Ambiguous::Reject), Credential::Absent, "a credential is left");
    let is_identity = |name: &[u8]| config.forward.headers.iter().any(|(_, header)| header.as_bytes() == name);
    assert!(!passes || !after.iter().any(|(name, _)| is_identity(name)), "a forged identity is left");
    let touched = |name: &[u8]| {
        is_identity(name)
            || matches!(name, b"x-api-key" | b"apikey" | b"authorization" | b"x-token" | b"cookie" | b":path")
    };
    let others = |headers: &Headers| -> Vec<(Vec<u8>, Vec<u8>)> {
        headers.iter().filter(|(name, _)| !touched(name)).cloned().collect()
    };
    assert_eq!(others(headers), others(&after), "what is nobody's business is changed");
    if let (Some(before), Some(after)) = (head(headers).target, head(&after).target) {
        assert_eq!(before.path, after.path);
        let arguments = |query: Option<&[u8]>| -> Vec<Vec<u8>> {
            query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&')).map(<[u8]>::to_vec).collect()
        };
        let (all, kept) = (arguments(before.query), arguments(after.query));
        let mut all = all.iter();
        assert!(kept.iter().all(|argument| all.any(|given| given == argument)), "arguments in another order");
    }
}

/// Properties of a head alone.
fn check_head(head: &Head<'_>) {
    for name in [&b"x-api-key"[..], b"cookie", b":path", b""] {
        assert_eq!(head.count(name), head.values(name).count());
    }
    let _ = (head.kind(), head.is_preflight());
    if let Some(target) = head.target {
        readings::check(target.whole);
    }
    let Ok(path) = RequestPath::parse(head.target.map_or(&[][..], |target| target.whole)) else { return };
    // The canonical form of a path is stable, and a second reader cannot take it for another path.
    let form = path.as_bytes();
    assert_eq!(RequestPath::parse(form).as_ref().map(RequestPath::as_bytes), Ok(form));
    assert!(form.starts_with(b"/") && form.iter().all(u8::is_ascii_graphic));
    let text = String::from_utf8(form.to_vec()).unwrap();
    for ambiguous in ["//", "/./", "/../", "\\", "%2F", "%2f", "%5C", "%00", "%2e", "%2E", "?", "#"] {
        assert!(!text.contains(ambiguous), "{ambiguous} in {text}");
    }
    assert!(!text.ends_with("/.") && !text.ends_with("/.."));
}

/// Carries out the change like the host.
fn changed(headers: &Headers, config: &Config, change: &RequestEdits<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut after = headers.to_vec();
    change.edits(&head(headers), config, |edit| match edit {
        Edit::Remove(name) => after.retain(|(given, _)| given != name.as_bytes()),
        Edit::Set(name, value) => match after.iter_mut().find(|(given, _)| given == name.as_bytes()) {
            Some((_, old)) => *old = value.to_vec(),
            None => after.push((name.as_bytes().to_vec(), value.to_vec())),
        },
    });
    after
}

struct Nothing;

impl Facts for Nothing {
    fn now(&self) -> u64 {
        NOW
    }

    fn address(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn route_metadata(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        None
    }
}

/// The requests of the table of cases as text, and one in the host's serialization.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (_, group) in cases::all_groups() {
        for case in &group.cases {
            let sent = group.sent(case);
            let mut text = format!(":method:{}\n:authority:{}\n", sent.method, sent.authority).into_bytes();
            if let Some(path) = &sent.path {
                text.extend([b":path:", path.as_slice(), b"\n"].concat());
            }
            for (name, value) in &sent.headers {
                text.extend([name.as_bytes(), b":", value, b"\n"].concat());
            }
            seeds.push(text);
        }
    }
    let header: &[&[u8]] = &[b"\0\x01\0\0\0\x05\0\0\0\x02\0\0\0:path\0/a\0"];
    let forged = [b"x-application-id:", FORGED, b"\nx-owner:", FORGED].concat();
    seeds.extend(header.iter().map(|bytes| bytes.to_vec()).chain([forged]));
    seeds
}
