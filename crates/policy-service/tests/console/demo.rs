//! What the pages of a test show: two publishers with APIs, two subscribers with applications, and people of each role.

use serde_json::json;

use crate::{
    person::Person,
    support::{Service, digest},
};

pub const ROLES: [&str; 5] = ["administrator", "publisher", "subscriber", "operator", "auditor"];

/// APIs `orders` and `invoices` (approved by hand) of `p`, `hidden` (published) and `secret` (not yet) of `q`; `shop` of
/// `alice` with two keys, and `blog` of `bob`; subscriptions `s-1` (shop to orders), `s-2` (blog to hidden) and `s-3` (blog
/// to invoices, which waits).
pub async fn fill(service: &Service) {
    service
        .post("/v1/plans", json!({"id": "gold", "owner": "p", "limits": [{"requests": 5000, "per": "day"}]}))
        .await
        .expect(201);
    for (id, name, owner, state, approval) in [
        ("orders", "Orders", "p", "PUBLISHED", "automatic"),
        ("invoices", "Invoices", "p", "PUBLISHED", "manual"),
        ("hidden", "Hidden", "q", "PUBLISHED", "automatic"),
        ("secret", "Secret", "q", "CREATED", "automatic"),
    ] {
        let plans = if id == "orders" { json!(["gold"]) } else { json!(null) };
        let api = json!({"id": id, "name": name, "version": "1.0", "owner": owner, "state": state, "approval": approval,
            "plans": plans, "match": [{"hosts": ["api.example.com"], "path": format!("/{id}/1.0")}]});
        service.post("/v1/apis", api).await.expect(201);
    }
    for (id, name, owner) in [("shop", "Web shop", "alice"), ("blog", "Blog", "bob")] {
        service.post("/v1/applications", json!({"id": id, "name": name, "owner": owner})).await.expect(201);
    }
    for (number, kind) in [(1, "PRODUCTION"), (2, "SANDBOX")] {
        let key = json!({"id": format!("k-{number}"), "application": "shop", "sha256": digest(number), "type": kind});
        service.post("/v1/keys", key).await.expect(201);
    }
    for (id, application, api, plan) in [
        ("s-1", "shop", "orders", json!("gold")),
        ("s-2", "blog", "hidden", json!(null)),
        ("s-3", "blog", "invoices", json!(null)),
    ] {
        let subscription = json!({"id": id, "application": application, "api": api, "plan": plan});
        service.post("/v1/subscriptions", subscription).await.expect(201);
    }
    service.post("/v1/deny-policies", json!({"id": "d-1", "type": "IP", "value": "203.0.113.9"})).await.expect(201);
    service
        .put("/v1/subscriptions/s-3", json!({"application": "blog", "api": "invoices", "state": "ON_HOLD"}))
        .await
        .expect(200);
}

/// One person of each role, in the order of [`ROLES`]: the owners of what [`fill`] makes.
pub async fn people(service: &Service) -> Vec<Person> {
    let mut people = Vec::new();
    for (role, subject) in ROLES.into_iter().zip(["root", "p", "alice", "olga", "audrey"]) {
        people.push(Person::new(service, role, subject).await);
    }
    people
}
