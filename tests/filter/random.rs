//! Random histories. A policy changes step by step, and VMs fetch it as deltas or in full from a service that sometimes
//! fails. VMs die and come back, and shared data gets damaged. After each change every worker decides by the previous
//! or the current policy, and soon all decide by the current one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;

use crate::{
    host::{Answer, Callout, Envoy, Fault, Life, LogLevel, Request},
    policy::*,
};

const APPLICATIONS: [&str; 3] = ["app-1", "app-2", "app-3"];
const APIS: [(&str, &str); 3] = [("payments-1.0", "/payments"), ("orders-1.0", "/orders"), ("users-2.1", "/users")];
const STATES: [&str; 5] = ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "none"];
const STEPS: usize = 25;
/// Number of histories in each run of the tests. They are the same in every run.
const SEEDS: u64 = 6;

/// SplitMix64. Each seed gives another history.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The content of the policy, in the simplest form.
#[derive(Clone, Default)]
struct Model {
    subscriptions: BTreeMap<(&'static str, &'static str), &'static str>,
    revoked: BTreeMap<String, bool>,
}

fn key(application: &str, kind: &str) -> String {
    format!("{kind}-key-of-{application}")
}

impl Model {
    fn verdict(&self, application: &'static str, api: &'static str, kind: &str) -> &'static str {
        if self.revoked.get(&key(application, kind)) == Some(&true) {
            return "401 key_revoked";
        }
        match (self.subscriptions.get(&(application, api)).copied().unwrap_or("none"), kind) {
            ("UNBLOCKED", _) | ("PROD_ONLY_BLOCKED", "SANDBOX") => "allowed",
            ("BLOCKED" | "PROD_ONLY_BLOCKED", _) => "401 subscription_blocked",
            ("none", _) => "403 subscription_missing",
            _ => "401 subscription_inactive",
        }
    }

    /// All requests, with their expected verdicts.
    fn verdicts(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut verdicts = Vec::new();
        for application in APPLICATIONS {
            for (api, path) in APIS {
                for kind in ["PRODUCTION", "SANDBOX"] {
                    verdicts.push((path, key(application, kind), self.verdict(application, api, kind)));
                }
            }
        }
        verdicts
    }

    fn full(&self, revision: u64) -> Page {
        let mut page = Page::new(revision).with("poll", format!("/v1/policy?since={revision}"));
        page = APIS.iter().fold(page, |page, (id, path)| page.api(id, path));
        for application in APPLICATIONS {
            page = page.application(application);
            for kind in ["PRODUCTION", "SANDBOX"] {
                page = page.row("keys", self.key_row(application, kind));
            }
        }
        self.subscriptions
            .iter()
            .filter(|(_, state)| **state != "none")
            .fold(page, |page, ((application, api), state)| page.subscription(application, api, state))
    }

    fn key_row(&self, application: &str, kind: &str) -> serde_json::Value {
        let clear = key(application, kind);
        let state = if self.revoked.get(&clear) == Some(&true) { "REVOKED" } else { "ACTIVE" };
        json!({"sha256": sha256(&clear), "id": clear.replace("key", "id"), "application": application, "type": kind, "state": state})
    }
}

/// A service that can serve each revision in full and each step as a delta.
struct History {
    models: Vec<Model>,
    /// For each step, the delta from the revision before.
    deltas: Vec<Page>,
    /// Answers that come before any other answer.
    faults: Vec<Answer>,
    /// Whether every cursor is gone, so that the full policy must be fetched.
    forgotten: bool,
}

impl History {
    fn revision(&self) -> u64 {
        self.models.len() as u64
    }

    /// Makes one random change.
    fn change(&mut self, random: &mut Random) {
        let mut model = self.models.last().cloned().unwrap_or_default();
        let revision = self.revision() + 1;
        let application = random.one(&APPLICATIONS);
        let poll = format!("/v1/policy?since={revision}");
        let delta = Page::new(revision).with("base", revision - 1).with("poll", poll);
        let delta = if random.chance(75) {
            let (api, _) = random.one(&APIS);
            let state = random.one(&STATES);
            model.subscriptions.insert((application, api), state);
            match state {
                "none" => delta.with("removed", json!({"subscriptions": [{"application": application, "api": api}]})),
                state => delta.subscription(application, api, state),
            }
        } else {
            let kind = random.one(&["PRODUCTION", "SANDBOX"]);
            let revoked = model.revoked.entry(key(application, kind)).or_default();
            *revoked = !*revoked;
            delta.row("keys", model.key_row(application, kind))
        };
        self.models.push(model);
        self.deltas.push(delta);
    }

    fn answer(&mut self, callout: &Callout, random: &mut Random) -> Answer {
        if let Some(fault) = self.faults.pop() {
            return fault;
        }
        let path = callout.path();
        let revision = self.revision();
        match path.strip_prefix("/v1/policy?since=").map(|since| since.parse::<u64>().expect("our own cursor")) {
            Some(_) if self.forgotten => Answer::status(410, ""),
            None => Answer::json(self.models.last().unwrap().full(revision).0),
            Some(since) if since == revision => {
                Answer::json(Page::new(revision).with("base", revision).with("poll", path).0)
            }
            // Sometimes the service sends the full policy.
            Some(_) if random.chance(10) => Answer::json(self.models.last().unwrap().full(revision).0),
            Some(since) => Answer::json(&self.deltas[since as usize].0),
        }
    }
}

