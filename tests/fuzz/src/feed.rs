//! A feed that gives any answers in any order. Afterwards the current policy is the one that a simple model computes,
//! and nothing is allowed that the model refuses.
//!
//! The input is a list of answers, separated by [`END`]. The first byte of an answer is its kind: `3` 304, `4` 404, `G`
//! 410, `R` a reset, `B` 503 with the rest as `retry-after`, `H` the rest as content type, `E` a page with an `etag`,
//! `k` a page whose VM dies after the first slice of work, so that another VM continues. Any other byte begins a page.

use std::collections::BTreeSet;

use keygate::{
    callout::{
        Fetch,
        answer::{Answer, MAX_RETRY_AFTER},
        lines::Lines,
    },
    config::{self, Config},
    decision::{self, Facts, Permit, PolicyLookup as _},
    digest::Digest,
    fingerprint::FingerprintKey,
    held::PolicyView,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState, page::Page},
    refresh::{Refresh, RefreshContext, RefreshEvent},
    request::head::Head,
    shared::{key::SourceId, memory::Memory},
    subject::Subscription,
};
use serde_json::json;

use crate::{
    cases::{self, core::NOW},
    check_line,
    model::Model,
};

/// The separator of answers. No JSON text contains it.
const END: u8 = 0x1e;
/// Number of answers that are used of one input.
const MAX_ANSWERS: usize = 24;
/// More than any work needs.
const MAX_SLICES: usize = 10_000;
/// Keys in clear for requests. The pages of the seeds have their digests.
const KEYS: [&str; 3] = ["good-key", "key-production", "key-sandbox"];

/// See the head of this file.
pub fn check(bytes: &[u8]) {
    let mut vm = Vm::new();
    let (mut model, mut pending) = (Model::default(), Vec::new());
    let mut seen = Seen::default();
    let mut fetch = vm.next_fetch();
    for answer in bytes.split(|&byte| byte == END).take(MAX_ANSWERS) {
        let page = page_of(answer);
        let before = fetch.path.clone();
        let dies = answer.first() == Some(&b'k');
        let (events, next) = vm.answer(read(answer), if dies { 0 } else { MAX_SLICES });
        let applied = events.contains(&RefreshEvent::Applied);
        if dies {
            if page.as_ref().is_some_and(|page| page.header.base.is_some()) && !applied {
                return; // The store may have half of a delta.
            }
            vm.die();
        }
        let next = next.filter(|_| !dies);
        let goes_on = |page: &Page| next.is_some() && next.as_ref().map(|next| &next.path) == page.header.next.as_ref();
        match page {
            Some(page) if applied || goes_on(&page) => {
                seen.look(&page);
                if page.header.base.is_some() {
                    model.apply(&page);
                } else {
                    if pending.last().is_none_or(|last: &Page| last.header.next.as_ref() != Some(&before)) {
                        pending.clear();
                    }
                    pending.push(page);
                    if applied {
                        let revision = |page: &Page| (page.header.epoch.clone(), page.header.revision);
                        assert!(pending.windows(2).all(|pages| revision(&pages[0]) == revision(&pages[1])));
                        model = Model::default();
                        pending.drain(..).for_each(|page| model.apply(&page));
                    }
                }
            }
            _ => assert!(!applied, "applied what is no page"),
        }
        vm.check(&model, &seen);
        fetch = next.unwrap_or_else(|| vm.next_fetch());
    }
}

fn page_of(answer: &[u8]) -> Option<Page> {
    let body = match answer.first() {
        Some(b'3' | b'4' | b'G' | b'R' | b'B' | b'H') => return None,
        Some(b'E' | b'k') => &answer[1..],
        _ => answer,
    };
    Page::scan(body.to_vec()).ok()
}

fn read(answer: &[u8]) -> Answer {
    let status = |status| Answer { status: Some(status), ..Answer::default() };
    let page = |body: &[u8]| Answer { content_type: b"application/json".to_vec(), body: body.to_vec(), ..status(200) };
    let (first, rest) = answer.split_first().unwrap_or((&0, &[]));
    match first {
        b'3' => status(304),
        b'4' => status(404),
        b'G' => status(410),
        b'R' => Answer::default(),
        b'B' => Answer { retry_after: rest.to_vec(), ..status(503) },
        b'H' => Answer { content_type: rest.to_vec(), body: b"{\"format\":1}".to_vec(), ..status(200) },
        b'k' => page(rest),
        b'E' => Answer { etag: b"\"e\"".to_vec(), ..page(rest) },
        _ => page(answer),
    }
}

/// Every key and API that has occurred.
#[derive(Default)]
struct Seen {
    digests: BTreeSet<Digest>,
    apis: BTreeSet<String>,
}

impl Seen {
    fn look(&mut self, page: &Page) {
        let mut model = Model::default();
        model.apply(page);
        self.digests.extend(model.digests().chain(&page.removed.keys));
        let removed = page.removed.subscriptions.iter().map(|(_, api)| api);
        self.apis.extend(model.api_ids().map(str::to_owned).chain(removed.chain(&page.removed.apis).cloned()));
    }
}

