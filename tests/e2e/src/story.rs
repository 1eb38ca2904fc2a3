//! The demo story as data: two APIs, an application with a production and a sandbox key, another application, and the
//! answer to each call before, during and after a block.
//!
//! `make run` prints it, `make demo` runs it with curl, and a test checks every worker of a real Envoy with it.

use std::{fmt, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    Error, Options, Result, Stack,
    http::Ask,
    policy_service::{ADMIN_TOKEN, PolicyService},
};

/// The keys of the demo in clear. No other place has them, because the service stores digests.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `shop`, production.
    pub production: String,
    /// `shop`, sandbox.
    pub sandbox: String,
    /// `partner`, production: another application with a subscription to `orders`.
    pub partner: String,
    /// `visitor`, production: an application without a subscription.
    pub visitor: String,
}

/// A stack with the demo data.
pub async fn stage(name: &str, options: Options) -> Result<(Stack, Keys)> {
    let mut stack = Stack::prepare(name, options).await?;
    let keys = load(stack.policy()?).await?;
    stack.start_envoy().await?;
    Ok((stack, keys))
}

/// Loads the demo data through the management API.
pub async fn load(policy: &PolicyService) -> Result<Keys> {
    for (id, name) in [("orders-1.0", "Orders"), ("payments-1.0", "Payments")] {
        let path = format!("/{}", id.replace('-', "/"));
        let api = json!({"id": id, "name": name, "version": "1.0", "match": [{"path": path}]});
        policy.post("/v1/apis", Some(api)).await?;
    }
    for (id, owner) in [("shop", "alice"), ("partner", "bob"), ("visitor", "carol")] {
        policy.post("/v1/applications", Some(json!({"id": id, "name": id, "owner": owner}))).await?;
    }
    for (application, api) in [("shop", "orders"), ("shop", "payments"), ("partner", "orders")] {
        let (id, api) = (format!("{application}-{api}"), format!("{api}-1.0"));
        policy.post("/v1/subscriptions", Some(json!({"id": id, "application": application, "api": api}))).await?;
    }
    Ok(Keys {
        production: key(policy, "shop", json!({"type": "PRODUCTION"})).await?,
        sandbox: key(policy, "shop", json!({"type": "SANDBOX"})).await?,
        partner: key(policy, "partner", json!({"type": "PRODUCTION"})).await?,
        visitor: key(policy, "visitor", json!({"type": "PRODUCTION"})).await?,
    })
}

/// A new key of `application`, in clear.
pub async fn key(policy: &PolicyService, application: &str, key: Value) -> Result<String> {
    Ok(new_key(policy, application, key).await?.0)
}

/// A new key of `application`: in clear, and its public id.
pub async fn new_key(policy: &PolicyService, application: &str, key: Value) -> Result<(String, String)> {
    let path = format!("/v1/applications/{application}/keys");
    let made = policy.post(&path, Some(key)).await?;
    let text = |field: &str| made.get(field).and_then(Value::as_str).map(str::to_owned);
    text("key").zip(text("id")).ok_or_else(|| Error::unexpected(path, "`key` and `id`", "an answer without them"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// `shop` with its production key.
    Production,
    /// `shop` with its sandbox key.
    Sandbox,
    /// `partner`, which no block concerns.
    Partner,
    /// `visitor`, which has no subscription.
    Visitor,
    /// A caller with a key that was never issued.
    Stranger,
    /// A caller without a key.
    Nobody,
}

impl Caller {
    /// The key that the caller sends.
    pub fn key(self, keys: &Keys) -> Option<&str> {
        match self {
            Self::Production => Some(&keys.production),
            Self::Sandbox => Some(&keys.sandbox),
            Self::Partner => Some(&keys.partner),
            Self::Visitor => Some(&keys.visitor),
            Self::Stranger => Some("never-given-out"),
            Self::Nobody => None,
        }
    }

    /// The name for a reader.
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "shop's production key",
            Self::Sandbox => "shop's sandbox key",
            Self::Partner => "partner's key",
            Self::Visitor => "a key of an application without a subscription",
            Self::Stranger => "an unknown key",
            Self::Nobody => "no key",
        }
    }
}

/// The expected answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// 200 from the upstream's endpoint of that name.
    Reaches(&'static str),
    /// A refusal with status, code and message.
    Refused(u16, &'static str, &'static str),
}

