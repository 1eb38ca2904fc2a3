//! The audit log: who changed what, when and why; and the same as a file.

mod download;
mod list;

use axum::{Router, routing::get};
use serde::Deserialize;
use serde_json::Value;

use super::{Console, form::Form, parts::field::Wrong, when};

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/audit", get(list::page))
        .route("/console/audit.csv", get(download::csv))
        .route("/console/audit.ndjson", get(download::lines))
}

/// An entry, as `/v1` answers it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    seq: i64,
    at: i64,
    actor: String,
    role: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    action: String,
    kind: String,
    id: Option<String>,
    revision: Option<i64>,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
    counts: Option<Value>,
    also: Vec<Also>,
    also_total: Option<u64>,
}

/// A further row that the change touched.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Also {
    kind: String,
    id: String,
}

/// The filters of a page's address, as `/v1` takes them.
fn filters(asked: &Form) -> Result<Vec<(&'static str, String)>, Wrong> {
    let mut filters: Vec<(&'static str, String)> =
        ["kind", "action", "actor", "id"].into_iter().map(|name| (name, asked.get(name).to_owned())).collect();
    for name in ["from", "to"] {
        if let Some(at) = when::moment(asked, name)? {
            filters.push((name, at.to_string()));
        }
    }
    filters.retain(|(_, value)| !value.is_empty());
    Ok(filters)
}

/// The same filters, as an address of the console has them.
fn kept(asked: &Form) -> Vec<(&'static str, &str)> {
    ["kind", "action", "actor", "id", "from", "from_at", "to", "to_at"].map(|name| (name, asked.get(name))).to_vec()
}
