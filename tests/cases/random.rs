//! Random groups of the table: a configuration, a policy and requests, made from a seed so that every runner can ask the
//! same. The parts come from small pools, so that most requests get far into the decision, and many fail at its end.
//!
//! Nothing is expected here: the runners compare what decides with what explains. Limits are too large to be used up,
//! because only a gateway knows how many requests it has let pass.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::cases::table::Group;

const APIS: [&str; 5] = ["a-1", "a-2", "b-1", "open", "rest"];
const APPLICATIONS: [&str; 4] = ["app-1", "app-2", "app-3", "app-4"];
const PLANS: [&str; 3] = ["gold", "silver", "bronze"];
const OWNERS: [&str; 3] = ["alice", "bob", "mallory"];
const KEYS: [&str; 8] =
    ["key-one", "key-two", "key-three", "key-four", "key-five", "key-six", "key-seven", "key-eight"];
const HOSTS: [&str; 5] = ["a.example", "b.example:8080", "x.a.example", "A.EXAMPLE", "other.test"];
const ADDRESSES: [&str; 5] = ["127.0.0.1", "192.0.2.1", "192.0.2.77", "203.0.113.9", "198.51.100.4"];
const RANGES: [&str; 5] = ["192.0.2.0/24", "203.0.113.9", "198.51.100.0/25", "192.0.2.1/32", "0.0.0.0/0"];
const REFERERS: [&str; 4] = [
    "https://shop.example/cart",
    "http://shop.example:8080/",
    "https://evil.example/shop.example/",
    "https://x.shop.example/a/b",
];
const STATES: [&str; 8] = [
    "UNBLOCKED",
    "BLOCKED",
    "PROD_ONLY_BLOCKED",
    "ON_HOLD",
    "REJECTED",
    "TIER_UPDATE_PENDING",
    "DELETE_PENDING",
    "ODD",
];
const PATHS: [&str; 11] = [
    "/a",
    "/a/x",
    "/a/x/y",
    "/a/z?q=1",
    "/a/b",
    "/a/b/orders",
    "/a/b/orders/7",
    "/b/orders?x=%2F",
    "/b/x",
    "/open/x",
    "/%61/x",
];
/// Paths that many requests would never get past.
const ODD_PATHS: [&str; 9] =
    ["/none", "/c", "/", "/a/b/orders;v=1", "/a;x/b/orders", "/a/b/orders/7;v=1", "/a//b", "/a/../b", "/a%2Fb"];

/// Makes groups with requests of a given number.
pub struct Random {
    rng: Rng,
    /// How far times are from now at least, in seconds. A real Envoy's clock goes on while the requests are sent.
    margin: i64,
    /// Whether a client can send every request over HTTP/1 to a real Envoy.
    real: bool,
}

