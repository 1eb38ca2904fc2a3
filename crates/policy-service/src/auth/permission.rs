//! What each role may do on each route, in one table. A route without a row rejects every caller. The tests require a
//! row for each operation of the OpenAPI document.
//!
//! The table knows roles and routes. [`management::access`] decides which rows a role sees and which of them it owns.

use management::port::{Kind, Role};
use serde_json::{Value, json};

/// What a role may do on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// The whole route, for the rows that the role sees.
    Yes,
    /// The whole route, for the role's own rows.
    Own,
    /// Nothing: 403 if the role sees the object, else 404.
    Forbidden,
    /// Nothing, and the role does not see such objects: 404.
    Hidden,
}

use May::{Forbidden as No, Hidden, Own, Yes};

/// The callers of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, without a credential.
    Anyone,
    /// Gateways.
    Gateways,
    /// Principals, by their role, in the order of [`Role::ALL`].
    Roles([May; 5]),
}

/// A route and its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The method.
    pub method: &'static str,
    /// The path pattern of the route.
    pub path: &'static str,
    /// The kind of object that `{id}` names, or that a list contains.
    pub kind: Option<Kind>,
    /// The callers.
    pub who: Who,
}

impl Operation {
    /// What `role` may do here.
    pub fn may(&self, role: Role) -> May {
        let Who::Roles(answers) = self.who else { return May::Hidden };
        let found = Role::ALL.into_iter().zip(answers).find(|(other, _)| *other == role);
        found.map_or(May::Hidden, |(_, may)| may)
    }
}

const fn open(method: &'static str, path: &'static str) -> Operation {
    Operation { method, path, kind: None, who: Who::Anyone }
}

const fn gateways(method: &'static str, path: &'static str) -> Operation {
    Operation { method, path, kind: None, who: Who::Gateways }
}

const fn roles(method: &'static str, path: &'static str, answers: [May; 5]) -> Operation {
    Operation { method, path, kind: None, who: Who::Roles(answers) }
}

const fn of(kind: Kind, method: &'static str, path: &'static str, answers: [May; 5]) -> Operation {
    Operation { method, path, kind: Some(kind), who: Who::Roles(answers) }
}