/// One random fault.
fn misfortune(envoy: &mut Envoy, history: &Mutex<History>, random: &mut Random) {
    let thread = random.below(3);
    match random.below(7) {
        0 | 1 => {
            let faults = [
                Answer::Timeout,
                Answer::ConnectionRefused,
                Answer::Reset,
                Answer::Never,
                Answer::status(500, ""),
                Answer::json("{\"format\": 1, \"keys\": ["),
            ];
            let fault = faults[random.below(faults.len())].clone();
            history.lock().unwrap().faults.push(fault);
        }
        2 if envoy.worker(thread).life() == Life::Idle => {
            envoy.worker(thread).faults(|faults| faults.once(None, random.next() % 60, Fault::Die))
        }
        3 | 4 => {
            let keys: Vec<_> = envoy.shared_data("").into_keys().collect();
            let key = &keys[random.below(keys.len())];
            let rubbish: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
            envoy.tamper(|data| data.set("", key, &rubbish, 0).unwrap());
            // A delta does not touch other rows, so only a full policy is sure to repair the damage.
            history.lock().unwrap().forgotten = true;
        }
        5 => envoy.adjust_clock(random.below(3) as i64),
        _ => {}
    }
}

fn revive_the_dead(envoy: &mut Envoy) {
    for thread in envoy.threads() {
        if envoy.worker(thread).life() == Life::Dead {
            envoy.worker(thread).revive();
        }
    }
}

#[track_caller]
fn check_either(envoy: &mut Envoy, before: &Model, now: &Model, what: &str) {
    for thread in [1, 2] {
        for ((path, key, before), (_, _, now)) in before.verdicts().into_iter().zip(now.verdicts()) {
            let verdict = envoy.worker(thread).request(Request::get(path).key(&key)).verdict();
            // Damage and a dead VM refuse requests; neither allows them.
            let fine = [before, now, "503 policy_unavailable", "dead", "held"].contains(&verdict.as_str());
            assert!(fine, "{what}: {verdict} for {key} on {path}: {before} before, {now} now");
        }
    }
}

/// Verdicts that do not follow the current policy yet.
fn behind(envoy: &mut Envoy, now: &Model) -> Vec<String> {
    let mut behind = Vec::new();
    for (path, key, expected) in now.verdicts() {
        for thread in [1, 2] {
            let verdict = envoy.worker(thread).request(Request::get(path).key(&key)).verdict();
            if verdict != expected {
                behind.push(format!("worker {thread}: {verdict} for {key} on {path}, expected {expected}"));
            }
        }
    }
    behind
}

fn live(seed: u64) {
    let mut random = Random(seed);
    let history =
        Arc::new(Mutex::new(History { models: Vec::new(), deltas: Vec::new(), faults: Vec::new(), forgotten: false }));
    history.lock().unwrap().change(&mut random);
    let (served, mut choices) = (history.clone(), Random(seed ^ 0xfeed));
    let feed = move |callout: &Callout| served.lock().unwrap().answer(callout, &mut choices);
    let changes = [("policy/refresh_interval_ms", json!(1000)), ("policy/long_poll_ms", json!(0))];
    let mut envoy = Envoy::new(configuration(changes)).feed(feed).started();
    envoy.run_for(Duration::from_secs(2));
    for step in 0..STEPS {
        let what = format!("seed {seed}, step {step}");
        let before = history.lock().unwrap().models.last().unwrap().clone();
        history.lock().unwrap().change(&mut random);
        let now = history.lock().unwrap().models.last().unwrap().clone();
        for _ in 0..random.below(3) {
            misfortune(&mut envoy, &history, &mut random);
        }
        for _ in 0..3 {
            envoy.run_for(Duration::from_millis(700));
            check_either(&mut envoy, &before, &now, &what);
        }
        revive_the_dead(&mut envoy);
        for thread in envoy.threads() {
            envoy.worker(thread).faults(|faults| faults.clear());
        }
        history.lock().unwrap().faults.clear();
        if history.lock().unwrap().forgotten {
            // Caches hide the damage. This is enough time for a lease to expire and for a full policy.
            envoy.run_for(Duration::from_secs(20));
        }
        let followed = envoy.run_until(Duration::from_secs(90), |envoy| behind(envoy, &now).is_empty());
        history.lock().unwrap().forgotten = false;
        let lines = envoy.log(LogLevel::Info);
        assert!(followed, "{what}: {:#?}; the log ends {:#?}", behind(&mut envoy, &now), &lines[lines.len() - 5..]);
    }
}

#[test]
fn random_lives_of_an_envoy_break_no_rule() {
    for seed in 0..SEEDS {
        live(seed);
    }
}
