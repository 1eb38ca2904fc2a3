//! What a person finds in the console of the demo: owners of APIs and applications, a token for each of three people, a
//! blocked subscription with a note, one that waits for approval, one whose plan is used up, and usage by real requests
//! through Envoy.
//!
//! `make run` opens it, and the tests in a browser begin with it. `make demo` and other tests do without.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Error, Result, Stack,
    deadline::eventually,
    http::{Ask, Connection},
    policy_service::PolicyService,
    story::{self, Keys, ORDERS, PAYMENTS},
};

/// The pause between two usage reports of the demo's gateways. The shipped configuration has a minute, and a person who
/// looks at a chart does not wait so long.
const REPORT_INTERVAL_MS: u32 = 2_000;
/// How long the gateways may take to have everything that was made here, and to report the requests.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// Each of the requests below is sent so often.
const ROUNDS: usize = 12;
/// An API whose publisher approves each subscription.
const REPORTS: &str = "/reports/1.0/monthly";

/// A person of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub role: &'static str,
    pub subject: &'static str,
    /// What the person has in the demo.
    pub has: &'static str,
}

/// The owner of all APIs.
pub const PUBLISHER: Person = Person { role: "publisher", subject: "dana", has: "the APIs" };
/// The owner of `shop` and `dashboard`.
pub const SUBSCRIBER: Person = Person { role: "subscriber", subject: "alice", has: "`shop` and `dashboard`" };
/// Someone who watches gateways.
pub const OPERATOR: Person = Person { role: "operator", subject: "oscar", has: "nothing, and sees everything" };

/// The tokens of the people, in clear. No other place has them.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub publisher: String,
    pub subscriber: String,
    pub operator: String,
}

impl Tokens {
    /// Each person with the token.
    pub fn each(&self) -> [(Person, &str); 3] {
        [(PUBLISHER, &self.publisher), (SUBSCRIBER, &self.subscriber), (OPERATOR, &self.operator)]
    }
}

/// Reports usage soon enough for a person who watches.
pub fn hasty(options: crate::Options) -> crate::Options {
    options.edit(r#""interval_ms": 60000"#, format!(r#""interval_ms": {REPORT_INTERVAL_MS}"#))
}

/// Completes the demo data of [`story::load`], and sends the requests. Envoy must run.
pub async fn open(stack: &Stack, keys: &Keys) -> Result<Tokens> {
    let policy = stack.policy()?;
    let tokens = Tokens {
        publisher: token(policy, PUBLISHER).await?,
        subscriber: token(policy, SUBSCRIBER).await?,
        operator: token(policy, OPERATOR).await?,
    };
    let dashboard = furnish(policy, &tokens).await?;
    send(stack, keys, &dashboard).await?;
    Ok(tokens)
}

/// A new token of a person.
pub async fn token(policy: &PolicyService, person: Person) -> Result<String> {
    let made = policy.post("/v1/tokens", Some(json!({"role": person.role, "subject": person.subject}))).await?;
    let token = made.get("token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| Error::unexpected("/v1/tokens", "`token`", "an answer without it"))
}

/// Makes what the console shows beyond the story. Returns the key of `dashboard`.
async fn furnish(policy: &PolicyService, tokens: &Tokens) -> Result<String> {
    for (id, name) in [("orders-1.0", "Orders"), ("payments-1.0", "Payments")] {
        let path = format!("/{}", id.replace('-', "/"));
        let api = json!({"name": name, "version": "1.0", "match": [{"path": path}], "owner": PUBLISHER.subject});
        let answer = policy.call(Ask::new("PUT", format!("/v1/apis/{id}")).json(api)).await?;
        if !answer.status.is_success() {
            return Err(Error::unexpected(id, "another owner", answer.to_string()));
        }
    }
    let plan = json!({"id": "trial", "owner": PUBLISHER.subject,
                      "limits": [{"requests": 5, "per": "hour"}]});
    policy.post("/v1/plans", Some(plan)).await?;
    let reports = json!({"id": "reports-1.0", "name": "Reports", "version": "1.0", "match": [{"path": "/reports/1.0"}],
                         "owner": PUBLISHER.subject, "approval": "manual"});
    policy.post("/v1/apis", Some(reports)).await?;
    let dashboard = json!({"id": "dashboard", "name": "dashboard", "owner": SUBSCRIBER.subject});
    policy.post("/v1/applications", Some(dashboard)).await?;
    let tried = json!({"id": "dashboard-orders", "application": "dashboard", "api": "orders-1.0", "plan": "trial"});
    policy.post("/v1/subscriptions", Some(tried)).await?;
    let owed = json!({"id": "partner-payments", "application": "partner", "api": "payments-1.0"});
    policy.post("/v1/subscriptions", Some(owed)).await?;
    let block = json!({"state": "BLOCKED", "reason": "invoice 2026-114 is three months old",
                       "note": "Please pay invoice 2026-114, then write to billing@example.com"});
    policy.post("/v1/subscriptions/partner-payments/block", Some(block)).await?;
    // A subscriber asks for it. So it waits for the publisher.
    let wanted = json!({"id": "shop-reports", "application": "shop", "api": "reports-1.0"});
    let ask = Ask::new("POST", "/v1/subscriptions").json(wanted);
    let ask = ask.header("authorization", format!("Bearer {}", tokens.subscriber));
    let answer = crate::http::send(policy.address(), &ask).await?;
    if answer.json().get("state").and_then(Value::as_str) != Some("ON_HOLD") {
        return Err(Error::unexpected("shop-reports", "ON_HOLD", answer.to_string()));
    }
    story::key(policy, "dashboard", json!({"type": "PRODUCTION"})).await
}

/// Sends requests that are allowed, and requests that are refused for each of five reasons, and waits until the service
/// knows of all of them.
async fn send(stack: &Stack, keys: &Keys, dashboard: &str) -> Result<()> {
    let gateway = stack.envoy()?.gateway();
    // The last of what was made above has arrived when this one is refused by the plan's limit.
    let last = Ask::get(ORDERS).key(dashboard);
    eventually("the gateway to have the demo data", SEEN_WITHIN, async || {
        match crate::http::send(gateway, &last).await? {
            answer if answer.status == 429 => Ok(()),
            answer => Err(Error::unexpected("a used-up plan", "429", answer.to_string())),
        }
    })
    .await?;
    let requests = [
        (4, Ask::get(ORDERS).key(&keys.production)),
        (2, Ask::get(PAYMENTS).key(&keys.production)),
        (1, Ask::get(ORDERS).key(&keys.sandbox)),
        (3, Ask::get(ORDERS).key(&keys.partner)),
        (1, Ask::get(PAYMENTS).key(&keys.partner)),
        (1, Ask::get(REPORTS).key(&keys.production)),
        (1, Ask::get(ORDERS).key(&keys.visitor)),
        (1, Ask::get(ORDERS).key("never-given-out")),
    ];
    let mut connection = Connection::open(gateway).await?;
    for _ in 0..ROUNDS {
        for (times, ask) in &requests {
            for _ in 0..*times {
                connection.send(ask).await?;
            }
        }
    }
    let policy = stack.policy()?;
    eventually("the gateway to report its requests", SEEN_WITHIN, async || {
        let answer = policy.call(Ask::get("/v1/usage?application=visitor")).await?;
        let json = answer.json();
        let is_reported = json.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty());
        if is_reported { Ok(()) } else { Err(Error::unexpected("usage", "rows", answer.to_string())) }
    })
    .await?;
    Ok(())
}
