//! Pages about subscriptions: the list, one subscription, and what is done to it.

mod block;
pub mod figures;
mod form;
pub mod list;
mod moved;
mod one;
pub mod table;
mod turns;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/subscriptions", get(list::page))
        .route("/console/subscriptions/{id}", get(one::page))
        .route("/console/subscriptions/{id}/block", get(block::ask).post(block::block))
        .route("/console/subscriptions/{id}/unblock", get(turns::ask_unblock).post(turns::unblock))
        .route("/console/subscriptions/{id}/approve", get(turns::ask_approve).post(turns::approve))
        .route("/console/subscriptions/{id}/reject", get(turns::ask_reject).post(turns::reject))
}

/// The path of a subscription in `/v1`.
fn path(id: &str) -> String {
    crate::web::place::below("/v1/subscriptions", &[id])
}

/// The routes, as the table of permissions names them.
const BLOCK: &str = "/v1/subscriptions/{id}/block";
const APPROVE: &str = "/v1/subscriptions/{id}/approve";