/// The table. It also has rows for routes that do not exist yet, so that their permissions are decided first.
#[rustfmt::skip]
pub const TABLE: &[Operation] = &[
    open("GET", "/healthz"),
    open("GET", "/healthz/write"),
    open("GET", "/metrics"),
    gateways("GET", "/v1/policy"),
    gateways("POST", "/v1/usage"),
    //                                                        administrator, publisher, subscriber, operator, auditor
    roles("GET", "/v1/me",                                             [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Api, "GET", "/v1/apis",                                   [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Api, "POST", "/v1/apis",                                  [Yes, Own,    No,     No,  No]),
    of(Kind::Api, "GET", "/v1/apis/{id}",                              [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Api, "PUT", "/v1/apis/{id}",                              [Yes, Own,    No,     No,  No]),
    of(Kind::Api, "DELETE", "/v1/apis/{id}",                           [Yes, Own,    No,     No,  No]),
    of(Kind::Application, "GET", "/v1/applications",                   [Yes, Hidden, Yes,    Yes, Yes]),
    of(Kind::Application, "POST", "/v1/applications",                  [Yes, Hidden, Own,    No,  No]),
    of(Kind::Application, "GET", "/v1/applications/{id}",              [Yes, Hidden, Yes,    Yes, Yes]),
    of(Kind::Application, "PUT", "/v1/applications/{id}",              [Yes, Hidden, Own,    No,  No]),
    of(Kind::Application, "DELETE", "/v1/applications/{id}",           [Yes, Hidden, Own,    No,  No]),
    of(Kind::Application, "POST", "/v1/applications/{id}/block",       [Yes, Hidden, No,     Yes, No]),
    of(Kind::Application, "POST", "/v1/applications/{id}/unblock",     [Yes, Hidden, No,     Yes, No]),
    of(Kind::Application, "POST", "/v1/applications/{id}/keys",        [Yes, Hidden, Own,    No,  No]),
    of(Kind::Key, "GET", "/v1/keys",                                   [Yes, Hidden, Yes,    Yes, Yes]),
    of(Kind::Key, "POST", "/v1/keys",                                  [Yes, Hidden, Own,    No,  No]),
    of(Kind::Key, "GET", "/v1/keys/{id}",                              [Yes, Hidden, Yes,    Yes, Yes]),
    of(Kind::Key, "PUT", "/v1/keys/{id}",                              [Yes, Hidden, Own,    No,  No]),
    of(Kind::Key, "DELETE", "/v1/keys/{id}",                           [Yes, Hidden, Own,    No,  No]),
    of(Kind::Key, "POST", "/v1/keys/{id}/regenerate",                  [Yes, Hidden, Own,    No,  No]),
    of(Kind::Key, "POST", "/v1/keys/{id}/revoke",                      [Yes, Hidden, Own,    Yes, No]),
    roles("POST", "/v1/keys/lookup",                                   [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Subscription, "GET", "/v1/subscriptions",                 [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Subscription, "POST", "/v1/subscriptions",                [Yes, No,     Own,    No,  No]),
    of(Kind::Subscription, "GET", "/v1/subscriptions/{id}",            [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Subscription, "PUT", "/v1/subscriptions/{id}",            [Yes, No,     Own,    No,  No]),
    of(Kind::Subscription, "DELETE", "/v1/subscriptions/{id}",         [Yes, No,     Own,    No,  No]),
    of(Kind::Subscription, "POST", "/v1/subscriptions/{id}/block",     [Yes, Own,    No,     Yes, No]),
    of(Kind::Subscription, "POST", "/v1/subscriptions/{id}/unblock",   [Yes, Own,    No,     Yes, No]),
    of(Kind::Subscription, "POST", "/v1/subscriptions/{id}/approve",   [Yes, Own,    No,     No,  No]),
    of(Kind::Subscription, "POST", "/v1/subscriptions/{id}/reject",    [Yes, Own,    No,     No,  No]),
    of(Kind::Plan, "GET", "/v1/plans",                                 [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Plan, "POST", "/v1/plans",                                [Yes, Own,    No,     No,  No]),
    of(Kind::Plan, "GET", "/v1/plans/{id}",                            [Yes, Yes,    Yes,    Yes, Yes]),
    of(Kind::Plan, "PUT", "/v1/plans/{id}",                            [Yes, Own,    No,     No,  No]),
    of(Kind::Plan, "DELETE", "/v1/plans/{id}",                         [Yes, Own,    No,     No,  No]),
    of(Kind::DenyPolicy, "GET", "/v1/deny-policies",                   [Yes, Hidden, Hidden, Yes, Yes]),
    of(Kind::DenyPolicy, "POST", "/v1/deny-policies",                  [Yes, Hidden, Hidden, Yes, No]),
    of(Kind::DenyPolicy, "GET", "/v1/deny-policies/{id}",              [Yes, Hidden, Hidden, Yes, Yes]),
    of(Kind::DenyPolicy, "PUT", "/v1/deny-policies/{id}",              [Yes, Hidden, Hidden, Yes, No]),
    of(Kind::DenyPolicy, "DELETE", "/v1/deny-policies/{id}",           [Yes, Hidden, Hidden, Yes, No]),
    roles("GET", "/v1/usage",                                          [Yes, Yes,    Yes,    Yes, Yes]),
    roles("GET", "/v1/tokens",                                         [Yes, Hidden, Hidden, Yes, Yes]),
    roles("POST", "/v1/tokens",                                        [Yes, Hidden, Hidden, No,  No]),
    roles("DELETE", "/v1/tokens/{id}",                                 [Yes, Hidden, Hidden, No,  No]),
    roles("GET", "/v1/gateways/credentials",                           [Yes, Hidden, Hidden, Yes, Yes]),
    roles("POST", "/v1/gateways/credentials",                          [Yes, Hidden, Hidden, Yes, No]),
    roles("PUT", "/v1/gateways/credentials/{id}",                      [Yes, Hidden, Hidden, Yes, No]),
    roles("DELETE", "/v1/gateways/credentials/{id}",                   [Yes, Hidden, Hidden, Yes, No]),
    roles("GET", "/v1/gateways",                                       [Yes, Hidden, Hidden, Yes, Yes]),
    roles("DELETE", "/v1/gateways/{id}",                               [Yes, Hidden, Hidden, Yes, No]),
    roles("GET", "/v1/receipts/{revision}",                            [Yes, Yes,    Yes,    Yes, Yes]),
    roles("POST", "/v1/explain",                                       [Yes, Yes,    Hidden, Yes, Yes]),
    roles("GET", "/v1/audit",                                          [Yes, Hidden, Hidden, Yes, Yes]),
    roles("GET", "/v1/revisions",                                      [Yes, Hidden, Hidden, Yes, Yes]),
    roles("GET", "/v1/diff",                                           [Yes, Hidden, Hidden, Yes, Yes]),
    roles("POST", "/v1/restore",                                       [Yes, Hidden, Hidden, No,  No]),
    roles("POST", "/v1/import",                                        [Yes, Hidden, Hidden, No,  No]),
];

/// The row of a route. `HEAD` is `GET` without a body.
pub fn find(method: &str, path: &str) -> Option<&'static Operation> {
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE.iter().find(|operation| operation.method == method && operation.path == path)
}

/// The permissions of a route for the OpenAPI document, as `x-permission`.
pub fn described(method: &str, path: &str) -> Option<Value> {
    let word = |may| match may {
        May::Yes => "yes",
        May::Own => "own",
        May::Forbidden => "forbidden",
        May::Hidden => "hidden",
    };
    Some(match find(method, path)?.who {
        Who::Anyone => json!("anyone"),
        Who::Gateways => json!("gateways"),
        Who::Roles(answers) => {
            Role::ALL.into_iter().zip(answers).map(|(role, may)| (role.as_str().to_owned(), json!(word(may)))).collect()
        }
    })
}
