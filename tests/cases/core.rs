//! Runs a case on the core alone, without host, clock or network. So it runs on every target of Rust.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use keygate::{
    answer::{
        annotation,
        edit::Edit,
        outcome::{self, Counted},
        reply::Prepared,
    },
    callout::{answer::Answer, lines::Lines},
    config::{self, Config, Mode},
    decision::{self, Facts},
    digest::Digest,
    fingerprint::FingerprintKey,
    held::PolicyView,
    refresh::{Refresh, RefreshContext, RefreshEvent},
    request::head::Head,
    shared::{Shared as _, key::SourceId, memory::Memory},
};
use serde_json::{Value, json};

use super::{
    check::{Edited, Observed, SeenReply},
    table::{Case, Group, Sent},
};

/// The time of all cases: 2025-06-01T00:00:00Z.
pub const NOW: u64 = 1_748_736_000;

/// A configuration and a policy, ready for requests.
pub struct Core {
    config: Config,
    replies: Prepared,
    memory: Memory,
    held: PolicyView,
    refresh: Refresh,
    now_ms: u64,
}

impl Core {
    /// Loads the configuration and the policy of a group.
    pub fn new(group: &Group) -> Self {
        let json = group.configuration(&json!({"cluster": "policy-service"})).to_string();
        let config = config::parse(json.as_bytes(), &|_| None)
            .unwrap_or_else(|error| panic!("{}: the configuration is refused: {error}", group.name));
        let held = PolicyView::new(SourceId::new(Digest::of(b"cases")), Some(FingerprintKey::new([7; 16])));
        let refresh = Refresh::new(config.policy.clone());
        let replies = Prepared::new(&config.replies, config.policy.refresh_interval);
        let mut core = Self { config, replies, memory: Memory::default(), held, refresh, now_ms: NOW * 1000 };
        if let Some(page) = group.page(NOW) {
            core.refresh(&page);
        }
        let later = if group.expired {
            core.config.policy.expire_after.expect("a policy that expires")
        } else {
            Duration::ZERO
        };
        let later = u64::try_from(later.as_millis()).unwrap();
        core.held.age(core.now_ms + later, core.config.policy.stale_after, core.config.policy.expire_after);
        core
    }

    /// Fetches a page as a VM would, an hour after the last one, until the page decides. No row may be bad.
    pub fn refresh(&mut self, page: &Value) {
        let answer = Answer {
            status: Some(200),
            content_type: b"application/json".to_vec(),
            body: page.to_string().into_bytes(),
            ..Answer::default()
        };
        let mut report = Lines::default();
        let mut answer = Some(answer);
        self.now_ms += 3_600_000;
        loop {
            let mut context =
                RefreshContext { now_ms: self.now_ms, held: &mut self.held, shared: &self.memory, report: &mut report };
            match (self.refresh.tick(0, &mut context), answer.take()) {
                (Some(_), Some(answer)) => {
                    self.refresh.sent(1);
                    self.refresh.answered(1, answer, &mut context);
                }
                (None, None) if self.refresh.is_busy() => {}
                (None, None) => break,
                (fetch, _) => panic!("after {:?}, is this asked: {fetch:?}", report.lines),
            }
        }
        // A valid row may lose operations that can never apply.
        let parts = report.lines.iter().all(|(_, line)| !line.contains("a row of the policy is left out"));
        let taken = |event: &RefreshEvent| match event {
            RefreshEvent::Applied | RefreshEvent::Took(_) => true,
            RefreshEvent::RowsRejected(_) => parts,
            _ => false,
        };
        assert!(report.events.iter().all(taken), "the policy is not taken as it is: {:?}", report.lines);
    }

    /// The entries of shared data, in the order of their keys.
    pub fn stored(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let value = |key: &[u8]| self.memory.get(key).unwrap().unwrap().value;
        self.memory.keys().into_iter().map(|key| (key.clone(), value(&key))).collect()
    }

    pub fn observe(&self, group: &Group, case: &Case) -> Observed {
        self.send(&group.sent(case))
    }

