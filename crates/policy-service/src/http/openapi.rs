//! The OpenAPI document: the descriptions of the handlers, completed by what is the same for many of them.
//!
//! Each handler describes what is particular to it. This file adds what follows from the kind of an operation (a body
//! can be too large, the database can be busy) and what the derived schemas cannot express. `tests/openapi.rs` compares
//! real answers with the document.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// Routes that neither show nor change a row of the policy.
const NO_ROWS: [&str; 8] = [
    "/v1/usage",
    "/v1/receipts/{revision}",
    "/v1/policy",
    "/v1/keys/lookup",
    "/v1/explain",
    "/v1/audit",
    "/v1/revisions",
    "/v1/diff",
];

#[derive(OpenApi)]
#[openapi(
    info(title = "keygate policy service", description = "Management of APIs, applications, keys and subscriptions, and the feed for gateways."),
    security(("administrator" = []), ("session" = [])),
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
        let session = "a session of the console; the cookie is `__Host-keygate-session` if browsers come by https. A change needs the \
                       session's CSRF token as well, in the header `x-csrf-token`";
        let cookie = ApiKeyValue::with_description("keygate-session", session);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components
            .add_security_scheme("gateway", http(HttpAuthScheme::Basic, "a gateway's client_id and client_secret"));
        components.add_security_scheme("gateway_secret", http(HttpAuthScheme::Bearer, "a gateway's client_secret"));
    }
}

/// The document without any route.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The whole document, as JSON text. `say_bounds` adds the limits of values.
pub fn document(
    handlers: &utoipa::openapi::OpenApi,
    permission: fn(method: &str, path: &str) -> Option<Value>,
    say_bounds: fn(&mut Value),
) -> Arc<str> {
    // The document consists of strings, numbers and lists, so serialisation cannot fail.
    let mut document = serde_json::to_value(handlers).unwrap_or_default();
    for (path, operations) in members(&mut document, "/paths") {
        for (method, operation) in members(operations, "") {
            complete(path, method, operation);
            insert(operation, "", "x-permission", permission(&method.to_uppercase(), path).unwrap_or_default());
        }
    }
    refer(&mut document);
    flatten(&mut document, "/components/schemas/IssuedKey");
    let deleted = json!({"type": "boolean", "readOnly": true,
        "description": "True if the object was deleted while it was blocked. The block stays until an unblock. Absent if it was not deleted."});
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
    say_bounds(&mut document);
    document.to_string().into()
}

