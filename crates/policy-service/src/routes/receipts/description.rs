//! What the OpenAPI document says about receipts: the parameter of each change, and the member of its answer.

use serde_json::{Value, json};

use super::{MAX_SECONDS, is_change};
use crate::auth::permission;

const SCHEMAS: &str = "/components/schemas";
/// How a reference to one of them begins.
const REFERENCE: &str = "#/components/schemas/";

/// Describes the parameter and the answers of all changes of the policy.
pub fn say(document: &mut Value) {
    let Some(paths) = document.pointer("/paths").and_then(Value::as_object) else { return };
    let operations: Vec<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(method, _)| (path.clone(), method.clone()))
        })
        .filter(|(path, method)| permission::find(&method.to_uppercase(), path).is_some_and(is_change))
        .collect();
    let alone = json!({"type": "object", "required": ["receipt"],
        "properties": {"receipt": {"$ref": "#/components/schemas/Receipt"}}});
    insert(document, SCHEMAS, "OnlyReceipt", alone);
    for (path, method) in operations {
        let place = format!("/paths/{}/{method}", path.replace('~', "~0").replace('/', "~1"));
        say_parameter(document, &place);
        if method == "delete" {
            say_deleted(document, &place);
        }
        for status in ["200", "201"] {
            say_answer(document, &format!("{place}/responses/{status}/content/application~1json"));
        }
    }
}

fn say_parameter(document: &mut Value, place: &str) {
    let parameter = json!({"name": "receipt", "in": "query", "required": false,
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_SECONDS},
        "description": "Seconds for which the answer waits until every live gateway that the change concerns decides by it. The answer then has a `receipt`."});
    let Some(operation) = document.pointer_mut(place).and_then(Value::as_object_mut) else { return };
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    parameters.as_array_mut().into_iter().for_each(|parameters| parameters.push(parameter.clone()));
}

/// With a receipt, a deletion has a body.
fn say_deleted(document: &mut Value, place: &str) {
    let responses = format!("{place}/responses");
    let headers = document.pointer(&format!("{responses}/204/headers")).cloned().unwrap_or_else(|| json!({}));
    let only = json!({"$ref": "#/components/schemas/OnlyReceipt"});
    let kept = format!("{responses}/200/content/application~1json");
    match document.pointer(&format!("{kept}/schema")).cloned() {
        Some(schema) => insert(document, &kept, "schema", json!({"anyOf": [schema, only]})),
        None => {
            let answer = json!({"description": "deleted, with the receipt that was asked for", "headers": headers,
                "content": {"application/json": {"schema": only}}});
            insert(document, &responses, "200", answer);
        }
    }
}

/// The answer is the object alone, or the object with its receipt.
fn say_answer(document: &mut Value, place: &str) {
    let Some(schema) = document.pointer(&format!("{place}/schema")).cloned() else { return };
    let parts = schema.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![schema]);
    let mut all = parts.clone();
    for part in parts {
        let name = part.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(REFERENCE));
        let Some(name) = name.filter(|name| *name != "OnlyReceipt") else { continue };
        let Some(mut with) = document.pointer(&format!("{SCHEMAS}/{name}")).cloned() else { continue };
        insert(&mut with, "/properties", "receipt", json!({"$ref": format!("{REFERENCE}Receipt")}));
        let mut required = with.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        required.push(json!("receipt"));
        insert(&mut with, "", "required", required.into());
        insert(document, SCHEMAS, &format!("{name}WithReceipt"), with);
        all.push(json!({"$ref": format!("{REFERENCE}{name}WithReceipt")}));
    }
    if all.len() > 1 {
        insert(document, place, "schema", json!({"anyOf": all}));
    }
}

/// Adds a member to the object at `place`.
fn insert(document: &mut Value, place: &str, name: &str, value: Value) {
    if let Some(object) = document.pointer_mut(place).and_then(Value::as_object_mut) {
        object.insert(name.to_owned(), value);
    }
}
