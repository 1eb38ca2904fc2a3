//! Pages about plans: the list, one plan, and the forms.

mod edit;
mod form;
mod leave;
mod list;
mod route;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/plans", get(list::page))
        .route("/console/new/plan", get(edit::ask_new).post(edit::make))
        .route("/console/plans/{id}", get(list::one))
        .route("/console/plans/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/plans/{id}/delete", get(leave::ask).post(leave::delete))
}
