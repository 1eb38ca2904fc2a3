//! Pages about APIs, and the start page of those who look after APIs.

mod edit;
mod form;
mod leave;
mod list;
mod one;
pub mod overview;
pub mod route;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/apis", get(list::page))
        .route("/console/new/api", get(edit::ask_new).post(edit::make))
        .route("/console/apis/{id}", get(one::page))
        .route("/console/apis/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/apis/{id}/retire", get(leave::ask_retire).post(leave::retire))
        .route("/console/apis/{id}/delete", get(leave::ask_delete).post(leave::delete))
}
