//! Who may do what: the population, the facts that change, and their consequences. This is a model that is obviously
//! right and uses none of the filter's code.
//!
//! Every application has two keys, one of them for the sandbox, and is subscribed to half of the APIs. A rule derives
//! everything from numbers, so policy, requests and checker agree without communication.

use keygate::digest::Digest;
use serde_json::{Value, json};

/// APIs, each with a path of its own.
pub const APIS: usize = 8;
/// Number of APIs that an application is subscribed to.
pub const APIS_PER_APPLICATION: usize = 4;

/// A fact that changes during the soak. Facts change one by one, and each change takes effect atomically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The state of an API.
    Api(usize),
    /// The state of an application.
    Application(usize),
    /// Whether a deny policy names the application.
    DenyPolicy(usize),
    /// The subscription of an application (first) to an API.
    Subscription(usize, usize),
    /// Whether the key of an application is known.
    Key(usize, KeyType),
}

/// The state of a fact. Every fact begins as [`State::Open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Published, active, unblocked or known. For a deny policy: absent.
    Open,
    /// Blocked. For a deny policy: present.
    Blocked,
    /// A subscription that is blocked for production keys.
    ProductionBlocked,
    /// A subscription or a key that does not exist.
    Absent,
}

/// One of an application's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    Production,
    Sandbox,
}

/// The credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A key of an application.
    Application(usize, KeyType),
    /// A key that was never issued.
    Stranger(u32),
    /// No key.
    Nobody,
}

/// Caller and API of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub caller: Caller,
    pub api: usize,
}

/// The right answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// The request reaches the upstream.
    Allowed,
    /// The request is refused with this code.
    Refused(&'static str),
}

impl Right {
    /// Whether the request must be refused with this code.
    pub fn is_refusal_with(self, code: &str) -> bool {
        matches!(self, Self::Refused(known) if known == code)
    }
}

/// The right answer, if `state` gives the state of each fact. The order of the rules is that of the table in
/// `docs/decision.md`.
pub fn decide(subject: Subject, state: impl Fn(Fact) -> State) -> Right {
    if state(Fact::Api(subject.api)) != State::Open {
        return Right::Refused("700700");
    }
    let (application, key_type) = match subject.caller {
        Caller::Application(application, key_type) => (application, key_type),
        Caller::Stranger(_) => return Right::Refused("900901"),
        Caller::Nobody => return Right::Refused("900902"),
    };
    if state(Fact::Key(application, key_type)) != State::Open {
        return Right::Refused("900901");
    }
    if state(Fact::DenyPolicy(application)) != State::Open || state(Fact::Application(application)) != State::Open {
        return Right::Refused("900805");
    }
    if !is_subscribed(application, subject.api) {
        return Right::Refused("900908");
    }
    match (state(Fact::Subscription(application, subject.api)), key_type) {
        (State::Absent, _) => Right::Refused("900908"),
        (State::Blocked, _) | (State::ProductionBlocked, KeyType::Production) => Right::Refused("900907"),
        (State::ProductionBlocked, KeyType::Sandbox) | (State::Open, _) => Right::Allowed,
    }
}

/// The facts that decide about a subject. Their order does not matter.
pub fn facts(subject: Subject) -> Vec<Fact> {
    let mut facts = vec![Fact::Api(subject.api)];
    if let Caller::Application(application, key_type) = subject.caller {
        facts.push(Fact::Key(application, key_type));
        facts.push(Fact::DenyPolicy(application));
        facts.push(Fact::Application(application));
        if is_subscribed(application, subject.api) {
            facts.push(Fact::Subscription(application, subject.api));
        }
    }
    facts
}

/// Whether the application is subscribed to the API at the beginning.
pub fn is_subscribed(application: usize, api: usize) -> bool {
    apis_of(application).any(|known| known == api)
}

/// The APIs that an application is subscribed to.
pub fn apis_of(application: usize) -> impl Iterator<Item = usize> {
    (0..APIS_PER_APPLICATION).map(move |place| application.wrapping_add(place) % APIS)
}

impl KeyType {
    pub const ALL: [Self; 2] = [Self::Production, Self::Sandbox];

    /// The name in the policy and in `x-key-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "PRODUCTION",
            Self::Sandbox => "SANDBOX",
        }
    }
}

impl Caller {
    /// The key that is sent.
    pub fn key(self) -> Option<String> {
        match self {
            Self::Application(application, key_type) => Some(key(application, key_type)),
            Self::Stranger(number) => Some(format!("soak-stranger-{number}")),
            Self::Nobody => None,
        }
    }
}

/// The key of an application, as its client sends it.
pub fn key(application: usize, key_type: KeyType) -> String {
    format!("soak-{application}-{}", key_type.name())
}

pub fn key_id(application: usize, key_type: KeyType) -> String {
    format!("k-{application}-{}", key_type.name().to_lowercase())
}

