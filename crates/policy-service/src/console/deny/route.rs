//! A deny policy as `/v1` answers it, its types, and its routes.

use serde::Deserialize;

use crate::web::place::below;

/// The routes, as the table of permissions names them.
pub const ALL: &str = "/v1/deny-policies";
pub const ONE: &str = "/v1/deny-policies/{id}";

/// Types of a deny policy: the word of the interface, and what people read.
pub const TYPES: [(&str, &str); 5] = [
    ("IP", "An address"),
    ("IP_RANGE", "A range of addresses"),
    ("APPLICATION", "An application"),
    ("API", "An API"),
    ("USER", "An owner of applications"),
];

/// A deny policy, as `/v1` answers it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DenyPolicy {
    pub id: String,
    #[serde(rename = "type")]
    pub target: String,
    pub value: String,
    #[serde(default)]
    pub invert: Option<bool>,
    #[serde(default)]
    pub applies: Option<bool>,
    #[serde(default)]
    pub etag: Option<String>,
}

pub fn path(id: &str) -> String {
    below(ALL, &[id])
}