impl Random {
    pub fn new(seed: u64, margin: i64, real: bool) -> Self {
        Self { rng: Rng::with_seed(seed), margin, real }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(0..of.len())]
    }

    /// Some of these, at least one.
    fn some<T: Copy + Ord>(&mut self, of: &[T]) -> Vec<T> {
        let count = self.rng.usize(1..=of.len().min(3));
        let found: BTreeSet<T> = (0..count).map(|_| self.one(of)).collect();
        found.into_iter().collect()
    }

    /// A time at the edge of now, or some way from it.
    fn time(&mut self) -> Value {
        let margin = self.margin;
        json!({"now": self.one(&[-50_000, -margin, if margin == 1 { 0 } else { margin }, margin, 50_000])})
    }

    /// The end of a mark that a plan is used up, mostly some way off.
    fn mark(&mut self) -> Value {
        let margin = self.margin;
        json!({"now": self.one(&[-margin, margin, 1_000, 50_000])})
    }

    /// Puts a field into a row with this chance.
    fn maybe(&mut self, row: &mut Value, percent: u32, name: &str, value: impl FnOnce(&mut Self) -> Value) {
        if self.chance(percent) {
            row[name] = value(self);
        }
    }

    /// A group with this number of requests.
    pub fn group(&mut self, name: &str, requests: usize) -> Group {
        let config = self.config();
        let policy = self.policy();
        let cases: Vec<Value> = (0..requests).map(|number| self.case(number, &config)).collect();
        let group = json!({"name": name, "config": config, "policy": policy, "cases": cases});
        serde_json::from_value(group.clone()).unwrap_or_else(|error| panic!("{error}: {group}"))
    }

    fn config(&mut self) -> Value {
        let mut config = json!({});
        self.maybe(&mut config, 50, "credential_sources", |random| {
            let all = [
                json!({"header": "x-api-key"}),
                json!({"header": "authorization", "scheme": "Bearer"}),
                json!({"query": "apikey"}),
                json!({"cookie": "api_key"}),
                json!({"basic": "password"}),
                json!({"basic": "username"}),
            ];
            let places: Vec<usize> = (0..all.len()).collect();
            let chosen = random.some(&places);
            chosen.into_iter().map(|place| all[place].clone()).collect()
        });
        self.maybe(&mut config, 30, "ambiguous_credentials", |_| json!("first"));
        let api = self.one(&APIS);
        self.maybe(&mut config, 10, "api", |_| json!({"fixed": api}));
        if !self.real {
            self.maybe(&mut config, 10, "api", |_| json!({"route_metadata": ["keygate", "api"]}));
        }
        self.maybe(&mut config, 30, "unknown_api", |_| json!("allow"));
        self.maybe(&mut config, 30, "allow_preflight", |_| json!(true));
        let format = self.one(&["wso2", "choreo", "problem"]);
        self.maybe(&mut config, 40, "replies", |_| json!({"format": format}));
        self.maybe(&mut config, 10, "mode", |_| json!("shadow"));
        self.maybe(&mut config, 25, "emergency", |random| {
            let [deny, allow] = [random.one(&KEYS), random.one(&KEYS)].map(|key| json!([{"sha256": key}]));
            json!({"deny_keys": deny, "allow_keys": allow})
        });
        config
    }

    fn policy(&mut self) -> Value {
        let mut apis = Vec::new();
        for (id, path) in APIS.into_iter().zip(["/a", "/a/b", "/b", "/open", "/c"]) {
            if self.chance(95) {
                apis.push(self.api(id, path));
            }
        }
        let plans: Vec<Value> = PLANS
            .into_iter()
            .filter(|_| self.rng.u32(0..10) > 0)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|id| self.plan(id))
            .collect();
        let mut applications = Vec::new();
        for id in APPLICATIONS {
            if self.chance(90) {
                let mut row = json!({"id": id, "owner": self.one(&OWNERS)});
                self.maybe(&mut row, 12, "state", |random| json!(random.one(&["BLOCKED", "ACTIVE", "ODD"])));
                self.maybe(&mut row, 30, "plan", |random| {
                    json!(random.one(&["gold", "silver", "bronze", "gold", "none"]))
                });
                self.maybe(&mut row, 15, "used_up_until", Self::mark);
                applications.push(row);
            }
        }
        let mut subscriptions = Vec::new();
        for application in APPLICATIONS {
            for api in APIS {
                if self.chance(75) {
                    subscriptions.push(self.subscription(application, api));
                }
            }
        }
        let keys: Vec<Value> = KEYS[..7].iter().enumerate().map(|(number, key)| self.key(number, key)).collect();
        let deny_policies: Vec<Value> = (0..self.one(&[0, 0, 1, 2])).map(|number| self.deny_policy(number)).collect();
        json!({"apis": apis, "plans": plans, "applications": applications, "subscriptions": subscriptions, "keys": keys,
            "deny_policies": deny_policies})
    }

    fn api(&mut self, id: &str, path: &str) -> Value {
        let mut matches = vec![json!({"path": path})];
        if self.chance(20) {
            matches[0]["hosts"] = json!(self.some(&["a.example", "b.example", "*.a.example"]));
        }
        let mut row = json!({"id": id, "match": matches});
        self.maybe(&mut row, 15, "state", |random| {
            json!(random.one(&["BLOCKED", "CREATED", "RETIRED", "DEPRECATED", "PROTOTYPED", "ODD"]))
        });
        let percent = if id == "open" { 80 } else { 5 };
        self.maybe(&mut row, percent, "security", |random| json!(random.one(&["none", "none", "odd"])));
        self.maybe(&mut row, 20, "subscription_required", |_| json!(false));
        self.maybe(&mut row, 20, "endpoints", |random| json!(random.some(&["PRODUCTION", "SANDBOX"])));
        row
    }

    fn plan(&mut self, id: &str) -> Value {
        let mut row = json!({"id": id});
        self.maybe(&mut row, 50, "operations", |random| {
            let operations = [
                json!({"methods": ["GET"], "path": "/orders/*"}),
                json!({"path": "/x"}),
                json!({"methods": ["GET", "POST"], "path": "/**"}),
                json!({"methods": ["POST"], "path": "/orders"}),
            ];
            let chosen = random.some(&[0, 1, 2, 3]);
            chosen.into_iter().map(|place: usize| operations[place].clone()).collect()
        });
        self.maybe(&mut row, 70, "limits", |_| json!([{"requests": 1_u64 << 40, "per": "day"}]));
        self.maybe(&mut row, 30, "burst", |_| json!({"requests": 1_u64 << 40, "per": "second"}));
        self.maybe(&mut row, 20, "stop_on_quota_reach", |_| json!(false));
        row
    }

    fn subscription(&mut self, application: &str, api: &str) -> Value {
        let mut row = json!({"application": application, "api": api});
        self.maybe(&mut row, 30, "state", |random| json!(random.one(&STATES)));
        self.maybe(&mut row, 50, "plan", |random| json!(random.one(&["gold", "silver", "bronze", "gold", "none"])));
        self.maybe(&mut row, 15, "used_up_until", Self::mark);
        if self.chance(15) {
            let margin = self.margin;
            self.maybe(&mut row, 50, "blocked_from", |random| json!({"now": random.one(&[-1_000, -margin, margin])}));
            self.maybe(&mut row, 50, "blocked_state", |random| json!(random.one(&["BLOCKED", "PROD_ONLY_BLOCKED"])));
            let offset = self.one(&[margin, 2_000, 60_000]);
            let is_planned = row.get("blocked_from").is_some();
            let until = if is_planned { offset + 1_000 } else { self.one(&[-margin, offset]) };
            self.maybe(&mut row, 60, "blocked_until", |_| json!({"now": until}));
            self.maybe(&mut row, 50, "block_note", |_| json!("ask the owner"));
        }
        row
    }

    fn key(&mut self, number: usize, key: &str) -> Value {
        let application = if number == 6 { "nobodys" } else { APPLICATIONS[number % APPLICATIONS.len()] };
        let mut row = json!({"key": key, "id": format!("k-{number}"), "application": application});
        self.maybe(&mut row, 50, "type", |random| json!(random.one(&["SANDBOX", "PRODUCTION", "ODD"])));
        self.maybe(&mut row, 8, "state", |random| json!(random.one(&["REVOKED", "ACTIVE", "ODD"])));
        self.maybe(&mut row, 8, "not_before", Self::time);
        self.maybe(&mut row, 8, "expires_at", Self::time);
        self.maybe(&mut row, 8, "apis", |random| json!(random.some(&APIS)));
        self.maybe(&mut row, 8, "permitted_ips", |random| json!(random.some(&RANGES)));
        self.maybe(&mut row, 8, "permitted_referers", |random| {
            json!(random.some(&["shop.example/*", "*.shop.example/*", "shop.example:8080/*", "*"]))
        });
        row
    }

    fn deny_policy(&mut self, number: usize) -> Value {
        let (kind, value) = match self.rng.u32(0..5) {
            0 => ("IP", json!(self.one(&ADDRESSES))),
            1 => ("IP_RANGE", json!(self.one(&RANGES[..4]))),
            2 => ("APPLICATION", json!(self.one(&APPLICATIONS))),
            3 => ("API", json!(self.one(&APIS))),
            _ => ("USER", json!("mallory")),
        };
        let mut row = json!({"id": format!("d-{number}"), "type": kind, "value": value});
        self.maybe(&mut row, 10, "invert", |_| json!(true));
        row
    }

    fn case(&mut self, number: usize, config: &Value) -> Value {
        let method = self.one(&["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE"]);
        let mut path = if self.chance(15) { self.one(&ODD_PATHS) } else { self.one(&PATHS) }.to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        let count = self.one(&[0, 1, 1, 1, 1, 1, 1, 1, 2]);
        for _ in 0..count {
            let key = self.one(&KEYS);
            self.put(key, config, &mut path, &mut headers);
        }
        if self.chance(30) {
            headers.push(("referer".to_owned(), self.one(&REFERERS).to_owned()));
        }
        if method == "OPTIONS" && self.chance(60) {
            headers.push(("origin".to_owned(), "https://shop.example".to_owned()));
            headers.push(("access-control-request-method".to_owned(), "GET".to_owned()));
        }
        if !self.real && self.chance(5) {
            headers.push(("content-type".to_owned(), "application/grpc".to_owned()));
        }
        let mut request = json!({"method": method, "path": path, "headers": headers, "honest": true});
        self.maybe(&mut request, 70, "authority", |random| json!(random.one(&HOSTS)));
        self.maybe(&mut request, 50, "address", |random| json!(random.one(&ADDRESSES)));
        if !self.real {
            self.maybe(&mut request, 3, "no_address", |_| json!(true));
            self.maybe(&mut request, 2, "no_path", |_| json!(true));
            self.maybe(&mut request, 60, "route", |random| json!(["keygate", "api", random.one(&APIS)]));
            self.maybe(&mut request, 3, "authority", |random| json!(random.one(&["", "a..b", "a b", "u@a"])));
        }
        json!({"name": number.to_string(), "request": request, "expect": "allowed"})
    }

    /// Puts a key where the filter looks, or where it does not.
    fn put(&mut self, key: &str, config: &Value, path: &mut String, headers: &mut Vec<(String, String)>) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let default = [json!({"header": "x-api-key"}), json!({"header": "apikey"}), json!({"query": "apikey"})];
        let sources = config["credential_sources"].as_array().cloned().unwrap_or(default.to_vec());
        let source = if self.chance(90) {
            sources[self.rng.usize(0..sources.len())].clone()
        } else {
            json!({"header": "x-other"})
        };
        let text = |name: &str| source[name].as_str().map(str::to_owned);
        if let Some(name) = text("query") {
            let separator = if path.contains('?') { '&' } else { '?' };
            let escaped = if self.chance(20) { key.replace('-', "%2d") } else { key.to_owned() };
            path.push_str(&format!("{separator}{name}={escaped}"));
        } else if let Some(name) = text("cookie") {
            let quote = if self.chance(20) { "\"" } else { "" };
            headers.push(("cookie".to_owned(), format!("x=y; {name}={quote}{key}{quote}")));
        } else if let Some(part) = text("basic") {
            let pair = if part == "username" { format!("{key}:p") } else { format!("u:{key}") };
            let encoded = if self.chance(5) { "%%%".to_owned() } else { STANDARD.encode(pair) };
            headers.push(("authorization".to_owned(), format!("Basic {encoded}")));
        } else if let (Some(name), Some(scheme)) = (text("header"), text("scheme")) {
            headers.push((name, format!("{scheme} {key}")));
        } else if let Some(name) = text("header") {
            headers.push((name, if self.chance(3) { "k".repeat(4_097) } else { key.to_owned() }));
        }
    }
}