impl Expected {
    /// Whether an answer with this status and body is the expected one.
    pub fn is(self, status: u16, body: &Value) -> bool {
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        match self {
            Self::Reaches(endpoint) => status == 200 && text("endpoint") == Some(endpoint),
            Self::Refused(expected, code, message) => {
                status == expected && text("code") == Some(code) && text("message") == Some(message)
            }
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reaches(endpoint) => write!(f, "200 from {endpoint}"),
            Self::Refused(status, code, message) => write!(f, "{status} {code} {message}"),
        }
    }
}

/// One call through the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub caller: Caller,
    pub path: &'static str,
    pub expected: Expected,
}

impl Call {
    /// The call as a request.
    pub fn ask(&self, keys: &Keys) -> Ask {
        match self.caller.key(keys) {
            Some(key) => Ask::get(self.path).key(key),
            None => Ask::get(self.path),
        }
    }
}

/// A change, and the calls after it.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub title: &'static str,
    /// The POST to the management API with which the scene begins.
    pub change: Option<&'static str>,
    /// The calls that then have the expected answer.
    pub calls: &'static [Call],
}

/// A path of the first API.
pub const ORDERS: &str = "/orders/1.0/list";
/// A path of the second API.
pub const PAYMENTS: &str = "/payments/1.0/list";

const PRODUCTION: Expected = Expected::Reaches("production");
const SANDBOX: Expected = Expected::Reaches("sandbox");
/// The answer for a blocked subscription.
pub const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");

const fn call(caller: Caller, path: &'static str, expected: Expected) -> Call {
    Call { caller, path, expected }
}

/// The answers of `orders` to `shop`, and the calls that no block of `shop` and `orders` may ever change.
const fn calls(production: Expected, sandbox: Expected) -> [Call; 5] {
    [
        call(Caller::Production, ORDERS, production),
        call(Caller::Sandbox, ORDERS, sandbox),
        call(Caller::Production, PAYMENTS, PRODUCTION),
        call(Caller::Sandbox, PAYMENTS, SANDBOX),
        call(Caller::Partner, ORDERS, PRODUCTION),
    ]
}

pub const SCENES: &[Scene] = &[
    Scene {
        title: "Allowed: both keys of `shop` reach both APIs, the sandbox key the sandbox",
        change: None,
        calls: &calls(PRODUCTION, SANDBOX),
    },
    Scene {
        title: "Refused: no key, an unknown key, an application without a subscription",
        change: None,
        calls: &[
            call(Caller::Nobody, ORDERS, Expected::Refused(401, "900902", "Missing Credentials")),
            call(Caller::Stranger, ORDERS, Expected::Refused(401, "900901", "Invalid Credentials")),
            call(Caller::Visitor, ORDERS, Expected::Refused(403, "900908", "Resource forbidden")),
        ],
    },
    Scene {
        title: "Blocked: `shop` loses `orders` with both keys, and nothing else; `partner` keeps it",
        change: Some("/v1/subscriptions/shop-orders/block?state=BLOCKED"),
        calls: &calls(BLOCKED, BLOCKED),
    },
    Scene {
        title: "Blocked for production only: the sandbox key still works",
        change: Some("/v1/subscriptions/shop-orders/block?state=PROD_ONLY_BLOCKED"),
        calls: &calls(BLOCKED, SANDBOX),
    },
    Scene {
        title: "Unblocked: everything works as before",
        change: Some("/v1/subscriptions/shop-orders/unblock"),
        calls: &calls(PRODUCTION, SANDBOX),
    },
];

/// The calls of the story as shell lines, for one stack.
pub struct Lines<'a> {
    /// The address of the gateway.
    pub gateway: SocketAddr,
    /// The address of the policy service.
    pub policy: SocketAddr,
    pub keys: &'a Keys,
}

impl Lines<'_> {
    /// A call through the gateway.
    pub fn call(&self, call: &Call) -> String {
        let header = call.caller.key(self.keys).map(|key| format!(" -H 'x-api-key: {key}'")).unwrap_or_default();
        format!("curl -si http://{}{}{header}", self.gateway, call.path)
    }

    /// A call of the management API.
    pub fn change(&self, change: &str) -> String {
        format!("curl -si -X POST 'http://{}{change}' -H 'authorization: Bearer {ADMIN_TOKEN}'", self.policy)
    }
}
