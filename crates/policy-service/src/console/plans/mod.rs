//! Pages about plans: the list, one plan, and the forms.

mod edit;
mod form;
mod leave;
mod list;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/plans", get(list::page))
        .route("/console/plans/new", get(edit::ask_new).post(edit::make))
        .route("/console/plans/{id}", get(list::one))
        .route("/console/plans/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/plans/{id}/delete", get(leave::ask).post(leave::delete))
}

/// The path of a plan in `/v1`.
fn path(id: &str) -> String {
    crate::web::place::below("/v1/plans", &[id])
}

/// The routes, as the table of permissions names them.
const CREATE: &str = "/v1/plans";
const CHANGE: &str = "/v1/plans/{id}";
