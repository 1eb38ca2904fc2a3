//! Pages about tokens: who may sign in and ask. One is made and shown once, and revoked.

mod list;
mod make;
mod revoke;
mod route;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/tokens", get(list::page))
        .route("/console/new/token", get(make::ask).post(make::make))
        .route("/console/tokens/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}
