//! Pages about APIs, and the start page of those who look after APIs.

mod edit;
mod form;
mod leave;
mod list;
mod one;
pub mod overview;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/apis", get(list::page))
        .route("/console/apis/new", get(edit::ask_new).post(edit::make))
        .route("/console/apis/{id}", get(one::page))
        .route("/console/apis/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/apis/{id}/retire", get(leave::ask_retire).post(leave::retire))
        .route("/console/apis/{id}/delete", get(leave::ask_delete).post(leave::delete))
}

/// The path of an API in `/v1`.
fn path(id: &str) -> String {
    crate::web::place::below("/v1/apis", &[id])
}

/// The routes, as the table of permissions names them.
const CREATE: &str = "/v1/apis";
const CHANGE: &str = "/v1/apis/{id}";
