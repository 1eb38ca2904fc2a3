//! An entry of the audit log, and the filters of a page about them.

use serde::Deserialize;
use serde_json::Value;

use super::super::{form::Form, parts::field::Wrong, when};

/// An entry, as `/v1` answers it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub seq: i64,
    pub at: i64,
    pub actor: String,
    pub role: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub action: String,
    pub kind: String,
    pub id: Option<String>,
    pub revision: Option<i64>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub reason: Option<String>,
    pub counts: Option<Value>,
    pub also: Vec<Also>,
    pub also_total: Option<u64>,
}

/// A further row that the change touched.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Also {
    pub kind: String,
    pub id: String,
}

/// The filters of a page's address, as `/v1` takes them.
pub fn filters(asked: &Form) -> Result<Vec<(&'static str, String)>, Wrong> {
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
pub fn kept(asked: &Form) -> Vec<(&'static str, &str)> {
    ["kind", "action", "actor", "id", "from", "from_at", "to", "to_at"].map(|name| (name, asked.get(name))).to_vec()
}
