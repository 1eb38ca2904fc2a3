//! The OpenAPI document: what the handlers say of themselves, and what is the same for many of them.
//!
//! The handlers name what is particular to them. Added here is what follows from the kind of an operation (a body can be too
//! large, a database busy), and what the derived schemas cannot say. `tests/openapi.rs` holds real answers against it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

#[derive(OpenApi)]
#[openapi(
    info(title = "keygate policy service", description = "Management of APIs, applications, keys and subscriptions, and the feed for gateways."),
    security(("administrator" = [])),
    modifiers(&Schemes),
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let http = |scheme, description: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
        };
        components.add_security_scheme("administrator", http(HttpAuthScheme::Bearer, "the administrator's token"));
        components
            .add_security_scheme("gateway", http(HttpAuthScheme::Basic, "a gateway's client_id and client_secret"));
        components.add_security_scheme("gateway_secret", http(HttpAuthScheme::Bearer, "a gateway's client_secret"));
    }
}

/// The document that the handlers are added to.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The whole document, as text.
pub fn document(handlers: &utoipa::openapi::OpenApi) -> Arc<str> {
    // Strings, numbers and lists: there is nothing that could fail.
    let mut document = serde_json::to_value(handlers).unwrap_or_default();
    for (path, operations) in members(&mut document, "/paths") {
        for (method, operation) in members(operations, "") {
            complete(path, method, operation);
        }
    }
    refer(&mut document);
    flatten(&mut document, "/components/schemas/IssuedKey");
    let deleted = json!({"type": "boolean", "readOnly": true,
        "description": "It was deleted while it was blocked; the block stays until it is unblocked. Absent: it was not."});
    for schema in ["Application", "Subscription"] {
        insert(&mut document, &format!("/components/schemas/{schema}/properties"), "deleted", deleted.clone());
    }
    for schema in ["Api", "Application", "Key", "Subscription", "Plan", "DenyPolicy"] {
        tell_sent_from_shown(&mut document, schema);
    }
    insert(&mut document, "/components/schemas/IssuedKey/properties", "id", json!({"type": "string"}));
    for (_, required) in members(&mut document, "/components/schemas/IssuedKey").filter(|(name, _)| *name == "required")
    {
        required.as_array_mut().into_iter().for_each(|required| required.push(json!("id")));
    }
    document.to_string().into()
}

/// Describes a row that is sent apart from one that is shown: the `id` may be left out of the first, and is always in the
/// second, as gateways need it.
fn tell_sent_from_shown(document: &mut Value, name: &str) {
    let place = format!("/components/schemas/{name}");
    let Some(sent) = document.pointer(&place).cloned() else { return };
    insert(document, "/components/schemas", &format!("New{name}"), sent);
    let id =
        json!({"type": "string", "description": "1 to 256 bytes without control characters; made if none was given."});
    insert(document, &format!("{place}/properties"), "id", id);
    if let Some(shown) = document.pointer_mut(&place).and_then(Value::as_object_mut) {
        let required = shown.entry("required").or_insert_with(|| json!([]));
        required.as_array_mut().into_iter().for_each(|required| required.push(json!("id")));
    }
    let (shown, sent) = (json!(format!("#{place}")), json!(format!("#/components/schemas/New{name}")));
    for (_, operations) in members(document, "/paths") {
        for (_, operation) in members(operations, "") {
            let schema = operation.pointer_mut("/requestBody/content/application~1json/schema/$ref");
            if let Some(schema) = schema.filter(|schema| **schema == shown) {
                *schema = sent.clone();
            }
        }
    }
}

