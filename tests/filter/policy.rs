//! Policy pages and configurations for the scenarios, and a policy service that serves the answers it is given.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::host::{Answer, Callout, Envoy, Request};

/// After this time, with the default interval of 5 s, every worker has seen a change.
pub const SETTLED: Duration = Duration::from_secs(6);

/// Keys in clear, as clients send them.
pub const PRODUCTION_KEY: &str = "production-key-of-app-1";
pub const SANDBOX_KEY: &str = "sandbox-key-of-app-1";
pub const OTHER_KEY: &str = "production-key-of-app-2";

/// The digest of a key, in hexadecimal.
pub fn sha256(key: impl AsRef<[u8]>) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A default configuration, changed by `changes`: JSON pointers and values.
pub fn configuration<'a>(changes: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut configuration = json!({"policy": {"cluster": "policy-service"}});
    for (pointer, value) in changes {
        let mut place = &mut configuration;
        for name in pointer.split('/') {
            place = &mut place[name];
        }
        *place = value;
    }
    configuration
}

#[derive(Clone, Debug)]
pub struct Page(pub Value);

impl Page {
    /// A full policy without rows.
    pub fn new(revision: u64) -> Self {
        Self(json!({"format": 1, "epoch": "e1", "revision": revision}))
    }

    /// Two APIs. app-1 has a production and a sandbox key, app-2 a production key. Both are subscribed to both APIs.
    pub fn demo(revision: u64) -> Self {
        let pairs = [("app-1", "payments-1.0"), ("app-1", "orders-1.0"), ("app-2", "payments-1.0")];
        let page = Self::new(revision)
            .api("payments-1.0", "/payments/1.0")
            .api("orders-1.0", "/orders/1.0")
            .application("app-1")
            .application("app-2")
            .key(PRODUCTION_KEY, "k-1", "app-1", "PRODUCTION")
            .key(SANDBOX_KEY, "k-2", "app-1", "SANDBOX")
            .key(OTHER_KEY, "k-3", "app-2", "PRODUCTION");
        pairs.into_iter().fold(page, |page, (application, api)| page.subscription(application, api, "UNBLOCKED"))
    }

    /// Adds a row.
    pub fn row(mut self, list: &str, row: Value) -> Self {
        match &mut self.0[list] {
            Value::Array(rows) => rows.push(row),
            none => *none = json!([row]),
        }
        self
    }

    /// Sets a field of the page itself.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0[name] = value.into();
        self
    }

    pub fn api(self, id: &str, path: &str) -> Self {
        self.row("apis", json!({"id": id, "match": [{"path": path}]}))
    }

    pub fn application(self, id: &str) -> Self {
        self.row("applications", json!({"id": id, "name": format!("{id} by name"), "owner": "alice"}))
    }

    pub fn key(self, clear: &str, id: &str, application: &str, kind: &str) -> Self {
        self.row("keys", json!({"sha256": sha256(clear), "id": id, "application": application, "type": kind}))
    }

    /// Adds a subscription, or changes the state of an existing one.
    pub fn subscription(mut self, application: &str, api: &str, state: &str) -> Self {
        if let Value::Array(rows) = &mut self.0["subscriptions"] {
            rows.retain(|row| (&row["application"], &row["api"]) != (&json!(application), &json!(api)));
        }
        self.row("subscriptions", json!({"application": application, "api": api, "state": state}))
    }

    /// Changes fields of the row with this `id`.
    pub fn change(mut self, list: &str, id: &str, fields: Value) -> Self {
        let rows = self.0[list].as_array_mut().unwrap();
        let row = rows.iter_mut().find(|row| row["id"] == json!(id)).unwrap();
        fields.as_object().unwrap().iter().for_each(|(name, value)| row[name] = value.clone());
        self
    }
}

/// A policy service. It serves one answer until it is given another, and records all callouts.
#[derive(Clone)]
pub struct Service(Arc<Mutex<State>>);

struct State {
    answer: Answer,
    /// Answers by path. They take precedence over the general answer.
    routes: Vec<(String, Answer)>,
    seen: Vec<Callout>,
}

impl Service {
    /// Serves this page.
    pub fn new(page: &Page) -> Self {
        Self::saying(Answer::json(&page.0))
    }

    /// Gives this answer to every callout.
    pub fn saying(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(State { answer, routes: Vec::new(), seen: Vec::new() })))
    }

    /// Serves another page from now on.
    pub fn publish(&self, page: &Page) {
        self.say(Answer::json(&page.0));
    }

    /// Gives another answer from now on.
    pub fn say(&self, answer: Answer) {
        self.0.lock().unwrap().answer = answer;
    }

    /// Serves pages by path. All other paths get the same answer as before.
    pub fn route(&self, pages: &[(&str, &Page)]) {
        let routes = pages.iter().map(|(path, page)| ((*path).to_owned(), Answer::json(&page.0))).collect();
        self.0.lock().unwrap().routes = routes;
    }

    /// The callouts so far.
    pub fn seen(&self) -> Vec<Callout> {
        self.0.lock().unwrap().seen.clone()
    }

    /// For [`Envoy::feed`].
    pub fn feed(&self) -> impl FnMut(&Callout) -> Answer + Send + 'static {
        let state = self.0.clone();
        move |callout| {
            let mut state = state.lock().unwrap();
            state.seen.push(callout.clone());
            let path = callout.path();
            let route = state.routes.iter().find(|(routed, _)| *routed == path);
            route.map_or_else(|| state.answer.clone(), |(_, answer)| answer.clone())
        }
    }
}

/// An Envoy with the default configuration that has loaded this page.
#[track_caller]
pub fn running(page: &Page) -> (Envoy, Service) {
    running_with(configuration([]), page)
}

/// An Envoy with this configuration that has loaded this page.
#[track_caller]
pub fn running_with(configuration: Value, page: &Page) -> (Envoy, Service) {
    let service = Service::new(page);
    let mut envoy = Envoy::new(configuration).feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(1));
    assert!(!service.seen().is_empty(), "the policy was not asked for");
    (envoy, service)
}

/// The verdicts of all workers for payments with the production, the sandbox, the other and an unknown key, in this
/// order.
pub fn verdicts(envoy: &mut Envoy) -> Vec<String> {
    let keys = [PRODUCTION_KEY, SANDBOX_KEY, OTHER_KEY, "a key that nobody has"];
    let threads: Vec<_> = envoy.threads().skip(1).collect();
    let mut verdicts = Vec::new();
    for thread in threads {
        verdicts.extend(keys.map(|key| envoy.worker(thread).request(Request::get("/payments/1.0").key(key)).verdict()));
    }
    verdicts
}