/// Splits a row's schema into one for requests and one for answers. The `id` is optional in requests. It is always
/// present in answers, because gateways need it.
fn tell_sent_from_shown(document: &mut Value, name: &str) {
    let place = format!("/components/schemas/{name}");
    let Some(mut sent) = document.pointer(&place).cloned() else { return };
    if let Some(fields) = sent.pointer_mut("/properties").and_then(Value::as_object_mut) {
        // The service alone says these. A subscription has an owner only as a kept block.
        fields.remove("deleted");
        if name == "Subscription" {
            fields.remove("owner");
        }
    }
    insert(document, "/components/schemas", &format!("New{name}"), sent);
    let id = json!({"type": "string", "description": "1 to 256 bytes without control characters; the service makes one if the request has none."});
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

/// Adds the answers that every operation of this kind can have.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let body = operation.get("requestBody").is_some();
    leave_out_null(operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let mut add = |status: &str, description: &str| {
        responses.entry(status).or_insert_with(|| json!({"description": description, "content": {JSON: problem()}}));
    };
    let is_action =
        ["/block", "/unblock", "/revoke", "/regenerate", "/approve", "/reject"].iter().any(|end| path.ends_with(end));
    // Tokens and gateways' credentials are not rows of the policy, but have an etag too.
    let is_account = ["/v1/tokens", "/v1/gateways/credentials"].iter().any(|begin| path.starts_with(begin));
    let is_beside = is_account || ["/v1/gateways", "/v1/me"].iter().any(|begin| path.starts_with(begin));
    let is_conditional = (is_account || !is_beside) && (matches!(method, "put" | "delete") || is_action);
    if is_conditional {
        add("412", "the stored row is not the version that `if-match` names");
        add("422", "a field of the body cannot be used; `field` says which");
    }
    let is_once = method == "post" && !["/v1/usage", "/v1/keys/lookup", "/v1/explain"].contains(&path);
    if is_once {
        add(
            "409",
            "a request with this `idempotency-key` issued a secret, which is not shown again; `id` says of what",
        );
        add("422", "another request had this `idempotency-key`");
        add("429", "the caller has too many requests with an `idempotency-key`");
    }
    if path.starts_with("/v1/") && method != "get" {
        add("400", "a parameter or the body cannot be used");
        add("415", "the body has a `content-encoding` other than identity, or a charset other than UTF-8");
    }
    let is_for_roles = path.starts_with("/v1/") && path != "/v1/policy" && (path, method) != ("/v1/usage", "post");
    if is_for_roles {
        add("403", "the role of the token may not do this with what it sees (`x-permission`)");
        add("404", "the role of the token does not see this");
    }
    if path.contains('{') {
        add("400", "the id is not UTF-8");
    }
    if body {
        add("400", "the body is not JSON");
        add("408", "the body did not arrive in time");
        add("413", "the body is too large");
    }
    if path.starts_with("/v1/") {
        add("503", "the database is busy or cannot be reached; nothing was changed");
        if method != "get" {
            add("507", "the disk is full; nothing was changed");
        }
        add("default", "any other error");
    }
    let is_management = path.starts_with("/v1/") && !is_beside && !NO_ROWS.contains(&path);
    for (status, response) in responses.iter_mut() {
        if status.starts_with('2') && (is_management || is_account) {
            if method != "get" || (is_management && path.contains('{')) {
                let etag = json!({"description": "the version of the row, to be sent as `if-match`; absent if the row was deleted", "schema": {"type": "string"}});
                insert(response, "", "headers", json!({"etag": etag}));
            }
            if is_management && method != "get" {
                let revision = json!({"description": "the revision of the policy that contains the change", "schema": {"type": "integer"}});
                insert(response, "/headers", "x-policy-revision", revision);
            }
        }
        insert(response, "", "headers", response.get("headers").cloned().unwrap_or_else(|| json!({})));
        let request_id = json!({"description": "the request's own `x-request-id`, or one that the service made",
            "schema": {"type": "string"}});
        insert(response, "/headers", "x-request-id", request_id);
        if status.starts_with(['4', '5', 'd'])
            && let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
            && let Some(schema) = content.remove(JSON)
        {
            content.insert(PROBLEM.to_owned(), schema);
        }
    }
    let if_match = json!({"name": "if-match", "in": "header", "required": false, "schema": {"type": "string"},
        "description": "An `etag`. The service changes the row only if it still is this version."});
    let once = json!({"name": "idempotency-key", "in": "header", "required": false,
        "schema": {"type": "string"},
        "description": "The client's word for this request. Sent again within 24 hours, it makes nothing twice and gets the same answer."});
    let at_revision = json!({"name": "if-match", "in": "header", "required": false, "schema": {"type": "string"},
        "description": "The number of a revision in quotes, such as `\"42\"`. The import begins only if the policy is at it."});
    let all = [(is_conditional, if_match), (path == "/v1/import", at_revision), (is_once, once)];
    for (_, parameter) in all.into_iter().filter(|(has, _)| *has) {
        let Some(operation) = operation.as_object_mut() else { continue };
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        parameters.as_array_mut().into_iter().for_each(|parameters| parameters.push(parameter.clone()));
    }
}

/// A body that may be left out is still no `null`.
fn leave_out_null(operation: &mut Value) {
    let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") else { return };
    let parts = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    if let [null, part] = parts.as_slice()
        && null["type"] == "null"
    {
        *schema = part.clone();
    }
}

fn problem() -> Value {
    json!({"schema": {"$ref": "#/components/schemas/Problem"}})
}

/// Replaces the schema of items inside each list's schema by a reference.
fn refer(document: &mut Value) {
    for (name, schema) in members(document, "/components/schemas") {
        if let Some(item) = name.strip_prefix("Items_") {
            insert(schema, "/properties/items", "items", json!({"$ref": format!("#/components/schemas/{item}")}));
        }
    }
}

/// Merges the parts of a composed schema into one object. Each part forbids other properties, so no value could match
/// all parts.
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

/// The members of the object at `place`; none if there is no object.
fn members<'v>(document: &'v mut Value, place: &str) -> impl Iterator<Item = (&'v String, &'v mut Value)> {
    document.pointer_mut(place).and_then(Value::as_object_mut).into_iter().flatten()
}

/// Adds a member to the object at `place`.
fn insert(document: &mut Value, place: &str, name: &str, value: Value) {
    if let Some(object) = document.pointer_mut(place).and_then(Value::as_object_mut) {
        object.insert(name.to_owned(), value);
    }
}