struct Vm {
    config: Config,
    memory: Memory,
    held: PolicyView,
    refresh: Refresh,
    now_ms: u64,
}

impl Vm {
    fn new() -> Self {
        let json = json!({"policy": {"cluster": "c", "max_removed_percent": 90}}).to_string();
        let config = config::parse(json.as_bytes(), &|_| None).unwrap();
        let held = PolicyView::new(SourceId::new(Digest::of(b"feed")), Some(FingerprintKey::new([7; 16])));
        let refresh = Refresh::new(config.policy.clone());
        Self { config, memory: Memory::default(), held, refresh, now_ms: NOW * 1000 }
    }

    fn run(&mut self, step: impl FnOnce(&mut Refresh, &mut RefreshContext<'_, Memory>) -> Option<Fetch>) -> Step {
        let mut report = Lines::default();
        let mut context =
            RefreshContext { now_ms: self.now_ms, held: &mut self.held, shared: &self.memory, report: &mut report };
        let fetch = step(&mut self.refresh, &mut context);
        report.lines.iter().for_each(|(_, line)| check_line(line));
        (report.events, fetch)
    }

    /// Lets time pass until the next request to the feed, at most for the longest pause.
    fn next_fetch(&mut self) -> Fetch {
        let latest = self.now_ms + u64::try_from(MAX_RETRY_AFTER.as_millis()).unwrap() + 60_000;
        while self.now_ms <= latest {
            if let (_, Some(fetch)) = self.run(|refresh, context| refresh.tick(0, context)) {
                return fetch;
            }
            self.now_ms += 1_000;
        }
        panic!("nothing is asked any more");
    }

    /// The VM dies, and another one takes over when its lease has ended.
    fn die(&mut self) {
        let Self { memory, now_ms, .. } = std::mem::replace(self, Self::new());
        (self.memory, self.now_ms) = (memory, now_ms);
        self.held.look(&self.memory);
    }

    fn answer(&mut self, answer: Answer, max_slices: usize) -> Step {
        self.refresh.sent(1);
        let (mut events, mut fetch) = self.run(|refresh, context| refresh.answered(1, answer, context));
        let mut slices = 0;
        while fetch.is_none() && self.refresh.is_busy() && slices < max_slices {
            let (more, next) = self.run(|refresh, context| refresh.tick(0, context));
            events.extend(more);
            fetch = next;
            slices += 1;
            assert!(slices < MAX_SLICES, "work without end");
        }
        (events, fetch)
    }

    fn check(&self, model: &Model, seen: &Seen) {
        let mut fresh = PolicyView::new(self.held.source().clone(), None);
        fresh.look(&self.memory);
        for held in [&self.held, &fresh] {
            assert!(!held.is_unsound());
            let Some(view) = held.lookup(&self.memory) else {
                assert!(model.digests().next().is_none() && model.apis.is_empty(), "the policy is lost");
                continue;
            };
            let catalogue = view.catalogue();
            for api in &seen.apis {
                let addressed = catalogue.find_by_id(api, None);
                assert_eq!(addressed.map(|addressed| addressed.api), model.apis.get(api), "API {api}");
                for digest in &seen.digests {
                    let found = view.read_subject(digest, api).expect("it can be read");
                    assert_eq!(found.as_deref(), model.subject(digest, api).as_ref(), "{} at {api}", digest.to_hex());
                }
                let Some(addressed) = addressed else { continue };
                for key in KEYS {
                    let found = view.subject(key.as_bytes(), addressed).expect("it can be read");
                    let expected = model.subject(&Digest::of(key.as_bytes()), api);
                    assert_eq!(found.as_deref(), expected.as_ref(), "{key} at {api}, remembered or not");
                }
            }
            for (id, plan) in &model.plans {
                assert_eq!(catalogue.plan(id.as_bytes()), Some(plan));
            }
            self.check_permits(held, model);
        }
    }

    /// The main property again, from the model alone: a request passes only with an active key of an active application
    /// whose subscription permits the key's type.
    fn check_permits(&self, held: &PolicyView, model: &Model) {
        let view = held.lookup(&self.memory);
        let paths: BTreeSet<&[u8]> =
            model.apis.values().flat_map(|api| &api.matches).map(|by| by.path.as_bytes()).take(8).collect();
        for path in paths {
            for key in KEYS {
                let target = [path, b"/"].concat();
                let head = Head::new(vec![(b":authority", b"h"), (b":path", &target), (b"x-api-key", key.as_bytes())]);
                let decision = decision::decide(&head, &self.config, view.as_ref(), &Now);
                if decision.verdict != Ok(Permit::Key) {
                    continue;
                }
                let api = &model.apis[decision.api.unwrap().id.as_str()];
                let subject = model.subject(&Digest::of(key.as_bytes()), api.id.as_str()).expect("a known key");
                assert_eq!(subject.key.state, KeyState::Active);
                assert!(subject.key.not_before.is_none_or(|begin| begin <= NOW));
                assert!(subject.key.expires_at.is_none_or(|end| NOW < end));
                assert_eq!(subject.application.as_ref().expect("an application").state, ApplicationState::Active);
                let state = subject.subscription.as_ref().map(state_now);
                let sandbox = subject.key.key_type == KeyType::Sandbox;
                assert!(match state {
                    None => !api.subscription_required,
                    Some(SubscriptionState::ProdOnlyBlocked) => sandbox,
                    Some(state) => matches!(
                        state,
                        SubscriptionState::Unblocked
                            | SubscriptionState::TierUpdatePending
                            | SubscriptionState::DeletePending
                    ),
                });
                assert!(if sandbox { api.sandbox } else { api.production });
            }
        }
    }
}

/// The state that counts now, from the times of the block.
fn state_now<T>(of: &Subscription<T>) -> SubscriptionState {
    use SubscriptionState::{Blocked, DeletePending, ProdOnlyBlocked, TierUpdatePending, Unblocked};
    let Some(block) = &of.block else { return of.state };
    let is_past = |time: Option<u64>| time.is_some_and(|time| time <= NOW);
    match of.state {
        Blocked | ProdOnlyBlocked if is_past(block.until) => Unblocked,
        Unblocked | TierUpdatePending | DeletePending if is_past(block.from) && !is_past(block.until) => block.planned,
        state => state,
    }
}

type Step = (Vec<RefreshEvent>, Option<Fetch>);

struct Now;

impl Facts for Now {
    fn now(&self) -> u64 {
        NOW
    }

