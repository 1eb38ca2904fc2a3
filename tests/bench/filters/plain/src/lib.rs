//! A typical filter with the stock SDK for keygate's default work: it finds the key, the API and the subscription in
//! maps, removes the credential, and sets three headers, one value of filter state and a counter.
//!
//! keygate is compared with it, so it is written like the SDK's examples: with the SDK's accessors, one header at a
//! time, and `String`s. It derives the benchmark's population by its rule (see `population.rs` there); its
//! configuration is the number of keys. It cannot refresh its policy, and it has one reply for all refusals.

#![allow(clippy::disallowed_methods, reason = "this filter measures the SDK's own accessors")]

use std::{collections::HashMap, rc::Rc};

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, MetricType},
};
use sha2::{Digest as _, Sha256};

/// APIs of the benchmark's population.
const APIS: usize = 100;

type Digest = [u8; 32];

struct Key {
    id: String,
    application: String,
    key_type: &'static str,
}

#[derive(Default)]
struct Policy {
    /// By host, then by path.
    apis: HashMap<String, HashMap<String, String>>,
    keys: HashMap<Digest, Key>,
    subscriptions: HashMap<String, Vec<String>>,
    allowed: u32,
}

#[derive(Default)]
struct Root {
    policy: Rc<Policy>,
}

struct Request {
    policy: Rc<Policy>,
}

impl Policy {
    fn of_keys(keys: usize) -> Self {
        let mut policy = Self { allowed: define_counter("bench.plain.allowed"), ..Self::default() };
        for api in 0..APIS {
            let prefixes = policy.apis.entry(String::new()).or_default();
            prefixes.insert(format!("/api-{api:03}/1.0"), format!("api-{api:03}"));
        }
        for number in 0..keys {
            let application_number = number / 2;
            let application = format!("app-{application_number:07}");
            let first = application_number.wrapping_mul(2) % APIS;
            let apis = (first..first.saturating_add(2)).map(|api| format!("api-{api:03}")).collect();
            policy.subscriptions.insert(application.clone(), apis);
            policy.keys.insert(
                Sha256::digest(format!("bench-key-{number:012}")).into(),
                Key {
                    id: format!("k-{number:08}"),
                    application,
                    key_type: if number % 2 == 0 { "PRODUCTION" } else { "SANDBOX" },
                },
            );
        }
        policy
    }

    /// A match may name a host. Those of the benchmark name none, so they are looked up second.
    fn find_api(&self, host: &str, path: &str) -> Option<&String> {
        let path = path.split('?').next()?;
        [host, ""].iter().find_map(|host| {
            let prefixes = self.apis.get(*host)?;
            let mut prefix = path;
            loop {
                if let Some(api) = prefixes.get(prefix) {
                    return Some(api);
                }
                prefix = prefix.rsplit_once('/')?.0;
            }
        })
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let keys = std::str::from_utf8(&configuration).ok().and_then(|text| text.trim().parse().ok());
        let Some(keys) = keys else { return false };
        self.policy = Rc::new(Policy::of_keys(keys));
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { policy: self.policy.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let host = self.get_http_request_header(":authority").unwrap_or_default();
        let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let argument = query.split('&').find_map(|argument| argument.strip_prefix("apikey="));
        let given = [
            self.get_http_request_header("x-api-key"),
            self.get_http_request_header("apikey"),
            argument.map(str::to_owned),
        ];
        let mut credentials: Vec<String> = given.into_iter().flatten().collect();
        credentials.dedup();
        // Several different credentials are ambiguous.
        let credential = if credentials.len() == 1 { credentials.pop() } else { None };
        let policy = self.policy.clone();
        let allowed = credential.and_then(|credential| {
            let digest: Digest = Sha256::digest(credential).into();
            let key = policy.keys.get(&digest)?;
            let api = policy.find_api(&host, &path)?;
            policy.subscriptions.get(&key.application)?.contains(api).then_some(key)
        });
        let Some(key) = allowed else {
            self.send_http_response(401, Vec::new(), Some(b"refused"));
            return Action::Pause;
        };
        self.set_http_request_header("x-api-key", None);
        self.set_http_request_header("x-application-id", Some(&key.application));
        self.set_http_request_header("x-key-id", Some(&key.id));
        self.set_http_request_header("x-key-type", Some(key.key_type));
        self.set_property(vec!["keygate.reason"], Some(b"allowed"));
        // A failed counter is no reason to refuse.
        let _ = hostcalls::increment_metric(policy.allowed, 1);
        Action::Continue
    }
}

fn define_counter(name: &str) -> u32 {
    hostcalls::define_metric(MetricType::Counter, name).unwrap_or_default()
}

// The SDK's exports have no documentation, so they are in a private module.
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::<super::Root>::default());
    }}
}
