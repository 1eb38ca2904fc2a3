//! Pages about subscriptions: the list, one subscription, and what is done to it.

mod around;
mod block;
pub mod figures;
mod form;
pub mod list;
mod moved;
mod one;
mod route;
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