    fn address(&self) -> Option<std::net::IpAddr> {
        Some([127, 0, 0, 1].into())
    }

    fn route_metadata(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        None
    }
}

/// Full policies of the table of cases one after the other, and the history of one: deltas, pages, faults.
pub fn seeds() -> Vec<Vec<u8>> {
    let join = |answers: &[String]| answers.join(&char::from(END).to_string()).into_bytes();
    let pages: Vec<_> = cases::all_groups().iter().filter_map(|(_, group)| group.page(NOW)).collect();
    let mut seeds: Vec<_> =
        pages.windows(2).step_by(3).map(|pair| join(&[pair[0].to_string(), pair[1].to_string()])).collect();
    let [good, production, sandbox] = KEYS.map(|key| Digest::of(key.as_bytes()).to_hex());
    let full = json!({
        "format": 1, "revision": 1, "poll": "/p",
        "apis": [{"id": "a", "match": [{"path": "/a"}]},
                 {"id": "b", "match": [{"path": "/b"}], "subscription_required": false}],
        "applications": [{"id": "app"}],
        "keys": [{"sha256": good, "id": "k", "application": "app"},
                 {"sha256": production, "id": "p", "application": "app", "type": "PRODUCTION"},
                 {"sha256": sandbox, "id": "s", "application": "app", "type": "SANDBOX"}],
        "subscriptions": [{"application": "app", "api": "a"}],
    });
    let delta = |base: u64, more: &str| format!(r#"{{"format":1,"base":{base},"revision":{},{more}}}"#, base + 1);
    let life = [
        full.to_string(),
        delta(1, r#""poll":"/p","subscriptions":[{"application":"app","api":"a","state":"BLOCKED"}]"#),
        delta(
            2,
            r#""poll":"/p","subscriptions":[{"application":"app","api":"a","state":"PROD_ONLY_BLOCKED","blocked_until":9,"block_note":"n"}]"#,
        ),
        "R".to_owned(),
        "B60".to_owned(),
        "3".to_owned(),
        delta(3, r#""poll":"/p","next":"/n","removed":{"subscriptions":[{"application":"app","api":"a"}]}"#),
        delta(3, r#""applications":[{"id":"app","state":"BLOCKED"}]"#),
        "G".to_owned(),
        format!("E{}", full.to_string().replace("\"revision\":1", "\"revision\":9")),
        "Htext/html".to_owned(),
        delta(9, r#""subscriptions":[{"application":"app","api":"b","state":"BLOCKED","plan":""}]"#),
    ];
    seeds.push(join(&life));
    for cut in 1..life.len() {
        seeds.push(join(&life[cut..]));
        seeds.push(join(&[&life[..1], &life[cut..]].concat()));
    }
    // Banks that were never emptied, with fewer rows each time.
    let without = |list: &str, revision: u64| {
        let mut page = full.clone();
        page[list] = json!([]);
        page["revision"] = revision.into();
        format!("k{page}")
    };
    seeds.push(join(&[1, 2, 3].map(|revision| without("plans", revision))));
    let lists = ["plans", "keys", "subscriptions", "applications", "plans", "keys"];
    seeds.push(join(&[1, 2, 3, 4, 5, 6].map(|number| without(lists[number - 1], number as u64))));
    seeds.push(join(&[full.to_string().replace("\"revision\":1", "\"revision\":1,\"next\":\"/n\""), full.to_string()]));
    seeds.push(join(&[full.to_string().replace("\"revision\":1", "\"revision\":2,\"next\":\"/n\""), full.to_string()]));
    seeds
}