    pub fn send(&self, sent: &Sent) -> Observed {
        let lower: Vec<_> = sent.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let mut headers: Vec<(&[u8], &[u8])> =
            vec![(b":authority", sent.authority.as_bytes()), (b":method", sent.method.as_bytes())];
        headers.extend(sent.path.as_ref().map(|path| (&b":path"[..], &**path)));
        headers.extend(lower.iter().zip(&sent.headers).map(|(name, (_, value))| (name.as_bytes(), &**value)));
        let head = Head::new(headers.clone());
        let facts = Given { address: sent.address.as_deref(), route: sent.route.as_ref() };

        let view = self.held.lookup(&self.memory);
        let decision = decision::decide(&head, &self.config, view.as_ref(), &facts);
        let outcome = outcome::follow(&head, &self.config, &self.replies, &decision);
        let mut annotations = BTreeMap::new();
        let revision = || self.held.manifest().and_then(|manifest| manifest.revision);
        let facts = &self.config.annotate;
        annotation::annotate(facts, &decision, outcome.permit, outcome.reason, revision, |path, value| {
            let name = path.strip_prefix("keygate.").expect("a name of keygate's");
            let value = String::from_utf8(value.into_owned()).expect("text");
            let before = annotations.insert(name.to_owned(), value);
            assert_eq!(before, None, "{path} is set twice");
        });
        let mut reply = outcome.reply.as_ref().map(|reply| SeenReply {
            status: reply.status,
            grpc_status: reply.grpc_status,
            headers: reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            body: reply.body.clone(),
            details: reply.details.clone(),
        });
        if let Some(reply) = &mut reply {
            as_grpc(reply);
        }
        // The host sends no body to a HEAD request.
        if let Some(reply) = reply.as_mut().filter(|_| sent.method == "HEAD") {
            reply.body.clear();
        }
        Observed {
            counted: Some(vec![counter(outcome.counted, self.config.mode)]),
            request: Some(edited(&headers, |edit| outcome.change.edits(&head, &self.config, edit))),
            endpoint: None,
            reply,
            annotations,
        }
    }
}

/// Converts a gRPC reply that the core wrote into the form that the host would have made.
fn as_grpc(reply: &mut SeenReply) {
    let mut header = |name: &str| {
        let index = reply.headers.iter().position(|(given, _)| given == name)?;
        Some(reply.headers.remove(index).1)
    };
    if let (Some(status), Some(message)) = (header("grpc-status"), header("grpc-message")) {
        reply.grpc_status = Some(status.parse().unwrap());
        reply.body = percent_decode(&message);
    }
}

/// Decodes percent-encoding. Every escape must be valid.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn counter(counted: Counted, mode: Mode) -> String {
    match counted {
        Counted::Allowed => "allowed".to_owned(),
        Counted::AllowedWithoutPolicy => "allowed_without_policy".to_owned(),
        Counted::Refused(reason) if mode == Mode::Shadow => format!("would_deny.{}", reason.as_str()),
        Counted::Refused(reason) => format!("denied.{}", reason.as_str()),
    }
}

/// Applies edits like the host: setting a header replaces the first one with that name, or adds one.
fn edited(headers: &[(&[u8], &[u8])], edits: impl FnOnce(&mut dyn FnMut(Edit<'_>))) -> Edited {
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> =
        headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    edits(&mut |edit| match edit {
        Edit::Remove(name) => headers.retain(|(given, _)| given != name.as_bytes()),
        Edit::Set(name, value) => match headers.iter_mut().find(|(given, _)| given == name.as_bytes()) {
            Some((_, old)) => *old = value.to_vec(),
            None => headers.push((name.as_bytes().to_vec(), value.to_vec())),
        },
    });
    let path = headers.iter().find(|(name, _)| name == b":path").map(|(_, value)| value.clone());
    let names = headers.into_iter().filter(|(name, _)| !name.starts_with(b":"));
    Edited { path, headers: names.map(|(name, value)| (String::from_utf8(name).unwrap(), value)).collect() }
}

struct Given<'a> {
    address: Option<&'a str>,
    route: Option<&'a [String; 3]>,
}

impl Facts for Given<'_> {
    fn now(&self) -> u64 {
        NOW
    }

    fn address(&self) -> Option<IpAddr> {
        self.address.and_then(decision::parse_address)
    }

    fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let [given_namespace, given_key, value] = self.route?;
        (given_namespace == namespace && given_key == key).then(|| value.clone().into_bytes())
    }
}
