//! Pages about deny policies: the list, and making, changing and deleting one.

mod edit;
mod list;

use axum::{Router, routing::get};
use serde::Deserialize;

use super::Console;
use crate::web::place::below;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/deny-policies", get(list::page))
        .route("/console/new/deny-policy", get(edit::ask_new).post(edit::make))
        .route("/console/deny-policies/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/deny-policies/{id}/delete", get(edit::ask_delete).post(edit::delete))
}

/// The routes, as the table of permissions names them.
const ALL: &str = "/v1/deny-policies";
const ONE: &str = "/v1/deny-policies/{id}";

/// Types of a deny policy: the word of the interface, and what people read.
const TYPES: [(&str, &str); 5] = [
    ("IP", "An address"),
    ("IP_RANGE", "A range of addresses"),
    ("APPLICATION", "An application"),
    ("API", "An API"),
    ("USER", "An owner of applications"),
];

/// A deny policy, as `/v1` answers it.
#[derive(Clone, Debug, Default, Deserialize)]
struct DenyPolicy {
    id: String,
    #[serde(rename = "type")]
    target: String,
    value: String,
    #[serde(default)]
    invert: Option<bool>,
    #[serde(default)]
    applies: Option<bool>,
    #[serde(default)]
    etag: Option<String>,
}

fn path(id: &str) -> String {
    below(ALL, &[id])
}
