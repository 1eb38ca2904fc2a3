//! Pages about deny policies: the list, and making, changing and deleting one.

mod edit;
mod list;
mod route;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/deny-policies", get(list::page))
        .route("/console/new/deny-policy", get(edit::ask_new).post(edit::make))
        .route("/console/deny-policies/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/deny-policies/{id}/delete", get(edit::ask_delete).post(edit::delete))
}