pub fn application_id(application: usize) -> String {
    format!("app-{application}")
}

pub fn api_id(api: usize) -> String {
    format!("api-{api}")
}

/// The policy service's id of a subscription.
pub fn subscription_id(application: usize, api: usize) -> String {
    format!("s-{application}-{api}")
}

/// A path of the API.
pub fn path(api: usize) -> String {
    format!("/api-{api}/1.0/list")
}

/// The row of an API, also for the management API.
pub fn api_row(api: usize) -> Value {
    json!({"id": api_id(api), "name": format!("API {api}"), "match": [{"path": format!("/api-{api}/1.0")}]})
}

/// The row of an application.
pub fn application_row(application: usize) -> Value {
    json!({"id": application_id(application), "name": format!("Application {application}")})
}

/// The row of a key.
pub fn key_row(application: usize, key_type: KeyType) -> Value {
    json!({"sha256": Digest::of(key(application, key_type).as_bytes()).to_hex(), "id": key_id(application, key_type),
           "application": application_id(application), "type": key_type.name()})
}

/// The row of a subscription, without its state.
pub fn subscription_row(application: usize, api: usize) -> Value {
    json!({"id": subscription_id(application, api), "application": application_id(application), "api": api_id(api)})
}

/// The whole policy at the beginning, as a page that can be imported.
pub fn page(applications: usize) -> Value {
    let keys = |application| KeyType::ALL.map(|key_type| key_row(application, key_type));
    let subscriptions = |application| apis_of(application).map(move |api| subscription_row(application, api));
    json!({
        "format": 1,
        "apis": (0..APIS).map(api_row).collect::<Vec<_>>(),
        "applications": (0..applications).map(application_row).collect::<Vec<_>>(),
        "keys": (0..applications).flat_map(keys).collect::<Vec<_>>(),
        "subscriptions": (0..applications).flat_map(subscriptions).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCTION: Subject = Subject { caller: Caller::Application(0, KeyType::Production), api: 0 };
    const SANDBOX: Subject = Subject { caller: Caller::Application(0, KeyType::Sandbox), api: 0 };

    #[test]
    fn each_fact_alone_refuses_whom_it_concerns_and_nobody_else() {
        let of_others = [
            Fact::Api(1),
            Fact::Application(1),
            Fact::DenyPolicy(1),
            Fact::Subscription(0, 1),
            Fact::Subscription(1, 0),
            Fact::Key(1, KeyType::Production),
        ];
        let cases: &[(Fact, State, Right, Right)] = &[
            (Fact::Api(0), State::Blocked, Right::Refused("700700"), Right::Refused("700700")),
            (Fact::Key(0, KeyType::Production), State::Absent, Right::Refused("900901"), Right::Allowed),
            (Fact::Key(0, KeyType::Sandbox), State::Absent, Right::Allowed, Right::Refused("900901")),
            (Fact::DenyPolicy(0), State::Blocked, Right::Refused("900805"), Right::Refused("900805")),
            (Fact::Application(0), State::Blocked, Right::Refused("900805"), Right::Refused("900805")),
            (Fact::Subscription(0, 0), State::Blocked, Right::Refused("900907"), Right::Refused("900907")),
            (Fact::Subscription(0, 0), State::ProductionBlocked, Right::Refused("900907"), Right::Allowed),
            (Fact::Subscription(0, 0), State::Absent, Right::Refused("900908"), Right::Refused("900908")),
        ];
        for (fact, state, production, sandbox) in cases {
            let at = |known| if known == *fact { *state } else { State::Open };
            assert_eq!(decide(PRODUCTION, at), *production, "{fact:?} {state:?}");
            assert_eq!(decide(SANDBOX, at), *sandbox, "{fact:?} {state:?}");
            assert!(facts(PRODUCTION).contains(fact) || facts(SANDBOX).contains(fact), "{fact:?}");
        }
        for fact in of_others {
            let at = |known| if known == fact { State::Blocked } else { State::Open };
            assert_eq!(decide(PRODUCTION, at), Right::Allowed, "{fact:?}");
            assert!(!facts(PRODUCTION).contains(&fact), "{fact:?}");
        }
    }

    #[test]
    fn who_has_no_key_or_no_subscription_is_refused_whatever_else_is_open() {
        let open = |_| State::Open;
        let cases = [
            (Caller::Nobody, 0, Right::Refused("900902")),
            (Caller::Stranger(1), 0, Right::Refused("900901")),
            (Caller::Application(0, KeyType::Sandbox), APIS_PER_APPLICATION, Right::Refused("900908")),
            (Caller::Application(0, KeyType::Sandbox), APIS_PER_APPLICATION - 1, Right::Allowed),
        ];
        for (caller, api, right) in cases {
            assert_eq!(decide(Subject { caller, api }, open), right, "{caller:?} {api}");
        }
    }
}