/// Adds to an operation the answers that its kind can have.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let body = operation.get("requestBody").is_some();
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let mut add = |status: &str, description: &str| {
        responses.entry(status).or_insert_with(|| json!({"description": description, "content": {JSON: problem()}}));
    };
    let is_action = ["/block", "/unblock", "/revoke", "/regenerate"].iter().any(|end| path.ends_with(end));
    let is_conditional = matches!(method, "put" | "delete") || is_action;
    if is_conditional {
        add("412", "the row is another version than `if-match` names");
        add("422", "a field of the body cannot be used; `field` says which");
    }
    if path.starts_with("/v1/") && method != "get" {
        add("400", "a parameter or the body cannot be used");
    }
    if path.contains('{') {
        add("400", "the id is no UTF-8");
    }
    if body {
        add("400", "the body is not JSON");
        add("408", "the body took too long");
        add("413", "the body is too large");
    }
    if path.starts_with("/v1/") {
        add("503", "the database is busy or cannot be reached; nothing was changed");
        if method != "get" {
            add("507", "the disk is full; nothing was changed");
        }
        add("default", "any other error");
    }
    let is_management =
        path.starts_with("/v1/") && !["/v1/usage", "/v1/policy", "/v1/keys/lookup", "/v1/audit"].contains(&path);
    for (status, response) in responses.iter_mut() {
        if is_management && status.starts_with('2') {
            if path.contains('{') || method != "get" {
                let etag = json!({"description": "the version of the row, if one is there; for `if-match`", "schema": {"type": "string"}});
                insert(response, "", "headers", json!({"etag": etag}));
            }
            if method != "get" {
                let revision = json!({"description": "the revision of the policy that has the change", "schema": {"type": "integer"}});
                insert(response, "/headers", "x-policy-revision", revision);
            }
        }
        insert(response, "", "headers", response.get("headers").cloned().unwrap_or_else(|| json!({})));
        let request_id = json!({"description": "the name of the request: its own, or one that was made",
            "schema": {"type": "string"}});
        insert(response, "/headers", "x-request-id", request_id);
        if status.starts_with(['4', '5', 'd'])
            && let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
            && let Some(schema) = content.remove(JSON)
        {
            content.insert(PROBLEM.to_owned(), schema);
        }
    }
    if is_conditional && let Some(operation) = operation.as_object_mut() {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        let if_match = json!({"name": "if-match", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "An `etag`: the row is changed only if it is still this version."});
        parameters.as_array_mut().into_iter().for_each(|parameters| parameters.push(if_match.clone()));
    }
}

fn problem() -> Value {
    json!({"schema": {"$ref": "#/components/schemas/Problem"}})
}

/// Lets lists refer to the schema of their items, which they have within them otherwise.
fn refer(document: &mut Value) {
    for (name, schema) in members(document, "/components/schemas") {
        if let Some(item) = name.strip_prefix("Items_") {
            insert(schema, "/properties/items", "items", json!({"$ref": format!("#/components/schemas/{item}")}));
        }
    }
}

/// Makes one object of a schema that is put together of others: each of those says that it has no other properties, so
/// nothing would ever fit to all.
fn flatten(document: &mut Value, place: &str) {
    let parts = document.pointer_mut(place).and_then(|schema| schema.get_mut("allOf")).map(Value::take);
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let referred = part.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        let part = referred.and_then(|place| document.pointer(place)).unwrap_or(part);
        properties.extend(part.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(part.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    if let Some(schema) = document.pointer_mut(place).and_then(Value::as_object_mut) {
        schema.remove("allOf");
    }
    insert(document, place, "type", json!("object"));
    insert(document, place, "properties", properties.into());
    insert(document, place, "required", required.into());
}

/// The members of the object at a place of the document; none if there is none.
fn members<'v>(document: &'v mut Value, place: &str) -> impl Iterator<Item = (&'v String, &'v mut Value)> {
    document.pointer_mut(place).and_then(Value::as_object_mut).into_iter().flatten()
}

/// Adds a member to the object at a place of the document.
fn insert(document: &mut Value, place: &str, name: &str, value: Value) {
    if let Some(object) = document.pointer_mut(place).and_then(Value::as_object_mut) {
        object.insert(name.to_owned(), value);
    }
}
